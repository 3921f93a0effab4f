"""The answer to "which learning rate?": a rate with its range and schedule, what to expect of it, and why."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from lrscout.core.curve import Curve, Outcome
from lrscout.core.errors import InvalidValueError
from lrscout.core.result import Cost, Result, jsonable
from lrscout.measure.planned_schedule import PlannedSchedule, scheduler_of

_WORDS = {
    "constant": "at a constant rate",
    "linear": "with linear decay",
    "cosine": "with cosine decay",
    "wsd": "with warmup, plateau and decay",
    "one-cycle": "with one cycle",
}
_DIGITS, _MOST_DIGITS = 3, 15


@dataclass(frozen=True, eq=False)
class Probe:
    """A short run of the race between learning rates.

    Args:
        lr: its rate; with a schedule, the peak.
        steps: the steps that it was for, even if it ended before.
        score: the loss that it was compared by; infinite where it diverged.
        outcome: how it went.
        curve: its losses.
        rung: the round of the race that it belongs to, counted from 0; the final comparison has the highest.
    """

    lr: float
    steps: int
    score: float
    outcome: Outcome
    curve: Curve
    rung: int


@dataclass(frozen=True)
class Estimate:
    """A predicted number.

    Args:
        value: what to expect.
        low: the lower end of the interval around it.
        high: the upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Budgeted:
    """What a budget of steps is good for: a line of the frontier.

    Args:
        steps: the budget.
        lr: the best rate for it.
        loss: the loss to expect after it; None where that is unknown.
        gain: how much of the fall of the loss so far this doubling added, as a share; None where that is unknown.
    """

    steps: int
    lr: float
    loss: float | None
    gain: float | None


@dataclass(frozen=True, eq=False)
class Recommendation(Result):
    """A learning rate for a training run, with its range, its schedule, what to expect of it, and the reasons.

    Args:
        lr: the rate; with a schedule, its peak. None where none can be recommended; the first of `reasons` says why.
        low: where the range begins in which the best rate lies, or one as good within the noise, nine times in ten;
            None as for `lr`.
        high: where it ends. `lr` is nearer to `low`, since a rate that is too high costs more than one that is too low.
        schedule: how the rate goes over the run.
        steps: the budget that the rate is for, or with a target loss the steps that it will take; None where they are
            not known.
        steps_needed: with a target loss, the steps that it will take, with an interval; None where they are not known.
        target_loss: the loss to reach, if one was asked for.
        predicted_loss: the loss to expect at the end, with an interval; None where it is not known.
        max_stable_lr: the lowest rate from which on every probe diverged, in the longest race where one did; None where
            none did. The rates of a race lie an octave apart, and a longer run may diverge at a lower one.
        reasons: the grounds in sentences, the main one first.
        probes: the runs that were compared.
        frontier: what each budget is good for, the smallest first; empty unless neither steps nor a target loss were
            given.
        loss_name: ``"evaluation loss"`` or ``"training loss"``: what the scores, the prediction and the target are.
        start: that loss before the first step.
        budget: how much `find` was allowed to spend, as a share of the run.
        cost: what it spent.
        framework: the framework of the loop, such as ``"torch"``, for `scheduler`; None where it has none.
        study: the name of its study, if it is kept in a store.
        notes: what else there is to say about how it was made.
    """

    lr: float | None
    low: float | None
    high: float | None
    schedule: PlannedSchedule
    steps: int | None
    steps_needed: Estimate | None
    target_loss: float | None
    predicted_loss: Estimate | None
    max_stable_lr: float | None
    reasons: tuple[str, ...]
    probes: tuple[Probe, ...]
    frontier: tuple[Budgeted, ...]
    loss_name: str
    start: float
    budget: float
    cost: Cost
    framework: str | None
    study: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def share(self) -> float | None:
        """What was spent, as a share of the run's steps; None where it is not known how many they are."""
        return None if self.steps is None else self.cost.step_equivalents / self.steps

    def scheduler(self, optimizer: Any = None, *, group: int | str | None = None) -> Any:
        """Return the schedule as the framework's own object, with `lr` as its peak.

        Args:
            optimizer: the optimizer that you train with, of PyTorch or Keras, or ``"optax"``, ``"keras"`` or
                ``"torch"``; by default what loops of `framework` use. PyTorch's schedulers belong to an optimizer, so
                there it has to be given.
            group: for PyTorch, the parameter group that was scouted while the others were held.

        Returns:
            For PyTorch, Lightning and the Hugging Face Trainer a `torch.optim.lr_scheduler.LambdaLR`, to be stepped
            after each optimizer step; the optimizer has its first rate, and its other groups keep their ratio to the
            first. For Keras and TensorFlow a `keras.optimizers.schedules.LearningRateSchedule`, which counts from the
            step at which the optimizer is. For JAX an optax schedule, which counts from 0.

        Raises:
            InvalidValueError: there is no rate, it is not known how many steps there will be, or the framework has no
                such object.
            MissingDependencyError: the framework is not installed.
        """
        if self.lr is None:
            raise InvalidValueError(f"There is no schedule because there is no learning rate. {self.reasons[0]}")
        return scheduler_of(self.schedule, self.lr, optimizer, self.framework, group)

    def __str__(self) -> str:
        if self.lr is None:
            ground, *others = self.reasons
            return " ".join([f"No learning rate: {_continued(ground)}", *others, *self.notes, self._spent()])
        sentences = [self._advice(self.lr), *self._expectation(), *self._distance(self.lr), *self.reasons]
        return " ".join([*sentences, *self._doublings(), *self.notes, self._spent()])

    def to_dict(self) -> dict[str, Any]:
        return jsonable(
            {
                "lr": self.lr,
                "low": self.low,
                "high": self.high,
                "schedule": self.schedule.name,
                "steps": self.steps,
                "predicted_loss": None if self.predicted_loss is None else asdict(self.predicted_loss),
                "max_stable_lr": self.max_stable_lr,
                "reasons": self.reasons,
                "cost": {
                    "steps": self.cost.steps,
                    "evaluations": self.cost.evaluations,
                    "step_equivalents": self.cost.step_equivalents,
                    "seconds": self.cost.seconds,
                    "products": self.cost.products,
                },
                "probes": [
                    {"lr": probe.lr, "steps": probe.steps, "score": probe.score, "outcome": str(probe.outcome)}
                    for probe in self.probes
                ],
                "target_loss": self.target_loss,
                "steps_needed": None if self.steps_needed is None else asdict(self.steps_needed),
                "frontier": [asdict(line) for line in self.frontier],
                "start": self.start,
                "loss": self.loss_name,
                "budget": self.budget,
                "notes": self.notes,
                "study": self.study,
            }
        )

    def _advice(self, lr: float) -> str:
        kind = "" if self.schedule.name == "constant" else "peak "
        how = _WORDS.get(self.schedule.name, f"with the schedule {self.schedule.name}")
        if self.target_loss is not None:
            purpose = f"To bring the {self.loss_name} down to {self._told(self.target_loss)} {how},"
        elif self.steps is not None:
            purpose = f"For {_counted(self.steps)} {how}"
        else:
            purpose = f"For training {how}"
        return f"{purpose} use a {kind}learning rate of {lr:.2g}{self._range()}."

    def _range(self) -> str:
        if self.low is None or self.high is None or f"{self.low:.2g}" == f"{self.high:.2g}":
            return ""
        if self.target_loss is not None or self.frontier or not self.probes:
            return f" ({self.low:.2g} to {self.high:.2g} is as far as that is known)"
        return f" (the best one lies between {self.low:.2g} and {self.high:.2g}, nine times in ten)"

    def _expectation(self) -> list[str]:
        told: list[str] = []
        if self.target_loss is not None:
            needed = self.steps_needed
            told.append(
                "How many steps that takes is unknown."
                if needed is None
                else f"That takes about {_rough(needed.value)} steps ({_rough(needed.low)} {_upwards(needed.high)})."
            )
        if self.predicted_loss is not None:
            expected = self.predicted_loss
            told.append(
                f"Expect the {self.loss_name} to go from {self._told(self.start)} to {self._told(expected.value)} "
                f"({self._told(expected.low)} to {self._told(expected.high)})."
            )
        elif self.target_loss is None:
            told.append(f"What {self.loss_name} it leads to is unknown.")
        return told

    def _distance(self, lr: float) -> list[str]:
        limit = self.max_stable_lr
        if limit is None:
            return []
        if lr < limit:
            return [f"At {limit:.2g}, {_rough(limit / lr)} times as high, a probe diverged."]
        return [f"At {limit:.2g}, below this rate, a probe diverged: watch the run."]

    def _doublings(self) -> list[str]:
        known = [(line.steps, line.gain) for line in self.frontier if line.gain is not None]
        if not known:
            return []
        (steps, gain), *others = known
        first = f"Doubling the run to {_counted(steps)} adds {_rough(100 * gain)} % to the fall of the loss"
        return [", ".join([first, *(f"to {steps} {_rough(100 * gain)} %" for steps, gain in others)]) + "."]

    def _spent(self) -> str:
        if self.share is None:
            return f"Cost: {self.cost}."
        run = f"{_rough(100 * self.share)} % of the run" if self.share <= 1 else f"{_rough(self.share)} times the run"
        was_asked = self.target_loss is None and not self.frontier  # Otherwise nobody knew beforehand how long it is.
        always = ", and some thirty steps always are" if self.share > self.budget else ""
        allowed = f" ({_rough(100 * self.budget)} % were allowed{always})" if was_asked else ""
        return f"Cost: {self.cost}; all that was computed is {run}{allowed}."

    def _told(self, loss: float) -> str:
        """Return a loss with as many digits as show how far it is from the start, however far both are from zero."""
        way = self._way()
        if not math.isfinite(loss) or loss == 0 or way == 0:
            return f"{loss:.{_DIGITS}g}"
        more = math.ceil(math.log10(abs(loss)) - math.log10(way))
        return f"{loss:.{min(_DIGITS + max(0, more), _MOST_DIGITS)}g}"

    def _way(self) -> float:
        """Return how far the loss goes from its start, as far as anything tells; 0 where nothing does."""
        ends = [probe.score for probe in self.probes] + [line.loss for line in self.frontier if line.loss is not None]
        ends += [] if self.predicted_loss is None else [self.predicted_loss.value]
        lowest = min((end for end in ends if math.isfinite(end)), default=self.start)
        way = self.start - lowest
        return abs(way) if math.isfinite(way) else 0.0


def _rough(number: float) -> str:
    """Return a number to two digits, and never as a power of ten where it is large."""
    return f"{float(f'{number:.2g}'):.0f}" if abs(number) >= 10 else f"{number:.2g}"


def _upwards(high: float) -> str:
    return f"to {_rough(high)}" if math.isfinite(high) else "or more"


def _continued(sentence: str) -> str:
    """Return a sentence as it goes on after a colon; a first word with other capitals keeps them."""
    first = sentence.partition(" ")[0]
    return sentence[:1].lower() + sentence[1:] if first == first.capitalize() else sentence


def _counted(steps: int) -> str:
    return f"{steps} step{'s' * (steps != 1)}"
