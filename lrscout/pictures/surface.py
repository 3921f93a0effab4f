"""The pictures of a loss surface: in space, from above, and along a line, with the paths on it."""

# pyright: reportUnknownMemberType=false
# Matplotlib leaves the types of its keyword arguments open, so every method of its axes counts as partly unknown.

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.axes3d import Axes3D  # pyright: ignore[reportMissingTypeStubs]

from lrscout.core.errors import InvalidValueError
from lrscout.measure.loss_surface import Path, Surface
from lrscout.pictures.relief import Relief
from lrscout.pictures.style import (
    BLACK,
    LABEL_SIZE,
    LEAST_SQUARES,
    ORANGE,
    PATH,
    PURPLE,
    SKY_BLUE,
    SMOOTHED,
    SURFACE,
    add_legend_below,
    dress,
    new_axes,
)

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes

    Places = Float[np.ndarray, "place direction"]
    Draw = Callable[..., Any]

_DESCENDING = (SKY_BLUE, PURPLE, ORANGE, "white")
_DASHES = ("-", "--", "-.", ":")

_LEVELS = 13
_LOWEST_LEVEL = 1e-3
"""The lowest contour, as a share of the heights. Even heights would leave the valley empty."""

_FINE = 60
"""The most facets in a row."""

_GROUNDS = {
    "parameters": "The loss over the parameters",
    "random": "The loss over random directions",
    "given": "The loss over the given directions",
    "line": "The loss between two states",
}

_MOST_COLUMNS = 4
_NAME = 0.06
"""The room for the name of a vertical axis, as a share of a column."""

_ALL_OF_IT = 0.995
_ELEVATION, _BEARINGS = 32, np.array([-150, -120, -60, -30, 30, 60, 120, 150])
_USUAL_BEARING, _USUAL = -60, 0.02
"""Where Matplotlib looks from, and what that is worth, as a share of the heights: axes that run as one is used to."""

_WAY: dict[str, Any] = {"marker": "o", "markersize": 3.5, "linewidth": 1.5}
_START: dict[str, Any] = {"color": BLACK, "marker": "s", "markersize": 6, "linestyle": "none", "zorder": 6}
_MINIMUM: dict[str, Any] = {
    "color": LEAST_SQUARES,
    "marker": "*",
    "markersize": 13,
    "markeredgecolor": "white",
    "linestyle": "none",
    "zorder": 7,
}


def plot_surface(surface: Surface, ax: Axes | None = None) -> Axes:
    """Draw a surface as the axes are made for it: in space, which is also the default, or from above.

    Args:
        surface: the surface. Along one direction alone it is drawn as a line.
        ax: the axes to draw on; new ones by default.

    Returns:
        The axes.

    Raises:
        InvalidValueError: the axes are in space, and the surface is a line.
    """
    if len(surface.axes) == 1:
        return plot_along(surface, ax)
    if ax is None or ax.name == "3d":
        return plot_in_space(surface, ax)
    return plot_contours(surface, ax)


def plot_in_space(
    surface: Surface,
    ax: Axes | None = None,
    *,
    lr: float | None = None,
    title: str | None = None,
    minimum: str = "minimum",
) -> Axes:
    """Draw a surface in space with its paths.

    Args:
        surface: a surface over two directions.
        ax: the axes to draw on, made with ``projection="3d"``; new ones by default.
        lr: the learning rate of the only path to draw; all of them by default.
        title: what to write above, by default what is seen.
        minimum: what to call the minimum.

    Returns:
        The axes.

    Raises:
        InvalidValueError: the axes are flat, or the surface is a line, or it has no path at `lr`.
    """
    _check_directions(surface, 2)
    ax = new_axes(ax, projection="3d", figsize=(6.4, 5.6))
    assert isinstance(ax, Axes3D)
    relief = Relief(surface)
    ax.computed_zorder = False  # The paths lie in the surface; by its own reckoning Matplotlib would bury them there.
    first, second = np.meshgrid(*surface.axes, indexing="ij")
    look: dict[str, Any] = {
        "cmap": SURFACE,
        "alpha": 0.75,
        "linewidth": 0,
        "rcount": _FINE,
        "ccount": _FINE,
        "zorder": 1,
    }
    ax.plot_surface(first, second, relief.heights, vmin=relief.lowest, vmax=relief.ceiling, **look)

    def draw(places: Places, **look: Any) -> None:
        ax.plot(*places.T, relief.at(places), **look)

    _draw_paths(surface, relief, draw, lr, on_the_ground=True)
    _draw_landmarks(surface, draw, minimum)
    ax.view_init(elev=_ELEVATION, azim=_bearing(relief))
    first_name, second_name = surface.names
    dress(ax, title=_verdict(surface, lr) if title is None else title, x=first_name, y=second_name)
    ax.set_zlabel(_name_of_loss(relief), fontsize=LABEL_SIZE)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_major_locator(MaxNLocator(5))
    ax.yaxis.labelpad = 8
    add_legend_below(ax, distance=0.06)
    return ax


def plot_contours(
    surface: Surface,
    ax: Axes | None = None,
    *,
    lr: float | None = None,
    title: str | None = None,
    minimum: str = "minimum",
) -> Axes:
    """Draw a surface from above with its paths.

    Args:
        surface: a surface over two directions.
        ax: the axes to draw on; new ones by default.
        lr: the learning rate of the only path to draw; all of them by default.
        title: what to write above, by default what is seen.
        minimum: what to call the minimum.

    Returns:
        The axes.

    Raises:
        InvalidValueError: the surface is a line, or it has no path at `lr`.
    """
    _check_directions(surface, 2)
    ax = new_axes(ax, figsize=(6.4, 5))
    relief = Relief(surface)
    if not relief.is_flat:
        heights = np.geomspace(_LOWEST_LEVEL, 1, _LEVELS)
        levels = np.unique(relief.lowest + (relief.ceiling - relief.lowest) * heights)
        shades = matplotlib.colormaps[SURFACE](np.linspace(0, 0.9, len(levels)))
        finer = relief.finer()
        ax.contour(*finer.axes, finer.heights.T, levels=levels, colors=shades, linewidths=0.9)

    def draw(places: Places, **look: Any) -> None:
        ax.plot(*places.T, **look)

    _draw_paths(surface, relief, draw, lr, on_the_ground=False)
    _draw_landmarks(surface, draw, minimum)
    ax.set_xlim(surface.axes[0][0], surface.axes[0][-1])
    ax.set_ylim(surface.axes[1][0], surface.axes[1][-1])
    ax.set_aspect("equal")  # So that the steps of gradient descent are seen to cross the contours at right angles.
    first_name, second_name = surface.names
    dress(ax, title=_verdict(surface, lr) if title is None else title, x=first_name, y=second_name)
    add_legend_below(ax, distance=0.13)
    return ax


def plot_along(surface: Surface, ax: Axes | None = None) -> Axes:
    """Draw the loss along one direction, with the paths on it.

    Args:
        surface: a surface over one direction.
        ax: the axes to draw on; new ones by default.

    Returns:
        The axes.

    Raises:
        InvalidValueError: the surface has two directions, or the axes are in space.
    """
    _check_directions(surface, 1)
    ax = new_axes(ax, projection="rectilinear")
    relief = Relief(surface)
    (along,) = surface.axes
    ax.plot(along, relief.heights, color=SMOOTHED, linewidth=1.7, label="loss")

    def draw(places: Places, **look: Any) -> None:
        ax.plot(places[:, 0], relief.at(places), **look)

    _draw_paths(surface, relief, draw, None, on_the_ground=True)
    _draw_landmarks(surface, draw, "minimum")
    dress(ax, title=_verdict(surface, None), x=surface.names[0], y=_name_of_loss(relief))
    add_legend_below(ax, distance=0.13)
    return ax


def picture_of(surface: Surface) -> Figure:
    """Return a figure of a surface, to be saved; made without pyplot, which would keep it open.

    Args:
        surface: a line is drawn as one. Else the surface is seen in space and from above, in a column of its own for
            each of a few paths.
    """
    if len(surface.axes) == 1:
        figure = Figure((6.8, 4.4), layout="constrained")
        plot_along(surface, figure.add_subplot())
        return figure
    if 1 < len(surface.paths) <= _MOST_COLUMNS:
        lrs = [path.lr for path in surface.paths]
        # Matplotlib leaves no room for the name of the vertical axis.
        layout = ConstrainedLayoutEngine(rect=(0, 0, 1 - _NAME / len(lrs), 1))
        figure = Figure((4.2 * len(lrs), 8.6), layout=layout)
        for column, lr in enumerate(lrs, start=1):
            in_space = plot_in_space(surface, figure.add_subplot(2, len(lrs), column, projection="3d"), lr=lr)
            in_space.legend_ = None  # The one below says it all.
            plot_contours(surface, figure.add_subplot(2, len(lrs), len(lrs) + column), lr=lr, title="")
        return figure
    figure = Figure((12, 5.6), layout="constrained")
    plot_in_space(surface, figure.add_subplot(1, 2, 1, projection="3d"))
    plot_contours(surface, figure.add_subplot(1, 2, 2))
    return figure


def _check_directions(surface: Surface, number: int) -> None:
    if len(surface.axes) != number:
        raise InvalidValueError(
            f"This picture needs a surface over {number} direction{'s' * (number > 1)}, but it has {len(surface.axes)}."
        )


def _draw_paths(surface: Surface, relief: Relief, draw: Draw, lr: float | None, *, on_the_ground: bool) -> None:
    halo = [withStroke(linewidth=2.6, foreground="white", alpha=0.8)]
    together = zip(surface.paths, _looks(surface.paths), relief.paths, relief.steps, strict=True)
    for number, (path, look, way, steps) in enumerate(together):
        if lr is not None and path.lr != lr:
            continue
        line = relief.along(way) if on_the_ground else way
        depth = 5 - number / len(surface.paths)  # The shorter steps lie on the longer ones.
        draw(line, label=_label(path), zorder=depth, path_effects=halo, markevery=[], **_WAY | look)
        draw(steps, zorder=depth, **_WAY | look | {"linestyle": "none"})


def _draw_landmarks(surface: Surface, draw: Draw, minimum: str) -> None:
    draw(surface.home[np.newaxis], label="start" if surface.paths else "here", **_START)
    if surface.minimum is not None:
        draw(surface.minimum[np.newaxis], label=minimum, **_MINIMUM)


def _looks(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return each path's colour and dashes: one colour for those that leap out, others for those that do not."""
    if len(paths) == 1:
        return [{"color": PATH, "linestyle": "-"}]
    colors, leaping = cycle(_DESCENDING), cycle(_DASHES)
    return [
        {"color": PATH, "linestyle": next(leaping)} if path.astray else {"color": next(colors), "linestyle": "-"}
        for path in paths
    ]


def _label(path: Path) -> str:
    last = int(path.steps[path.shown - 1])
    if path.shown == len(path.steps):
        return f"lr {path.lr:g}: {path.taken} steps"
    return f"lr {path.lr:g}: first {last} of {path.taken} steps"


def _name_of_loss(relief: Relief) -> str:
    return f"loss (cut at {relief.ceiling:.3g})" if relief.is_cut else "loss"


def _verdict(surface: Surface, lr: float | None) -> str:
    paths, limit = _paths_at(surface, lr), surface.max_stable_lr
    if limit is not None and surface.kind != "parameters":
        # Elsewhere on the surface of a network it is another one.
        return f"{_verdict_of(paths, None, surface)}\nlimit at the start: {limit:.2g}"
    return _verdict_of(paths, limit, surface)


def _verdict_of(paths: list[Path], limit: float | None, surface: Surface) -> str:
    if len(paths) == 1:
        return _verdict_on(paths[0], limit)
    if limit is not None:
        return f"Above a learning rate of {limit:.3f} every step lands farther away"
    return f"The loss and {len(paths)} paths" if paths else _GROUNDS[surface.kind]


def _verdict_on(path: Path, limit: float | None) -> str:
    if limit is not None:
        side, leaps = ("above", ": it leaps out" if path.astray else "") if path.lr > limit else ("below", "")
        return f"lr {path.lr:g}, {side} the limit {limit:.3f}{leaps}"
    if path.astray:
        return f"lr {path.lr:g}: it leaps out"
    share = "" if path.share > _ALL_OF_IT else f"\n({100 * path.share:.0f} % of the way in view)"
    return f"lr {path.lr:g}: from {path.losses[0]:.3g} to {path.losses[-1]:.3g}{share}"


def _paths_at(surface: Surface, lr: float | None) -> list[Path]:
    paths = [path for path in surface.paths if lr is None or path.lr == lr]
    if lr is not None and not paths:
        rates = ", ".join(f"{path.lr:g}" for path in surface.paths) or "none"
        raise InvalidValueError(f"lr must be that of a path of the surface ({rates}), but it is {lr!r}.")
    return paths


def _bearing(relief: Relief) -> float:
    """Return from where to look: over the lowest part of the border, which leaves what is behind it in sight."""
    heights = np.where(np.isnan(relief.heights), relief.ceiling, relief.heights)
    heights = (heights - relief.lowest) / max(relief.ceiling - relief.lowest, np.finfo(float).tiny)
    first, second = (np.linspace(-1, 1, len(axis)) for axis in relief.axes)
    border = np.maximum(np.abs(first)[:, np.newaxis], np.abs(second)) > 0.8
    angles = np.arctan2(second, first[:, np.newaxis])
    nearby = [np.cos(angles - np.radians(bearing)).clip(0) ** 16 * border for bearing in _BEARINGS]
    seen = [np.sum(heights * near) / np.sum(near) for near in nearby]
    return float(_BEARINGS[np.argmin(seen - _USUAL * np.cos(np.radians(_BEARINGS - _USUAL_BEARING)))])
