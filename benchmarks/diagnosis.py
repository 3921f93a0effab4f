"""How often is `diagnose` right about curves whose outcome is known?

Curves labelled by how they were made (`tests/labelled_curves.py` says by which rule): a hundred for each outcome from
the families on which the judgement was built, and a hundred from families that it was not built on, both with seeds of
their own; then curves of rates below the limit, labelled or not, none of which may be called diverging.

Run it with `python benchmarks/diagnosis.py`; it keeps its figures in results/diagnosis.json.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from lrscout.analyse.diagnose import diagnose
from lrscout.core.curve import Outcome
from tests.descents import HELD_OUT, TUNED, Family
from tests.labelled_curves import SEED, healthy_curves, labelled_curves

EACH = 100
HEALTHY = 1000
MANY = 1_000_000
RESULTS = Path(__file__).parent / "results" / "diagnosis.json"


def confusion(families: tuple[Family, ...]) -> Counter[tuple[Outcome, Outcome]]:
    """Count the curves by their label and what they are called."""
    curves = labelled_curves(families, SEED, EACH)
    return Counter((curve.label, diagnose(curve.losses, **curve.told).outcome) for curve in curves if curve.label)


def called_diverging(families: tuple[Family, ...]) -> int:
    """Return how many runs below the limit are called diverging."""
    curves = healthy_curves(families, SEED, HEALTHY)
    return sum(diagnose(curve.losses).outcome is Outcome.DIVERGING for curve in curves)


def seconds_for_many() -> float:
    """Return the time that a log of a million losses takes, the fastest of three."""
    losses = np.exp(-np.arange(MANY) / 2e5) + np.random.default_rng(0).normal(0, 0.1, MANY)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        diagnose(losses, 0.1)
        times.append(time.perf_counter() - began)
    return min(times)


def show(name: str, table: Counter[tuple[Outcome, Outcome]]) -> None:
    """Print a confusion table."""
    printed = Table("label \\ verdict", *(str(outcome) for outcome in Outcome), title=name, box=None)
    for label in Outcome:
        printed.add_row(str(label), *(str(table[label, verdict]) for verdict in Outcome))
    Console(width=120).print(printed)


def main() -> None:
    """Judge every curve, print the tables, and keep them."""
    figures: dict[str, Any] = {"seconds for a million losses": seconds_for_many()}
    for name, families in {"families it was built on": TUNED, "held-out families": HELD_OUT}.items():
        table = confusion(families)
        show(name, table)
        right = sum(number for (label, verdict), number in table.items() if label is verdict)
        figures[name] = {
            "families": [family.__name__ for family in families],
            "curves": sum(table.values()),
            "right": right,
            "healthy curves": HEALTHY,
            "healthy curves called diverging": called_diverging(families),
            "confusion": {str(a): {str(b): table[a, b] for b in Outcome} for a in Outcome},
        }
        print({key: value for key, value in figures[name].items() if key not in ("families", "confusion")})
    print(f"a million losses: {figures['seconds for a million losses']:.2f} s")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
