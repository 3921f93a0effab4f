"""Steps in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def in_order(steps: Float[np.ndarray, " row"]) -> Int[np.ndarray, " kept"]:
    """Return the rows in the order of their steps, of those with one step the last.

    Args:
        steps: the step of each row.

    >>> in_order(np.array([3.0, 1.0, 3.0]))
    array([1, 2])
    """
    order = np.argsort(steps, kind="stable")
    last = np.append(np.diff(steps[order]) != 0, True) if len(order) else np.zeros(0, bool)
    return order[last]
