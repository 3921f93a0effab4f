"""How a run ended, judged from its losses alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lrscout.analyse.smoothing import noise
from lrscout.core.curve import Outcome
from lrscout.core.errors import EmptyDataError

if TYPE_CHECKING:
    from jaxtyping import Float

_STILL_STRAIGHT = 0.75
"""An exponential approach whose second half gains three quarters of what its first half gained has covered
about two fifths of the way: it has hardly begun to bend."""

_NO_LONGER_GAINING = 1e-3
"""A second half that gains less than this share of the whole gain counts as standing still."""

_ERROR_OF_MEDIAN = 1.25
"""The standard error of a median of normal values, in units of that of their mean."""

_ALTERNATING = 0.9
"""The share of steps that turn back. Independent noise turns back at two thirds of them."""


def outcome_of(losses: Float[np.ndarray, " step"]) -> Outcome:
    """Judge how a run ended.

    Args:
        losses: the loss at each step, in order.

    Returns:
        The outcome. Every comparison is one of differences with the curve's own noise, so that adding a constant to
        the losses, or multiplying them by a positive one, changes nothing.

    Raises:
        EmptyDataError: there are fewer than two losses.

    >>> outcome_of(np.array([4.0, 5.0, 6.5, 8.9])).value
    'diverging'
    """
    if len(losses) < 2:
        raise EmptyDataError(f"Judging a run takes at least 2 losses, but there are {len(losses)}.")
    if not np.isfinite(losses).all():
        return Outcome.NON_FINITE
    edge = max(1, len(losses) // 10)
    centre = len(losses) // 2
    start = float(np.median(losses[:edge]))
    middle = float(np.median(losses[max(0, centre - edge // 2) : centre + edge // 2 + 1]))
    end = float(np.median(losses[-edge:]))
    # The error of the difference of two medians of `edge` noisy values each, three times over. The quieter half tells
    # the noise, since the steps of an explosion look like noise.
    size = min(float(np.median(noise(half))) for half in (losses[: centre + 1], losses[centre:]))
    doubt = 3 * _ERROR_OF_MEDIAN * size * np.sqrt(2 / edge)

    if end > start + doubt and end >= middle:
        return Outcome.DIVERGING
    if start - end <= doubt and _alternates(losses[centre:], gained=start - end):
        return Outcome.OSCILLATING
    if start - end <= doubt:
        return Outcome.PLATEAUED
    if len(losses) < 3:
        return Outcome.CONVERGING
    first_half, second_half = start - middle, middle - end
    if second_half <= max(_NO_LONGER_GAINING * (start - end), doubt):
        return Outcome.PLATEAUED
    if second_half > _STILL_STRAIGHT * first_half:
        return Outcome.TOO_SLOW
    return Outcome.CONVERGING


def _alternates(losses: Float[np.ndarray, " step"], gained: float) -> bool:
    changes = np.diff(losses)
    if len(changes) < 8:
        return False
    turns = np.mean(changes[1:] * changes[:-1] < 0)
    swing = float(np.median(np.abs(changes)))
    return bool(turns > _ALTERNATING and swing > _NO_LONGER_GAINING * abs(gained))
