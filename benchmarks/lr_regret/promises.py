"""Does the range hold the best rate, and the predicted loss the final one? `python -m benchmarks.lr_regret.promises`.

`lrscout.find` is asked about every task, seed, horizon and schedule at a budget of 0.5. Its range `low` to `high` keeps
its promise if the best rate of the grid for that seed lies in it, or another rate whose regret is below 0.01 or, where
that is larger, below the floor of that task, the noise between seeds, but never above 0.03. The predicted interval
keeps its promise if it holds the loss that the recommended rate comes to, read off the grid between its rates.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import lrscout
from benchmarks.lr_regret.judge import floor
from benchmarks.lr_regret.oracle import Oracle
from benchmarks.lr_regret.tasks import DEVELOPMENT, HORIZONS, SCHEDULES, SEEDS, TASKS

BUDGET = 0.5
AS_GOOD, AT_MOST = 0.01, 0.03
RESULTS = Path(__file__).parents[1] / "results" / "lr_regret" / "promises.json"


def kept(name: str) -> list[dict[str, Any]]:
    """Return which promises were kept for a task."""
    oracle = Oracle.load(name)
    noise = {(row.horizon, row.schedule): [] for row in floor(name)}
    for row in floor(name):
        noise[row.horizon, row.schedule].append(row.regret)
    rows: list[dict[str, Any]] = []
    for place, seed in enumerate(SEEDS):
        loop = TASKS[name].loop(seed)
        for horizon in HORIZONS:
            for schedule in SCHEDULES:
                found = lrscout.find(loop, horizon, schedule=schedule, budget=BUDGET)
                losses = oracle.losses(schedule, horizon)[place]
                row = {"task": name, "seed": seed, "horizon": horizon, "schedule": schedule}
                as_good = float(np.clip(np.mean(noise[horizon, schedule]), AS_GOOD, AT_MOST))
                rows.append(row | _promises(found, oracle.lrs, losses, float(oracle.start[place]), as_good))
    return rows


def _promises(
    found: lrscout.Recommendation, lrs: np.ndarray, losses: np.ndarray, start: float, as_good: float
) -> dict[str, Any]:
    if found.lr is None or found.low is None or found.high is None:
        return {"range": None, "octaves": None, "predicted": None}
    finite = np.where(np.isfinite(losses), losses, np.inf)
    fall = start - finite.min()
    lost = np.minimum(np.where(np.isfinite(finite), finite, start) - finite.min(), fall)
    inside = np.linspace(np.log2(found.low), np.log2(found.high), 65)
    best = float(np.interp(inside, np.log2(lrs), lost / fall).min())
    final = finite.min() + float(np.interp(np.log2(found.lr), np.log2(lrs), lost))
    told = found.predicted_loss
    return {
        "range": best <= as_good,
        "octaves": float(np.log2(found.high / found.low)),
        "predicted": None if told is None else bool(told.low <= final <= told.high),
    }


def main(names: Sequence[str]) -> None:
    """Measure, print a table and keep the figures."""
    rows = [row for name in names or TASKS for row in kept(name)]
    table = Table("tasks", "calls", "range holds the best", "octaves wide", "prediction holds the loss", "of")
    figures: dict[str, Any] = {}
    for kind, chosen in (
        ("development", [row for row in rows if row["task"] in DEVELOPMENT]),
        ("set aside", [row for row in rows if row["task"] not in DEVELOPMENT]),
    ):
        if not chosen:
            continue
        predicted = [row["predicted"] for row in chosen if row["predicted"] is not None]
        figures[kind] = {
            "calls": len(chosen),
            "range holds the best": float(np.mean([row["range"] is True for row in chosen])),
            "median octaves": float(np.median([row["octaves"] for row in chosen if row["octaves"] is not None])),
            "prediction holds the loss": float(np.mean(predicted)),
            "predictions": len(predicted),
        }
        table.add_row(kind, *(f"{value:.3g}" for value in figures[kind].values()))
    Console().print(table)
    RESULTS.write_text(json.dumps({"figures": figures, "rows": rows}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
