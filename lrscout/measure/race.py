"""The race: the best learning rate for runs of a given length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lrscout.analyse.horizon import Vertex
from lrscout.analyse.valley import Valley, highest_harmless, valley_of, without_the_unsafe
from lrscout.core.curve import Stop
from lrscout.core.schedules import Schedule
from lrscout.measure.bracket import not_finite_anyway
from lrscout.measure.probing import Prober, Trial, late
from lrscout.measure.recommendation import Probe

if TYPE_CHECKING:
    from jaxtyping import Float

_MOST_RATES = 10
_PARTS = 2.0**40

_EVALUATION_FROM = 16
_SHARE_OF_EVALUATION = 0.5
"""A short run is compared by its training losses: an evaluation would cost as much as the run, and batch statistics
that are averaged over many steps are not yet those of the model."""


@dataclass(frozen=True, eq=False)
class Rung:
    """What a race of one length told.

    Args:
        steps: its length.
        trials: the runs, by their octaves.
        scores: the loss of each.
        evaluated: whether these are evaluation losses; otherwise late training losses.
        valley: the valley that the scores lie in; None where no loss has moved.
        octave: the best rate, or the highest that does no harm where no loss has moved; None where all diverged.
        number: the number of the round.
        reason: why no rate could get to the end, where that is not the rate's fault.
    """

    steps: int
    trials: dict[float, Trial]
    scores: dict[float, float]
    evaluated: bool
    valley: Valley | None
    octave: float | None
    number: int
    reason: str = ""

    @property
    def vertex(self) -> Vertex:
        """The best rate, for runs of this length."""
        assert self.octave is not None
        return Vertex(self.steps, self.octave, self.valley is not None)

    @property
    def best(self) -> float:
        """The octave of the rate with the lowest score."""
        return min(self.scores, key=lambda octave: self.scores[octave])

    def probes(self) -> list[Probe]:
        """Return the runs as they are shown, by rate."""
        return [self.trials[octave].probe(self.scores[octave], self.number) for octave in sorted(self.trials)]

    @property
    def limit(self) -> float | None:
        """The lowest rate above the best one from which on every run diverged; None where none did."""
        harmless = [octave for octave, trial in self.trials.items() if not trial.diverged]
        above = [octave for octave in self.trials if octave > max(harmless, default=math.inf)]
        return 2.0 ** min(above) if above else None


def evenly(steps: int, evaluations: int) -> list[int]:
    """Return the steps to evaluate before so that the evaluations lie evenly, the last of them at the end.

    Args:
        steps: the length of the run.
        evaluations: how many there are to be.
    """
    return np.unique(np.linspace(0, steps, evaluations + 1)[1:].round().astype(int)).tolist()


@dataclass(frozen=True, eq=False)
class Course:
    """What the runs of a race have in common.

    Args:
        steps: their length.
        schedule: how the rate goes over it.
        number: the number of the round.
        start: the evaluation loss of the start; None where there is no evaluation.
        standing: training losses of the start.
        evaluations: how many evaluations each run is followed by, evenly over its steps: by default the last alone.
    """

    steps: int
    schedule: Schedule
    number: int
    start: float | None
    standing: Trial
    evaluations: int = 1

    @property
    def evaluate_at(self) -> list[int]:
        """The steps to evaluate before, the last of them the end of the run."""
        return evenly(self.steps, self.evaluations)

    def evaluates(self, prober: Prober) -> bool:
        """Whether the runs are compared by evaluations."""
        return (
            self.start is not None
            and self.evaluations > 0
            and self.steps >= _EVALUATION_FROM
            and prober.evaluation_steps <= _SHARE_OF_EVALUATION * self.steps
        )

    def price(self, prober: Prober) -> float:
        """Return what a rate costs, in steps."""
        evaluations = len(self.evaluate_at) if self.evaluates(prober) else 0
        return (self.steps + evaluations * prober.evaluation_steps) * prober.seeds


def race(
    prober: Prober, centre: float, course: Course, allowance: float, *, last: bool = False, sparing: bool = False
) -> Rung:
    """Run rates an octave apart for the same number of steps, and go towards the better ones until the best is inside.

    In the last race one more is tried if enough is left, halfway to the better neighbour.

    Args:
        prober: takes the probes.
        centre: the octave to begin at, with both of its neighbours.
        course: what the runs have in common.
        allowance: how much may be spent, in steps.
        last: whether no other race will follow.
        sparing: whether to begin with the centre and the rate above alone, and to let them say where to go.
    """
    evaluated = course.evaluates(prober)
    contest = _Contest(prober, course, evaluated)
    most = prober.spent + allowance
    centre = round(centre * _PARTS) / _PARTS  # So that an octave up and an octave down again is the same number.
    contest.enter([centre, centre + 1] if sparing else [centre - 1, centre, centre + 1])
    while (octave := contest.next()) is not None:
        if prober.spent + course.price(prober) > most:
            break
        contest.enter([octave])
    if last and prober.spent + course.price(prober) <= most and (octave := contest.between()) is not None:
        contest.enter([octave])
    rung = contest.rung()
    return replace(rung, reason=_why_all_broke(prober, rung, most)) if rung.octave is None else rung


def _why_all_broke(prober: Prober, rung: Rung, most: float) -> str:
    """Return why every rate broke off, where that is not the rate's fault, as where one batch is not finite."""
    lowest, second = (rung.trials[octave] for octave in sorted(rung.trials)[:2])
    together = lowest.stopped is second.stopped is Stop.NON_FINITE and len(lowest.losses) == len(second.losses)
    if not together or prober.spent + len(lowest.losses) * prober.seeds > most:
        return ""
    standing = prober.stand_still(len(lowest.losses))
    return "" if standing.completed else not_finite_anyway(standing)


class _Contest:
    """The rates that have run so far."""

    def __init__(self, prober: Prober, course: Course, evaluated: bool) -> None:
        self._prober = prober
        self._course = course
        self._evaluated = evaluated
        self._trials: dict[float, Trial] = {}

    def enter(self, octaves: Sequence[float]) -> None:
        """Run some more rates."""
        at = self._course.evaluate_at if self._evaluated else ()
        for trial in self._prober.try_rates(octaves, self._course.steps, self._course.schedule, at):
            self._trials[trial.octave] = trial

    def next(self) -> float | None:
        """Return the octave to try next, or None where the best one has neighbours on both sides."""
        if len(self._trials) >= _MOST_RATES:
            return None
        best = self._best()
        if best is None:
            return min(self._trials) - 1
        for neighbour in (best + 1, best - 1):
            if neighbour not in self._trials:
                return neighbour
        return None

    def between(self) -> float | None:
        """Return the octave halfway from the best rate to its better neighbour; None where there is no valley."""
        if self._valley() is None:
            return None
        scores, best = self._scores(), self._best()
        neighbours = [octave for octave in scores if best is not None and abs(octave - best) == 1]
        if best is None or len(neighbours) < 2:
            return None
        return (best + min(neighbours, key=lambda octave: scores[octave])) / 2

    def rung(self) -> Rung:
        """Return what the race told."""
        valley, course = self._valley(), self._course
        octave = self._best() if valley is None else valley.vertex
        evaluated = self._by_evaluation()
        return Rung(course.steps, self._trials, self._scores(), evaluated, valley, octave, course.number)

    def _best(self) -> float | None:
        scores = self._scores()
        if self._valley() is None:
            return highest_harmless(scores, self._standing(), self._noise())
        return min(scores, key=lambda octave: scores[octave])

    def _valley(self) -> Valley | None:
        return valley_of(self._scores(), self._standing(), self._noise())

    def _scores(self) -> dict[float, float]:
        by_evaluation = self._by_evaluation()
        scores = {
            octave: trial.evaluation if by_evaluation else trial.late_training for octave, trial in self._trials.items()
        }
        return without_the_unsafe(scores, self._standing())

    def _by_evaluation(self) -> bool:
        """Whether to go by evaluations: not where they rise at every rate while the training losses fall.

        So it is where evaluation uses batch statistics that have not caught up with the model yet.
        """
        if not self._evaluated or self._course.start is None:
            return False
        if min(trial.evaluation for trial in self._trials.values()) < self._course.start:
            return True
        lowest = min(trial.late_training for trial in self._trials.values())
        return not lowest < late(self._course.standing.losses) - self._noise()

    def _standing(self) -> float:
        if self._by_evaluation():
            assert self._course.start is not None
            return self._course.start
        standing = self._course.standing.losses
        if len(standing) >= self._course.steps:
            return late(standing[: self._course.steps])
        return max(float(standing.mean()), self._standing_on_later_batches(standing))

    def _standing_on_later_batches(self, standing: Float[np.ndarray, " step"]) -> float:
        """Return the loss of standing still on the batches of the second half, by the slowest run's loss on them.

        Batches differ, and what all runs lose on a hard one is no harm. The slowest run is nearest to standing still:
        by how much it was ahead of that on the batches that both have seen, it is taken to be ahead later.
        """
        slowest = self._trials[min(self._trials)]
        if not slowest.completed:
            return -math.inf
        return slowest.late_training + float(np.mean(standing - slowest.losses[: len(standing)]))

    def _noise(self) -> float:
        """Return half the deviation of a training loss, as the steadiest run tells it, which may be standing still."""
        completed = [trial.noise for trial in self._trials.values() if trial.completed]
        return min([self._course.standing.noise, *completed]) / 2
