"""The one judgement of a run: how it goes, judged from its losses alone, with the evidence in numbers.

Every comparison is one of differences of the losses with each other and with their own scatter, so that adding a
constant to the losses, or multiplying them by a positive one, changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lrscout.analyse.evidence import Overfitting, growth_of, overfitting_of, period_of, slope_of, without_outliers
from lrscout.analyse.levels import FEWEST_FOR_SCATTER, Scatter, level_of, scatter_of, without_single_spikes
from lrscout.core.curve import Outcome, Stop
from lrscout.core.errors import EmptyDataError, InvalidValueError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    Values = Float[np.ndarray, " step"]

OUTCOME_WHEN_STOPPED = {Stop.DIVERGED: Outcome.DIVERGING, Stop.NON_FINITE: Outcome.NON_FINITE}
"""How a run went that was stopped before its end: whoever stopped it had seen enough."""

STILL_STRAIGHT = 0.75
"""An exponential approach whose second half gains three quarters of what its first half gained has covered
about two fifths of the way: it has hardly begun to bend."""

_NO_LONGER_GAINING = 1e-3
"""A second half that gains less than this share of the whole gain counts as standing still."""

_STEADY_GAIN = 0.9
"""A quarter that gains as much as nine tenths of the one before shows no end that could be extrapolated."""

_BEGUN = 0.05
"""The share of the whole gain after which a descent that first stood still, or jumped up, has begun."""

_SURE_OF_A_FALL = 3.0
_SURE_OF_A_RISE = 8.0
"""Standard errors. To call a healthy run diverging is the worst mistake, and several windows are looked at."""

_LOST = 6.0
_STILL_SWINGING = 0.7
_PATIENCE = 3

_PACE = 0.1
"""The share of its pace over the whole run that a rise must keep at the end to be one without an end."""


@dataclass(frozen=True)
class Evidence:
    """What a run's losses show, in numbers; None where they do not show it.

    Args:
        losses: the number of finite losses.
        start: the level of the first losses, in units of the loss.
        end: their level at the end.
        lowest: the lowest loss, single outliers aside.
        noise: the standard deviation of a single loss around the level.
        slope: how the level changes per step over the second half.
        slope_error: its standard error.
        growth: the factor by which the rise of the loss grows at each step.
        growth_error: its standard error.
        grows_from: the step from which on it grows.
        period: the steps after which an oscillation repeats.
        gain_left: how much lower the loss would come at this rate, if it goes on as an exponential approach.
        first_non_finite: the step of the first loss of those at the end that are NaN or infinite.
        gaps: the number of losses before the end that are NaN or infinite, and were left out.
        overfitting: where the evaluation loss turned up while the training loss did not.
    """

    losses: int
    start: float | None = None
    end: float | None = None
    lowest: float | None = None
    noise: float | None = None
    slope: float | None = None
    slope_error: float | None = None
    growth: float | None = None
    growth_error: float | None = None
    grows_from: float | None = None
    period: float | None = None
    gain_left: float | None = None
    first_non_finite: float | None = None
    gaps: int = 0
    overfitting: Overfitting | None = None


@dataclass(frozen=True)
class Judgement:
    """How a run goes, and what shows it.

    Args:
        outcome: how it goes.
        evidence: the numbers.
    """

    outcome: Outcome
    evidence: Evidence


def judge(
    losses: Values,
    evaluations: Values | None = None,
    *,
    steps: Values | None = None,
    evaluated_at: Values | None = None,
    lrs: Values | None = None,
) -> Judgement:
    """Judge how a run goes.

    Args:
        losses: the training losses, in the order of their steps. NaN and infinity at the end mean that the run was
            lost; where finite losses follow they were gaps, since parameters that are NaN stay so.
        evaluations: evaluation losses, which tell overfitting and never change the outcome.
        steps: the step of each loss, ascending; by default 0, 1, 2, ...
        evaluated_at: the step of each evaluation, ascending; by default evenly over the run.
        lrs: the learning rate of each loss. While it is still rising at the end, as in a warmup, a rise of the loss
            counts as divergence only when it exceeds all that the loss had moved before.

    Returns:
        The judgement.

    Raises:
        EmptyDataError: there are fewer than two losses.
        InvalidValueError: `steps`, `lrs` or `evaluated_at` are not as many as what they belong to.

    >>> judgement = judge(1 + 0.01 * 1.5 ** np.arange(20))
    >>> judgement.outcome.value, round(judgement.evidence.growth, 6)
    ('diverging', 1.5)
    """
    losses = np.asarray(losses, float)
    if len(losses) < 2:
        raise EmptyDataError(f"Judging a run takes at least 2 losses, but there are {len(losses)}.")
    steps = _as_many("steps", np.arange(len(losses)) if steps is None else steps, losses)
    lrs = None if lrs is None else _as_many("lrs", lrs, losses)
    finite = np.isfinite(losses)
    lost = len(losses) - _trailing(finite)
    kept = finite.copy()
    kept[lost:] = False
    gaps = int(lost - kept.sum())
    still_rising = lrs is not None and _still_rising(lrs[kept])
    judgement = _judge_finite(losses[kept], steps[kept], still_rising=still_rising)
    evidence = replace(judgement.evidence, gaps=gaps)
    if evaluations is not None and evidence.losses:
        evidence = replace(evidence, overfitting=_overfitting(losses[kept], steps[kept], evaluations, evaluated_at))
    if lost < len(losses):
        return Judgement(Outcome.NON_FINITE, replace(evidence, first_non_finite=float(steps[lost])))
    return Judgement(judgement.outcome, evidence)


def _as_many(name: str, values: Values, losses: Values) -> Values:
    values = np.asarray(values, float)
    if values.shape != losses.shape:
        raise InvalidValueError(f"{name} must be as many as the losses, {len(losses)}, but they are {values.size}.")
    return values


def _trailing(finite: Bool[np.ndarray, " step"]) -> int:
    """Return how many losses at the end are lost: a stretch without a finite one, longer than any that came back."""
    places = np.flatnonzero(finite)
    if len(places) == 0:
        return len(finite)
    trailing = len(finite) - 1 - int(places[-1])
    came_back = int(np.diff(places, prepend=-1).max()) - 1
    return trailing if trailing > came_back else 0


def _still_rising(lrs: Values) -> bool:
    return len(lrs) >= 2 and bool(lrs[-1] > lrs[-2] and lrs[-1] == lrs.max())


def _judge_finite(losses: Values, steps: Values, *, still_rising: bool) -> Judgement:
    count = len(losses)
    if count < 2:
        level = float(losses[0]) if count else None
        return Judgement(Outcome.PLATEAUED, Evidence(count, start=level, end=level, lowest=level))
    # In units of the largest one nothing overflows, be the losses 1e300 or 1e-300.
    largest = float(np.abs(losses).max()) or 1.0
    values = losses / largest
    scatter = scatter_of(values)
    outcome, shape = _outcome(values, steps, scatter, still_rising=still_rising)
    grown = growth_of(values, steps, scatter) if shape.rises else None
    second = steps >= (steps[0] + steps[-1]) / 2
    slope, slope_error = slope_of(values[second], steps[second]) or (None, None)
    growth, growth_error, grows_from = grown or (None, None, None)
    spacing = float(np.median(np.diff(steps)))

    def in_units(value: float | None) -> float | None:
        return None if value is None else value * largest

    evidence = Evidence(
        count,
        start=in_units(shape.start),
        end=in_units(shape.end),
        lowest=in_units(float(without_single_spikes(values).min())),
        noise=in_units(scatter.of_one),
        slope=in_units(slope),
        slope_error=in_units(slope_error),
        growth=growth,
        growth_error=growth_error,
        grows_from=None if grows_from is None else float(steps[grows_from]),
        period=None if shape.period is None else shape.period * spacing,
        gain_left=in_units(shape.gain_left),
    )
    return Judgement(outcome, evidence)


@dataclass(frozen=True)
class _Shape:
    start: float
    end: float
    rises: bool = False
    period: float | None = None
    gain_left: float | None = None


def _outcome(values: Values, steps: Values, scatter: Scatter, *, still_rising: bool) -> tuple[Outcome, _Shape]:
    start = level_of(values[: _PATIENCE if len(values) >= FEWEST_FOR_SCATTER else 1])
    end, _ = _level(values, steps, scatter, at=1.0)
    if _rises_beyond(values, scatter, still_rising=still_rising):
        return Outcome.DIVERGING, _Shape(start, end, rises=True)
    begun = _beginning(values, scatter)
    values, steps = values[begun:], steps[begun:]
    (first, doubt), (middle, more), (last, most) = (_level(values, steps, scatter, at=at) for at in (0.0, 0.5, 1.0))
    doubt = _SURE_OF_A_FALL * float(np.hypot(max(doubt, more), most))
    first_half, second_half = first - middle, middle - last
    whole = max(first, float(np.median(values[:_PATIENCE]))) - last
    if len(values) < 3:
        return (Outcome.CONVERGING if whole > doubt else Outcome.PLATEAUED), _Shape(start, end)
    if second_half <= max(_NO_LONGER_GAINING * whole, doubt):
        period = _steady_period(values[steps >= (steps[0] + steps[-1]) / 2], whole)
        if period is not None:
            return Outcome.OSCILLATING, _Shape(start, end, period=period)
        return Outcome.PLATEAUED, _Shape(start, end, gain_left=0.0)
    if second_half > STILL_STRAIGHT * first_half:
        return Outcome.TOO_SLOW, _Shape(start, end)
    # The last tenth has its middle at 0.95, so these stand a quarter of the run apart.
    earlier, later = (_level(values, steps, scatter, at=at)[0] for at in (0.45, 0.7))
    return Outcome.CONVERGING, _Shape(start, end, gain_left=_gain_left(earlier - later, later - last, doubt))


def _gain_left(third_quarter: float, fourth_quarter: float, doubt: float) -> float | None:
    """Extrapolate what is left to gain, as Aitken did: each quarter gains the same share of what the one before did."""
    if fourth_quarter <= doubt or fourth_quarter >= _STEADY_GAIN * third_quarter:
        return None
    return fourth_quarter**2 / (third_quarter - fourth_quarter)


def _level(values: Values, steps: Values, scatter: Scatter, *, at: float) -> tuple[float, float]:
    """Return the level over the tenth of the run that lies at a share of it, and its standard error."""
    reach = float(steps[-1] - steps[0])
    centre = float(steps[0]) + at * reach
    width = reach / 10 if 0 < at < 1 else reach / 5
    first, last = np.searchsorted(steps, [centre - width / 2, centre + width / 2], side="left")
    last = max(int(last), int(first))
    fewest = _PATIENCE if len(values) >= FEWEST_FOR_SCATTER else 1
    if last - first < fewest:
        first = int(np.clip(np.searchsorted(steps, centre) - fewest // 2, 0, len(values) - fewest))
        last = first + fewest
    part = values[first:last]
    return level_of(part), scatter.of_level(len(part))


def _rises_beyond(values: Values, scatter: Scatter, *, still_rising: bool) -> bool:
    """Tell whether the run ends higher than it ever stood, by more than its scatter, and is not coming down."""
    count = len(values)
    if count < FEWEST_FOR_SCATTER:
        highest, lowest, last = float(values[:-1].max()), float(values[:-1].min()), float(values[-1])
        lost = (highest - lowest) if still_rising else 0.0
        keeps_rising = bool((np.diff(values[-_PATIENCE - 1 :]) > 0).all())
        return keeps_rising and last > highest + lost + _SURE_OF_A_FALL * scatter.of_one
    calm = without_single_spikes(values)
    foot = float(calm.min())
    width = _PATIENCE
    while 3 * width <= count:
        # Short windows against every single loss before, spikes aside; longer ones against levels like themselves.
        before = calm[:-width] if width == _PATIENCE else _means(calm[:-width], width)
        recent = values[-width:]
        # Of a mean and a middle the lower one, because the losses before are compared by their means.
        level = min(level_of(recent), float(calm[-width:].mean()) if width > _PATIENCE else np.inf)
        doubt = _SURE_OF_A_RISE * scatter.of_level(width) * np.sqrt(2)
        highest = float(before.max())
        # What rises ever more slowly comes to rest, as a trained model does that finds its noise at a new rate.
        limit = highest + doubt + _PACE * width / count * max(highest - foot, 0.0)
        if still_rising:
            limit += float(before.max() - before.min()) + _LOST * scatter.of_one
        older, newer = level_of(recent[: (width + 1) // 2]), level_of(recent[width // 2 :])
        if level > limit and newer >= older:
            return True
        width *= 2
    return False


def _means(values: Values, width: int) -> Values:
    return values[len(values) % width :].reshape(-1, width).mean(axis=1)


def _beginning(values: Values, scatter: Scatter) -> int:
    """Return where the descent begins: after the last time that the loss stood where it had started."""
    calm = without_single_spikes(values)
    width = max(_PATIENCE, len(values) // 50)
    if len(values) < 4 * width:
        return 0
    levels = _means(calm, width)
    start, end = float(levels[0]), float(levels[-1])
    if start - end <= _SURE_OF_A_FALL * np.sqrt(2) * scatter.of_level(width):
        return 0
    last = int(np.flatnonzero(levels >= start - _BEGUN * (start - end))[-1])
    begun = len(values) % width + last * width if last else 0
    return begun if len(values) - begun >= FEWEST_FOR_SCATTER else 0


def _steady_period(values: Values, whole: float) -> float | None:
    """Return the period of an oscillation that does not die away, in losses."""
    period = period_of(values)
    if period is None:
        return None
    half = len(values) // 2
    calm = without_outliers(values)
    swings = [float(np.std(part)) for part in (calm[:half], calm[half:])]
    steady = swings[1] >= _STILL_SWINGING * swings[0] and swings[1] > _NO_LONGER_GAINING * max(whole, 0.0)
    return period if steady else None


def _overfitting(losses: Values, steps: Values, evaluations: Values, evaluated_at: Values | None) -> Overfitting | None:
    evaluations = np.asarray(evaluations, float)
    if evaluated_at is None:
        evaluated_at = steps[0] + (steps[-1] - steps[0]) * np.linspace(0, 1, len(evaluations), dtype=float)
    evaluated_at = np.asarray(evaluated_at, float)
    if evaluated_at.shape != evaluations.shape:
        raise InvalidValueError(
            f"evaluated_at must be as many as the evaluations, {len(evaluations)}, but they are {evaluated_at.size}."
        )
    finite = np.isfinite(evaluations)
    if len(losses) < 2:
        return None
    largest = max(float(np.abs(values).max(initial=0.0)) for values in (losses, evaluations[finite])) or 1.0
    found = overfitting_of(
        evaluations[finite] / largest, evaluated_at[finite], losses / largest, steps, scatter_of(losses / largest)
    )
    return found and Overfitting(found.best_step, found.best * largest, found.risen * largest)
