"""Products with a Hessian where only gradients can be had."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


def product_by_differences(
    gradient_at: Callable[[Float[np.ndarray, " parameter"]], Float[np.ndarray, " parameter"]],
    position: Float[np.ndarray, " parameter"],
    precision: float,
) -> Callable[[Float[np.ndarray, " parameter"]], Float[np.ndarray, " parameter"]]:
    """Return the function that multiplies by the Hessian at a position, by central differences of gradients.

    A quadratic has no third derivative, so its products are exact up to rounding. Elsewhere the error grows with the
    square of the distance between the gradients, and the rounding with its inverse; a distance of the cube root of the
    precision, as a share of the position's length, balances the two.

    Args:
        gradient_at: returns the gradient at a position.
        position: where the Hessian is wanted; at zero, which tells no scale, its length counts as 1.
        precision: the relative rounding error of `gradient_at`.

    Source: Nocedal and Wright 2006, "Numerical Optimization", section 8.1.

    >>> product = product_by_differences(lambda x: np.array([4.0, 1.0]) * x, np.array([1.0, 1.0]), 2**-52)
    >>> product(np.array([1.0, -1.0])).round(9)
    array([ 4., -1.])
    """
    distance = float(np.cbrt(precision)) * (unit_and_length(position)[1] or 1.0)

    def product(direction: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " parameter"]:
        unit, length = unit_and_length(direction)
        difference = gradient_at(position + distance * unit) - gradient_at(position - distance * unit)
        return length * (difference / (2 * distance))

    return product


def unit_and_length(vector: Float[np.ndarray, " parameter"]) -> tuple[Float[np.ndarray, " parameter"], float]:
    """Return a vector's direction, of length 1, and its length, however small or large; a zero vector is left as it is.

    >>> unit_and_length(np.array([3e-200, 4e-200]))
    (array([0.6, 0.8]), 5e-200)
    """
    largest = float(np.abs(vector).max(initial=0.0))
    if largest == 0.0:
        return vector, 0.0
    scaled = vector / largest
    length = float(np.linalg.norm(scaled))
    return scaled / length, largest * length
