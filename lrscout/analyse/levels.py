"""The level of a curve and how sure it is, whatever the noise: independent, smoothed, or rippling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lrscout.analyse.smoothing import noise

if TYPE_CHECKING:
    from jaxtyping import Float

FEWEST_FOR_SCATTER = 9
"""Fewer losses than these show a direction, and no scatter that could be told from it."""

_FEWEST_BLOCKS = 12
_SCALES = 3
_MEDIAN_OF_ABSOLUTE_NORMAL = 0.6745
_NORM_OF_FOURTH_DIFFERENCE = np.sqrt(70.0)
_ERROR_OF_LEVEL = 1.1
"""The standard error of the mean of the middle half of normal values, in units of that of all of them."""

_INDEPENDENT = float(np.sqrt(0.5))
"""The factor by which the scatter of means of independent losses falls as their width doubles."""

_FEWEST_ROUNDINGS = 16
_ROUNDING = float(np.finfo(float).eps)


def without_single_spikes(losses: Float[np.ndarray, " step"]) -> Float[np.ndarray, " step"]:
    """Return the running median of three losses, which no single bad batch moves; the ends see one neighbour.

    >>> without_single_spikes(np.array([3.0, 2.0, 90.0, 1.0, 0.0])).tolist()
    [3.0, 3.0, 2.0, 1.0, 0.0]
    """
    if len(losses) < 3:
        return losses
    before, here, after = losses[:-2], losses[1:-1], losses[2:]
    middle = np.maximum(np.minimum(before, here), np.minimum(np.maximum(before, here), after))
    return np.concatenate([losses[:1], middle, losses[-1:]])


def level_of(losses: Float[np.ndarray, " step"]) -> float:
    """Return the mean of the middle half of some losses: bad batches do not move it, nor does an alternation.

    >>> level_of(np.array([1.0, 3.0, 1.0, 3.0, 1.0, 3.0, 900.0, 3.0]))
    2.5
    """
    ordered = np.sort(losses)
    quarter = len(losses) // 4 if len(losses) > 3 else (len(losses) - 1) // 2
    return float(ordered[quarter : len(losses) - quarter].mean())


@dataclass(frozen=True)
class Scatter:
    """How much the level of some neighbouring losses can be off.

    Smoothed losses stray together, so that the mean of a hundred is hardly better known than one of them; losses that
    alternate are known much better. So the scatter of means over 1, 2, 4, ... losses is measured, each at its own
    width, and only extrapolated to widths of which the curve has too few.

    Args:
        by_width: the standard deviation of the means over 1, 2, 4, ... neighbouring losses, as far as known.
        least: what rounding alone leaves unsure.
    """

    by_width: tuple[float, ...]
    least: float

    @property
    def of_one(self) -> float:
        """The standard deviation of a single loss around the level."""
        return max(self.by_width[0], self.least)

    def of_level(self, width: int) -> float:
        """Return the standard error of `level_of` over `width` neighbouring losses."""
        power = np.log2(max(width, 1))
        known = len(self.by_width) - 1
        # Of a few widths, because one alone, known from a dozen blocks, may come out too small by chance.
        widths = range(max(0, min(known, int(power)) - _SCALES + 1), min(known, int(power)) + 1)
        error = max(self.by_width[place] * _INDEPENDENT ** (power - place) for place in widths)
        if power > known:
            error = max(error, self.by_width[known] * self._falls_by ** (power - known))
        # A window that cuts an oscillation short is off by a part of one swing.
        return max(_ERROR_OF_LEVEL * error + self.of_one / max(width, 1), self.least)

    @property
    def _falls_by(self) -> float:
        """By what factor the scatter falls as the width doubles, beyond those that are known.

        It rises by the square root of two where the losses wander, as smoothed ones do within a window of theirs.
        """
        first = max(0, len(self.by_width) - _SCALES)
        doublings = len(self.by_width) - 1 - first
        if doublings == 0 or self.by_width[first] <= 0:
            return _INDEPENDENT
        factor = (self.by_width[-1] / self.by_width[first]) ** (1 / doublings)
        return float(np.clip(factor, _INDEPENDENT, 1 / _INDEPENDENT))


def scatter_of(losses: Float[np.ndarray, " step"]) -> Scatter:
    """Measure how much the level of a curve can be off, by differences in which its trend cancels.

    Fourth differences of means over neighbouring losses take away whatever a cubic can follow, and their median takes
    away the steps of an explosion and of a spike.

    Args:
        losses: finite losses, at least two, of a size whose differences do not overflow.
    """
    # Each step rounds, and over a run that may add up in one direction.
    least = _ROUNDING * max(_FEWEST_ROUNDINGS, len(losses)) * float(np.median(np.abs(losses)))
    changes = np.abs(np.diff(losses))
    moved = changes[changes > 0]
    if len(moved) and 2 * len(moved) < len(changes):
        # A log that prints four digits stands still between its steps, and a step of it is no move beyond noise.
        least = max(least, float(np.median(moved)))
    if len(losses) < FEWEST_FOR_SCATTER:
        centre = len(losses) // 2
        quieter = min(float(np.median(noise(half))) for half in (losses[: centre + 1], losses[centre:]))
        return Scatter((quieter,), least)
    by_width = [_deviation(losses)]
    means = without_single_spikes(losses)
    while len(means) // 2 >= _FEWEST_BLOCKS:
        means = means[len(means) % 2 :].reshape(-1, 2).mean(axis=1)
        by_width.append(_deviation(means))
    return Scatter(tuple(by_width), least)


def _deviation(values: Float[np.ndarray, " block"]) -> float:
    differences = np.abs(np.diff(values, 4)) / _NORM_OF_FOURTH_DIFFERENCE
    return float(np.median(differences)) / _MEDIAN_OF_ABSOLUTE_NORMAL
