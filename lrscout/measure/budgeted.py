"""The learning rate for a number of steps: bracket, races of growing length, and one under the run's own schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lrscout.analyse.horizon import (
    TELLING,
    UNDER_CONSTANT_RATE,
    UNDER_DECAY,
    Drift,
    Vertex,
    drift,
    of_longer_runs,
)
from lrscout.analyse.valley import Choice
from lrscout.core.schedules import Schedule, constant
from lrscout.measure.bracket import BRACKET_STEPS, NOTHING, Bracket, bracket
from lrscout.measure.probing import Prober, Trial
from lrscout.measure.race import Course, Rung, race

if TYPE_CHECKING:
    from jaxtyping import Float

FIRST_LENGTH = 6
GROWTH = 3.0
_RATES = 3.0
"""About as many rates as a race has to run."""

_SPARE, _SPARE_OF_FIRST = 1.1, 0.2
"""How many rates more a race should be able to afford, in case that the best one is at the edge. The first race begins
where the bracket ended, and gains more by a few more steps than by one more rate."""

_SHARE_OF_STANDING = 1 / 12
_FEWEST_STANDING = 3
"""From so many losses of standing still their noise can be told."""

_AMPLE = 36
"""With less to spend there may be no race after the bracket, which then looks a step farther."""

_SHORTEST = 4
_LEAST = 30
"""What may always be spent, since with less nothing can be said."""

_ROUNDING = 1e-6

_SHORTEST_FINAL = 16
_SHARE_OF_FINAL = 0.7
_LONGEST = 0.5
"""The longest probe, as a share of the run."""

_STRETCH = 0.6
_BELOW, _ABOVE = 0.5, 1.6
"""How many deviations beyond the rates that are expected to do as well the best one may lie: with these, nine times in
ten it lay between the ends on the tasks of the benchmark."""

_LIKE_CONSTANT = 4 / 3
_FALLBACK = -2.0
_DOUBT_OF_BRACKET = 1.5
_BELOW_LOST = 1.5
_SURE = 0.003
"""The share of the fall that more probes could save at most; below it they are not worth their cost."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the races told.

    Args:
        choice: the rate to take; None where there is none.
        rungs: the races.
        bracket: where they began.
        drift: how far the best rate is expected to move from the last race to the run.
        lost: whether every rate of a race diverged and none followed it in which one did not.
    """

    choice: Choice | None
    rungs: tuple[Rung, ...]
    bracket: Bracket
    drift: Drift | None
    lost: bool = False

    @property
    def reason(self) -> str:
        """Why there is no rate."""
        return self.bracket.reason


def race_for(prober: Prober, steps: int, schedule: Schedule, share: float, start: float | None) -> Verdict:
    """Find the rate for a run of `steps` steps.

    Args:
        prober: takes the probes.
        steps: the length of the run.
        schedule: its schedule.
        share: how much of its steps may be spent.
        start: the evaluation loss of the start; None where there is no evaluation.
    """
    return _Hunt(prober, steps, schedule, share, start).verdict()


class _Hunt:
    """The races for one run."""

    def __init__(self, prober: Prober, steps: int, schedule: Schedule, share: float, start: float | None) -> None:
        self._prober = prober
        self._steps = steps
        self._schedule = schedule
        self._allowed = max(share * steps, _LEAST * prober.seeds) if share > 0 else 0.0
        self._start = start
        self._rungs: list[Rung] = []
        self._lost = math.inf
        self._broken = ""
        self._scheduled = False
        self._standing: Trial | None = None
        factors = schedule(np.arange(steps), steps)
        self._constant = bool(np.ptp(factors) == 0)
        self._like_constant = steps * _share_like_constant(factors)

    @property
    def _left(self) -> float:
        return (self._allowed - self._prober.spent) / self._prober.seeds

    def verdict(self) -> Verdict:
        if self._allowed == 0:
            return Verdict(None, (), Bracket(None, NOTHING), None)
        steps = BRACKET_STEPS if self._left > _AMPLE else BRACKET_STEPS + 1
        still = int(np.clip(_SHARE_OF_STANDING * self._left, _FEWEST_STANDING, FIRST_LENGTH))
        self._standing = standing = self._prober.stand_still(still)
        bracketed = bracket(self._prober, standing, self._allowed - self._prober.spent, steps)
        if bracketed.octave is None:
            return Verdict(None, (), bracketed, None)
        self._run_constant(bracketed.octave - 1, standing)
        if self._rungs and not self._constant:
            self._run_scheduled(standing)
        if self._broken:
            return Verdict(None, tuple(self._rungs), Bracket(None, self._broken), None)
        if not self._rungs:
            lost = self._lost < bracketed.octave
            return Verdict(_without_race(min(bracketed.octave, self._lost)), (), bracketed, None, lost)
        return self._choose(bracketed)

    def _run_constant(self, centre: float, standing: Trial) -> None:
        """Race constant rates, each time for three times as many steps, from where the best one should have moved."""
        length: float = FIRST_LENGTH
        while True:
            reserved = self._reserved
            affordable = self._affordable(standing)
            if affordable < _SHORTEST or (self._rungs and self._enough(length, affordable, reserved)):
                return
            last = affordable < length * (1 + _STRETCH * GROWTH) and not reserved
            this = int(min(affordable if last else min(length, affordable), self._longest))
            if self._rungs and this <= 1.2 * self._rungs[-1].steps:
                return
            rung = self._race(centre, this, constant(), standing, last=last)
            if rung.octave is None:
                centre = min(rung.scores) - 2
                if self._broken or self._left < 2 * this:
                    return
                continue
            self._rungs.append(rung)
            self._lost = math.inf
            length = this * GROWTH
            # Not from where the best rate will have drifted to: a rate too high shows itself early, and so is cheap.
            centre = rung.octave

    @property
    def _longest(self) -> float:
        return max(self._steps * _LONGEST, _SHORTEST)

    @property
    def _reserved(self) -> float:
        """What is kept for a race under the run's own schedule, in steps; nothing where that would be too short."""
        kept = min(_SHARE_OF_FINAL * self._allowed / self._prober.seeds, self._left)
        return 0.0 if self._constant or kept < (_RATES + _SPARE) * _SHORTEST_FINAL else kept

    @property
    def _rates(self) -> float:
        """How many rates a race should be able to afford."""
        return _RATES + (_SPARE if self._rungs else _SPARE_OF_FIRST)

    def _affordable(self, standing: Trial) -> float:
        """Return for how many steps the rates of a race can run, with what it costs to evaluate them."""
        length = self._left / self._rates
        course = Course(int(min(length, self._longest)), self._schedule, 0, self._start, standing)
        return length - self._prober.evaluation_steps if course.evaluates(self._prober) else length

    def _enough(self, length: float, affordable: float, reserved: float) -> bool:
        """Whether the next race under a constant rate would be too dear, or would change nothing."""
        if reserved and self._left - _RATES * length < 0.9 * reserved:
            return True
        return affordable < 0.75 * length or self._sure()

    def _sure(self) -> bool:
        choice = self._choice(self._rungs[-1])
        return choice is not None and choice.expected < _SURE

    def _run_scheduled(self, standing: Trial) -> None:
        """Race once more under the run's own schedule, squeezed into a shorter run."""
        length = int(min(self._affordable(standing), self._longest))
        if length < _SHORTEST_FINAL or self._sure():
            return
        centre = self._rungs[-1].octave
        assert centre is not None
        rung = self._race(centre, length, self._schedule, standing, last=True)
        if rung.octave is not None and rung.valley is not None:
            self._rungs.append(rung)
            self._scheduled = True

    def _race(self, centre: float, length: int, schedule: Schedule, standing: Trial, *, last: bool) -> Rung:
        course = Course(length, schedule, len(self._rungs), self._start, standing)
        rung = race(
            self._prober, centre, course, self._allowed - self._prober.spent, last=last, sparing=not self._rungs
        )
        if rung.octave is None:
            self._lost, self._broken = min([self._lost, *rung.scores]), rung.reason
        return rung

    @property
    def _path(self) -> list[Vertex]:
        """The best rates by the length of runs under a constant rate that have the same."""
        path = [rung.vertex for rung in self._rungs]
        if self._scheduled:
            path[-1] = replace(path[-1], steps=path[-1].steps * self._like_constant / self._steps)
        return path

    def _drift(self) -> Drift:
        prior = UNDER_CONSTANT_RATE if self._constant else UNDER_DECAY
        if self._noiseless:
            # It is noise that asks for lower rates in longer runs; with one batch for all there is none.
            prior *= float(np.clip((TELLING - self._rungs[-1].steps) / (TELLING - FIRST_LENGTH), 0, 1))
        if self._scheduled:
            # The same schedule in a shorter run: only the length differs.
            length = self._rungs[-1].steps
            return drift(self._path, self._steps, since=length, prior=of_longer_runs(prior, length))
        return drift(self._path, max(self._like_constant, 1.0), prior=prior)

    @property
    def _noiseless(self) -> bool:
        """Whether the losses of standing still are the same, beside what the best rate of the first race gained."""
        if self._standing is None or not self._rungs:
            return False
        losses, first = self._standing.losses, self._rungs[0]
        return bool(np.ptp(losses) <= _ROUNDING * abs(float(losses.mean()) - first.scores[first.best]))

    def _choice(self, rung: Rung) -> Choice | None:
        moved = self._drift()
        if rung.valley is not None:
            choice = rung.valley.least_risk(moved.shift, moved.doubt)
            # The choice is a cautious one, so the best rate lies above it more often than below.
            low, high = choice.low - _BELOW * moved.doubt, choice.high + _ABOVE * moved.doubt
            broken = math.inf if rung.limit is None else math.log2(rung.limit)
            return replace(choice, low=low, high=max(min(high, broken), choice.octave))
        if rung.octave is None:
            return None
        octave = rung.octave + moved.shift - moved.doubt
        return Choice(octave, octave - moved.doubt, octave + moved.doubt, math.inf)

    def _choose(self, bracketed: Bracket) -> Verdict:
        choice = self._choice(self._rungs[-1])
        if choice is not None and choice.octave > self._lost - _BELOW_LOST:
            # A longer race, in which every rate diverged, ended the search: what led before it has lost.
            octave = self._lost - _BELOW_LOST
            choice = Choice(octave, octave - _DOUBT_OF_BRACKET, octave + _DOUBT_OF_BRACKET / 2, math.inf)
        return Verdict(choice, tuple(self._rungs), bracketed, self._drift())


def _share_like_constant(factors: Float[np.ndarray, " step"]) -> float:
    """Return how long a run under a constant rate is that has the same best rate, as a share of the run.

    It is shorter than a run under a decay, whose rate is high for a part of it only: 0.4 for a linear decay.
    """
    return float(np.mean(factors)) ** _LIKE_CONSTANT


def _without_race(octave: float) -> Choice:
    """Return a rate well below the one up to which the first steps do no harm."""
    best = octave + _FALLBACK
    return Choice(best, best - _DOUBT_OF_BRACKET, best + _DOUBT_OF_BRACKET, math.inf)
