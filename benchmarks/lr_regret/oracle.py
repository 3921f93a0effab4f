"""The oracle: what each rate of a grid leads to, for every horizon, schedule and seed of a task.

Run it with `python -m benchmarks.lr_regret.oracle [TASK ...]`; it keeps a file for each task.

The grid has two rates to an octave. Where a best rate lies at its edge it is extended. With a constant rate one run
serves all horizons; with a linear decay each is a run of its own. A seed is a split of the data, an initialization and
an order of the batches.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import lrscout
from benchmarks.lr_regret.tasks import HORIZONS, SCHEDULES, SEEDS, TASKS
from lrscout.analyse.checkpoints import training_loss_at

RESULTS = Path(__file__).parents[1] / "results" / "lr_regret" / "oracle"

_COARSE = np.arange(-17, 7)
_BELOW, _ABOVE = 7, 4.5
_EXTENSION = 4
_MOST_EXTENSIONS = 4
_CHECKPOINTS = sorted({*HORIZONS, *np.geomspace(10, HORIZONS[-1], 40).round().astype(int).tolist()})


class Oracle:
    """What the rates of a task's grid lead to.

    Args:
        record: what `make` returned, or was kept of it.
    """

    def __init__(self, record: dict[str, Any]) -> None:
        self.record = record
        self.lrs = np.array(record["lrs"])
        self.start = np.array(record["start"], float)

    @classmethod
    def load(cls, name: str) -> Oracle:
        """Return the oracle of a task as it was kept."""
        with gzip.open(RESULTS / f"{name}.json.gz", "rt") as file:
            return cls(json.load(file))

    def losses(self, schedule: str, horizon: int, kind: str = "evaluation") -> np.ndarray:
        """Return the final losses, of shape (seed, rate); infinite where a run did not end with a number."""
        losses = np.array(self.record["losses"][schedule][str(horizon)][kind], float)
        return np.where(np.isfinite(losses), losses, np.inf)


def make(name: str, keep: Any = None) -> dict[str, Any]:
    """Sweep the grid of a task, extended until the best rate of every horizon and schedule is inside."""
    make_loop = partial(_loop, name)
    coarse = lrscout.sweep(make_loop, 2.0**_COARSE, 100, seeds=1, schedule="linear", checkpoints=[100])
    centre = np.log2(coarse.best_lr(100).lr)
    lrs = 2.0 ** np.arange(centre - _BELOW, centre + _ABOVE + 0.25, 0.5)
    record = _swept(name, make_loop, lrs, keep)
    for _ in range(_MOST_EXTENSIONS):
        below, above = _best_at_edge(record)
        if not (below or above):
            break
        octaves = np.arange(0.5, _EXTENSION + 0.25, 0.5)
        more = np.concatenate([lrs.min() / 2.0**octaves] * below + [lrs.max() * 2.0**octaves] * above)
        record = _joined(record, _swept(name, make_loop, more, keep))
        lrs = np.array(record["lrs"])
    return record


def _loop(name: str, seed: int) -> Any:
    return TASKS[name].loop(seed)


def _swept(name: str, make_loop: Any, lrs: np.ndarray, keep: Any) -> dict[str, Any]:
    losses: dict[str, Any] = {}
    for schedule in SCHEDULES:
        checkpoints = _CHECKPOINTS if schedule == "constant" else HORIZONS
        lr_map = lrscout.sweep(make_loop, lrs, HORIZONS[-1], seeds=SEEDS, schedule=schedule, checkpoints=checkpoints)
        losses[schedule] = {str(horizon): _finals(lr_map, horizon) for horizon in checkpoints}
        if keep is not None:
            keep(name, schedule, lr_map)
    start = [float(TASKS[name].loop(seed).evaluate()) for seed in SEEDS]
    return {"task": name, "lrs": sorted(lrs.tolist()), "seeds": list(SEEDS), "start": start, "losses": losses}


def _finals(lr_map: Any, horizon: int) -> dict[str, list[list[float | None]]]:
    """Return the evaluation loss and the training loss after `horizon` steps, by seed and rate; None for no number."""
    place = 0 if lr_map.schedule == "constant" else list(lr_map.checkpoints).index(horizon)
    curves = [[runs[place] for runs in seed] for seed in lr_map.curves]
    finals: dict[str, list[list[float | None]]] = {"evaluation": [], "training": []}
    for seed in curves:
        finals["evaluation"].append([_told(_evaluation_at(curve, horizon)) for curve in seed])
        finals["training"].append([_told(training_loss_at(curve, horizon)) for curve in seed])
    return finals


def _evaluation_at(curve: Any, horizon: int) -> float:
    found = np.flatnonzero(curve.evaluated_at == horizon)
    return float(curve.evaluations[found[0]]) if len(found) else np.inf


def _told(loss: float) -> float | None:
    return float(f"{loss:.6g}") if np.isfinite(loss) else None


def _best_at_edge(record: dict[str, Any]) -> tuple[bool, bool]:
    """Tell whether a best rate, of the mean over seeds, is among the two lowest or the two highest of the grid."""
    best: list[int] = []
    for schedule in SCHEDULES:
        for horizon in HORIZONS:
            losses = Oracle(record).losses(schedule, horizon)
            best.append(int(np.argmin(losses.mean(axis=0))))
    return min(best) < 2, max(best) > len(record["lrs"]) - 3


def _joined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    order = np.argsort([*one["lrs"], *other["lrs"]])

    def join(first: Any, second: Any) -> Any:
        if isinstance(first, dict):
            return {key: join(first[key], second[key]) for key in first}
        return [[(*a, *b)[place] for place in order] for a, b in zip(first, second, strict=True)]

    lrs = sorted([*one["lrs"], *other["lrs"]])
    return {**one, "lrs": lrs, "losses": join(one["losses"], other["losses"])}


def save(record: dict[str, Any]) -> None:
    """Keep the record of a task."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, separators=(",", ":"))
    (RESULTS / f"{record['task']}.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def main(names: Sequence[str]) -> None:
    """Make and keep the oracles of tasks, or of all that have none yet."""
    for name in names or [task for task in TASKS if not (RESULTS / f"{task}.json.gz").exists()]:
        save(make(name))
        print(name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
