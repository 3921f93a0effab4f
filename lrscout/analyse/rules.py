"""The four classic rules, as pure functions of rates and losses.

Each takes rising rates and finite losses of the same length, as they are (smooth them first), and returns a rate,
or None where the curve has no such place. On curves where fastai's own functions of the same names are sound, these
give the same rate (a test holds them against fastai); where they are not, the docstring says what differs.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    Rates = Float[np.ndarray, " step"]
    Losses = Float[np.ndarray, " step"]

_SLIDE_POINTS = 85
_SLIDE_WIDTH = 15
_SLIDE_THRESHOLD = 0.005


def minimum(lrs: Rates, losses: Losses) -> float | None:
    """Return a tenth of the rate at which the loss is lowest (fast.ai, Jeremy Howard, on Smith's range test)."""
    return float(lrs[losses.argmin()]) / 10


def steepest(lrs: Rates, losses: Losses) -> float | None:
    """Return the rate at which the loss falls fastest per logarithm of the rate (fastai's `steep`).

    The derivative is taken per log lr. Per linear lr, on an exponential ladder, it is divided by ever larger steps,
    and the answer lands orders of magnitude too low.
    """
    slopes = np.diff(losses) / np.diff(np.log(lrs))
    at = int(np.argmin(slopes))
    return float(lrs[at]) if slopes[at] < 0 else None


def valley(lrs: Rates, losses: Losses) -> float | None:
    """Return the rate in the middle of the longest decreasing subsequence of the losses (fastai's `valley`, by ESRI).

    fastai takes the subsequence to have no gaps and counts its start back from its end; here its true first
    element is the start, so that a gap, as noise makes them, does not move the answer.
    """
    start, end = _longest_decrease(losses)
    if start == end:
        return None
    return float(lrs[start + (end - start) // 3 + (end - start) // 6])


def slide(lrs: Rates, losses: Losses) -> float | None:
    """Return the rate at which an interval, slid down from the largest rate, first sees an even slope.

    fastai's `slide`, by Andrew Chang (Novetta): two slopes a fixed interval apart are compared, from the explosion
    downwards, until they differ by no more than a threshold. fastai's constants are absolute, set on curves of
    about 85 points whose loss falls by about 1; here they follow the length of the curve and its fall, so that the
    answer does not depend on the unit of the loss. Where the slopes never become even fastai returns the first
    rate, and here it is none.
    """
    points = len(losses)
    width = max(1, round(_SLIDE_WIDTH * points / _SLIDE_POINTS))
    fall = float(losses[0] - np.min(losses))
    if fall <= 0 or width >= points:
        return None
    slopes = np.gradient(losses) * points / _SLIDE_POINTS
    uneven = np.abs(slopes[width:] - slopes[:-width]) > _SLIDE_THRESHOLD * fall
    first_even = len(uneven) - int(np.argmin(uneven[::-1])) - 1
    if uneven.all():
        return None
    return float(lrs[min(first_even + 1, len(uneven) - 1)])


def _longest_decrease(losses: Losses) -> tuple[int, int]:
    """Return the first and the last index of the longest strictly decreasing subsequence.

    Patience sorting: `ends[k]` is the index of the largest loss that ends a subsequence of length k + 1, and a
    subsequence's first index travels along with its end.
    """
    ends: list[int] = []
    negated: list[float] = []
    starts: list[int] = []
    longest = (0, 0)
    for index, loss in enumerate(losses):
        length = bisect_left(negated, -float(loss))
        start = starts[length - 1] if length else index
        if length == len(ends):
            ends.append(index)
            negated.append(-float(loss))
            starts.append(start)
            longest = (start, index)
        else:
            ends[length], negated[length], starts[length] = index, -float(loss), start
    return longest
