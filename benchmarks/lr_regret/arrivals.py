"""How well are the steps to a loss foretold? `python -m benchmarks.lr_regret.arrivals [TASK ...]`.

For each development task and seed the target is the held-out loss that the best constant rate of the grid comes to in
300 steps. `lrscout.find(loop, target_loss=...)` names a rate and the steps; then the rate is run with an order of the
data that no probe has seen, until it first gets there, at most 3000 steps; and with four more such orders, since on
noisy tasks the step of arrival differs between orders by more than any prediction could know. A prediction is right
when it is within a factor of 1.5 of the truth, that of one run or the median of the five; "not known" is counted apart,
and so is a run that never gets there.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import lrscout
from benchmarks.lr_regret.oracle import Oracle
from benchmarks.lr_regret.tasks import DEVELOPMENT, SEEDS, TASKS
from lrscout.core.progress import Bar
from lrscout.core.source import GivenLoop
from lrscout.runners.fleet import FleetRunner
from lrscout.runners.plan import Run, blocks_of

HORIZON = 300
LONGEST = 3000
FACTOR = 1.5
ORDERS = 5
UNSEEN = 1000
"""The seeds above which no probe draws its order of the data."""
RESULTS = Path(__file__).parents[1] / "results" / "lr_regret" / "arrivals.json"


def foretold(name: str, seed: int) -> dict[str, Any]:
    """Return what was foretold for a task and a seed, and what came of it."""
    task, oracle = TASKS[name], Oracle.load(name)
    losses = oracle.losses("constant", HORIZON)[SEEDS.index(seed)]
    target = float(np.nanmin(losses))
    loop = task.loop(seed)
    found = lrscout.find(loop, target_loss=target)
    row: dict[str, Any] = {"task": name, "seed": seed, "target": target, "lr": found.lr}
    row["cost"] = round(found.cost.step_equivalents)
    if found.lr is None or found.steps_needed is None:
        return row | {"outcome": "not known", "reason": found.reasons[0]}
    needed = found.steps_needed
    arrivals = _arrivals(loop, seed, found.lr, target)
    row |= {"foretold": needed.value, "low": needed.low, "high": needed.high, "arrivals": arrivals}
    middle = sorted(math.inf if arrival is None else arrival for arrival in arrivals)[ORDERS // 2]
    return row | {
        "outcome": _outcome(needed.value, arrivals[0]),
        "outcome of the median": _outcome(needed.value, None if math.isinf(middle) else int(middle)),
    }


def _outcome(foretold: float, truth: int | None) -> str:
    if truth is None:
        return "never got there"
    return "right" if 1 / FACTOR <= max(foretold, 1) / truth <= FACTOR else "wrong"


def _arrivals(loop: Any, seed: int, lr: float, target: float) -> list[int | None]:
    """Return, for each order of the data, after how many steps the held-out loss is at the target for the first time.

    It is looked at after evenly growing numbers of steps.
    """
    evaluate_at = np.unique(np.geomspace(1, LONGEST, 160).round().astype(int))
    plan = [Run(np.full(LONGEST, lr), UNSEEN + ORDERS * seed + order, evaluate_at) for order in range(ORDERS)]
    arrivals: dict[int, int | None] = {}
    for block, curves in FleetRunner().run(GivenLoop(loop), blocks_of(plan, 8), Bar(None, 0, "")):
        for run, curve in zip(block.runs, curves, strict=True):
            there = np.flatnonzero(curve.evaluations <= target)
            arrivals[run.seed] = int(curve.evaluated_at[there[0]]) if len(there) else None
    return [arrivals[run.seed] for run in plan]


def kept(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the rows with how many there are of each outcome, how many intervals held the one run, and for how many
    the median of the other orders, which is as much as could be known of it, would have been right."""
    arrivals = [[math.inf if arrival is None else arrival for arrival in row.get("arrivals", ())] for row in rows]
    told = [(row, *known) for row, known in zip(rows, arrivals, strict=True) if known]
    held = [row["low"] <= run <= row["high"] for row, run, *_ in told]
    knowable = [1 / FACTOR <= float(np.median(others)) / run <= FACTOR for _, run, *others in told]
    return {
        "counts": Counter(row["outcome"] for row in rows),
        "counts by the median": Counter(row.get("outcome of the median", row["outcome"]) for row in rows),
        "the interval held the run": float(np.mean(held)) if told else None,
        "the median of the other orders was right": float(np.mean(knowable)) if told else None,
        "rows": rows,
    }


def main(names: Sequence[str]) -> None:
    """Measure, print a table and keep the figures."""
    rows = [foretold(name, seed) for name in names or DEVELOPMENT for seed in SEEDS]
    record = kept(rows)
    table = Table("outcome", "of one run", f"of the median of {ORDERS}")
    for outcome in ("right", "wrong", "never got there", "not known"):
        one, median = record["counts"][outcome], record["counts by the median"][outcome]
        table.add_row(outcome, f"{one / len(rows):.0%}", f"{median / len(rows):.0%}")
    Console().print(table)
    for share in ("the interval held the run", "the median of the other orders was right"):
        Console().print(f"{share}: {'-' if record[share] is None else format(record[share], '.0%')}")
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
