"""The level of a noisy loss, and the size of its noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

ROUGH = 0.9
"""Enough smoothing to see a noisy curve's shape, and little enough not to lag far behind it."""

_PARTS_OF_RUN = 60
"""The level of a run looks back over such a part of it."""

_NOISY = 0.02
"""The noise, as a share of what the losses span, from which on their level shows more than they do."""

_TOLERATED_NOISE = 0.02
_MOST_SMOOTHING = 0.95
_SPIKE = 10.0
_NOISE_WINDOW = 9
_MEDIAN_OF_ABSOLUTE_NORMAL = 0.6745


def smooth(losses: Float[np.ndarray, "*curve step"], smoothing: float) -> Float[np.ndarray, "*curve step"]:
    """Return the exponentially weighted mean of the losses up to each step.

    The weights are corrected for the missing past (Kingma and Ba 2015, arXiv 1412.6980, section 3), so that a
    constant loss comes out as that constant from the first step on.

    Args:
        losses: finite losses, one curve or a stack of curves.
        smoothing: the weight of the past, in [0, 1); 0 returns the losses themselves.

    >>> smooth(np.array([2.0, 2.0, 2.0]), 0.9).round(12)
    array([2., 2., 2.])
    """
    # One curve is fastest as plain numbers, a stack of them as a column for each step; the arithmetic is the same.
    columns = losses.tolist() if losses.ndim == 1 else np.moveaxis(losses, -1, 0)
    smoothed: list[Any] = []
    mean: Any = 0.0
    weight = 0.0
    for column in columns:
        weight = smoothing * weight + (1 - smoothing)
        share = (1 - smoothing) / weight
        mean = (1 - share) * mean + share * column
        smoothed.append(mean)
    return np.stack(smoothed, axis=-1) if smoothed else np.zeros(losses.shape)


def level_line(
    losses: Float[np.ndarray, " step"], noise: float | None, span: float
) -> Float[np.ndarray, " step"] | None:
    """Return the level of the losses of a whole run, or None where the losses themselves show as much.

    Args:
        losses: finite losses.
        noise: the standard deviation of their noise, if it is known.
        span: the height of the window in which they are looked at.
    """
    if len(losses) <= _PARTS_OF_RUN or noise is None or noise <= _NOISY * span:
        return None
    return smooth(losses, 1 - 1 / max(2.0, len(losses) / _PARTS_OF_RUN))


def without_spikes(losses: Float[np.ndarray, " step"]) -> Float[np.ndarray, " step"]:
    """Return the losses with single spikes replaced by the higher of their neighbours.

    One bad batch would otherwise hide everything after it. An explosion stays: its steps have a higher neighbour.

    Args:
        losses: finite losses.
    """
    if len(losses) < 3:
        return losses
    neighbours = np.maximum(losses[:-2], losses[2:])
    middle = losses[1:-1]
    cleaned = losses.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        cleaned[1:-1] = np.where(middle - neighbours > _SPIKE * noise(losses)[1:-1], neighbours, middle)
    return cleaned


def smoothing_for(losses: Float[np.ndarray, " step"]) -> float:
    """Return the least smoothing that brings the noise of a range test's losses down to 2 % of their fall.

    Smoothing with weight `s` leaves `sqrt((1 - s) / (1 + s))` of the noise and lags `s / (1 - s)` steps behind. So a
    curve without noise, as from full batches, is left as it is, and a noisy one lags no more than its noise asks for:
    at most 19 steps, since the weight never exceeds 0.95, which leaves a sixth of the noise.
    The mean looks back only: a centred window would let the explosion leak into the losses before it.

    Args:
        losses: finite losses, at least one.
    """
    opening, size = opening_of(losses), opening_noise(losses)
    fall = float(np.median(losses[:opening])) - float(np.min(smooth(losses, ROUGH)))
    if size <= 0:
        return 0.0
    left = min(_TOLERATED_NOISE * max(fall, 0.0) / size, 1.0)
    return min((1 - left**2) / (1 + left**2), _MOST_SMOOTHING)


def opening_of(losses: Float[np.ndarray, " step"]) -> int:
    """Return how many steps at the start of a range test show the loss and its noise before the rate matters."""
    return max(1, min(5, len(losses) // 3), len(losses) // 10)


def opening_noise(losses: Float[np.ndarray, " step"]) -> float:
    """Return the standard deviation of the noise in the opening of a range test."""
    return float(np.median(noise(losses[: opening_of(losses) + 2])))


def noise(losses: Float[np.ndarray, " step"]) -> Float[np.ndarray, " step"]:
    """Return the standard deviation of the noise around each step of a curve.

    It is read off second differences, in which a smooth trend cancels and independent noise does not
    (Gasser, Sroka and Jennen-Steinmetz 1986, Biometrika 73), by their median over nine neighbours, so that a
    cliff at one end does not count as noise.

    Args:
        losses: finite losses; with fewer than three the noise is unknown and 0 is returned.
    """
    if len(losses) < 3:
        return np.zeros(len(losses))
    # An exploding curve may overflow here, and then its noise is infinite, which is a fair description.
    with np.errstate(over="ignore", invalid="ignore"):
        residuals = np.abs(losses[1:-1] - losses[:-2] / 2 - losses[2:] / 2) * np.sqrt(2 / 3)
    reach = min(_NOISE_WINDOW // 2, (len(losses) - 1) // 2)
    padded = np.pad(residuals, reach + 1, mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    return np.median(windows, axis=-1) / _MEDIAN_OF_ABSOLUTE_NORMAL
