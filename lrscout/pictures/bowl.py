"""The picture of the lesson's bowl: the loss over weight and bias, and the path that a descent takes through it."""

# pyright: reportUnknownMemberType=false
# Matplotlib leaves the types of its keyword arguments open, so every method of its axes counts as partly unknown.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.axes3d import Axes3D  # pyright: ignore[reportMissingTypeStubs]

from lrscout.lesson.descent import Descent
from lrscout.lesson.problem import Problem
from lrscout.pictures.style import (
    BLACK,
    LABEL_SIZE,
    LEAST_SQUARES,
    PATH,
    SURFACE,
    add_legend_below,
    dress,
    new_axes,
)

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes

    Path = Float[np.ndarray, "position 2"]
    Places = Float[np.ndarray, " place"]
    Grid = Float[np.ndarray, "grid grid"]

_FIRST_JUMPS = 3
_MARGIN = 0.12
_SMALLEST_SPAN = 0.1
"""How far to look around a descent that hardly moves, as a share of the least-squares weight or bias if above 1."""

_GRID = 121
_BETWEEN_STEPS = 20

_WAY: dict[str, Any] = {"color": PATH, "marker": "o", "markersize": 3.5, "linewidth": 1.4, "zorder": 3}
_START: dict[str, Any] = {"color": BLACK, "marker": "s", "markersize": 6, "linestyle": "none", "zorder": 4}
_EXACT: dict[str, Any] = {
    "color": LEAST_SQUARES,
    "marker": "*",
    "markersize": 13,
    "markeredgecolor": "white",
    "linestyle": "none",
    "zorder": 5,
    "label": "least squares",
}


def plot_surface(descent: Descent, ax: Axes | None = None) -> Axes:
    """Draw the loss over weight and bias as a bowl in space, with the path of a descent.

    Args:
        descent: the descent. Of one that diverges only the first jumps are drawn.
        ax: the axes to draw on, made with ``projection="3d"``; new ones by default.

    Returns:
        The axes.

    Raises:
        InvalidValueError: the axes are flat.
    """
    ax = new_axes(ax, projection="3d", figsize=(6.4, 5.6))
    assert isinstance(ax, Axes3D)
    problem, path = descent.problem, _visible(descent)
    w, b, loss = _bowl(descent, path)
    ax.computed_zorder = False  # The path lies in the surface; by its own reckoning Matplotlib would bury it there.
    ax.plot_surface(w, b, loss, cmap=SURFACE, alpha=0.75, linewidth=0, rcount=60, ccount=60, zorder=1)
    way = _on_the_ground(path)
    ax.plot(*_lifted(problem, way), label=_label(descent, path), markevery=_BETWEEN_STEPS, **_WAY)
    ax.plot(*_lifted(problem, path[:1]), label="start", **_START)
    ax.plot(*_lifted(problem, np.array([problem.least_squares])), **_EXACT)
    ax.view_init(elev=32, azim=-30)  # Down the length of the bowl.
    dress(ax, title=verdict(descent), x="weight w", y="bias b")
    ax.set_zlabel("loss", fontsize=LABEL_SIZE)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_major_locator(MaxNLocator(5))
    ax.yaxis.labelpad = 8
    add_legend_below(ax, distance=0.02)
    return ax


def plot_contours(descent: Descent, ax: Axes | None = None) -> Axes:
    """Draw the loss over weight and bias from above, with the path of a descent.

    Args:
        descent: the descent. Of one that diverges only the first jumps are drawn.
        ax: the axes to draw on; new ones by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax, figsize=(6.4, 5))
    path = _visible(descent)
    w, b, loss = _bowl(descent, path)
    lowest, highest = float(loss.min()), float(loss.max())
    heights = np.geomspace(1e-3, 1, 13)  # Even heights would leave the valley empty.
    shades = matplotlib.colormaps[SURFACE](np.linspace(0, 0.9, len(heights)))
    ax.contour(w, b, loss, levels=lowest + (highest - lowest) * heights, colors=shades, linewidths=0.9)
    ax.plot(path[:, 0], path[:, 1], label=_label(descent, path), **_WAY)
    ax.plot(path[:1, 0], path[:1, 1], label="start", **_START)
    ax.plot(*descent.problem.least_squares, **_EXACT)
    ax.set_aspect("equal")  # So that the steps are seen to cross the contours at right angles.
    dress(ax, title=verdict(descent), x="weight w", y="bias b")
    add_legend_below(ax, distance=0.13)
    return ax


def verdict(descent: Descent) -> str:
    """Return how a descent's learning rate compares with the largest stable one."""
    side = "above" if descent.lr > descent.problem.max_stable_lr else "below"
    return f"Learning rate {descent.lr:g}, {side} the limit 2 / sharpness = {descent.problem.max_stable_lr:.3f}"


def _visible(descent: Descent) -> Path:
    """Return the positions to draw: all of them, or of a diverging descent those of the first jumps."""
    path = descent.path
    if descent.lr > descent.problem.max_stable_lr:
        path = path[: _FIRST_JUMPS + 1]
    return path[np.isfinite(path).all(axis=1)]


def _bowl(descent: Descent, path: Path) -> tuple[Grid, Grid, Grid]:
    """Return weights, biases and losses on a square grid around the path and the least-squares point."""
    points = np.vstack([path, descent.problem.least_squares])
    middle_w, middle_b = map(float, (points.min(axis=0) + points.max(axis=0)) / 2)
    smallest = _SMALLEST_SPAN * max(1.0, *map(abs, descent.problem.least_squares))
    half_width = (0.5 + _MARGIN) * max(float(np.ptp(points, axis=0).max()), smallest)
    offsets = np.linspace(-half_width, half_width, _GRID)
    w, b = np.meshgrid(middle_w + offsets, middle_b + offsets)
    return w, b, descent.problem.loss(w, b)


def _on_the_ground(path: Path) -> Path:
    """Return the path with places between the steps, so that it can follow the surface down and up again."""
    steps = np.arange(len(path))
    places = np.linspace(0, len(path) - 1, _BETWEEN_STEPS * (len(path) - 1) + 1)
    return np.stack([np.interp(places, steps, path[:, 0]), np.interp(places, steps, path[:, 1])], axis=1)


def _lifted(problem: Problem, points: Path) -> tuple[Places, Places, Places]:
    """Return points' weights, biases and losses."""
    w, b = points[:, 0], points[:, 1]
    return w, b, problem.loss(w, b)


def _label(descent: Descent, path: Path) -> str:
    steps = len(path) - 1
    return f"path of {steps} steps" if steps == descent.steps else f"path of the first {steps} of {descent.steps} steps"
