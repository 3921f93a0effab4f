"""The level of noisy losses, for the pictures of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lrscout.analyse.smoothing import level_line

if TYPE_CHECKING:
    from jaxtyping import Float

_USUAL = 0.75
_FAR = 10
_ABOVE_START = 0.35
"""The pictures of studies show what lies above the start by so many heights of the fall."""


def level_of(
    losses: Float[np.ndarray, " step"], noise: float | None, *, up_to_start: bool = False
) -> Float[np.ndarray, " step"] | None:
    """Return the level of the losses where it shows more than they do; NaN where they are not finite.

    Args:
        losses: the losses of a run.
        noise: the standard deviation of their noise, if it is known.
        up_to_start: whether the picture ends a little above the first loss, or else where an explosion would flatten
            what is usual.

    >>> level_of(np.array([3.0, 2.0, 1.0]), 0.0) is None
    True
    """
    finite = np.isfinite(losses)
    known = losses[finite]
    if len(known) == 0:
        return None
    usual = known[0] if up_to_start else np.quantile(known, _USUAL)
    far = _ABOVE_START if up_to_start else _FAR
    with np.errstate(over="ignore"):
        span = min(known.max(), usual + far * (usual - known.min())) - known.min()
        level = level_line(known, noise, float(span))
    if level is None:
        return None
    whole = np.full(len(finite), np.nan)
    whole[finite] = level
    return whole
