"""Long curves as few points that look like all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def thinned(values: Float[np.ndarray, " point"], most: int) -> Int[np.ndarray, " kept"]:
    """Return the positions of the lowest and the highest value of each stretch, the first and the last.

    What is not finite counts as the highest value, so that the end of a lost run is kept.

    Args:
        values: a curve.
        most: how many positions to keep, at least 4.

    >>> thinned(np.array([1.0, 9.0, 2.0, 3.0, 3.0, -5.0, 3.0, 4.0]), 6)
    array([0, 1, 5, 7])
    """
    count = len(values)
    if count <= most:
        return np.arange(count)
    size = -(-count // ((most - 2) // 2))
    rows = -(-count // size)
    # The last stretch is filled up with its own first value, which is found before its copies are.
    filled = np.full(rows * size, values[(rows - 1) * size])
    filled[:count] = values
    highest = np.where(np.isfinite(filled), filled, np.inf).reshape(rows, size).argmax(axis=1)
    lowest = np.where(np.isfinite(filled), filled, np.inf).reshape(rows, size).argmin(axis=1)
    begins = np.arange(rows) * size
    return np.unique(np.concatenate([[0], begins + lowest, begins + highest, [count - 1]]))
