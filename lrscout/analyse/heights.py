"""Between which heights to look at a range test, so that its fall is seen and its explosion does not hide it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lrscout.analyse.smoothing import opening_noise, opening_of
from lrscout.core.curve import Curve

if TYPE_CHECKING:
    from jaxtyping import Float

_LARGEST = 1e300
"""What larger losses are taken for, so that the distance between two of them is a number."""


def heights_of(curves: Sequence[Curve]) -> tuple[float, float]:
    """Return the heights between which to look at the curves of a range test, or (0, 1) if no loss was finite.

    Args:
        curves: the curves of the loss that was watched.
    """
    windows = [_valley(finite) for curve in curves if len(finite := curve.losses[np.isfinite(curve.losses)])]
    if not windows:
        return 0.0, 1.0
    low, high = min(low for low, _ in windows), max(high for _, high in windows)
    return low - 0.08 * (high - low), high


def _valley(losses: Float[np.ndarray, " step"]) -> tuple[float, float]:
    """Return the heights between which a curve starts, falls, and begins to rise, without its explosion."""
    losses = np.clip(losses, -_LARGEST, _LARGEST)
    opening = opening_of(losses)
    # On a short ladder the loss may be falling already while it opens.
    start, lowest = max(float(losses[0]), float(np.median(losses[:opening]))), float(np.min(losses))
    scatter = opening_noise(losses)
    reach = max(0.6 * (start - lowest), 4 * scatter)
    if reach <= 1e-6 * abs(start):  # Flat, but perhaps for a rise at the end, of which the last part may be explosion.
        reach = max(float(np.quantile(losses, 0.75)) - start, 0.1 * abs(start)) or 1.0
    return min(lowest, start - reach / 2), start + reach
