"""The regions of a map: the edges of its cells, the outlines between them, and where their names have room."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Shaped
    from matplotlib.axes import Axes

    Kinds = Shaped[np.ndarray, "row column"]
    Edges = Float[np.ndarray, " edge"]
    Segments = Float[np.ndarray, "segment end coordinate"]
    Cells = Bool[np.ndarray, "row column"]
    Raster = Bool[np.ndarray, "height width"]

_NEIGHBOURS = ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1]))
_ROOMY = (1.0, 1.3, 1.6, 2.0, 2.5, 3.0, 4.0)
"""How many times the room that a name takes is looked for."""

_FARTHEST = 990.0
"""The power of two beyond which an axis would run out of numbers."""

_LOST_TO_LAYOUT = 0.1
"""The share of the axes that colour bars, labels and legends may still take when the figure is laid out."""


def cell_edges(centres: Float[np.ndarray, " cell"]) -> Edges:
    """Return the edges of cells on a logarithmic axis, half-way between their centres.

    The outer cells reach as far outwards as inwards; a cell that is alone reaches from half its centre to twice that.

    >>> cell_edges(np.array([1.0, 4.0, 16.0])).tolist()
    [0.5, 2.0, 8.0, 32.0]
    """
    logs = np.clip(np.log2(centres), 1 - _FARTHEST, _FARTHEST - 1)
    if len(logs) == 1:
        return np.exp2(logs[0] + np.array([-1.0, 1.0]))
    between = (logs[1:] + logs[:-1]) / 2
    edges = np.concatenate([[2 * logs[0] - between[0]], between, [2 * logs[-1] - between[-1]]])
    return np.exp2(np.clip(edges, -_FARTHEST, _FARTHEST))


def outlines(kinds: Kinds, x: Edges, y: Edges) -> Segments:
    """Return the edges between neighbouring cells of different kinds.

    Args:
        kinds: the kind of each cell.
        x: the edges of the columns.
        y: the edges of the rows.
    """
    rows, columns = np.nonzero(kinds[1:] != kinds[:-1])
    level = y[rows + 1]
    horizontal = np.stack([x[columns], level, x[columns + 1], level], axis=-1)
    rows, columns = np.nonzero(kinds[:, 1:] != kinds[:, :-1])
    upright = x[columns + 1]
    vertical = np.stack([upright, y[rows], upright, y[rows + 1]], axis=-1)
    return np.concatenate([horizontal, vertical]).reshape(-1, 2, 2)


def patches(kinds: Kinds) -> Iterator[Cells]:
    """Yield the patches of neighbouring cells of one kind, the largest first, each as an array of which cells it has.

    >>> [patch.sum().item() for patch in patches(np.array([["a", "b", "a"], ["b", "b", "a"]]))]
    [3, 2, 1]
    """
    neighbours = [(one, other, kinds[one] == kinds[other]) for one, other in _NEIGHBOURS]
    names = np.arange(kinds.size).reshape(kinds.shape)
    before = np.empty_like(names)
    while (names != before).any():  # Each cell takes the lowest name among those of its patch that reach it.
        before = names.copy()
        for one, other, same in neighbours:
            lowest = np.where(same, np.minimum(names[one], names[other]), kinds.size)
            names[one] = np.minimum(names[one], lowest)
            names[other] = np.minimum(names[other], lowest)
    found, sizes = np.unique(names, return_counts=True)
    for name in found[np.argsort(-sizes, kind="stable")]:
        yield names == name


class Ground:
    """The ground of logarithmic axes as a raster of printer's points, on which names look for room.

    Args:
        ax: the axes.
        x: the edges of the columns of cells, which fill the axes.
        y: the edges of the rows.
    """

    def __init__(self, ax: Axes, x: Edges, y: Edges) -> None:
        points = 72 / ax.figure.dpi * (1 - _LOST_TO_LAYOUT)
        x, y = np.log2(x), np.log2(y)
        self._across = np.linspace(float(x[0]), float(x[-1]), int(points * ax.bbox.width) + 2)
        self._up = np.linspace(float(y[0]), float(y[-1]), int(points * ax.bbox.height) + 2)
        self._column, self._row = _cell_of_each(self._across, x), _cell_of_each(self._up, y)
        self._free = np.ones((len(self._up) - 1, len(self._across) - 1), bool)

    def occupy(
        self,
        x: Float[np.ndarray, " place"],
        low: Float[np.ndarray, " place"],
        high: Float[np.ndarray, " place"],
        *,
        margin: float,
    ) -> None:
        """Keep names off a band.

        Args:
            x: where the band is given, in order; between two places it goes on in a straight line.
            low: the lower edge there.
            high: the upper edge there.
            margin: how far around the band to keep off, in points.
        """
        far = margin * (self._up[1] - self._up[0])
        aside = margin * (self._across[1] - self._across[0])
        bottom, top = (np.interp(self._across, np.log2(x), np.log2(edge)) for edge in (low, high))
        bottom = np.minimum(bottom[1:], bottom[:-1]) - far
        top = np.maximum(top[1:], top[:-1]) + far
        along = (self._across[1:] >= np.log2(x[0]) - aside) & (self._across[:-1] <= np.log2(x[-1]) + aside)
        self._free &= ~(along & (self._up[1:, None] >= bottom) & (self._up[:-1, None] <= top))

    def place(self, cells: Cells, width: float, height: float) -> tuple[float, float] | None:
        """Find the place with the most room for a name among some cells.

        Args:
            cells: an array of whether the name may lie over each cell, by row and column.
            width: the width of the name in points.
            height: its height.

        Returns:
            The middle of the place, or None if there is too little room.
        """
        inside = cells[np.ix_(self._row, self._column)] & self._free
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if len(rows) == 0:
            return None
        part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        tall, wide = round(height), round(width)
        corner = _roomiest(inside[part], tall, wide)
        if corner is None:
            return None
        low, left = corner[0] + rows[0], corner[1] + columns[0]
        across, up = self._across[[left, left + wide]].mean(), self._up[[low, low + tall]].mean()
        return float(np.exp2(across)), float(np.exp2(up))


def _roomiest(free: Raster, tall: int, wide: int) -> tuple[int, int] | None:
    """Return the first row and column of the window with the most free room around it, or None if none is free."""
    best = None
    for more in _ROOMY:
        height, width = round(more * tall), round(more * wide)
        corners = np.argwhere(_free_windows(free, height, width))
        if len(corners) == 0:
            break
        middle = np.argmin(np.sum((corners - corners.mean(axis=0)) ** 2, axis=1))
        row, column = corners[middle].tolist()
        best = row + (height - tall) // 2, column + (width - wide) // 2
    return best


def _free_windows(free: Raster, tall: int, wide: int) -> Raster:
    """Return for each first row and column whether the window that begins there is free throughout."""
    if tall > free.shape[0] or wide > free.shape[1]:
        return np.zeros((0, 0), bool)
    taken = np.pad(np.cumsum(np.cumsum(~free, axis=0), axis=1), ((1, 0), (1, 0)))
    return taken[tall:, wide:] - taken[:-tall, wide:] - taken[tall:, :-wide] + taken[:-tall, :-wide] == 0


def _cell_of_each(points: Edges, edges: Edges) -> Int[np.ndarray, " point"]:
    """Return the index of the cell that each point of the raster lies in."""
    return np.searchsorted(edges, (points[1:] + points[:-1]) / 2) - 1
