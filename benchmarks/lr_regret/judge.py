"""The judge: what a rate that a finder picked really leads to, and how far that is from the best.

Every pick is trained with as the oracle's grid was: from its seed's start, with its seed's order of batches, as a lane
of a fleet. So a pick that lies on the grid comes to the grid's number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np

from benchmarks.lr_regret.oracle import Oracle
from benchmarks.lr_regret.tasks import HORIZONS, SCHEDULES, TASKS
from lrscout.analyse.checkpoints import evaluation_loss_at, training_loss_at
from lrscout.analyse.stop import BeyondReturn
from lrscout.core.curve import Curve
from lrscout.core.loop import restored
from lrscout.core.progress import Bar
from lrscout.core.schedules import NAMED
from lrscout.runners.fleet import run_as_fleet
from lrscout.runners.plan import Block, Run

FLOOR = "floor"
"""What the choice of a whole grid on other seeds is called in the results."""

DISASTER = 0.25
"""A regret above it is a disaster."""

_NEAR_ENOUGH = 0.02
_PATIENCE = 3
_MOST_LANES = 48
_TINY = 1e-30


@dataclass(frozen=True)
class Pick:
    """What a finder answered.

    Args:
        finder: its name.
        task: the task's name.
        seed: the seed of the run that it was asked about.
        horizon: the length of that run; None for an answer to all of them.
        schedule: the schedule of that run; None for an answer to all of them.
        lr: the rate, or None where the finder found none.
        cost: what the finder spent, in step equivalents.
    """

    finder: str
    task: str
    seed: int
    horizon: int | None
    schedule: str | None
    lr: float | None
    cost: float


@dataclass(frozen=True)
class Row:
    """A pick for one horizon and schedule, judged.

    Args:
        finder: the finder's name.
        task: the task's name.
        seed: the seed.
        horizon: the length of the run.
        schedule: its schedule.
        lr: the rate, None where there is none.
        cost: what the finder spent, in step equivalents.
        final: the held-out loss at the end; infinite if the run did not end with a number.
        training: the training loss at the end, the mean over the last tenth of the run.
        signed_regret: `final` less the best of the grid for this seed, as a share of what the best gained; below zero
            where the pick is better than the grid.
        signed_training_regret: the same on the training loss; the start is the held-out loss, which untrained
            parameters have in common with the training data but for noise.
        octaves: how far above the best rate for this seed the pick lies.
        octaves_to_mean: the same to the best rate for the mean over seeds.
        steps_to_best: the steps after which the pick, held constant, has come to the grid's best loss at this horizon
            within 2 % of the fall; infinite if it has not after three horizons or 3000 steps. None with a schedule
            that falls, where the rate at a step depends on where the run is to end.
    """

    finder: str
    task: str
    seed: int
    horizon: int
    schedule: str
    lr: float | None
    cost: float
    final: float
    training: float
    signed_regret: float
    signed_training_regret: float
    octaves: float | None
    octaves_to_mean: float | None
    steps_to_best: float | None

    @property
    def regret(self) -> float:
        """The regret on the held-out loss, in [0, 1]."""
        return _clipped(self.signed_regret)

    @property
    def training_regret(self) -> float:
        """The regret on the training loss, in [0, 1]."""
        return _clipped(self.signed_training_regret)

    @property
    def disaster(self) -> bool:
        """Whether more than a quarter of what the best rate gains is lost; a run that diverged has lost it all."""
        return self.regret > DISASTER

    @property
    def total_cost(self) -> float | None:
        """What the finder spent and the run until it came to the grid's best loss, in step equivalents."""
        return None if self.steps_to_best is None else self.cost + self.steps_to_best


COLUMNS = tuple(field.name for field in fields(Row))


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    Args:
        final: the held-out loss at its end.
        training: its training loss at its end.
        steps_to_best: as in `Row`.
    """

    final: float
    training: float
    steps_to_best: float | None = None


NO_RUN = Ending(math.inf, math.inf)


def judge(picks: Iterable[Pick]) -> list[Row]:
    """Train at every pick, and return a row for each of its horizons and schedules, in the order of the picks."""
    cells = [cell for pick in picks for cell in _cells(pick)]
    endings: dict[Pick, Ending] = {}
    for task, seed in dict.fromkeys((cell.task, cell.seed) for cell in cells):
        mine = [cell for cell in cells if (cell.task, cell.seed) == (task, seed)]
        endings.update(_trained(task, seed, mine))
    return [score(cell, endings.get(cell, NO_RUN)) for cell in cells]


def score(cell: Pick, ending: Ending) -> Row:
    """Return the row of a pick for one horizon and schedule, given how its run ended."""
    yardstick = Yardstick.of(cell.task, cell.seed, cell.schedule, cell.horizon)
    octaves = octaves_to_mean = None
    if cell.lr is not None and cell.lr > 0:
        octaves = float(np.log2(cell.lr / yardstick.best_lr))
        octaves_to_mean = float(np.log2(cell.lr / yardstick.best_lr_of_mean))
    return Row(
        **{**asdict(cell), "lr": None if cell.lr is None else float(cell.lr), "cost": float(cell.cost)},
        final=ending.final,
        training=ending.training,
        signed_regret=yardstick.regret(ending.final),
        signed_training_regret=yardstick.training_regret(ending.training),
        octaves=octaves,
        octaves_to_mean=octaves_to_mean,
        steps_to_best=ending.steps_to_best,
    )


def floor(task: str) -> list[Row]:
    """Return the rows of the whole grid's choice on the other seeds, from the oracle alone."""
    oracle = oracle_of(task)
    rows: list[Row] = []
    for schedule in SCHEDULES:
        for horizon in HORIZONS:
            losses = oracle.losses(schedule, horizon)
            training = oracle.losses(schedule, horizon, "training")
            for place, seed in enumerate(oracle.record["seeds"]):
                others = np.delete(losses, place, axis=0)
                chosen = int(np.argmin(others.mean(axis=0)))
                cell = Pick(FLOOR, task, seed, horizon, schedule, float(oracle.lrs[chosen]), others.size * horizon)
                rows.append(score(cell, Ending(float(losses[place, chosen]), float(training[place, chosen]))))
    return rows


@dataclass(frozen=True)
class Yardstick:
    """What a final loss is measured against: the grid's best for the same seed, and where training began."""

    start: float
    best: float
    best_training: float
    best_lr: float
    best_lr_of_mean: float

    @classmethod
    def of(cls, task: str, seed: int, schedule: str | None, horizon: int | None) -> Yardstick:
        """Read it off the oracle."""
        assert schedule is not None
        assert horizon is not None
        oracle = oracle_of(task)
        place = oracle.record["seeds"].index(seed)
        losses = oracle.losses(schedule, horizon)
        training = oracle.losses(schedule, horizon, "training")[place]
        return cls(
            start=float(oracle.start[place]),
            best=float(losses[place].min()),
            best_training=float(training.min()),
            best_lr=float(oracle.lrs[np.argmin(losses[place])]),
            best_lr_of_mean=float(oracle.lrs[np.argmin(losses.mean(axis=0))]),
        )

    def regret(self, final: float) -> float:
        """Return the regret on the held-out loss, its sign kept."""
        return (final - self.best) / max(self.start - self.best, _TINY)

    def training_regret(self, final: float) -> float:
        """Return the regret on the training loss, its sign kept."""
        return (final - self.best_training) / max(self.start - self.best_training, _TINY)

    @property
    def near_enough(self) -> float:
        """The loss that counts as the best one."""
        return self.best + _NEAR_ENOUGH * (self.start - self.best)


def _clipped(regret: float) -> float:
    return min(max(regret, 0.0), 1.0) if math.isfinite(regret) else 1.0


def _cells(pick: Pick) -> list[Pick]:
    """Return a pick for each horizon and schedule that it answers for."""
    return [
        Pick(pick.finder, pick.task, pick.seed, horizon, schedule, pick.lr, pick.cost)
        for schedule in ([pick.schedule] if pick.schedule else SCHEDULES)
        for horizon in ([pick.horizon] if pick.horizon else HORIZONS)
    ]


@lru_cache(maxsize=8)
def oracle_of(task: str) -> Oracle:
    """Return the oracle of a task."""
    return Oracle.load(task)


def _trained(task: str, seed: int, cells: Sequence[Pick]) -> dict[Pick, Ending]:
    """Return how the runs at picks of one task and seed end."""
    runnable = [cell for cell in cells if cell.lr is not None and math.isfinite(cell.lr) and cell.lr > 0]
    # A constant rate needs one run, as long as the longest that is asked of it; a schedule needs a run for each length.
    lengths: dict[tuple[str, float, int], int] = {}
    for cell in runnable:
        length = _length(cell)
        key = _key(cell)
        lengths[key] = max(length, lengths.get(key, 0))
    curves: dict[tuple[str, float, int], Curve] = {}
    for schedule, length in dict.fromkeys((key[0], length) for key, length in lengths.items()):
        keys = [key for key, other in lengths.items() if (key[0], other) == (schedule, length)]
        runs = [_run(task, lr, seed, schedule, length) for _, lr, _ in keys]
        curves.update(zip(keys, _fleet_runs(task, seed, runs), strict=True))
    return {cell: _ending(cell, curves[_key(cell)]) for cell in runnable}


def _length(cell: Pick) -> int:
    assert cell.horizon is not None
    return cell.horizon if cell.schedule != "constant" else min(_PATIENCE * cell.horizon, HORIZONS[-1])


def _key(cell: Pick) -> tuple[str, float, int]:
    assert cell.schedule is not None
    assert cell.horizon is not None
    assert cell.lr is not None
    return cell.schedule, cell.lr, 0 if cell.schedule == "constant" else cell.horizon


def _run(task: str, lr: float, seed: int, schedule: str, length: int) -> Run:
    """Return a run as a sweep plans it."""
    factors = NAMED[schedule]()(np.arange(length), length)
    evaluate_at = [0, length]
    if schedule == "constant":
        passed = [int(each) for each in oracle_of(task).record["losses"]["constant"]]
        evaluate_at = sorted({0, length, *(each for each in passed if each <= length)})
    return Run(lr * factors, seed, np.array(evaluate_at), BeyondReturn)


def _ending(cell: Pick, curve: Curve) -> Ending:
    assert cell.horizon is not None
    final, training = evaluation_loss_at(curve, cell.horizon), training_loss_at(curve, cell.horizon)
    steps = None
    if cell.schedule == "constant":
        wanted = Yardstick.of(cell.task, cell.seed, cell.schedule, cell.horizon).near_enough
        within = curve.evaluated_at <= _length(cell)
        there = curve.evaluated_at[within & (curve.evaluations <= wanted)]
        steps = float(there[0]) if len(there) else math.inf
    return Ending(_rounded(final), _rounded(training), steps)


def _rounded(loss: float) -> float:
    """Return a loss to the digits that the oracle keeps."""
    return float(f"{loss:.6g}") if math.isfinite(loss) else math.inf


def _fleet_runs(task: str, seed: int, runs: Sequence[Run]) -> list[Curve]:
    loop = _loop(task, seed)
    curves: list[Curve] = []
    with restored(loop) as home:
        for first in range(0, len(runs), _MOST_LANES):
            block = Block(0, tuple(runs[first : first + _MOST_LANES]))
            curves += run_as_fleet(loop, home, block, Bar(None, 0, ""))
    return curves


@lru_cache(maxsize=3)
def _loop(task: str, seed: int) -> Any:
    loop = TASKS[task].loop(seed)
    # The loss is the same function for every seed, and its data are arguments, so all seeds share a compiled program.
    vars(loop)["_program"] = _program(task)
    return loop


@lru_cache(maxsize=1)
def _program(task: str) -> Any:
    return TASKS[task].loop(0)._program
