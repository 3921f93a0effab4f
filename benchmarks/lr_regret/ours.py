"""Our own finder at the budgets that are compared, and the run that it advises when that is guarded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lrscout
from benchmarks.lr_regret.judge import Ending, Pick, Row, score
from benchmarks.lr_regret.task import Task
from benchmarks.lr_regret.tasks import HORIZONS, SCHEDULES
from lrscout.analyse.checkpoints import training_loss_at
from lrscout.measure.recommendation import Recommendation

BUDGETS = (0.1, 0.25, 0.5, 1.0)
GUARDED_BUDGET = 0.5
GUARDED = f"lrscout {GUARDED_BUDGET:g}, guarded"


def name_of(budget: float) -> str:
    """Return what the finder is called in the results."""
    return f"lrscout {budget:g}"


def answers(task: Task, seed: int) -> list[Pick | Row]:
    """Return our picks for every budget, horizon and schedule of a task, and the rows of the guarded runs."""
    loop = task.loop(seed)
    answers: list[Pick | Row] = []
    for budget in BUDGETS:
        for horizon in HORIZONS:
            for schedule in SCHEDULES:
                found = lrscout.find(loop, horizon, schedule=schedule, budget=budget)
                cost = found.cost.step_equivalents
                answers.append(Pick(name_of(budget), task.name, seed, horizon, schedule, found.lr, cost))
                if budget == GUARDED_BUDGET and found.lr is not None:
                    pick = Pick(GUARDED, task.name, seed, horizon, schedule, found.lr, cost)
                    answers.append(score(pick, _guarded(loop, found, seed)))
    return answers


def _guarded(loop: Any, found: Recommendation, seed: int) -> Ending:
    """Return how the run ends that was advised, from the start of its seed, when it is guarded."""
    with lrscout.restored(loop):
        loop.reseed(seed)
        run = lrscout.guard(loop, found, say=None)
        return Ending(loop.evaluate(), training_loss_at(run.curve, run.curve.steps))


FINDERS: dict[tuple[str, ...], Callable[[Task, int], list[Pick | Row]]] = {(*map(name_of, BUDGETS), GUARDED): answers}
