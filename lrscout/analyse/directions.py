"""Directions in the space of parameters, and where places lie along them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lrscout.core.landscape import Block

if TYPE_CHECKING:
    from jaxtyping import Float

    Parameters = Float[np.ndarray, " parameter"]
    Directions = Float[np.ndarray, "direction parameter"]
    Places = Float[np.ndarray, "place parameter"]

_NOTHING_LEFT = 1e-12
"""The share of displacements, in norm, that rounding leaves of what lies in a direction that was taken out."""


def filter_normalized(direction: Parameters, position: Parameters, blocks: Sequence[Block]) -> Parameters:
    """Return a direction each of whose filters has the norm of the same filter of the parameters.

    So a step of one along it changes every filter by as much as there is of it, whatever the scale of a layer, which
    batch normalization and ReLUs leave open. Biases and the parameters of norms have no filters, and stay as they are.

    Args:
        direction: any direction, such as one drawn at random.
        position: the parameters.
        blocks: the arrays in both. Where none has filters, each counts as one.

    Returns:
        The direction; zero where there are no filters, and in filters that are zero.

    Source:
        Li et al. 2018 (arXiv 1712.09913), section 4.

    >>> blocks = Block("weights", (2, 1), 1), Block("biases", (1,), None)
    >>> filter_normalized(np.array([3.0, 4.0, 7.0]), np.array([0.0, 2.0, 1.0]), blocks)
    array([1.2, 1.6, 0. ])
    """
    normalized = np.zeros(len(direction))
    without_filters = all(block.filter_axis is None for block in blocks)
    first = 0
    for block in blocks:
        part = slice(first, first + block.size)
        first += block.size
        if block.filter_axis is not None or without_filters:
            filters, lengths = (_by_filter(values[part], block) for values in (direction, position))
            norms = np.linalg.norm(filters, axis=1, keepdims=True)
            scale = np.linalg.norm(lengths, axis=1, keepdims=True) / np.where(norms > 0, norms, 1)
            normalized[part] = _flat(filters * scale, block)
    return normalized


def principal_directions(displacements: Places, most: int = 2) -> Directions:
    """Return the directions, of length one and at right angles, along which displacements are largest.

    Args:
        displacements: the places, as seen from the middle.
        most: how many directions are wanted.

    Returns:
        The directions, the most important first; fewer where the displacements span fewer. The place that is farthest
        along a direction lies ahead.

    Source:
        Li et al. 2018 (arXiv 1712.09913), section 7.2, whose middle is the end of the path.

    >>> principal_directions(np.array([[-4.0, 0.0, 0.0], [0.0, 0.0, 1.0]])) + 0.0
    array([[-1.,  0.,  0.],
           [ 0.,  0.,  1.]])
    """
    rest = _scaled(displacements)
    size = float(np.linalg.norm(rest))
    found: list[Parameters] = []
    while len(found) < most and np.linalg.norm(rest) > _NOTHING_LEFT * size:
        # The Gram matrix has a row for each place, however many parameters there are. What the first direction explains
        # is taken out before the second is looked for, since squares of small numbers drown in those of large ones.
        weights = np.linalg.eigh(rest @ rest.T)[1][:, -1]
        direction = weights @ rest
        for earlier in found:
            direction -= (earlier @ direction) * earlier
        direction /= np.linalg.norm(direction)
        along = rest @ direction
        direction *= np.copysign(1.0, along[np.argmax(np.abs(along))])
        for row, length in zip(rest, rest @ direction, strict=True):
            row -= length * direction  # In place, since for a large model there is no room for many copies.
        found.append(direction)
    return np.array(found).reshape(-1, displacements.shape[1])


def coordinates_along(directions: Directions, displacements: Places) -> Float[np.ndarray, "place direction"]:
    """Return how far places lie along directions, at the point of their plane that is nearest to each.

    Args:
        directions: one or two directions, not parallel, of any lengths and at any angle.
        displacements: the places, as seen from the origin of the plane.
    """
    axes, lengths = np.linalg.qr(directions.T)
    return np.linalg.solve(lengths, axes.T @ displacements.T).T


def share_along(directions: Directions, displacements: Places) -> float:
    """Return the share of displacements, in squares, that lies in the plane of directions; one where there are none.

    Args:
        directions: one or two directions, not parallel.
        displacements: the places, as seen from the origin of the plane.
    """
    scaled = _scaled(displacements)
    axes, _ = np.linalg.qr(directions.T)
    whole = float(np.sum(scaled**2))
    return min(float(np.sum((scaled @ axes) ** 2)) / whole, 1.0) if whole > 0 else 1.0


def are_parallel(directions: Directions) -> bool:
    """Whether directions span less than they should: two that lie in one line, or one of no length."""
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    if not (lengths > 0).all():
        return True
    return bool(np.abs(np.linalg.qr((directions / lengths).T)[1]).diagonal().min() <= _NOTHING_LEFT)


def _by_filter(values: Parameters, block: Block) -> Float[np.ndarray, "filter weight"]:
    if block.filter_axis is None:
        return values.reshape(1, -1)
    return np.moveaxis(values.reshape(block.shape), block.filter_axis, 0).reshape(block.shape[block.filter_axis], -1)


def _flat(filters: Float[np.ndarray, "filter weight"], block: Block) -> Parameters:
    if block.filter_axis is None:
        return filters.ravel()
    others = [length for axis, length in enumerate(block.shape) if axis != block.filter_axis % len(block.shape)]
    return np.moveaxis(filters.reshape(block.shape[block.filter_axis], *others), 0, block.filter_axis).ravel()


def _scaled(displacements: Places) -> Places:
    """Return displacements of which the largest number is one, so that no square overflows or vanishes."""
    largest = float(np.abs(displacements).max(initial=0))
    return displacements / (largest if largest > 0 else 1.0)
