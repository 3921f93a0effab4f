"""Which part of a surface to look at, so that the paths on it are seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    Places = Float[np.ndarray, "place direction"]
    Corner = Float[np.ndarray, " direction"]

_MARGIN = 0.12
"""How much wider a window is than what must be in it, on each side."""

_FINEST = 1e-9
"""The width of a window, as a share of its coordinates, below which its points could not be told apart."""

_LEAPS = 3
_DWARFS = 4
"""By this factor a leap, or another path, may widen what is seen; beyond it, the rest would be a dot."""


def places_of_leaps(losses: Float[np.ndarray, " place"], places: Places) -> int:
    """Return how many places of a path that diverges tell its story: those up to the third that lies above the start.

    Leaps that dwarf the ones before them are left out, though not the first.

    Args:
        losses: the loss at each place; one that is not finite lies above everything.
        places: the path.

    >>> places = np.array([[0.0], [1.0], [-1.0], [0.5], [-2.0], [3.0], [-5.0]])
    >>> places_of_leaps(places[:, 0] ** 2 - 1.5 * (places[:, 0] == 0), places)
    4
    """
    above = np.cumsum(~(losses <= losses[0]))
    shown = min(int(np.searchsorted(above, _LEAPS)) + 1, len(losses))
    reach = np.maximum.accumulate(np.abs(places - places[0]).max(axis=1))
    dwarfing = np.flatnonzero(reach[2:shown] > _DWARFS * reach[1 : shown - 1])
    return int(dwarfing[0]) + 2 if len(dwarfing) else shown


def places_nearby(places: Places, reach: float) -> int:
    """Return how many places of a path come before it is much farther from its start than another path ever was.

    Args:
        places: the path.
        reach: how far the other was from the same start, in its largest coordinate.

    >>> places_nearby(np.array([[0.0], [3.0], [-9.0], [1.0]]), reach=2.0)
    2
    """
    far = np.abs(places - places[0]).max(axis=1) > _DWARFS * reach
    return int(np.argmax(far)) if far.any() else len(places)


def window_around(points: Places, smallest: float) -> tuple[Corner, Corner]:
    """Return the lower and the upper corner of a window around points, as wide in every direction.

    Args:
        points: what must be seen, at least one.
        smallest: half of the width where they are all the same.
    """
    middle = points.min(axis=0) + np.ptp(points, axis=0) / 2
    half = (0.5 + _MARGIN) * float(np.ptp(points, axis=0).max()) or smallest
    half = max(half, _FINEST * float(np.abs(middle).max()))
    return middle - half, middle + half
