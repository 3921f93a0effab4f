"""Our own finder, at the budgets that are compared."""

from __future__ import annotations

from collections.abc import Callable

import lrscout
from benchmarks.lr_regret.judge import Pick
from benchmarks.lr_regret.task import Task
from benchmarks.lr_regret.tasks import HORIZONS, SCHEDULES

BUDGETS = (0.1, 0.25, 0.5, 1.0)


def name_of(budget: float) -> str:
    """Return what the finder is called in the results."""
    return f"lrscout {budget:g}"


def picks(task: Task, seed: int) -> list[Pick]:
    """Return our picks for every budget, horizon and schedule of a task."""
    loop = task.loop(seed)
    return [
        Pick(name_of(budget), task.name, seed, horizon, schedule, found.lr, found.cost.step_equivalents)
        for budget in BUDGETS
        for horizon in HORIZONS
        for schedule in SCHEDULES
        for found in [lrscout.find(loop, horizon, schedule=schedule, budget=budget)]
    ]


FINDERS: dict[tuple[str, ...], Callable[[Task, int], list[Pick]]] = {tuple(map(name_of, BUDGETS)): picks}
