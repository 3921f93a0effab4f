"""How a run went, why, and what would mend it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.analyse.advice import Circumstances, advise
from lrscout.analyse.extrapolate import StepsNeeded, steps_to_target
from lrscout.analyse.judge import OUTCOME_WHEN_STOPPED, Evidence, Judgement, judge
from lrscout.core.checks import check_count, check_lr
from lrscout.core.curve import Curve, Outcome, Stop
from lrscout.core.errors import EmptyDataError, InvalidValueError
from lrscout.core.order import in_order
from lrscout.core.result import Result, jsonable

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import ArrayLike

    Values = Float[np.ndarray, " step"]

_SAME_RATE = 1.01
_CAN_FALL = (Outcome.TOO_SLOW, Outcome.CONVERGING, Outcome.PLATEAUED)


@dataclass(frozen=True, eq=False)
class Diagnosis(Result):
    """How a run went, and what would mend it.

    Args:
        outcome: how it went.
        evidence: what shows it, in numbers.
        advice: what to do, in sentences, as far as the evidence supports it.
        lr: the learning rate at the end of the run, or None where it is not known.
        suggested_lr: a better one, or None; the advice says why.
        steps_needed: the further steps to the target loss, or None where they are unknown.
        steps: the step of each loss.
        losses: the losses.
        evaluated_at: the step of each evaluation.
        evaluations: the evaluation losses.
    """

    outcome: Outcome
    evidence: Evidence
    advice: tuple[str, ...]
    lr: float | None
    suggested_lr: float | None
    steps_needed: StepsNeeded | None
    steps: Float[np.ndarray, " step"]
    losses: Float[np.ndarray, " step"]
    evaluated_at: Float[np.ndarray, " evaluation"]
    evaluations: Float[np.ndarray, " evaluation"]

    def __str__(self) -> str:
        name = "Not finite" if self.outcome is Outcome.NON_FINITE else str(self.outcome).replace("_", " ").capitalize()
        return " ".join([f"{name}.", *self.advice])

    def to_dict(self) -> dict[str, Any]:
        return jsonable(
            {
                "outcome": str(self.outcome),
                "advice": self.advice,
                "lr": self.lr,
                "suggested_lr": self.suggested_lr,
                "evidence": asdict(self.evidence),
                "steps_needed": None if self.steps_needed is None else asdict(self.steps_needed),
            }
        )


def diagnose(
    losses: Curve | ArrayLike,
    lr: ArrayLike | None = None,
    evaluations: ArrayLike | None = None,
    *,
    steps: ArrayLike | None = None,
    evaluated_at: ArrayLike | None = None,
    target_loss: float | None = None,
    max_stable_lr: float | None = None,
    budget: int | None = None,
) -> Diagnosis:
    """Say how a run went, why, and what would mend it.

    Args:
        losses: the training losses, or a curve, which also knows its rates and evaluations. NaN and infinity at the end
            mean that the run was lost; where finite losses follow they are gaps.
        lr: the learning rate, or one for each loss.
        evaluations: evaluation losses, which tell overfitting.
        steps: the step of each loss, in any order and with gaps; of several losses of one step the last counts, as
            after a restart. By default 0, 1, 2, ...
        evaluated_at: the step of each evaluation; by default evenly over the run.
        target_loss: the loss to reach: how many more steps will it take?
        max_stable_lr: the largest stable learning rate, such as `lrscout.curvature` finds.
        budget: how many steps the run may take in all.

    Returns:
        The outcome with its evidence and advice. What the evidence does not support is left unsaid: `suggested_lr` and
        `steps_needed` are then None, and the advice says why.

    Raises:
        EmptyDataError: there are fewer than two losses.
        InvalidValueError: an argument is not as long as what it belongs to, or has a value that no run has.

    >>> print(diagnose([2.0, 2.9, 4.2, 6.1, 8.8, 12.8], lr=0.9, max_stable_lr=0.775))
    Diverging. 0.9 is above the limit 0.775: every step lands farther away; no number of steps will help. \
Try 0.388, half of the limit.
    """
    curve = losses if isinstance(losses, Curve) else None
    values = _numbers("losses", losses.losses if isinstance(losses, Curve) else losses)
    if curve is not None:
        lr = curve.lrs if lr is None else lr
        if evaluations is None and len(curve.evaluations):
            evaluations, evaluated_at = curve.evaluations, curve.evaluated_at
    if len(values) < 2:
        raise EmptyDataError(f"Judging a run takes at least 2 losses, but there are {len(values)}.")
    rates = _rates(lr, len(values))
    at = np.arange(len(values), dtype=float) if steps is None else _steps_of("steps", steps, "losses", len(values))
    order = in_order(at)
    values, at, rates = values[order], at[order], None if rates is None else rates[order]
    evaluated, when = _evaluations(evaluations, evaluated_at, at)
    if target_loss is not None and not math.isfinite(target_loss):
        raise InvalidValueError(f"target_loss must be a finite number, but it is {target_loss!r}.")
    limit = None if max_stable_lr is None else check_lr("max_stable_lr", max_stable_lr)
    budget = None if budget is None else check_count("budget", budget, at_least=1)
    if len(values) < 2:
        raise EmptyDataError("Judging a run takes losses of at least 2 steps, but all of these are of one.")

    judgement = judge(values, evaluated if len(evaluated) else None, steps=at, evaluated_at=when, lrs=rates)
    constant = rates is None or bool(rates.max() <= _SAME_RATE * rates.min())
    known = Circumstances(
        lr=None if rates is None else _rate_that_matters(judgement, rates, at),
        constant=constant,
        limit=limit,
        first_step=float(at[0]),
        last_step=float(at[-1]),
        target=target_loss,
        budget=budget,
    )
    judgement = _with_what_else_is_known(judgement, known, curve)
    needed = None if target_loss is None else _steps_needed(judgement, values, at, target_loss, constant=constant)
    known = replace(known, steps_needed=needed)
    advice, suggested = advise(judgement, known)
    return Diagnosis(
        judgement.outcome,
        judgement.evidence,
        advice,
        None if rates is None else float(rates[-1]),
        suggested,
        needed if isinstance(needed, StepsNeeded) else None,
        at,
        values,
        when,
        evaluated,
    )


def _rate_that_matters(judgement: Judgement, rates: Values, steps: Values) -> float:
    """Return the rate where the loss began to grow, if it did, or else the last one."""
    began = judgement.evidence.grows_from
    return float(rates[-1] if began is None else rates[np.searchsorted(steps, began)])


def _with_what_else_is_known(judgement: Judgement, known: Circumstances, curve: Curve | None) -> Judgement:
    """Return the judgement as the limit of stability, and whoever stopped the run, have it."""
    outcome = judgement.outcome
    if curve is not None and curve.stopped is not Stop.COMPLETED:
        outcome = OUTCOME_WHEN_STOPPED[curve.stopped]
    # On a quadratic at its limit the parameters jump between two places of the same loss, which then stands still.
    elif outcome is Outcome.PLATEAUED and known.at_limit:
        outcome = Outcome.OSCILLATING
    return Judgement(outcome, judgement.evidence)


def _steps_needed(
    judgement: Judgement, losses: Values, steps: Values, target: float, *, constant: bool
) -> StepsNeeded | str | None:
    if judgement.outcome not in _CAN_FALL:
        return None
    finite = np.isfinite(losses)
    if not constant:
        return f"the steps to a loss of {target:.4g} are unknown, since the learning rate changed along the run"
    if judgement.outcome is Outcome.PLATEAUED and (judgement.evidence.end or 0.0) > target:
        return f"the steps to a loss of {target:.4g} are unknown, since the loss has stopped falling"
    return steps_to_target(losses[finite], steps[finite], target)


def _numbers(name: str, values: ArrayLike) -> Values:
    try:
        numbers = np.asarray(values, float)
    except (TypeError, ValueError):
        raise InvalidValueError(
            f"{name} must be numbers, one after another, but they are {_shortened(values)}."
        ) from None
    if numbers.ndim != 1:
        raise InvalidValueError(f"{name} must be one sequence of numbers, but their shape is {numbers.shape}.")
    return numbers


def _shortened(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _rates(lr: ArrayLike | None, count: int) -> Values | None:
    if lr is None:
        return None
    if np.ndim(lr) == 0:
        return np.full(count, check_lr("lr", lr))  # pyright: ignore[reportArgumentType]
    rates = _numbers("lr", lr)
    if len(rates) != count:
        raise InvalidValueError(f"lr must be one number or one for each of the {count} losses, but it is {len(rates)}.")
    if not (np.isfinite(rates) & (rates >= 0)).all():
        wrong = rates[~(np.isfinite(rates) & (rates >= 0))][0]
        raise InvalidValueError(f"Each lr must be a finite number that is not below zero, but one is {wrong:g}.")
    return rates


def _steps_of(name: str, steps: ArrayLike, of: str, count: int) -> Values:
    numbers = _numbers(name, steps)
    if len(numbers) != count:
        raise InvalidValueError(f"{name} must be as many as the {of}, {count}, but they are {len(numbers)}.")
    if not np.isfinite(numbers).all():
        raise InvalidValueError(f"{name} must be finite, but one is {numbers[~np.isfinite(numbers)][0]:g}.")
    return numbers


def _evaluations(evaluations: ArrayLike | None, evaluated_at: ArrayLike | None, steps: Values) -> tuple[Values, Values]:
    if evaluations is None:
        return np.zeros(0), np.zeros(0)
    values = _numbers("evaluations", evaluations)
    if evaluated_at is None:
        return values, steps[0] + (steps[-1] - steps[0]) * np.linspace(0, 1, len(values), dtype=float)
    at = _steps_of("evaluated_at", evaluated_at, "evaluations", len(values))
    order = in_order(at)
    return values[order], at[order]
