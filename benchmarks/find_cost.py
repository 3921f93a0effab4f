"""Does asking for a learning rate take less time than the run it is for?

On the bundled digits network, `find` for 1000 steps at a budget of 0.5 is timed against the 1000 steps themselves, step
by step and evaluated once, as a user's own loop goes. Both begin from a new loop, so that both compile what they need;
then both once more with everything compiled. Rounds are interleaved; the figure is the ratio in one round.

Run it with `python benchmarks/find_cost.py [--rounds N]`; it keeps its figures in results/find_cost.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import lrscout
from lrscout.core.schedules import linear
from lrscout.examples import digits

STEPS = 1000
BUDGET = 0.5
RESULTS = Path(__file__).parent / "results" / "find_cost.json"


def advise(loop: Any) -> None:
    """Ask for the rate."""
    lrscout.find(loop, STEPS, budget=BUDGET)


def train(loop: Any) -> None:
    """Take the steps."""
    for factor in linear()(np.arange(STEPS), STEPS):
        loop.step(0.1 * factor)
    loop.evaluate()


def seconds(work: Callable[[Any], None], loop: Any) -> float:
    """Return how long some work takes; the loop stands where it did afterwards."""
    with lrscout.restored(loop):
        began = time.perf_counter()
        work(loop)
        return time.perf_counter() - began


def main() -> None:
    """Measure, print a table and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    times: dict[str, list[tuple[float, float]]] = {"from a new loop": [], "once compiled": []}
    for number in range(rounds):
        advised, trained = digits(number), digits(number)
        for kind in times:
            times[kind].append((seconds(advise, advised), seconds(train, trained)))
    table = Table("", "find, seconds", "the run, seconds", "ratio", "quartiles")
    figures: dict[str, Any] = {}
    for kind, pairs in times.items():
        find, run = np.median(pairs, axis=0)
        ratios = np.array([first / second for first, second in pairs])
        low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
        table.add_row(kind, f"{find:.2f}", f"{run:.2f}", f"{middle:.2f}", f"{low:.2f} to {high:.2f}")
        figures[kind] = {"find": find, "run": run, "ratio": middle, "low": low, "high": high, "rounds": rounds}
    Console().print(table)
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
