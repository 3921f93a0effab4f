"""What a curve shows in numbers: growth, period, slope, and where the evaluation turns up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.analyse.levels import FEWEST_FOR_SCATTER, Scatter, level_of, scatter_of, without_single_spikes

if TYPE_CHECKING:
    from jaxtyping import Float

    Values = Float[np.ndarray, " step"]

_ABOVE_THE_NOISE = 4.0
_FEWEST_TO_GROW = 3
_FEWEST_FOR_PERIOD = 16
_LONGEST_SPECTRUM = 4096
_FEWEST_CYCLES = 4
_MOST_OF_THE_VARIANCE = 0.7
"""A share of the variance in one line of the spectrum that neither noise nor a smoothed log gets to, nor a sawtooth."""

_NEARLY_ALL = 0.95
_LONGEST_CYCLE = 4.5

_BLOCKS = 40
_SIGNIFICANT = 3.0


@dataclass(frozen=True)
class Overfitting:
    """Where the evaluation loss was lowest before it turned up while the training loss went on falling.

    Args:
        best_step: the step of the lowest evaluation.
        best: the lowest evaluation loss.
        risen: how far the last ones stand above it.
    """

    best_step: float
    best: float
    risen: float


def growth_of(losses: Values, steps: Values, scatter: Scatter) -> tuple[float, float, int] | None:
    """Measure by what factor the part of the loss that grows does so at each step.

    `level + c growth^step` has differences `c (growth^lag - 1) growth^step`, whatever the level, so their logarithm is
    a straight line whose slope is the logarithm of the growth.

    Args:
        losses: the losses of a run that ends in a rise.
        steps: their step numbers, ascending.
        scatter: their scatter.

    Returns:
        The factor, its standard error, and the place from which on the loss grows; None where too little of it shows.
    """
    begins, scatter = _beginning_of_growth(losses, scatter)
    rising, at = losses[begins:], steps[begins:]
    if len(rising) < _FEWEST_TO_GROW:
        return None
    spacing = np.diff(at)
    if spacing.max() > 1.01 * spacing.min():
        even: Values = at[0] + (at[-1] - at[0]) * np.linspace(0, 1, len(at), dtype=float)
        rising, at = np.interp(even, at, rising).astype(float), even
    lag = max(1, len(rising) // 4)
    differences = rising[lag:] - rising[:-lag]
    positive = differences > max(scatter.of_one, 0.0)
    if positive.sum() < 2:
        return None
    logarithms, where = np.log(differences[positive]), at[:-lag][positive]
    # What the noise leaves of a small difference is no evidence; once far above it, each counts the same.
    weights = 1 / (1 + (10 * scatter.of_one / differences[positive]) ** 2)
    slope, error = _weighted_line(where, logarithms, weights)
    error *= np.sqrt(lag) if positive.sum() > 2 else 1.0  # Differences that overlap are not independent.
    if not slope < np.log(np.finfo(float).max):
        return None
    growth = float(np.exp(slope))
    return (growth, growth * float(error), begins) if growth > 1 else None


def _beginning_of_growth(losses: Values, scatter: Scatter) -> tuple[int, Scatter]:
    """Return the last place that is no higher than the noise reaches, with the scatter of what lies before it.

    An explosion is steeper than any noise, so its own steps pass for noise until it is taken away.
    """
    foot = float(without_single_spikes(losses)[:-1].min()) if len(losses) > 2 else float(losses.min())
    begins = len(losses)
    while True:
        earlier = int(np.flatnonzero(losses <= foot + _ABOVE_THE_NOISE * scatter.of_one)[-1])
        if earlier >= begins:
            return begins, scatter
        begins = earlier
        if begins < FEWEST_FOR_SCATTER:
            return int(np.flatnonzero(losses[: begins + 1] <= foot)[-1]) if begins else 0, scatter
        scatter = scatter_of(losses[: begins + 1])


def period_of(losses: Values) -> float | None:
    """Return after how many losses a steady oscillation repeats, or None where there is none.

    Most of the variance must lie in one line of the spectrum, in the manner of Fisher's test (1929), of at least four
    cycles: what smoothing makes of noise has fewer.

    Args:
        losses: the losses of a stretch that stands still.

    >>> period_of(np.tile([1.0, 2.0, 3.0, 2.0], 10))
    4.0
    """
    recent = losses[-_LONGEST_SPECTRUM:]
    size = len(recent)
    if size < _FEWEST_FOR_PERIOD:
        return None
    recent = without_outliers(recent)
    swinging = recent - recent.mean()
    reach = float(np.abs(swinging).max())
    if reach <= np.finfo(float).tiny:
        return None
    place = np.arange(size) - (size - 1) / 2
    swinging = swinging / reach - place * (place @ (swinging / reach)) / (place @ place)
    power = np.abs(np.fft.rfft(np.hanning(size + 1)[:size] * swinging)) ** 2
    power[1 : (size + 1) // 2] *= 2  # Lines between zero and the highest frequency stand for two.
    peak = int(np.argmax(power[_FEWEST_CYCLES:])) + _FEWEST_CYCLES
    lines = slice(peak - 1, peak + 2)
    if float(power[lines].sum()) <= 0:
        return None
    centre = float(power[lines] @ np.arange(peak - 1, peak - 1 + len(power[lines])) / power[lines].sum())
    # A cycle of four is often two times two, slightly apart: its strongest line is then at half its period. Longer
    # ones are those of a swing, a single line; what repeats in another shape is the order of the data.
    enough = min(_MOST_OF_THE_VARIANCE + 2 / len(power), _NEARLY_ALL)
    for parts in (1, 2):
        first = centre / parts
        period = size / first
        harmonics = period < _LONGEST_CYCLE
        if first >= _FEWEST_CYCLES and _share_of_lines(power, first, harmonics=harmonics) > enough:
            nearest = round(period)
            return float(nearest) if abs(period - nearest) < period / size else period
    return None


def _share_of_lines(power: Values, first: float, *, harmonics: bool) -> float:
    """Return the share of the variance in a line and its multiples, beyond what noise would put there."""
    multiples = np.arange(first, len(power) if harmonics else first + 1, first).round().astype(int)
    places: Any = np.unique(np.clip(multiples[:, np.newaxis] + [-1, 0, 1], 1, len(power) - 1))
    expected = len(places) / (len(power) - 1)
    share = float(np.sum(power[places])) / float(np.sum(power))
    return (share - expected) / (1 - expected) if expected < 1 else 0.0


def without_outliers(losses: Values) -> Values:
    """Return the losses with bad batches drawn in: to as far outside of the middle nine tenths as those are wide."""
    low, high = np.quantile(losses, [0.05, 0.95])
    return np.clip(losses, 2 * low - high, 2 * high - low)


def slope_of(losses: Values, steps: Values) -> tuple[float, float] | None:
    """Return the slope per step of a stretch and its standard error, by a line through the levels of its blocks."""
    if len(losses) < 3:
        return None
    blocks = min(_BLOCKS, len(losses))
    levels = np.array([level_of(part) for part in np.array_split(losses, blocks)])
    places = np.array([np.mean(part) for part in np.array_split(steps, blocks)])
    slope, error = _weighted_line(places, levels, np.ones(blocks))
    return float(slope), float(error)


def overfitting_of(
    evaluations: Values, evaluated_at: Values, losses: Values, steps: Values, scatter: Scatter
) -> Overfitting | None:
    """Tell whether the evaluation loss has turned up while the training loss did not.

    Args:
        evaluations: finite evaluation losses.
        evaluated_at: their steps, ascending.
        losses: finite training losses.
        steps: their steps, ascending.
        scatter: the scatter of the training losses.

    Returns:
        Where it turned and how far it has risen; None where it has not, or no further than its own noise.
    """
    if len(evaluations) < 4:
        return None
    best = int(np.argmin(evaluations))
    after = evaluations[best + 1 :]
    if len(after) < 3:
        return None
    own = scatter_of(evaluations)
    recent = after[-max(2, len(after) // 3) :]
    risen = level_of(recent) - float(evaluations[best])
    # The lowest of many noisy values lies below their level, by more the more there are.
    expected = own.of_one * np.sqrt(2 * np.log(len(evaluations)))
    if risen <= expected + _SIGNIFICANT * own.of_level(len(recent)):
        return None
    there = np.flatnonzero(steps >= evaluated_at[best])
    if len(there) < 2:
        return None
    width = max(1, min(len(there) // 4, len(losses) // 10))
    then, now = level_of(losses[there[0] :][:width]), level_of(losses[-width:])
    if now > then + _SIGNIFICANT * scatter.of_level(width):
        return None
    return Overfitting(float(evaluated_at[best]), float(evaluations[best]), risen)


def _weighted_line(places: Values, values: Values, weights: Values) -> tuple[float, float]:
    """Return the slope of a line and its standard error by weighted least squares."""
    weights = weights / weights.sum()
    centred = places - weights @ places
    spread = float(weights @ centred**2)
    if spread <= 0:
        return 0.0, 0.0
    slope = float(weights @ (centred * values)) / spread
    residuals = values - weights @ values - slope * centred
    freedom = len(values) - 2
    if freedom < 1:
        return slope, 0.0
    count = 1 / float(weights @ weights)  # As many as would weigh the same together.
    variance = float(weights @ residuals**2) * len(values) / freedom
    return slope, float(np.sqrt(variance / (count * spread)))
