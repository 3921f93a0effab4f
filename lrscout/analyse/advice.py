"""What to do about a run, in sentences with numbers, as far as its evidence supports them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import sqrt

from lrscout.analyse.extrapolate import StepsNeeded
from lrscout.analyse.judge import Evidence, Judgement
from lrscout.core.curve import Outcome

_STEP_DOWN = 10.0
_HALF = 2.0
_AT_THE_LIMIT = 5e-3
_NOISY = 1e-3
"""A single loss that scatters by more than this share of the whole fall shows noise that a smaller rate may take
away."""

_NOTHING = 1e-12

_SUDDEN = 0.1
"""The share of a run after which a rise that begins after a fall is one that came suddenly."""

_SURE = 3.0
_FEWEST = 6
_ROOM = 10.0
"""How many times the rate the limit must be for a run that converges to be told of a higher one."""


@dataclass(frozen=True)
class Circumstances:
    """What is known of a run besides its losses.

    Args:
        lr: the learning rate where its loss begins to grow, or else at its end; None where it is not known.
        constant: whether the rate was the same all along.
        limit: the largest stable learning rate, or None.
        first_step: the step of its first loss.
        last_step: the step of its last loss.
        target: the loss that it shall reach, or None.
        steps_needed: the further steps to the target; in a sentence why they are unknown; None without a target.
        budget: the number of steps that it may take in all, or None.
    """

    lr: float | None = None
    constant: bool = True
    limit: float | None = None
    first_step: float = 0.0
    last_step: float = 0.0
    target: float | None = None
    steps_needed: StepsNeeded | str | None = None
    budget: int | None = None

    @property
    def above_limit(self) -> bool:
        """Whether the rate is above the largest stable one."""
        return self.lr is not None and self.limit is not None and self.lr > self.limit * (1 + _AT_THE_LIMIT)

    @property
    def at_limit(self) -> bool:
        """Whether the rate is the largest stable one, as nearly as that is ever known."""
        return self.lr is not None and self.limit is not None and abs(self.lr / self.limit - 1) <= _AT_THE_LIMIT


Advice = tuple[tuple[str, ...], float | None]
"""The sentences, and the learning rate that they suggest, if any."""


def advise(judgement: Judgement, known: Circumstances) -> Advice:
    """Return what to do about a run, and a better learning rate if the evidence names one.

    Args:
        judgement: how the run goes.
        known: what else is known of it.
    """
    outcome, evidence = judgement.outcome, judgement.evidence
    if known.lr is not None and known.lr <= 0:  # As at the end of a decay; no share of it is a rate.
        known = replace(known, lr=None)
    match outcome:
        case Outcome.DIVERGING:
            sentences, suggested = _of_divergence(evidence, known)
        case Outcome.NON_FINITE:
            sentences, suggested = _of_lost_numbers(evidence, known)
        case Outcome.OSCILLATING:
            sentences, suggested = _of_oscillation(evidence, known)
        case Outcome.TOO_SLOW | Outcome.CONVERGING if _stands_above_its_start(evidence):
            sentences, suggested = _of_a_jump(evidence, known)
        case Outcome.TOO_SLOW:
            sentences, suggested = _of_slowness(evidence, known)
        case Outcome.CONVERGING:
            sentences, suggested = _of_convergence(evidence, known)
        case Outcome.PLATEAUED:
            sentences, suggested = _of_standstill(evidence, known)
    return (*sentences, *_steps(outcome, known), *_asides(outcome, evidence, known)), suggested


def _of_divergence(evidence: Evidence, known: Circumstances) -> Advice:
    if known.above_limit and known.lr is not None and known.limit is not None:
        why = f"{known.lr:.4g} is above the limit {known.limit:.3g}: every step lands farther away; "
        return (
            f"{why}no number of steps will help.",
            f"Try {known.limit / 2:.3g}, half of the limit.",
        ), known.limit / 2
    if evidence.losses < _FEWEST:
        lower = None if known.lr is None else known.lr / _STEP_DOWN
        return (
            f"The loss has risen from {evidence.start:.3g} to {evidence.end:.3g}, but {evidence.losses} losses show a "
            "direction and no more.",
            "If it goes on, try a tenth of the rate.",
        ), lower
    if not _surely_grows(evidence):
        why = f"The loss has risen from {evidence.start:.3g} to {evidence.end:.3g} and rises still; "
    else:
        since = "" if evidence.grows_from == known.first_step else f" since step {evidence.grows_from:.0f}"
        why = f"The rise of the loss grows by a factor of {_factor(evidence)} per step{since}; "
    sentences = [f"{why}no number of steps will help."]
    if _came_suddenly(evidence, known):
        sentences.append(
            f"It had come down to {evidence.lowest:.3g} before: a curvature that grew or a bad batch can do that, "
            "so a warmup, clipping of the gradients, or a lower rate may keep it down."
        )
    suggested, how = _below(evidence, known)
    return (*sentences, how), suggested


def _surely_grows(evidence: Evidence) -> bool:
    return evidence.growth is not None and evidence.growth - _SURE * (evidence.growth_error or 0.0) > 1


def _factor(evidence: Evidence) -> str:
    growth, error = evidence.growth or 1.0, evidence.growth_error or 0.0
    return f"{growth:.4g} ± {error:.1g}" if error > 1e-3 * (growth - 1) else f"{growth:.4g}"


def _came_suddenly(evidence: Evidence, known: Circumstances) -> bool:
    if evidence.grows_from is None or evidence.start is None or evidence.lowest is None:
        return False
    late = evidence.grows_from - known.first_step > _SUDDEN * (known.last_step - known.first_step)
    return late and evidence.start - evidence.lowest > _SURE * (evidence.noise or 0.0)


def _below(evidence: Evidence, known: Circumstances) -> tuple[float | None, str]:
    """Return a rate at which a run that diverged should not, and the sentence that says why."""
    if known.lr is None:
        return None, "Try a tenth of its learning rate; told the rate, this can say more."
    if not known.constant or evidence.growth is None or not _surely_grows(evidence):
        return known.lr / _STEP_DOWN, f"Try {known.lr / _STEP_DOWN:.3g}, a tenth of the rate."
    # A quadratic's loss grows by (lr * sharpness - 1)^2 per step under plain gradient descent.
    limit = 2 * known.lr / (1 + sqrt(evidence.growth))
    return limit / 2, (
        f"Under plain gradient descent on a quadratic that growth puts the limit at {limit:.3g}; "
        f"try {limit / 2:.3g}, half of it."
    )


def _of_lost_numbers(evidence: Evidence, known: Circumstances) -> Advice:
    if evidence.losses == 0:
        return (
            "No loss was finite, the first one included, so this is not the rate: look at the data, the loss function "
            "and the initial parameters.",
            "No rate is suggested, since none has been tried.",
        ), None
    where = f"From step {evidence.first_non_finite:.0f} on the loss is not finite."
    if known.above_limit or evidence.growth is not None:
        sentences, suggested = _of_divergence(evidence, known)
        return (where, *sentences), suggested
    if evidence.losses < 3:
        lower = None if known.lr is None else known.lr / _STEP_DOWN**2
        return (
            f"{where} So few steps leave two explanations: a rate far too high, or data and a loss function that "
            "yield such numbers.",
            f"Try {lower:.3g}, a hundredth of the rate: if it happens again, it is not the rate."
            if lower is not None
            else "Try a hundredth of the rate: if it happens again, it is not the rate.",
        ), lower
    return (
        f"{where} Nothing in the losses before announced it: look for a bad batch there, a logarithm or a quotient of "
        "zero, or an overflow in half precision, and clip the gradients.",
        "No rate is suggested, since the losses do not tell that it was the rate.",
    ), None


def _of_oscillation(evidence: Evidence, known: Circumstances) -> Advice:
    if known.at_limit and evidence.period is None and known.limit is not None:
        why = f"{known.lr:.4g} is at the limit {known.limit:.3g}: it jumps from side to side without coming closer."
    else:
        why = f"The loss repeats itself every {evidence.period or 0:.3g} steps, without coming lower."
    if known.lr is None:
        return (why, "Halve its learning rate; told the rate, this can name a number."), None
    if known.limit is not None and known.lr >= known.limit / _HALF:
        return (why, f"Try {known.limit / 2:.3g}, half of the limit."), known.limit / 2
    return (why, f"Try {known.lr / _HALF:.3g}, half of the rate."), known.lr / _HALF


def _of_slowness(evidence: Evidence, known: Circumstances) -> Advice:
    slope = f"by {-(evidence.slope or 0.0):.3g} per step"
    why = f"The loss falls {slope} on nearly a straight line: it has hardly begun to come closer."
    if not known.constant:
        return (why, "The rate changed along the run: raise the whole schedule; a range test shows how far."), None
    if known.lr is None:
        return (why, "Raise its learning rate tenfold; a range test shows how far one may go."), None
    if known.above_limit and known.limit is not None:
        return (why, f"Try {known.limit / 2:.3g}, half of the limit."), known.limit / 2
    if known.limit is not None:
        if known.lr >= known.limit / 2:
            return (why, f"{known.lr:.4g} is close to the limit {known.limit:.3g}, so take more steps."), known.lr
        higher = known.limit / 2
        return (why, f"Try {higher:.3g}, half of the limit, which goes {higher / known.lr:.3g} times as far."), higher
    higher = known.lr * _STEP_DOWN
    if known.budget is not None and isinstance(known.steps_needed, StepsNeeded):
        left = known.budget - known.last_step - 1
        if left > 0 and known.steps_needed.steps > left:
            higher = known.lr * known.steps_needed.steps / left
            return (
                why,
                f"To get to {known.target:.4g} in the {left:.0f} steps that are left, try {higher:.3g}: on a straight "
                "line the way goes with the rate. A range test shows whether that is stable.",
            ), higher
    return (why, f"Try {higher:.3g}, ten times the rate; a range test shows how far one may go."), higher


def _stands_above_its_start(evidence: Evidence) -> bool:
    start, end = evidence.start or 0.0, evidence.end or 0.0
    return end > start + _SURE * (evidence.noise or 0.0)


def _of_a_jump(evidence: Evidence, known: Circumstances) -> Advice:
    why = (
        f"The loss comes down from a jump and still stands at {evidence.end:.3g}, above its start, "
        f"{evidence.start:.3g}: the steps were too long for it."
    )
    if known.lr is None or not known.constant:
        return (why, "Stay below the rate at which it jumped."), None
    return (why, f"Try {known.lr / _STEP_DOWN:.3g}, a tenth of the rate."), known.lr / _STEP_DOWN


def _of_convergence(evidence: Evidence, known: Circumstances) -> Advice:
    if evidence.losses < _FEWEST:
        return (
            f"The loss has fallen from {evidence.start:.3g} to {evidence.end:.3g}, but {evidence.losses} losses show a "
            "direction and no more.",
            "Go on, and judge it by more of them.",
        ), None
    why = f"The loss is down from {evidence.start:.3g} to {evidence.end:.3g}, and its fall slows as it should."
    if evidence.gain_left is not None:
        why += f" Going on like this would bring it about {evidence.gain_left:.2g} lower."
    if known.lr is None:
        return (why,), None
    if known.above_limit and known.limit is not None:
        return (why, f"Try {known.limit / 2:.3g}, half of the limit."), known.limit / 2
    if known.limit is not None and known.lr < known.limit / _ROOM:
        higher = known.limit / 2
        return (why, f"The limit leaves room: try {higher:.3g}, half of it."), higher
    if not known.constant:
        return (why, "Keep the schedule; of a rate that changes no single one is suggested."), None
    return (why, f"Keep the rate, {known.lr:.4g}."), known.lr


def _of_standstill(evidence: Evidence, known: Circumstances) -> Advice:
    start, end, noise = evidence.start or 0.0, evidence.end or 0.0, evidence.noise or 0.0
    if end > start + _SURE * noise:
        lower = None if known.lr is None or not known.constant else known.lr / _STEP_DOWN
        why = f"The loss has settled at {end:.3g}, above its start, {start:.3g}: the steps are too long to come down."
        return (why, "Lower the rate tenfold." if lower is None else f"Try {lower:.3g}, a tenth of the rate."), lower
    if max(noise, abs(start - end)) <= _NOTHING * abs(start):
        why = "The loss has not moved at all: no step reaches it, as where the rate is 0 or parameters are frozen."
        return (why, "No rate is suggested, since none has been tried."), None
    if noise > _NOISY * abs(start - end) and noise > 0:
        why = f"The loss stands at {end:.3g} and scatters by {noise:.2g} around it."
        if not known.constant:
            return (why, "The rate has changed along the run: let it decay sooner, or start it higher."), None
        lower = None if known.lr is None else known.lr / _STEP_DOWN
        to = "a tenth" if lower is None else f"{lower:.3g}"
        how = f"Let the rate decay, to {to} or to zero: what the steps' own noise holds up comes down with it."
        return (why, how), lower
    why = f"The loss has come down from {start:.3g} to {end:.3g} and rests there."
    return (why, "No rate is suggested: where nothing scatters, another rate comes to the same place."), None


def _steps(outcome: Outcome, known: Circumstances) -> Iterator[str]:
    if known.target is None:
        return
    if outcome in (Outcome.DIVERGING, Outcome.NON_FINITE, Outcome.OSCILLATING):
        yield f"No number of steps at this rate will take the loss to {known.target:.4g}."
    elif isinstance(known.steps_needed, str):
        yield f"{known.steps_needed[0].upper()}{known.steps_needed[1:]}."
    elif known.steps_needed is not None and known.steps_needed.steps == 0:
        yield f"The loss has reached {known.target:.4g}."
    elif known.steps_needed is not None:
        needed = known.steps_needed
        yield (
            f"At this rate it takes about {needed.steps} steps more to a loss of {known.target:.4g} "
            f"({needed.low} to {needed.high})."
        )
        left = None if known.budget is None else known.budget - known.last_step - 1
        if left is not None and needed.low > left:
            yield f"That is more than the {max(left, 0):.0f} steps that are left."


def _asides(outcome: Outcome, evidence: Evidence, known: Circumstances) -> Iterator[str]:
    lost = outcome in (Outcome.DIVERGING, Outcome.NON_FINITE)
    if known.above_limit and not lost and outcome is not Outcome.OSCILLATING:
        yield (
            f"Yet {known.lr:.4g} is above the limit {known.limit:.3g}: unless the curvature has fallen since, "
            "the loss will turn up."
        )
    if (
        lost
        and evidence.growth is not None
        and known.limit is not None
        and known.lr is not None
        and not known.above_limit
    ):
        yield (
            f"The limit given, {known.limit:.3g}, is not below the rate, {known.lr:.4g}: the curvature must have grown "
            "since it was measured, or it is that of another optimizer."
        )
    if evidence.gaps:
        yield f"{evidence.gaps} losses before the end are not finite and were left out, since finite ones follow them."
    if evidence.overfitting is not None and not lost:
        turned = evidence.overfitting
        yield (
            f"It overfits: the evaluation loss was lowest at step {turned.best_step:.0f}, {turned.best:.3g}, and has "
            f"risen by {turned.risen:.2g} since, while the training loss did not. Stop there, or regularise more."
        )
