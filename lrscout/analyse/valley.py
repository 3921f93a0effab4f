"""The valley that the losses of neighbouring learning rates lie in, and the rate to take where it will have moved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    PerRate = Float[np.ndarray, " rate"]

_RISE_TO_THE_LEFT = 0.1
_RISE_TO_THE_RIGHT = 0.6
"""How fast the shares go on to rise beyond the rates that were tried, in each octave: a rate that is too low loses a
little, and one that is too high may lose everything."""

_REACH_BELOW, _REACH_ABOVE = 8.0, 4.0
_STEP = 1 / 16
_DEVIATIONS = np.linspace(-2.0, 2.0, 17)


@dataclass(frozen=True, eq=False)
class Valley:
    """What rates lost that ran side by side for the same number of steps.

    Args:
        octaves: the base-2 logarithms of the rates, ascending.
        shares: for each rate, how much of the fall of the best one it did without: 0 for the best, and 1 for one that
            is no better than standing still, or diverged.
        noise: how much of a share is noise.
    """

    octaves: PerRate
    shares: PerRate
    noise: float

    @property
    def vertex(self) -> float:
        """The octave of the lowest point of a parabola through the best rate and its neighbours.

        It is at most half an octave from the best rate. A neighbour that is missing counts as a loss of everything. Of
        neighbours that are not equally far the best rate itself is returned.
        """
        best = int(np.argmin(self.shares))
        gaps = np.diff(self.octaves[max(best - 1, 0) : best + 2])
        if len(gaps) == 2 and gaps[0] != gaps[1]:
            return float(self.octaves[best])
        left = self.shares[best - 1] if best > 0 else 1.0
        right = self.shares[best + 1] if best + 1 < len(self.shares) else 1.0
        bend = left + right - 2 * self.shares[best]
        return float(self.octaves[best] + (np.clip((left - right) / bend, -1, 1) / 2 if bend > 0 else 0.0))

    def least_risk(self, shift: float, doubt: float) -> Choice:
        """Return the rate that is expected to lose least when the valley has moved.

        A valley is lopsided: an octave below its lowest point costs little, and an octave above may cost everything.
        So the more doubt there is, the lower the rate.

        Args:
            shift: by how many octaves the valley is expected to move.
            doubt: the standard deviation of that.
        """
        octaves = np.arange(self.octaves[0] - _REACH_BELOW, self.octaves[-1] + _REACH_ABOVE, _STEP)
        weights = np.exp(-(_DEVIATIONS**2) / 2)
        moves = shift + doubt * _DEVIATIONS
        shares = np.array([self._share_at(octaves - move) for move in moves])
        expected = weights / weights.sum() @ shares
        best = int(np.argmin(expected))
        good = np.flatnonzero(expected <= expected[best] + self.noise)
        return Choice(float(octaves[best]), float(octaves[good[0]]), float(octaves[good[-1]]), float(expected[best]))

    def _share_at(self, octaves: Float[np.ndarray, " octave"]) -> Float[np.ndarray, " octave"]:
        """Return the share at any octave: between the rates that were tried in straight lines."""
        inside = np.interp(octaves, self.octaves, self.shares)
        below = _RISE_TO_THE_LEFT * np.maximum(self.octaves[0] - octaves, 0)
        above = _RISE_TO_THE_RIGHT * np.maximum(octaves - self.octaves[-1], 0)
        return np.minimum(inside + below + above, 1.0)


@dataclass(frozen=True)
class Choice:
    """A rate, in octaves.

    Args:
        octave: the base-2 logarithm of the rate.
        low: that of the lowest rate that is expected to do as well, within the noise.
        high: that of the highest such rate.
        expected: the share of the fall that the rate is expected to lose.
    """

    octave: float
    low: float
    high: float
    expected: float


def valley_of(scores: Mapping[float, float], standing: float, noise: float) -> Valley | None:
    """Return the valley of some scores, or None where no rate has come down by more than the noise.

    Args:
        scores: for the octave of each rate, the loss that it came to; infinite where it diverged.
        standing: the loss of standing still, on the same data.
        noise: the deviation of a single loss from its expectation.

    >>> valley = valley_of({-2.0: 0.5, -1.0: 0.25, 0.0: 0.5}, standing=1.0, noise=0.0)
    >>> valley.vertex, valley.shares.round(2).tolist()
    (-1.0, [0.33, 0.0, 0.33])
    """
    octaves = np.array(sorted(scores))
    losses = np.array([scores[octave] for octave in octaves])
    lowest = losses.min()
    fall = standing - lowest
    if not np.isfinite(fall) or fall <= noise or fall <= 0:
        return None
    return Valley(octaves, np.clip((losses - lowest) / fall, 0, 1), noise / fall)


def highest_harmless(scores: Mapping[float, float], standing: float, noise: float) -> float | None:
    """Return the octave of the highest rate that does no harm beyond the noise; None where all do.

    Where no rate has moved the loss yet, as near a saddle, this is all that short runs tell.
    """
    harmless = [octave for octave, loss in scores.items() if np.isfinite(loss) and loss <= standing + noise / 2]
    return max(harmless, default=None)


def without_the_unsafe(scores: Mapping[float, float], standing: float) -> dict[float, float]:
    """Return the scores with infinity for every rate above one that was lost.

    A rate is lost whose loss lies above standing still by more than half of what the best rate has gained. That a
    higher one has come through is luck, which will not last.

    >>> without_the_unsafe({-2.0: 0.5, -1.0: 9.0, 0.0: 0.25}, standing=1.0)
    {-2.0: 0.5, -1.0: 9.0, 0.0: inf}
    """
    gained = max(standing - min(scores.values()), 0.0)
    lost = [octave for octave, loss in scores.items() if not loss <= standing + gained / 2]
    lowest = min(lost, default=math.inf) if gained > 0 else math.inf
    return {octave: loss if octave <= lowest else math.inf for octave, loss in scores.items()}
