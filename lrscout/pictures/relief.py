"""A surface made ready to be drawn: cut to a height that can be read, and walked on."""

from __future__ import annotations

from copy import copy
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lrscout.measure.loss_surface import Surface

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    Heights = Float[np.ndarray, "*grid"]
    Places = Float[np.ndarray, "place direction"]
    Axes = tuple[Float[np.ndarray, " coordinate"], ...]

_LARGEST = 1e100
"""What larger losses are taken for, so that what is drawn can be multiplied without overflow."""

_ABOVE_PATHS, _ABOVE_MIDDLE = 2.5, 5
"""How high a surface is drawn, in heights above its lowest point: of the highest place of a path, and, without one, of
the middle of the losses, which leaves a quadratic whole."""

_FINER = 4
_ROUNDING = 1e-9

_BETWEEN = 20
"""Places between two steps, for a path that follows the surface down and up again."""


class Relief:
    """The heights of a surface.

    Args:
        surface: the surface.
    """

    def __init__(self, surface: Surface) -> None:
        self.axes: Axes = surface.axes
        self._losses = np.where(np.isfinite(surface.losses), np.clip(surface.losses, -_LARGEST, _LARGEST), np.nan)
        self.paths = [self._in_sight(path.seen) for path in surface.paths]
        self.steps = [self._inside(path.seen) for path in surface.paths]
        there_is_one = np.isfinite(self._losses).any()
        self.lowest = float(np.nanmin(self._losses)) if there_is_one else 0.0
        self.highest = float(np.nanmax(self._losses)) if there_is_one else 0.0
        self.ceiling = min(self._ceiling(surface.home), self.highest) if there_is_one else 0.0

    @property
    def is_cut(self) -> bool:
        """Whether some of the surface is higher than what is drawn of it."""
        return self.ceiling < self.highest

    @property
    def is_flat(self) -> bool:
        """Whether there is nothing to draw but a plain, or nothing at all."""
        return not self.ceiling > self.lowest

    @property
    def heights(self) -> Heights:
        """The heights to draw: NaN where there is no loss, and the ceiling where the loss is above it."""
        return np.minimum(self._losses, self.ceiling)

    def at(self, places: Places) -> Float[np.ndarray, " place"]:
        """Return the heights at places; NaN off the surface, beside holes in it, and above the ceiling."""
        heights, (low, high) = self._interpolated(places), self._corners
        margin = _ROUNDING * (high - low)
        inside = ((low - margin <= places) & (places <= high + margin)).all(axis=1)
        return np.where(inside & (heights <= self.ceiling + _ROUNDING * (self.ceiling - self.lowest)), heights, np.nan)

    def finer(self) -> Relief:
        """Return the relief with points between its points, for contours without corners."""
        finer = copy(self)
        finer.axes = tuple(_with_points_between(axis) for axis in self.axes)
        places = np.stack(np.meshgrid(*finer.axes, indexing="ij"), axis=-1)
        finer._losses = self._interpolated(places.reshape(-1, len(self.axes))).reshape(places.shape[:-1])
        return finer

    def along(self, path: Places) -> Places:
        """Return a path with places between its steps, so that it can follow the surface down and up again."""
        if len(path) < 2:
            return path
        steps, places = np.arange(len(path)), np.linspace(0, len(path) - 1, _BETWEEN * (len(path) - 1) + 1)
        coordinates = (np.interp(places, steps, path[:, direction]) for direction in range(path.shape[1]))
        return np.stack(list(coordinates), axis=1)

    def _interpolated(self, places: Places) -> Float[np.ndarray, " place"]:
        """Return the losses at places, from the cubics through the four nearest points along each axis."""
        stencils = [_stencil(axis, coordinates) for axis, coordinates in zip(self.axes, places.T, strict=True)]
        points, weights = stencils[0]
        if len(stencils) == 1:
            return np.sum(self._losses[points] * weights, axis=1)
        columns, weights_across = stencils[1]
        nearby = self._losses[points[:, :, np.newaxis], columns[:, np.newaxis, :]]
        return np.einsum("pij,pi,pj->p", nearby, weights, weights_across)

    def _ceiling(self, home: Float[np.ndarray, " direction"]) -> float:
        places = np.concatenate([self._inside(home[np.newaxis]), *(self.along(path) for path in self.paths)])
        on_paths = self._interpolated(places)
        highest = float(np.max(on_paths[np.isfinite(on_paths)], initial=self.lowest)) - self.lowest
        # A path that keeps to the bottom of a valley must not leave nothing of its walls.
        walls = _ABOVE_MIDDLE if not self.paths else 1
        middle = float(np.nanmedian(self._losses)) - self.lowest
        return self.lowest + max(_ABOVE_PATHS * highest, walls * middle)

    def _inside(self, path: Places) -> Places:
        """Return the places of a path that lie in the window."""
        low, high = self._corners
        return path[((low <= path) & (path <= high)).all(axis=1)]

    def _in_sight(self, path: Places) -> Places:
        """Return a path as far as it can be seen, parted by NaN where it leaves the window."""
        if len(self._inside(path)) == len(path):
            return path
        low, high = self._corners
        seen: list[Float[np.ndarray, " direction"]] = []
        for start, end in pairwise(path):
            enters, leaves = _shares_inside(start, end, low, high)
            if enters > leaves:
                continue
            entry = start if enters == 0 else start + enters * (end - start)
            if not seen or not np.array_equal(seen[-1], entry):
                seen += [np.full(len(low), np.nan), entry]
            seen.append(end if leaves == 1 else start + leaves * (end - start))
        return np.stack(seen[1:]) if seen else np.zeros((0, len(low)))

    @property
    def _corners(self) -> tuple[Float[np.ndarray, " direction"], Float[np.ndarray, " direction"]]:
        return np.array([axis[0] for axis in self.axes]), np.array([axis[-1] for axis in self.axes])


def _with_points_between(axis: Float[np.ndarray, " coordinate"]) -> Float[np.ndarray, " coordinate"]:
    return np.linspace(float(axis[0]), float(axis[-1]), _FINER * (len(axis) - 1) + 1)


def _stencil(
    axis: Float[np.ndarray, " coordinate"], coordinates: Float[np.ndarray, " place"]
) -> tuple[Int[np.ndarray, "place 4"], Float[np.ndarray, "place 4"]]:
    """Return the four points of an even axis that are nearest to each coordinate, and Lagrange's weights for them."""
    steps = (coordinates - axis[0]) / (axis[-1] - axis[0]) * (len(axis) - 1)
    first = np.clip(np.nan_to_num(steps).astype(int) - 1, 0, len(axis) - 4)
    t = steps - first
    weights = [
        -(t - 1) * (t - 2) * (t - 3) / 6,
        t * (t - 2) * (t - 3) / 2,
        -t * (t - 1) * (t - 3) / 2,
        t * (t - 1) * (t - 2) / 6,
    ]
    return first[:, np.newaxis] + np.arange(4), np.stack(weights, axis=1)


def _shares_inside(
    start: Float[np.ndarray, " direction"],
    end: Float[np.ndarray, " direction"],
    low: Float[np.ndarray, " direction"],
    high: Float[np.ndarray, " direction"],
) -> tuple[float, float]:
    """Return from which share of the way between two places to which one it lies in a window; in order if it does."""
    with np.errstate(divide="ignore", invalid="ignore"):
        crossings = np.sort([(low - start) / (end - start), (high - start) / (end - start)], axis=0)
    return float(np.fmax.reduce(crossings[0], initial=0)), float(np.fmin.reduce(crossings[1], initial=1))
