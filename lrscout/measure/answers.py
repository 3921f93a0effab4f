"""From what the races told to a recommendation in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrscout.analyse.foretell import foretell
from lrscout.core.result import Cost
from lrscout.core.schedules import NAMED, Schedule
from lrscout.measure.budgeted import Verdict
from lrscout.measure.planned_schedule import PlannedSchedule
from lrscout.measure.probing import Prober
from lrscout.measure.race import Rung
from lrscout.measure.recommendation import Estimate, Probe, Recommendation
from lrscout.measure.target import Arrival
from lrscout.measure.worth import WORTH_WHILE, Worth


@dataclass(frozen=True, eq=False)
class Question:
    """What was asked.

    Args:
        steps: the length of the run.
        target_loss: the loss to reach.
        schedule: the schedule's name.
        factors: the schedule.
        budget: how much may be spent, as a share of the run.
        seeds: the seeds of each probe.
    """

    steps: int | None
    target_loss: float | None
    schedule: str
    factors: Schedule
    budget: float
    seeds: tuple[int, ...]

    @property
    def allowance(self) -> int:
        """About how many steps the probes will take, for a progress bar."""
        return int(self.budget * (self.steps or 1000))

    def inputs(self) -> dict[str, Any]:
        """Return what a study must agree on to be continued."""
        inputs: dict[str, Any] = {
            "steps": self.steps,
            "target_loss": self.target_loss,
            "schedule": self.schedule,
            "budget": self.budget,
            "seeds": list(self.seeds),
        }
        if self.schedule not in NAMED:
            length = self.steps or 100
            inputs["factors of the schedule"] = np.asarray(self.factors(np.arange(length), length)).round(6).tolist()
        return inputs


@dataclass(frozen=True, eq=False)
class _Parts:
    """What every recommendation has."""

    question: Question
    prober: Prober
    start: float | None
    framework: str | None
    rungs: tuple[Rung, ...]

    def made(self, **answer: Any) -> Recommendation:
        """Return a recommendation, with what was not answered left out."""
        question, prober = self.question, self.prober
        steps = answer.pop("steps", question.steps)
        cost = Cost(prober.steps, prober.evaluations, 0.0, evaluation_steps=prober.evaluation_steps)
        blank: dict[str, Any] = {
            "lr": None,
            "low": None,
            "high": None,
            "steps_needed": None,
            "predicted_loss": None,
            "max_stable_lr": None,
            "frontier": (),
        }
        return Recommendation(
            **blank | answer,
            schedule=PlannedSchedule(question.schedule, question.factors, steps),
            steps=steps,
            target_loss=question.target_loss,
            probes=self.probes(),
            loss_name="evaluation loss" if self.evaluated else "training loss",
            start=self.start_loss,
            budget=question.budget,
            cost=cost,
            framework=self.framework,
        )

    @property
    def evaluated(self) -> bool:
        """Whether the last race went by evaluations."""
        return self.rungs[-1].evaluated if self.rungs else self.start is not None

    @property
    def start_loss(self) -> float:
        """The loss of the start, of the kind that the last race went by."""
        if self.evaluated and self.start is not None:
            return self.start
        first = [float(trial.losses[0]) for rung in self.rungs[:1] for trial in rung.trials.values()]
        return first[0] if first else (math.nan if self.start is None else self.start)

    def probes(self) -> tuple[Probe, ...]:
        """Return the runs of all races."""
        return tuple(probe for rung in self.rungs for probe in rung.probes())

    @property
    def limit(self) -> float | None:
        """The lowest rate from which on every probe diverged, in the longest race where one did."""
        return next((rung.limit for rung in reversed(self.rungs) if rung.limit is not None), None)


def answer_for_steps(
    question: Question, verdict: Verdict, prober: Prober, start: float | None, framework: str | None
) -> Recommendation:
    """Return the recommendation for a number of steps."""
    parts = _Parts(question, prober, start, framework, verdict.rungs)
    if verdict.choice is None:
        return parts.made(reasons=(verdict.reason,))
    choice = verdict.choice
    return parts.made(
        lr=2.0**choice.octave,
        low=2.0**choice.low,
        high=2.0**choice.high,
        predicted_loss=_predicted(question, verdict, parts),
        max_stable_lr=parts.limit,
        reasons=_reasons(question, verdict),
    )


def _reasons(question: Question, verdict: Verdict) -> tuple[str, ...]:
    if not verdict.rungs and verdict.lost:
        return (
            f"Every rate of the first race diverged, and {question.budget:g} of {question.steps} steps did not do for "
            "another: this is a quarter of the lowest of them.",
        )
    if not verdict.rungs:
        return (
            f"A budget of {question.budget:g} of {question.steps} steps is too small for a race: this is a quarter of "
            "the highest rate at which the first steps do no harm.",
        )
    told = [_race_in_words(rung) for rung in verdict.rungs]
    reasons = [f"The best rate was {', '.join(told)}."]
    if verdict.rungs[-1].valley is None:
        reasons.append(
            "No rate brought the loss down beyond its noise in that time, so this is only a rate that does no harm."
        )
    shift = verdict.drift.shift if verdict.drift is not None else 0.0
    if shift < -0.1:
        reasons.append(
            f"Over {question.steps} steps it is expected to be {2.0**-shift:.2g} times lower, and a rate that is too "
            "high costs more than one that is too low."
        )
    return tuple(reasons)


def _race_in_words(rung: Rung) -> str:
    assert rung.octave is not None
    return f"{2.0**rung.octave:.2g} over {rung.steps} steps"


def _predicted(question: Question, verdict: Verdict, parts: _Parts) -> Estimate | None:
    """Return the loss to expect at the end of the run: as in the last race, and what more steps bring."""
    last = verdict.rungs[-1] if verdict.rungs else None
    if last is None or last.valley is None or question.steps is None or verdict.choice is None:
        return None
    # Training losses are not evaluation losses, so only races of one kind make a curve.
    alike = [rung for rung in verdict.rungs if rung.valley is not None and rung.evaluated == last.evaluated]
    levels = [(rung.steps, rung.scores[rung.best]) for rung in alike]
    # Most losses cannot be negative, and one that can has mostly been so by now.
    floor = 0.0 if _never_negative(verdict.rungs) else -math.inf
    told = foretell([(1.0, parts.start_loss), *levels], question.steps, floor)
    seen = parts.start_loss - min(loss for _, loss in levels)
    if told.high - told.low > seen:
        return None  # What would be told of is more than what was seen.
    return Estimate(told.value, told.low, told.high)


def _never_negative(rungs: Sequence[Rung]) -> bool:
    trials = [trial for rung in rungs for trial in rung.trials.values()]
    scores = [score for rung in rungs for score in rung.scores.values()]
    return min(scores) >= 0 and all(float(np.min(trial.losses)) >= 0 for trial in trials)


def answer_for_target(
    question: Question, arrival: Arrival, prober: Prober, start: float | None, framework: str | None
) -> Recommendation:
    """Return the recommendation for a loss to reach."""
    parts = _Parts(question, prober, start if arrival.evaluated else None, framework, arrival.rungs)
    if arrival.octave is None or arrival.steps is None:
        none = None if arrival.steps is None else Estimate(0, 0, 0)
        return parts.made(reasons=(arrival.reason,), steps=None, steps_needed=none)
    lr, needed = 2.0**arrival.octave, arrival.steps
    return parts.made(
        lr=lr,
        low=lr / 2**0.5,
        high=lr * 2**0.5,
        steps=max(needed.steps, 1),
        steps_needed=Estimate(needed.steps, needed.low, needed.high),
        max_stable_lr=parts.limit,
        reasons=(arrival.reason,),
    )


def answer_of_worth(
    question: Question, worth: Worth, prober: Prober, start: float | None, framework: str | None
) -> Recommendation:
    """Return the best rate for each length of run, and that for the length up to which more steps pay."""
    parts = _Parts(question, prober, start, framework, worth.rungs)
    if not worth.lines:
        return parts.made(reasons=(worth.bracket.reason,))
    line, rung = worth.lines[worth.enough], worth.rungs[worth.enough]
    paying = (
        f"Beyond {line.steps} steps, a doubling of the run adds less than {100 * WORTH_WHILE:.0f} % to the fall of the "
        "loss."
        if worth.stopped_paying
        else f"More steps still pay at {line.steps}, the longest run that was tried."
    )
    choice = None if rung.valley is None else rung.valley.least_risk(0.0, 0.3)
    octave = math.log2(line.lr) if choice is None else choice.octave
    return parts.made(
        lr=2.0**octave,
        low=2.0 ** (octave - 0.5 if choice is None else choice.low),
        high=2.0 ** (octave + 0.5 if choice is None else choice.high),
        steps=line.steps,
        predicted_loss=None,
        max_stable_lr=parts.limit,
        reasons=(paying,),
        frontier=worth.lines,
    )
