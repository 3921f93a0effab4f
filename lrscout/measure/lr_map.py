"""The learning-rate x steps map, and what can be read off it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.analyse.checkpoints import evaluation_loss_at, outcome_at, training_loss_at
from lrscout.analyse.together import judge_together
from lrscout.core.checks import check_count, check_lr
from lrscout.core.curve import Curve, Outcome
from lrscout.core.errors import InvalidValueError
from lrscout.core.imports import require
from lrscout.core.result import Cost, Result, jsonable

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_NEVER_HELPS = (Outcome.DIVERGING, Outcome.NON_FINITE)
_SAME_RATE = 1.01
_AT_THE_BOTTOM = 1e-6
"""The share of the fall within which losses are the same: in single precision rounding decides among them."""


@dataclass(frozen=True)
class Best:
    """The best rate for one budget.

    Args:
        steps: the budget.
        lr: the rate with the lowest loss, the median over seeds; None where no rate has a finite one.
        low: the lowest rate that is the best for a seed; None with a single seed, which tells no interval.
        high: the highest rate that is the best for a seed.
        loss: the loss at `lr`.
    """

    steps: int
    lr: float | None
    low: float | None
    high: float | None
    loss: float | None


@dataclass(frozen=True)
class Arrival:
    """When a loss is reached.

    Args:
        loss: the loss to reach.
        lr: the rate that gets there first, or the one that was asked for; None if no rate gets there.
        steps: the first checkpoint at which the loss, the median over seeds, is reached; None for never.
        low: the first checkpoint at which a seed has reached it; None with a single seed.
        high: the first checkpoint at which every seed has reached it; None where one never does.
        reason: the answer in a sentence.
    """

    loss: float
    lr: float | None
    steps: int | None
    low: int | None
    high: int | None
    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, eq=False)
class LRMap(Result):
    """The loss for every learning rate after every budget of steps.

    Args:
        lrs: the learning rates, ascending; with a schedule, its peaks.
        checkpoints: the budgets in steps, ascending.
        seeds: the seeds.
        schedule: the schedule's name.
        curves: for each seed, for each rate, its runs: one that serves all budgets, or one for each of them.
        watched: ``"evaluation"`` or ``"training"``: the loss that the map shows.
        runner: who took the steps: ``"fleet"``, ``"serial"`` or ``"ray"``.
        cost: what the map cost.
        study: the name of its study, if it is kept in a store.
        notes: what else there is to say about how it was made.
    """

    lrs: Float[np.ndarray, " rate"]
    checkpoints: Int[np.ndarray, " checkpoint"]
    seeds: tuple[int, ...]
    schedule: str
    curves: tuple[tuple[tuple[Curve, ...], ...], ...]
    watched: str
    runner: str
    cost: Cost
    study: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def lr(self) -> float | None:
        """The best rate for the longest budget, or None where no rate brings the loss below its start."""
        best = self._best_at(len(self.checkpoints) - 1)
        return best.lr if best.loss is not None and not best.loss >= self.start else None

    @property
    def loss_name(self) -> str:
        """What to call the loss that the map shows."""
        return f"{self.watched} loss"

    @property
    def one_run_serves_all(self) -> bool:
        """Whether each run serves every budget; with a decaying schedule, each budget is a run of its own."""
        return len(self.curves[0][0]) == 1

    @cached_property
    def training(self) -> Float[np.ndarray, "seed rate checkpoint"]:
        """The training loss, the mean over the last tenth of each budget; infinite where a run had ended before."""
        return self._read(training_loss_at)

    @cached_property
    def evaluation(self) -> Float[np.ndarray, "seed rate checkpoint"] | None:
        """The loss on the evaluation data after each budget, or None where there are none."""
        return self._read(evaluation_loss_at) if self.watched == "evaluation" else None

    @property
    def losses(self) -> Float[np.ndarray, "seed rate checkpoint"]:
        """The loss that the map shows, for each seed."""
        return self.training if self.evaluation is None else self.evaluation

    @cached_property
    def loss(self) -> Float[np.ndarray, "rate checkpoint"]:
        """The median of `losses` over the seeds."""
        return np.median(self.losses, axis=0)

    @cached_property
    def start(self) -> float:
        """The loss before the first step, the median over seeds; not finite where it was not."""
        return float(np.median([self._first_loss(runs[0][0]) for runs in self.curves]))

    @cached_property
    def own_outcomes(self) -> Any:
        """How each run was going at each budget, judged by itself alone: `Outcome` by seed, rate and checkpoint."""
        return self._read(outcome_at, dtype=object)

    @cached_property
    def seed_outcomes(self) -> Any:
        """How each run was going at each budget, judged together: `Outcome` by seed, rate and checkpoint."""
        frontier = self.frontier()
        return judge_together(
            self.own_outcomes,
            self.losses,
            self.start,
            below_best=np.array([[best.lr is not None and lr < best.lr for best in frontier] for lr in self.lrs]),
            training=self.training,
            training_start=self._training_start,
        )

    @cached_property
    def _training_start(self) -> Float[np.ndarray, "seed 1 1"]:
        """The first training loss of each seed, the same for all of its rates."""
        return np.array([runs[0][0].losses[0] for runs in self.curves])[:, np.newaxis, np.newaxis]

    @cached_property
    def outcomes(self) -> Any:
        """How most seeds' runs were going, by rate and checkpoint; where seeds are at odds, the middle one by loss."""
        order = np.argsort(self.losses, axis=0, kind="stable")
        by_loss = np.take_along_axis(self.seed_outcomes, order, axis=0)
        prevailing = np.empty(by_loss.shape[1:], object)
        for place in np.ndindex(prevailing.shape):
            prevailing[place] = _prevailing([by_loss[(rank, *place)] for rank in range(len(by_loss))])
        return prevailing

    def best_lr(self, steps: int) -> Best:
        """Return the best rate for a budget, with an interval over seeds.

        Args:
            steps: the budget; the answer is for the checkpoint that is nearest by ratio, and says which that is.

        Raises:
            InvalidValueError: the budget is larger than the largest checkpoint, or not a whole number above zero.
        """
        steps = check_count("steps", steps, at_least=1)
        if steps > self.checkpoints[-1]:
            raise InvalidValueError(
                f"steps must be at most {self.checkpoints[-1]}, the map's longest, but it is {steps}."
            )
        return self._best_at(int(np.argmin(np.abs(np.log(self.checkpoints / steps)))))

    def frontier(self) -> tuple[Best, ...]:
        """Return the best rate for every budget."""
        return tuple(self._best_at(index) for index in range(len(self.checkpoints)))

    def steps_to(self, loss: float, lr: float | None = None) -> Arrival:
        """Return which rate reaches a loss first, and after how many steps.

        Args:
            loss: the loss to reach.
            lr: ask about this rate, one of those of the map, instead of the fastest.

        Returns:
            The arrival, at the resolution of the checkpoints; or "never" with the reason.

        Raises:
            InvalidValueError: `loss` is not finite, or `lr` is none of the map's rates.
        """
        if isinstance(loss, str) or not math.isfinite(loss):
            raise InvalidValueError(f"loss must be a finite number, but it is {loss!r}.")
        first = np.array([_first_at_most(row, loss) for row in self.loss])
        # Of several that arrive together, the one that has come lower by then.
        there = self.loss[np.arange(len(first)), np.minimum(first, len(self.checkpoints) - 1)]
        rate = int(np.lexsort((there, first))[0]) if lr is None else self._index_of(lr)
        if first[rate] == len(self.checkpoints):
            return self._never(loss, None if lr is None else rate)
        by_seed = [_first_at_most(row, loss) for row in self.losses[:, rate]]
        steps = int(self.checkpoints[first[rate]])
        low = high = None
        if len(self.seeds) > 1:
            low = int(self.checkpoints[min(by_seed)])
            high = int(self.checkpoints[max(by_seed)]) if max(by_seed) < len(self.checkpoints) else None
        rates = "; no other rate is sooner" if lr is None and len(self.lrs) > 1 else ""
        within = f"within {steps} step{'s' * (steps > 1)}{rates}"
        reason = f"At lr {self.lrs[rate]:.3g} the {self.loss_name} is down to {loss:g} {within}."
        if loss >= self.start:
            reason = f"The {self.loss_name} is no higher than {loss:g} from the start, {self.start:.3g}."
        return Arrival(loss, float(self.lrs[rate]), steps, low, high, reason)

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame` with a row for each rate, seed and checkpoint.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        pandas = require("pandas", extra="pandas")
        seeds, rates, checkpoints = (
            axis.ravel() for axis in np.meshgrid(self.seeds, self.lrs, self.checkpoints, indexing="ij")
        )
        columns: dict[str, Any] = {"lr": rates, "seed": seeds, "steps": checkpoints}
        columns["training_loss"] = self.training.ravel()
        if self.evaluation is not None:
            columns["evaluation_loss"] = self.evaluation.ravel()
        columns["outcome"] = [str(outcome) for outcome in self.seed_outcomes.ravel()]
        return pandas.DataFrame(columns)

    def __str__(self) -> str:
        return " ".join([*self._answer(), self._how(), *self.notes, f"Cost: {self.cost}."])

    def to_dict(self) -> dict[str, Any]:
        return jsonable(
            {
                "lrs": self.lrs,
                "checkpoints": self.checkpoints,
                "seeds": self.seeds,
                "schedule": self.schedule,
                "watched": self.watched,
                "loss": self.loss,
                "outcome": [str(outcome) for outcome in self.outcomes[:, -1]],
                "outcomes": [[str(outcome) for outcome in row] for row in self.outcomes],
                "best": [asdict(best) for best in self.frontier()],
                "runner": self.runner,
                "cost": self.cost,
                "study": self.study,
                "notes": self.notes,
            }
        )

    def _read(self, reading: Any, dtype: Any = float) -> Any:
        return np.array(
            [
                [
                    [
                        reading(runs[0 if len(runs) == 1 else place], int(at))
                        for place, at in enumerate(self.checkpoints)
                    ]
                    for runs in rates
                ]
                for rates in self.curves
            ],
            dtype,
        )

    def _first_loss(self, curve: Curve) -> float:
        at_start = self.watched == "evaluation" and len(curve.evaluated_at) > 0 and curve.evaluated_at[0] == 0
        return float(curve.evaluations[0] if at_start else curve.losses[0])

    def _best_at(self, index: int) -> Best:
        column, steps = self.loss[:, index], int(self.checkpoints[index])
        if not np.isfinite(column).any():
            return Best(steps, None, None, None, None)
        rate = self._winner(self.loss, index)
        low = high = None
        if len(self.seeds) > 1:
            finite = [losses for losses in self.losses if np.isfinite(losses[:, index]).any()]
            winners = [rate, *(self._winner(losses, index) for losses in finite)]
            low, high = float(self.lrs[min(winners)]), float(self.lrs[max(winners)])
        return Best(steps, float(self.lrs[rate]), low, high, float(column[rate]))

    def _winner(self, losses: Float[np.ndarray, "rate checkpoint"], index: int) -> int:
        """Return the rate with the lowest loss; of those that are all at the bottom, the one that got there first."""
        lowest = float(losses[:, index].min())
        fall = self.start - lowest
        bottom = lowest + _AT_THE_BOTTOM * max(fall, 0.0) if math.isfinite(fall) else lowest
        tied = np.flatnonzero(losses[:, index] <= bottom)
        return int(min(tied, key=lambda rate: (_first_at_most(losses[rate], bottom), losses[rate, index])))

    def _index_of(self, lr: float) -> int:
        lr = check_lr("lr", lr)
        index = int(np.argmin(np.abs(np.log(self.lrs / lr))))
        if max(self.lrs[index] / lr, lr / self.lrs[index]) > _SAME_RATE:
            raise InvalidValueError(
                f"lr must be one of the map's rates, but it is {lr:g}; {self.lrs[index]:.4g} is nearest."
            )
        return index

    def _never(self, loss: float, rate: int | None) -> Arrival:
        steps = self.checkpoints[-1]
        rows = self.loss if rate is None else self.loss[rate : rate + 1]
        lowest = float(rows.min())
        if rate is None:
            reason = f"Never: no rate brings the {self.loss_name} down to {loss:g} in {steps} steps"
        else:
            reason = f"Never: at lr {self.lrs[rate]:.3g} the {self.loss_name} does not come down to {loss:g}"
            outcome = self.outcomes[rate, -1]
            if outcome in _NEVER_HELPS:
                return Arrival(loss, float(self.lrs[rate]), None, None, None, f"{reason}: {outcome.sentence}.")
            reason += f" in {steps} steps"
        reason += f"; the lowest is {lowest:.3g}." if math.isfinite(lowest) else "; none is finite."
        return Arrival(loss, None if rate is None else float(self.lrs[rate]), None, None, None, reason)

    def _answer(self) -> list[str]:
        best = self._best_at(len(self.checkpoints) - 1)
        if best.lr is None:
            return [f"No learning rate to recommend: after {best.steps} steps the {self.loss_name} is finite at none."]
        if self.lr is None:
            lowest = f"the lowest is {best.loss:.3g}, at lr {best.lr:.2g}"
            start = f"below its start, {self.start:.3g}"
            return [f"No learning rate to recommend: none brings the {self.loss_name} {start}; {lowest}."]
        interval = f" ({best.low:.2g} to {best.high:.2g} over {len(self.seeds)} seeds)" if best.low is not None else ""
        sentences = [
            f"For {best.steps} steps use a learning rate of {best.lr:.2g}{interval}: {self.loss_name} {best.loss:.3g}."
        ]
        if len(self.lrs) > 1 and best.lr in (self.lrs[0], self.lrs[-1]):
            where = "lowest" if best.lr == self.lrs[0] else "highest"
            sentences.append(f"That is the {where} rate tried, so a better one may lie beyond it.")
        first = next((other for other in self.frontier() if other.lr is not None), best)
        if first.lr != best.lr:
            sentences.append(f"For {first.steps} step{'s' * (first.steps > 1)} it would be {first.lr:.2g}.")
        lost = [lr for lr, outcome in zip(self.lrs, self.outcomes[:, -1], strict=True) if outcome in _NEVER_HELPS]
        kept = [lr for lr, outcome in zip(self.lrs, self.outcomes[:, -1], strict=True) if outcome not in _NEVER_HELPS]
        if lost and kept and max(best.lr, *kept) < min(lost):
            sentences.append(f"From {min(lost):.2g} up, the loss diverges.")
        return sentences

    def _how(self) -> str:
        budgets = len(self.checkpoints)
        if self.one_run_serves_all and self.schedule == "constant":
            serves = f"all {budgets} budgets" if budgets > 1 else "the budget"
            return f"The lr is constant, so one run for each rate and seed serves {serves}."
        runs = f"each of the {budgets} budgets" if budgets > 1 else "the budget"
        return f"With the schedule {self.schedule}, {runs} is a run of its own."


def _prevailing(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the most frequent of outcomes that are ordered by loss, or the middle one where none is."""
    counts = Counter(outcomes)
    middle = outcomes[(len(outcomes) - 1) // 2]
    return max([middle, *counts], key=lambda outcome: counts[outcome])


def _first_at_most(losses: Float[np.ndarray, " checkpoint"], loss: float) -> int:
    """Return the first checkpoint at which a loss is reached, or the number of checkpoints if it never is."""
    reached = np.flatnonzero(losses <= loss)
    return int(reached[0]) if len(reached) else len(losses)
