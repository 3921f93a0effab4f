"""The judgement of a run while it goes."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lrscout.analyse.diagnose import Diagnosis, diagnose
from lrscout.analyse.evidence import without_outliers
from lrscout.analyse.judge import STILL_STRAIGHT, Evidence, judge
from lrscout.analyse.rising import Rising
from lrscout.analyse.rolling import RollingRecord, Stretch, Thinned
from lrscout.core.checks import check_count, check_lr
from lrscout.core.curve import Outcome
from lrscout.core.errors import InvalidValueError, LossError

_FIRST_LOOK = 64
_LATER_LOOKS = 2
"""Looks at the whole run get rarer as it goes on, so that all of them together cost little."""

_ENOUGH = 0.125
"""The share of a run that shows how it goes on; before, a network may still be finding its feet."""

_SAME_RATE = 1.01

_NOT_YET_STEEPENING = 1.25
"""Where the second half gains that many times as much, the descent may only be beginning."""

_AS_EVER = 0.95
"""The share of its swing that an oscillation may have lost over half of the run and still count as steady."""

_SURE = 3.0

warn: Callable[[str], object] = logging.getLogger("lrscout").warning
"""Says a sentence as a warning of the logger ``lrscout``."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """What a monitor said, and why.

    Args:
        step: the step after which it was said, counted from 0.
        outcome: how the run goes.
        sentence: what was said.
        diagnosis: the judgement behind it, with its evidence and advice.
    """

    step: int
    outcome: Outcome
    sentence: str
    diagnosis: Diagnosis

    def __str__(self) -> str:
        return self.sentence


class Monitor:
    """Says while a run goes what `lrscout.diagnose` would say after it, as soon as that is sure, and once.

    It says that a run diverges, that its loss is not finite, that it only oscillates, and, if it knows how long the run
    will be, that it is too slow. What it says it does not take back, so it waits until a passing thing would have
    passed: a divergence has been growing for about forty steps, and what concerns the whole run showed at two looks,
    the second twice as far into the run as the first.

    Memory is bounded, and a step costs a few microseconds however long the run is.

    Args:
        steps: how many steps the run will take, if that is known.
        max_stable_lr: the largest stable learning rate, such as `lrscout.curvature` finds, if it is known. It makes the
            monitor surer, and goes into its advice.
        stop_on_divergence: whether `should_stop` becomes true once the run diverges or is not finite.
        say: what to call with each sentence; by default the logger ``lrscout`` tells it as a warning. None for silence.

    Raises:
        InvalidValueError: `steps` or `max_stable_lr` is not above zero.

    >>> monitor = Monitor(stop_on_divergence=True, say=None)
    >>> for step in range(1000):
    ...     verdict = monitor.update(0.9, 0.01 * 1.7**step)
    ...     if monitor.should_stop:
    ...         break
    >>> step < 50, verdict.outcome.value
    (True, 'diverging')
    """

    def __init__(
        self,
        steps: int | None = None,
        *,
        max_stable_lr: float | None = None,
        stop_on_divergence: bool = False,
        say: Callable[[str], object] | None = warn,
    ) -> None:
        self._steps = None if steps is None else check_count("steps", steps, at_least=1)
        self._max_stable_lr = None if max_stable_lr is None else check_lr("max_stable_lr", max_stable_lr)
        self._stop_on_divergence = stop_on_divergence
        self._say = say
        self._record = RollingRecord()
        self._evaluations = Thinned()
        self._rising = Rising(self._max_stable_lr)
        self._step = -1
        self._count = 0
        self._next_look = _FIRST_LOOK
        self._at_last_look: Outcome | None = None
        self._verdicts: dict[Outcome, Verdict] = {}

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What has been said, in order."""
        return tuple(self._verdicts.values())

    @property
    def should_stop(self) -> bool:
        """Whether the run diverges or is not finite, and that is to stop it."""
        return self._stop_on_divergence and self._is_lost

    def update(self, lr: float | None, loss: float, *, step: int | None = None) -> Verdict | None:
        """Take the next step.

        Args:
            lr: the learning rate of the step, or None if it is not known.
            loss: its training loss.
            step: the number of the step, where not every step is told; by default the one after the last.

        Returns:
            What there is to say; nearly always None.

        Raises:
            LossError: the loss is no real number.
            InvalidValueError: the rate is below zero or infinite, or `step` is not after the last one.
        """
        rate, loss = math.nan if lr is None else float(lr), _number(loss)
        if rate < 0 or rate == math.inf:
            raise InvalidValueError(f"lr must be a finite number that is not below zero, but it is {lr!r}.")
        self._step = self._step + 1 if step is None else self._later(step)
        self._count += 1
        self._record.append(self._step, rate, loss)
        if not math.isfinite(loss):
            return self._lost()
        back = self._rising.update(rate, loss)
        if back is not None and Outcome.DIVERGING not in self._verdicts:
            stretch = self._record.last(back)
            diagnosis = self._diagnose(stretch)
            # While a schedule moves the rate, the loss follows it for other reasons too.
            is_unsure = _changes(stretch) and _may_stand_still(diagnosis.evidence)
            if diagnosis.outcome is Outcome.DIVERGING and not is_unsure:
                return self._speak(diagnosis)
        return self._look() if self._count >= self._next_look else None

    def evaluated(self, loss: float) -> None:
        """Take an evaluation loss, as it stands after the steps so far, for the diagnosis to tell overfitting by.

        Args:
            loss: the loss.

        Raises:
            LossError: the loss is no real number.
        """
        self._evaluations.append((float(max(self._step, 0)), _number(loss)))

    def diagnosis(self) -> Diagnosis:
        """Return what `lrscout.diagnose` says of the run so far.

        A run of more than three thousand steps it sees by threes, nines, ...; once it was lost, with each of the last
        steps.

        Raises:
            EmptyDataError: there have been fewer than two steps.
        """
        return self._diagnose(self._record.closely() if self._is_lost else self._record.whole())

    @property
    def _is_lost(self) -> bool:
        return Outcome.DIVERGING in self._verdicts or Outcome.NON_FINITE in self._verdicts

    def _later(self, step: int) -> int:
        if step <= self._step:
            raise InvalidValueError(
                f"step must be after the last one, {self._step}, but it is {step}. Give a run that begins again a "
                "monitor of its own."
            )
        return step

    def _lost(self) -> Verdict | None:
        if Outcome.NON_FINITE in self._verdicts or self._count == 1:
            return None
        diagnosis = self._diagnose(self._record.closely())
        return self._speak(diagnosis) if diagnosis.outcome is Outcome.NON_FINITE else None

    def _look(self) -> Verdict | None:
        """Judge the whole run so far, and speak if the last look came to the same."""
        self._next_look *= _LATER_LOOKS
        if Outcome.DIVERGING in self._verdicts:
            return None
        whole = self._record.whole()
        diagnosis = self._diagnose(whole)
        sure = self._is_sure(diagnosis.outcome, whole)
        confirmed, self._at_last_look = self._at_last_look is diagnosis.outcome, diagnosis.outcome if sure else None
        return self._speak(diagnosis) if sure and confirmed and diagnosis.outcome not in self._verdicts else None

    def _is_sure(self, outcome: Outcome, whole: Stretch) -> bool:
        if outcome is Outcome.TOO_SLOW:
            if self._steps is None or self._step < _ENOUGH * self._steps:
                return False
            return _stays_too_slow(whole, self._steps - 1 - self._step)
        if outcome is Outcome.OSCILLATING:
            return _keeps_swinging(whole)
        return outcome is Outcome.DIVERGING

    def _diagnose(self, stretch: Stretch) -> Diagnosis:
        evaluated_at, evaluations = np.array(self._evaluations.rows).reshape(-1, 2).T
        evaluated = len(evaluations) > 0
        return diagnose(
            stretch.losses,
            None if np.isnan(stretch.lrs).any() else stretch.lrs,
            evaluations if evaluated else None,
            steps=stretch.steps,
            evaluated_at=evaluated_at if evaluated else None,
            max_stable_lr=self._max_stable_lr,
            budget=self._steps,
        )

    def _speak(self, diagnosis: Diagnosis) -> Verdict:
        advice = " ".join(diagnosis.advice)
        name = diagnosis.outcome.value.replace("_", " ").replace("non ", "non-")
        sentence = f"Step {self._step}: {name}: {advice[:1].lower()}{advice[1:]}"
        verdict = Verdict(self._step, diagnosis.outcome, sentence, diagnosis)
        self._verdicts[diagnosis.outcome] = verdict
        if self._say is not None:
            self._say(sentence)
        return verdict


def _number(loss: float) -> float:
    try:
        return float(loss)
    except (TypeError, ValueError):
        raise LossError(f"A loss must be one real number, but it is {loss!r}.") from None


def _changes(stretch: Stretch) -> bool:
    return bool(stretch.lrs.max() > _SAME_RATE * stretch.lrs.min())


def _may_stand_still(evidence: Evidence) -> bool:
    """Whether a growth is no larger than its error."""
    return evidence.growth is not None and evidence.growth - _SURE * (evidence.growth_error or 0.0) <= 1


def _stays_too_slow(run: Stretch, steps_left: int) -> bool:
    """Tell whether a run that is too slow so far would be so at its end as well, going on as it does.

    Of an exponential approach, each half gains the same share of what the half before it gained. What counts as time is
    the sum of the rates; while they rise, nothing is known of how far they will carry.
    """
    lrs = np.ones_like(run.lrs) if np.isnan(run.lrs).any() else run.lrs
    if steps_left <= 0 or lrs[-1] <= 0 or lrs[-1] > lrs[len(lrs) // 2]:
        return False
    travelled = np.cumsum(lrs / lrs[-1] * np.gradient(run.steps))
    judgement = judge(run.losses, steps=travelled)
    start, end, slope, error = (getattr(judgement.evidence, name) for name in ("start", "end", "slope", "slope_error"))
    if judgement.outcome is not Outcome.TOO_SLOW or start is None or end is None or slope is None or error is None:
        return False
    half = travelled[-1] / 2
    second = -half * slope
    first = start - end - second
    share = travelled[-1] / (travelled[-1] + steps_left)
    surely_straight = second - _SURE * half * error > STILL_STRAIGHT**share * first
    return bool(surely_straight and second < _NOT_YET_STEEPENING * first)


def _keeps_swinging(run: Stretch) -> bool:
    """Tell whether an oscillation neither dies away, as that of a heavy ball does, nor comes lower meanwhile."""
    losses = run.losses[np.isfinite(run.losses)]
    _, early, _, late = (without_outliers(part) for part in np.array_split(losses, 4))
    swing = float(np.std(early))
    return bool(np.std(late) >= _AS_EVER * swing and np.mean(late) >= np.mean(early) - (1 - _AS_EVER) * swing)
