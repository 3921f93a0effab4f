"""What does importing lrscout cost, beside importing NumPy?

Whole processes are timed in turn, in a random order in each round, with the time of a bare interpreter taken off. A
last row uses the verbs too, since `import lrscout` alone loads nothing before one of its names is used.

Run it with `python benchmarks/import_time.py`; it keeps its figures in results/import_time.json.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 21
CODES = {
    "interpreter": "pass",
    "numpy": "import numpy",
    "lrscout": "import lrscout",
    "lrscout with its verbs": "import lrscout; lrscout.range_test, lrscout.from_functions, lrscout.suggest",
}
RESULTS = Path(__file__).parent / "results" / "import_time.json"


def seconds(code: str) -> float:
    """Return the wall time of a process that runs the code."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


def main() -> None:
    """Time every import, print its share of NumPy's, and keep the figures."""
    for code in CODES.values():
        seconds(code)
    rounds = []
    for _ in range(ROUNDS):
        order = random.sample(list(CODES), len(CODES))
        measured = {name: seconds(CODES[name]) for name in order}
        rounds.append({name: measured[name] - measured["interpreter"] for name in CODES if name != "interpreter"})
    medians = {name: statistics.median(measured[name] for measured in rounds) for name in rounds[0]}
    figures = {name: {"seconds": time, "times numpy": time / medians["numpy"]} for name, time in medians.items()}
    for name, figure in figures.items():
        print(f"{name}: {figure['seconds'] * 1000:.0f} ms, {figure['times numpy']:.2f} times NumPy's")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"rounds": ROUNDS, "imports": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
