"""Random search and successive halving by Optuna, at a given share of the run that they are to advise on.

Each trial is a short training with the schedule compressed to its length, from the initial state. Its score is the mean
training loss over its last quarter, which costs nothing: to evaluate so often would eat up the budget.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from benchmarks.lr_regret.judge import Pick
from benchmarks.lr_regret.task import Task
from benchmarks.lr_regret.tasks import HORIZONS, SCHEDULES
from lrscout.core.loop import restored
from lrscout.core.schedules import NAMED

BUDGETS = (0.25, 0.5)
LOWEST, HIGHEST = 1e-5, 10.0
"""The range that a user would write who knows nothing of the task."""

_SHORTEST = 10
_PROBE_SEED = 0
_RECENT = 4
_TRIALS_OF_RANDOM_SEARCH = 10
_WHOLE_TRIALS_OF_HALVING = 5
_REDUCTION = 4

optuna.logging.set_verbosity(optuna.logging.WARNING)


def _names(search: str) -> tuple[str, ...]:
    return tuple(f"{search} {budget}" for budget in BUDGETS)


RANDOM_SEARCH = _names("random search")
HALVING = _names("successive halving")


def random_search(task: Task, seed: int) -> list[Pick]:
    """Search at random: ten trials for half of the run, fewer where they would be shorter than ten steps."""
    return _searched(task, seed, RANDOM_SEARCH, _TRIALS_OF_RANDOM_SEARCH, lambda length: optuna.pruners.NopPruner())


def successive_halving(task: Task, seed: int) -> list[Pick]:
    """Search at random, and end a trial that is not among the best quarter at a quarter or a sixteenth of its length.

    A trial that runs to its end is twice as long as one of random search.
    """

    def pruner(length: int) -> Any:
        return optuna.pruners.SuccessiveHalvingPruner(
            min_resource=max(2, length // _REDUCTION**2), reduction_factor=_REDUCTION
        )

    return _searched(task, seed, HALVING, _WHOLE_TRIALS_OF_HALVING, pruner)


def _searched(task: Task, seed: int, names: tuple[str, ...], trials: int, pruner: Any) -> list[Pick]:
    loop = task.loop(seed)
    found: list[Pick] = []
    with restored(loop) as home:
        for schedule in SCHEDULES:
            for horizon in HORIZONS:
                length = max(_SHORTEST, round(max(BUDGETS) * horizon / trials))
                sampler = optuna.samplers.RandomSampler(seed=_luck(task, seed, horizon, schedule))
                study = optuna.create_study(sampler=sampler, pruner=pruner(length))
                best: dict[float, tuple[float | None, float]] = {}
                # A smaller budget ends the same search earlier.
                for cost, lr in _course(study, loop, home, schedule, length, round(max(BUDGETS) * horizon)):
                    best.update({budget: (lr, cost) for budget in BUDGETS if cost <= budget * horizon})
                for name, budget in zip(names, BUDGETS, strict=True):
                    lr, cost = best.get(budget, (None, 0.0))
                    found.append(Pick(name, task.name, seed, horizon, schedule, lr, cost))
    return found


def _luck(task: Task, seed: int, horizon: int, schedule: str) -> int:
    """Return a seed of the search's own for each run, so that one lucky draw does not serve them all."""
    return zlib.crc32(f"{task.name} {seed} {horizon} {schedule}".encode())


def _course(
    study: optuna.Study, loop: Any, home: Any, schedule: str, length: int, most: int
) -> Iterator[tuple[float, float | None]]:
    """Yield, after each trial, the steps taken so far and the best rate until then."""
    factors = NAMED[schedule]()(np.arange(length), length)
    taken = 0
    while taken < most:
        trial = study.ask()
        lr = trial.suggest_float("lr", LOWEST, HIGHEST, log=True)
        loop.restore(home)
        loop.reseed(_PROBE_SEED)
        losses: list[float] = []
        state = TrialState.COMPLETE
        for factor in factors.tolist():
            if taken == most:
                state = TrialState.FAIL  # The budget is spent before the trial is over.
                break
            losses.append(loop.step(lr * factor))
            taken += 1
            if not math.isfinite(losses[-1]):
                state = TrialState.FAIL
                break
            trial.report(_score(losses), len(losses))
            if trial.should_prune():
                state = TrialState.PRUNED
                break
        study.tell(trial, _score(losses) if state is TrialState.COMPLETE else None, state=state)
        complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        yield float(taken), study.best_params["lr"] if complete else None


def _score(losses: list[float]) -> float:
    return float(np.mean(losses[-max(1, len(losses) // _RECENT) :]))
