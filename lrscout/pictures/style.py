"""How the pictures look: colours by role, and axes to draw on.

The colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), which people with any of the usual colour
deficiencies can tell apart. Everything here styles the axes that it is given; Matplotlib's global settings are the
user's, and stay as they are.
"""

# pyright: reportUnknownMemberType=false
# Matplotlib leaves the types of its keyword arguments open, so every method of its axes counts as partly unknown.

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from lrscout.core.errors import InvalidValueError

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend
    from matplotlib.typing import LegendLocType

BLACK = "#000000"
GREY = "#6e6e6e"
ORANGE = "#e69f00"
SKY_BLUE = "#56b4e9"
GREEN = "#009e73"
BLUE = "#0072b2"
VERMILLION = "#d55e00"
PURPLE = "#cc79a7"

LOSS = SKY_BLUE
SMOOTHED = BLUE
DIVERGED = GREY
POINTS = BLUE
TRUTH = BLACK
LEAST_SQUARES = GREEN
PATH = VERMILLION
SUGGESTIONS = {"minimum": VERMILLION, "steepest": GREEN, "valley": ORANGE, "slide": PURPLE}
MARKERS = {"minimum": "o", "steepest": "^", "valley": "D", "slide": "s"}
STEPS = (GREY, ORANGE, PURPLE, GREEN, VERMILLION, SKY_BLUE)
SURFACE = "cividis"
STABLE = "viridis"
VALLEY = "viridis_r"
WORSE = "#c8c8c8"
LIMIT = VERMILLION

DPI = 150
TITLE_SIZE, LABEL_SIZE, SMALL_SIZE = 10.5, 9.5, 8.5

_FAR = 1e3
"""How many heights of the window a line may run beyond it before it is cut. So far out the cut cannot be seen, and
Matplotlib is spared numbers that overflow when it adds or subtracts them."""


def new_axes(ax: Axes | None, *, projection: str | None = None, figsize: tuple[float, float] = (6.4, 4.2)) -> Axes:
    """Return the given axes, or those of a new figure.

    Args:
        ax: the axes, or None for new ones.
        projection: ``"3d"`` for a surface.
        figsize: width and height of a new figure in inches.

    Raises:
        InvalidValueError: the given axes have another projection than the picture needs.
    """
    if ax is None:
        # pyplot picks a backend when it loads, so it loads only where it is needed; a figure made through it is one
        # that a notebook shows.
        from matplotlib import pyplot

        return pyplot.figure(figsize=figsize, layout="constrained").add_subplot(projection=projection)
    if projection is not None and ax.name != projection:
        raise InvalidValueError(
            f"This picture needs axes made with projection={projection!r}, but the given ones are {ax.name!r}."
        )
    return ax


def panels(size: tuple[float, float], *plots: Callable[[Axes], Axes], projection: str | None = None) -> Figure:
    """Return a figure of plots side by side, to be saved; made without pyplot, which would keep it open.

    Args:
        size: width and height in inches.
        plots: each draws on the axes that it is given.
        projection: ``"3d"`` for surfaces.
    """
    figure = Figure(size, layout="constrained")
    for index, plot in enumerate(plots):
        plot(figure.add_subplot(1, len(plots), index + 1, projection=projection))
    return figure


def dress(ax: Axes, *, title: str, x: str, y: str) -> None:
    """Give axes their title and labels, and the look that all pictures share."""
    ax.set_title(title, fontsize=TITLE_SIZE, loc="left")
    ax.set_xlabel(x, fontsize=LABEL_SIZE)
    ax.set_ylabel(y, fontsize=LABEL_SIZE)
    ax.tick_params(which="both", labelsize=SMALL_SIZE)
    ax.spines[["top", "right"]].set_visible(False)


def add_legend(ax: Axes, location: LegendLocType = "best", **options: Any) -> Legend:
    """Add a legend in the type of the ticks, on a ground on which it stays readable above lines."""
    return ax.legend(
        loc=location, fontsize=SMALL_SIZE, title_fontsize=SMALL_SIZE, framealpha=0.9, edgecolor="none", **options
    )


def add_legend_below(ax: Axes, *, distance: float) -> Legend:
    """Add a legend under axes that are too full to hold one, `distance` of their height below them."""
    return add_legend(ax, "upper center", bbox_to_anchor=(0.5, -distance), ncols=3)


def drawable(values: Float[np.ndarray, " point"], low: float, high: float) -> Float[np.ndarray, " point"]:
    """Return values cut far outside a window, so that an explosion can be drawn as a line that leaves it.

    Args:
        values: heights; NaN stays NaN, and leaves a gap.
        low: the lower end of the window.
        high: its upper end.
    """
    far = _FAR * (high - low)
    return np.clip(values, low - far, high + far)


def padded(low: float, high: float) -> tuple[float, float]:
    """Return a window with a margin of a twentieth on each side."""
    margin = 0.05 * (high - low)
    return low - margin, high + margin
