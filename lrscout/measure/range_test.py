"""The range test: one run whose lr rises at every step, and what it tells."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.analyse.judge import OUTCOME_WHEN_STOPPED
from lrscout.analyse.smoothing import smooth, smoothing_for, without_spikes
from lrscout.analyse.stop import RangeTestRule
from lrscout.analyse.suggest import FEWEST_POINTS, RULES, Suggestion, suggest
from lrscout.core.checks import check_choice, check_count, check_lr, check_share
from lrscout.core.curve import Curve, Outcome, Stop
from lrscout.core.errors import InvalidValueError
from lrscout.core.loop import Loop
from lrscout.core.result import Cost, Result, jsonable
from lrscout.core.schedules import exponential_ramp, linear_ramp
from lrscout.core.source import Source, source_of
from lrscout.measure.keeping import curves_of, first_losses, kept_study
from lrscout.runners.plan import Run, blocks_of
from lrscout.runners.serial import SerialRunner

if TYPE_CHECKING:
    from jaxtyping import Float

_WIDEST = 1e30
_LADDERS = {"exponential": exponential_ramp, "linear": linear_ramp}


@dataclass(frozen=True, eq=False)
class RangeTest(Result):
    """What a range test saw, and the learning rates that its rules read off it.

    Args:
        curves: the runs, one for each repeat.
        rule: the rule of the suggestion.
        smoothing: the weight of the past in the smoothed loss, or None for as much as the noise asks for.
        loss: ``"training"`` or ``"evaluation"``: which loss was watched.
        cost: what the test cost.
        study: the name of the study that keeps the runs, or None.
    """

    curves: tuple[Curve, ...]
    rule: str
    smoothing: float | None
    loss: str
    cost: Cost
    study: str | None = None

    @cached_property
    def watched(self) -> tuple[Curve, ...]:
        """The curves of the loss that was watched: lr against training loss, or against evaluation loss."""
        if self.loss == "training":
            return self.curves
        return tuple(Curve(curve.lrs, curve.evaluations, curve.stopped, curve.seed) for curve in self.curves)

    @property
    def loss_name(self) -> str:
        """What to call the loss that was watched."""
        return f"{self.loss} loss"

    @property
    def lrs(self) -> Float[np.ndarray, " step"]:
        """The learning rates that every repeat got to."""
        return self._first_to_end.lrs

    @property
    def losses(self) -> Float[np.ndarray, " step"]:
        """The loss at each of `lrs`, averaged over the repeats."""
        shares = [curve.losses[: len(self.lrs)] / len(self.curves) for curve in self.watched]
        return np.sum(shares, axis=0)  # Of shares, since the sum of explosions may overflow.

    @property
    def smoothed(self) -> Float[np.ndarray, " step"]:
        """The smoothed `losses`, as the rules see them; shorter where the losses end in NaN or infinity."""
        finite = self.losses[np.logical_and.accumulate(np.isfinite(self.losses))]
        if len(finite) == 0:
            return finite
        finite = without_spikes(finite)
        return smooth(finite, smoothing_for(finite) if self.smoothing is None else self.smoothing)

    def level_at(self, lr: float) -> float:
        """Return the smoothed loss at a rate, or the repeats' own where one ended earlier, and the mean with it.

        Args:
            lr: the rate; between two of the test's own the level goes straight.
        """
        level = self.smoothed
        curves = [(self.lrs[: len(level)], level)]
        if len(level) == 0 or lr > self.lrs[len(level) - 1]:
            curves = [(curve.lrs, curve.losses) for curve in self.watched if curve.lrs[-1] >= lr]
        return float(np.nanmedian([np.interp(math.log(lr), np.log(lrs), losses) for lrs, losses in curves]))

    @cached_property
    def suggestion(self) -> Suggestion:
        """What the chosen rule suggests."""
        return suggest(self.watched, self.rule, smoothing=self.smoothing)

    @cached_property
    def suggestions(self) -> dict[str, Suggestion]:
        """What each rule suggests."""
        return {
            rule: self.suggestion if rule == self.rule else suggest(self.watched, rule, smoothing=self.smoothing)
            for rule in RULES
        }

    @property
    def lr(self) -> float | None:
        """The suggested learning rate, or None; `suggestion.reason` says why."""
        return self.suggestion.lr

    @property
    def stopped(self) -> Stop:
        """Why the test ended; of several repeats, the first to end."""
        return self._first_to_end.stopped

    @property
    def _first_to_end(self) -> Curve:
        return min(self.curves, key=lambda curve: (curve.steps, curve.stopped is Stop.COMPLETED))

    def __str__(self) -> str:
        suggestion = self.suggestion
        if suggestion.lr is None:
            answer = f"No learning rate to suggest. {suggestion.reason}"
        else:
            answer = (
                f"Use a learning rate of {suggestion.lr:.2g} ({suggestion.low:.2g} to {suggestion.high:.2g} "
                f"as the noise goes). {suggestion.reason}"
            )
        return f"{answer} {self._ending()} Cost: {self.cost}."

    def _ending(self) -> str:
        first = self._first_to_end
        if first.stopped is Stop.COMPLETED:
            return f"The test went all the way to lr {first.lrs[-1]:.3g}."
        how = "diverged" if OUTCOME_WHEN_STOPPED[first.stopped] is Outcome.DIVERGING else "was no longer finite"
        return f"The test stopped at lr {first.lrs[-1]:.3g}, where the {self.loss_name} {how}."

    def to_dict(self) -> dict[str, Any]:
        return jsonable(
            {
                "lrs": self.lrs,
                "losses": self.losses,
                "suggestions": {rule: suggestion.to_dict() for rule, suggestion in self.suggestions.items()},
                "suggested_lr": self.lr,
                "stopped": str(self.stopped),
                "cost": self.cost,
                "study": self.study,
            }
        )


def range_test(
    loop: Loop | Callable[..., object] | str,
    *,
    min_lr: float = 1e-7,
    max_lr: float = 10.0,
    steps: int = 100,
    ladder: str = "exponential",
    repeats: int = 1,
    loss: str = "training",
    rule: str = "minimum",
    smoothing: float | None = None,
    seed: int = 0,
    store: str | Path | None = None,
    study: str | None = None,
) -> RangeTest:
    """Raise the learning rate at every step, watch the loss, and bring the loop home.

    Args:
        loop: a loop, which afterwards stands exactly where it stood; or a function that makes one, or a target
            ``file.py:function`` or ``package.module:function``. Of a function that takes a ``seed``, each repeat has
            another initialization as well as another order of the data.
        min_lr: the lr of the first step.
        max_lr: the lr of the last step, if the test gets that far: it stops when three losses in a row lie above the
            start by as much as the loss had fallen below it, and six times the noise more, or when one is not finite.
        steps: the number of steps, at least 5.
        ladder: ``"exponential"``, an even ratio between neighbours, or ``"linear"``, an even difference.
        repeats: how often to run the test, each time with another order of the data. The suggestion is then the median,
            and steadier.
        loss: ``"training"``, the loss of each step's batch, or ``"evaluation"``, the loss on the evaluation data before
            each step.
        rule: the rule of `RangeTest.lr`: ``"minimum"``, ``"steepest"``, ``"valley"`` or ``"slide"``.
        smoothing: the weight of the past in the smoothed loss, in [0, 1); by default as much as the noise asks for.
        seed: the first repeat's seed; the others follow it.
        store: where to keep every repeat: a file, or the URL of a database. By default ``lrscout.db`` if a study is
            named.
        study: the name to keep them under. A study that was interrupted is continued with the repeats that are missing,
            and gives the test that it would have given without the interruption.

    Returns:
        The curves with the suggestions.

    Raises:
        InvalidValueError: a learning rate is not a finite number above zero, `min_lr` is not below `max_lr`, `steps` is
            below 5, another argument is none of its choices, or the study was begun with others.
        UnsupportedLoopError: `loop` is not a loop, or `loss` is ``"evaluation"`` and it cannot be evaluated.
        StoreError: the store cannot be used, or another driver is writing this study.

    Source:
        Smith 2015 (arXiv 1506.01186), section 3.3; fast.ai's `lr_find`.

    >>> from lrscout.lesson.engines import numpy_engine
    >>> from lrscout.lesson.problem import sample_problem
    >>> test = range_test(numpy_engine(sample_problem()).loop, min_lr=1e-5, max_lr=10, steps=200)
    >>> round(test.lr, 2)
    0.23
    """
    began = time.perf_counter()
    source = source_of(loop)
    lrs = rungs(min_lr, max_lr, steps, ladder)
    repeats = check_count("repeats", repeats, at_least=1)
    seed = check_count("seed", seed, at_least=0)
    check_choice("loss", loss, ("training", "evaluation"))
    check_choice("rule", rule, tuple(RULES))
    if smoothing is not None:
        check_share("smoothing", smoothing)
    evaluate_at = np.arange(steps if loss == "evaluation" else 0)
    plan = [Run(lrs, seed + repeat, evaluate_at, RangeTestRule, judged=loss) for repeat in range(repeats)]

    def inputs(begun_with: Mapping[str, Any]) -> dict[str, Any]:
        if loss == "evaluation":
            _check_evaluates(source, seed)
        ladder_of_test = {"min_lr": float(lrs[0]), "max_lr": float(lrs[-1]), "steps": len(lrs), "ladder": ladder}
        reading = {"loss": loss, "rule": rule, "smoothing": smoothing}
        return ladder_of_test | {"repeats": repeats, "seed": seed} | reading | first_losses(source, seed)

    with kept_study("range-test", source, store, study, inputs) as kept:
        blocks = blocks_of(plan, lanes=1)
        curves = curves_of("range test", source, blocks, SerialRunner(), kept, _News(repeats).add)
        cost = Cost(
            steps=sum(curve.steps for curve in curves),
            evaluations=sum(len(curve.evaluations) for curve in curves),
            seconds=time.perf_counter() - began,
        )
        test = RangeTest(tuple(curves), rule, smoothing, loss, cost, kept.name)
        if kept.result is not None:
            return replace(test, cost=Cost(**kept.result["cost"]))
        kept.finish(test.to_dict())
    return test


class _News:
    """How many repeats are done."""

    def __init__(self, repeats: int) -> None:
        self._repeats = repeats
        self._done = 0

    def add(self, curves: Sequence[Curve]) -> str:
        """Count repeats that are done, and return how things stand."""
        self._done += len(curves)
        return f"{self._done} of {self._repeats} repeats" if self._repeats > 1 else ""


def _check_evaluates(source: Source, seed: int) -> None:
    """Raise if a loop cannot be evaluated, before a study is begun that could never be continued."""
    with source.visit(seed) as (loop, _):
        loop.evaluate()


def rungs(min_lr: float, max_lr: float, steps: int, ladder: str = "exponential") -> Float[np.ndarray, " step"]:
    """Return the learning rates of a range test, the first and the last exactly as given.

    Args:
        min_lr: the lr of the first step.
        max_lr: the lr of the last step.
        steps: the number of steps.
        ladder: ``"exponential"``, an even ratio between neighbours, or ``"linear"``, an even difference.

    Raises:
        InvalidValueError: as for `range_test`.
    """
    min_lr, max_lr = check_lr("min_lr", min_lr), check_lr("max_lr", max_lr)
    if min_lr >= max_lr:
        raise InvalidValueError(f"min_lr must be below max_lr, but min_lr is {min_lr:g} and max_lr is {max_lr:g}.")
    if max_lr / min_lr > _WIDEST:
        raise InvalidValueError(
            f"max_lr must be at most {_WIDEST:g} times min_lr, but it is {max_lr / min_lr:g} times."
        )
    steps = check_count("steps", steps, at_least=FEWEST_POINTS)
    check_choice("ladder", ladder, tuple(_LADDERS))
    lrs = max_lr * _LADDERS[ladder](min_lr / max_lr)(np.arange(steps), steps)
    lrs[0], lrs[-1] = min_lr, max_lr  # Exactly, whatever the rounding of the ramp.
    return lrs
