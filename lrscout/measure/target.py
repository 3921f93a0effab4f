"""The learning rate that gets to a loss first, and the steps that it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from lrscout.analyse.extrapolate import StepsNeeded
from lrscout.core.schedules import constant
from lrscout.measure.arrival import SHARE_OF_EVALUATIONS, Found, arrival_of, confirmed
from lrscout.measure.bracket import NOTHING, Bracket, bracket
from lrscout.measure.probing import Prober, Trial
from lrscout.measure.race import Course, Rung, race

_FIRST_LENGTH, _GROWTH = 12, 3
_RATES = 3
_EVALUATIONS = 12
_TELLING = 300
"""A shorter race foretells too little: of the noise that holds the loss up, its curves have not seen anything yet."""

_PATIENCE = 2
_WORTH = 0.03
"""The share of the distance to the target that a race three times as long should at least make good."""


@dataclass(frozen=True, eq=False)
class Arrival:
    """Which rate gets to a loss first.

    Args:
        octave: the base-2 logarithm of the rate; None where none is known to get there, or none is needed.
        steps: the steps that it takes from the start, with an interval.
        reason: how that is known, or why it is not.
        rungs: the races.
        bracket: where they began.
        evaluated: whether it is the evaluation loss that gets there; otherwise the training loss.
    """

    octave: float | None
    steps: StepsNeeded | None
    reason: str
    rungs: tuple[Rung, ...]
    bracket: Bracket
    evaluated: bool


def race_to(prober: Prober, target: float, share: float, most: int, start: float | None) -> Arrival:
    """Race constant rates, each time for longer, until one gets to a loss or foretells when it will.

    Args:
        prober: takes the probes.
        target: the loss to reach.
        share: how much of the steps that it takes may be spent.
        most: how many steps a probe may take.
        start: the evaluation loss of the start; None where there is no evaluation.
    """
    if share == 0:
        return Arrival(None, None, NOTHING, (), Bracket(None, NOTHING), start is not None)
    standing = prober.stand_still(_FIRST_LENGTH)
    lengths = [_FIRST_LENGTH * _GROWTH**number for number in range(20) if _FIRST_LENGTH * _GROWTH**number <= most]
    courses = [_course(prober, length, start, standing) for length in lengths]
    evaluated = any(course.evaluates(prober) for course in courses)
    level = start if evaluated and start is not None else float(np.mean(standing.losses))
    bracketed = bracket(prober, standing)
    if bracketed.octave is None:
        return Arrival(None, None, bracketed.reason, (), bracketed, evaluated)
    if level <= target:
        there = f"The loss is {level:.4g} before the first step, so nothing has to be trained to reach {target:.4g}."
        return Arrival(None, StepsNeeded(0, 0, 0), there, (), bracketed, evaluated)
    rungs: list[Rung] = []
    centre, length = bracketed.octave - 1, _FIRST_LENGTH
    found: list[Found] = []
    why = f"probes of at most {most} steps are too short to tell"
    while length <= most:
        course = replace(_course(prober, length, start, standing), number=len(rungs))
        watched = course.evaluates(prober)
        rung = race(prober, centre, course, math.inf)
        if rung.octave is None:
            centre = min(rung.scores) - 2
            if rung.reason or centre < prober.standing_octave:
                return Arrival(None, None, rung.reason or "Every rate diverged.", tuple(rungs), bracketed, evaluated)
            continue
        rungs.append(rung)
        if watched or not evaluated:
            found, why = _first_to_arrive(rung, target, watched)
        if found and _knows_enough(prober, found[0][1], length, share):
            break
        if not found and _has_stalled([each for each in rungs if each.evaluated == evaluated], target):
            part = f"{100 * _WORTH:g} %"
            why = f"the last {_PATIENCE} races, each three times as long, came less than {part} of the way nearer to it"
            break
        length *= _GROWTH
        centre = rung.octave
    if found and found[0][1].steps > most:
        late = f"It would take about {found[0][1].steps} steps at {2.0 ** found[0][0]:.2g}, and {most} are the most."
        return Arrival(None, None, late, tuple(rungs), bracketed, evaluated)
    if not found:
        of_its_kind = [rung for rung in rungs if rung.evaluated == evaluated]
        return Arrival(None, None, _not_known(target, why, of_its_kind), tuple(rungs), bracketed, evaluated)
    first = _known(rungs[-1], found[0])
    confirmation = confirmed(prober, found, target, evaluated, most)
    if confirmation is None:
        return Arrival(*found[0], first, tuple(rungs), bracketed, evaluated)
    if confirmation.steps is None:
        why = f"{first[:-1]}, but on other orders of the data neither that rate nor another does"
        return Arrival(None, None, _not_known(target, why, rungs), tuple(rungs), bracketed, evaluated)
    told = f"{first} {confirmation.told(found[0][0])}"
    return Arrival(confirmation.octave, confirmation.steps, told, tuple(rungs), bracketed, evaluated)


def _course(prober: Prober, length: int, start: float | None, standing: Trial) -> Course:
    """Return the course of a race of some length, with evaluations on the way if they are not too dear."""
    affordable = _EVALUATIONS * prober.evaluation_steps <= SHARE_OF_EVALUATIONS * length
    return Course(length, constant(), 0, start, standing, _EVALUATIONS if affordable else 0)


def _knows_enough(prober: Prober, needed: StepsNeeded, length: int, share: float) -> bool:
    """Whether a probe has got there, or one that is long enough to foretell it would cost too much to go on."""
    next_race = _RATES * _GROWTH * length * prober.seeds
    too_dear = prober.spent + next_race > share * needed.steps
    return needed.steps <= length or (length >= _TELLING and too_dear)


def _has_stalled(rungs: Sequence[Rung], target: float) -> bool:
    """Whether each of the last races has brought the loss hardly nearer to the target than the one before it."""
    distances = [rung.scores[rung.best] - target for rung in rungs[-_PATIENCE - 1 :]]
    if len(distances) <= _PATIENCE or distances[-1] <= 0 or not np.isfinite(distances).all():
        return False
    return all(after > (1 - _WORTH) * before for before, after in pairwise(distances))


def _first_to_arrive(rung: Rung, target: float, evaluated: bool) -> tuple[list[Found], str]:
    """Return the octaves that get to the target with their steps, the first one first, or why none is known to."""
    found: list[Found] = []
    reasons: dict[float, str] = {}
    for octave, trial in rung.trials.items():
        if trial.completed:
            answer = arrival_of(trial, target, evaluated)
            if isinstance(answer, StepsNeeded):
                found.append((octave, answer))
            else:
                reasons[octave] = answer
    if found:
        # The rate just below those that diverge is often the first, and on other batches diverges itself.
        steady = [pair for pair in found if pair[0] + 1 in rung.trials and not rung.trials[pair[0] + 1].diverged]
        return sorted(steady or [min(found)], key=lambda pair: pair[1].steps), ""
    return [], reasons.get(rung.best, "every rate diverged")


def _known(rung: Rung, first: Found) -> str:
    octave, needed = first
    if needed.steps <= rung.steps:
        return f"A probe at {2.0**octave:.2g} got there, the first of {len(rung.trials)} rates."
    return (
        f"Of {len(rung.trials)} rates that ran for {rung.steps} steps, {2.0**octave:.2g} gets there first, as far as "
        "its curve foretells."
    )


def _not_known(target: float, why: str, rungs: list[Rung]) -> str:
    lowest = min(((rung.scores[rung.best], rung) for rung in rungs), key=lambda pair: pair[0], default=None)
    seen = ""
    if lowest is not None and math.isfinite(lowest[0]):
        loss, rung = lowest
        seen = f" The lowest that was seen is {loss:.4g}, after {rung.steps} steps at {2.0**rung.best:.2g}."
    why = why.replace(f"the steps to a loss of {target:.4g}", "the steps to it")
    return f"A loss of {target:.4g} cannot be promised: {why}.{seen}"
