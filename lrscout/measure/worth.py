"""What training is worth: the best learning rate for each length of run, and where more steps stop paying."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lrscout.core.schedules import Schedule
from lrscout.measure.bracket import Bracket, bracket
from lrscout.measure.probing import Prober
from lrscout.measure.race import Course, Rung, race
from lrscout.measure.recommendation import Budgeted

WORTH_WHILE = 0.05
"""The share of the fall so far that a doubling of the run must add to pay."""

_FIRST_LENGTH, _LONGEST = 16, 2048
_PATIENCE = 2


@dataclass(frozen=True, eq=False)
class Worth:
    """What each length of run is worth.

    Args:
        lines: the best rate and its loss for each length.
        rungs: the races, one for each line.
        bracket: where they began.
        enough: the place of the last line whose doubling paid.
        stopped_paying: whether doublings were seen that did not pay.
    """

    lines: tuple[Budgeted, ...]
    rungs: tuple[Rung, ...]
    bracket: Bracket
    enough: int
    stopped_paying: bool


def race_on(prober: Prober, schedule: Schedule, start: float | None) -> Worth:
    """Race runs of doubled length until two doublings in a row have not paid.

    Args:
        prober: takes the probes.
        schedule: the schedule of each run.
        start: the evaluation loss of the start; None where there is no evaluation.
    """
    standing = prober.stand_still(_FIRST_LENGTH)
    bracketed = bracket(prober, standing)
    if bracketed.octave is None:
        return Worth((), (), bracketed, 0, False)
    rungs: list[Rung] = []
    lines: list[Budgeted] = []
    length = _FIRST_LENGTH
    # Losses of one kind only can be compared from line to line.
    while not Course(length, schedule, 0, start, standing).evaluates(prober) and start is not None and length < 128:
        length *= 2
    centre, idle = bracketed.octave - 1, 0
    while length <= _LONGEST and idle < _PATIENCE:
        rung = race(prober, centre, Course(length, schedule, len(rungs), start, standing), math.inf)
        if rung.octave is None:
            if rungs:
                break  # What shorter runs are worth is known.
            centre = min(rung.scores) - 2
            if rung.reason or centre < prober.standing_octave:
                return Worth((), (), Bracket(None, rung.reason or "Every rate diverged."), 0, False)
            continue
        lines.append(_line(rung, lines, start if rung.evaluated and start is not None else standing.losses.mean()))
        rungs.append(rung)
        gain = lines[-1].gain
        idle = idle + 1 if gain is not None and gain < WORTH_WHILE else 0
        length *= 2
        centre = rung.octave
    return Worth(tuple(lines), tuple(rungs), bracketed, max(len(lines) - 1 - idle, 0), idle == _PATIENCE)


def _line(rung: Rung, before: list[Budgeted], start: float) -> Budgeted:
    assert rung.octave is not None
    loss = rung.scores[rung.best]
    gain = None
    if before and before[-1].loss is not None and start > min(loss, before[-1].loss):
        gain = (before[-1].loss - loss) / (start - min(loss, before[-1].loss))
    return Budgeted(rung.steps, 2.0**rung.octave, float(loss), gain)
