"""Rates that nobody looked for: the optimizer's default, and the one constant that serves an optimizer best."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from benchmarks.lr_regret.judge import Pick, Yardstick, oracle_of
from benchmarks.lr_regret.records import oracle_path
from benchmarks.lr_regret.task import DEFAULT_LR, Task
from benchmarks.lr_regret.tasks import DEVELOPMENT, HORIZONS, SCHEDULES

DEFAULT = "default rate"
CONSTANT = "best constant"


def default_rate(task: Task, seed: int) -> list[Pick]:
    """Take the rate that the frameworks take when none is given."""
    return [Pick(DEFAULT, task.name, seed, None, None, DEFAULT_LR[task.optimizer], 0.0)]


def best_constant(task: Task, seed: int) -> list[Pick]:
    """Take the rate that was best, on average, for the same optimizer in every other family."""
    return [Pick(CONSTANT, task.name, seed, None, None, _best_elsewhere(task), 0.0)]


def _best_elsewhere(task: Task) -> float:
    others = [
        other.name
        for other in DEVELOPMENT.values()
        if other.optimizer == task.optimizer and other.family != task.family
    ]
    missing = [name for name in others if not oracle_path(name).exists()]
    if missing:
        raise FileNotFoundError(f"The best constant needs the oracles of {', '.join(missing)}.")
    octaves = _octaves(tuple(others))
    means = np.mean([_mean_regrets(name, octaves) for name in others], axis=0)
    return float(2.0 ** octaves[int(np.argmin(means))])


def _octaves(names: Sequence[str]) -> tuple[float, ...]:
    """Return the binary logarithms of all rates of some grids, which all lie on half-octaves."""
    logarithms = [np.log2(oracle_of(name).lrs) for name in names]
    return tuple(np.arange(min(map(np.min, logarithms)), max(map(np.max, logarithms)) + 0.25, 0.5).tolist())


@lru_cache(maxsize=64)
def _mean_regrets(name: str, octaves: tuple[float, ...]) -> np.ndarray:
    """Return the mean regret of a task at each rate; below its grid that of its lowest rate, and above it 1."""
    oracle = oracle_of(name)
    regrets: list[np.ndarray] = []
    for schedule in SCHEDULES:
        for horizon in HORIZONS:
            losses = oracle.losses(schedule, horizon)
            for place, seed in enumerate(oracle.record["seeds"]):
                yardstick = Yardstick.of(name, seed, schedule, horizon)
                regrets.append(np.clip([yardstick.regret(loss) for loss in losses[place]], 0, 1))
    return np.interp(octaves, np.log2(oracle.lrs), np.mean(regrets, axis=0), right=1.0)
