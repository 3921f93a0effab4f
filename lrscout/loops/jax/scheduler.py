"""A schedule as optax's own object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.core.imports import require

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float

jax = require("jax", extra="jax")


def optax_schedule(lr: float, factors: Float[np.ndarray, " step"]) -> Callable[[Any], Any]:
    """Return a schedule for an optimizer of optax, such as ``optax.adam(schedule)``.

    Args:
        lr: the peak.
        factors: the factor of every step; past the last one it stays.

    Returns:
        A function of the count of steps, which JAX can trace.

    >>> schedule = optax_schedule(0.5, np.array([1.0, 0.5]))
    >>> [float(schedule(count)) for count in (0, 1, 2)]
    [0.5, 0.25, 0.25]
    """
    table = lr * np.asarray(factors, float)
    # What stays the same at the end needs to be kept once: of a constant rate a single number is left.
    changing = np.flatnonzero(table != table[-1])
    table = table[: changing[-1] + 2 if len(changing) else 1]

    def schedule(count: Any) -> Any:
        return jax.numpy.asarray(table)[jax.numpy.minimum(count, len(table) - 1)]

    return schedule
