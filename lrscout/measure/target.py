"""The learning rate that gets to a loss first, and the steps that it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from lrscout.analyse.extrapolate import StepsNeeded, steps_to_target
from lrscout.core.schedules import constant
from lrscout.measure.bracket import NOTHING, Bracket, bracket
from lrscout.measure.probing import Prober, Trial
from lrscout.measure.race import Course, Rung, race

_FIRST_LENGTH, _GROWTH = 12, 3
_RATES = 3
_EVALUATIONS = 12
_SHARE_OF_EVALUATIONS = 0.5
_IN_SIGHT = 30
"""A curve foretells nothing that is much smaller than its own fall."""

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
    best: tuple[float, StepsNeeded] | None = None
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
            best, why = _first_to_arrive(rung, target, watched)
        if best is not None and _knows_enough(prober, best[1], length, share):
            break
        if best is None and _has_stalled([each for each in rungs if each.evaluated == evaluated], target):
            part = f"{100 * _WORTH:g} %"
            why = f"the last {_PATIENCE} races, each three times as long, came less than {part} of the way nearer to it"
            break
        length *= _GROWTH
        centre = rung.octave
    if best is not None and best[1].steps > most:
        late = f"It would take about {best[1].steps} steps at {2.0 ** best[0]:.2g}, and {most} are the most."
        return Arrival(None, None, late, tuple(rungs), bracketed, evaluated)
    if best is None:
        of_its_kind = [rung for rung in rungs if rung.evaluated == evaluated]
        return Arrival(None, None, _not_known(target, why, of_its_kind), tuple(rungs), bracketed, evaluated)
    return Arrival(best[0], best[1], _known(rungs[-1], best), tuple(rungs), bracketed, evaluated)


def _course(prober: Prober, length: int, start: float | None, standing: Trial) -> Course:
    """Return the course of a race of some length, with evaluations on the way if they are not too dear."""
    affordable = _EVALUATIONS * prober.evaluation_steps <= _SHARE_OF_EVALUATIONS * length
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


def _first_to_arrive(rung: Rung, target: float, evaluated: bool) -> tuple[tuple[float, StepsNeeded] | None, str]:
    """Return the octave that is first at the target with its steps, or why none is known to get there."""
    found: list[tuple[float, StepsNeeded]] = []
    reasons: dict[float, str] = {}
    for octave, trial in rung.trials.items():
        if trial.completed:
            answer = _arrival_of(trial, target, evaluated)
            if isinstance(answer, StepsNeeded):
                found.append((octave, answer))
            else:
                reasons[octave] = answer
    if found:
        # The rate just below those that diverge is often the first, and on other batches diverges itself.
        steady = [pair for pair in found if pair[0] + 1 in rung.trials and not rung.trials[pair[0] + 1].diverged]
        return min(steady or [min(found)], key=lambda pair: pair[1].steps), ""
    return None, reasons.get(rung.best, "every rate diverged")


def _arrival_of(trial: Trial, target: float, evaluated: bool) -> StepsNeeded | str:
    """Return the steps from the start to the target."""
    steps, losses = np.arange(len(trial.losses), dtype=float), trial.losses
    if evaluated:
        steps, losses = trial.evaluations
    there = np.flatnonzero(_settled(losses) <= target)
    if len(there):
        seen = int(steps[there[0]])
        return StepsNeeded(seen, int(0.9 * seen), math.ceil(1.1 * seen))
    if not np.isfinite(losses).all():
        return "the losses on the way are not all finite numbers"
    near = _in_sight(losses, target)
    further = steps_to_target(losses[near:], steps[near:], target)
    if isinstance(further, str):
        return further
    done, ahead = int(steps[-1]), max(further.steps, 1)  # It is not there yet, whatever the curve foretells.
    return StepsNeeded(done + ahead, done + further.low, done + max(further.high, ahead))


def _in_sight(losses: np.ndarray, target: float) -> int:
    """Return where the loss is first so near to the target that it shows the pace of the rest of the way."""
    distance = _settled(losses) - target
    return int(np.flatnonzero(distance <= _IN_SIGHT * distance[-1])[0])


def _settled(losses: np.ndarray) -> np.ndarray:
    """Return the running median over a tenth of the losses, so that a lucky batch is not an arrival."""
    width = max(1, len(losses) // 10)
    return np.array([np.median(losses[max(0, end - width) : end]) for end in range(1, len(losses) + 1)])


def _known(rung: Rung, best: tuple[float, StepsNeeded]) -> str:
    octave, needed = best
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
