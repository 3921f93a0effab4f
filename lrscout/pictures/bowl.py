"""The picture of the lesson's bowl: the loss over weight and bias, and the path that a descent takes through it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lrscout.analyse.window import places_of_leaps, window_around
from lrscout.core.result import Cost
from lrscout.lesson.descent import Descent
from lrscout.measure.loss_surface import Path, Surface
from lrscout.pictures.surface import plot_contours as plot_contours_of
from lrscout.pictures.surface import plot_in_space

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SMALLEST_SPAN = 0.1
"""How far to look around a descent that hardly moves, as a share of the least-squares weight or bias if above 1."""

_GRID = 121
_MINIMUM = "least squares"


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
    return plot_in_space(surface_of(descent), ax, title=verdict(descent), minimum=_MINIMUM)


def plot_contours(descent: Descent, ax: Axes | None = None) -> Axes:
    """Draw the loss over weight and bias from above, with the path of a descent.

    Args:
        descent: the descent. Of one that diverges only the first jumps are drawn.
        ax: the axes to draw on; new ones by default.

    Returns:
        The axes.
    """
    return plot_contours_of(surface_of(descent), ax, title=verdict(descent), minimum=_MINIMUM)


def verdict(descent: Descent) -> str:
    """Return how a descent's learning rate compares with the largest stable one."""
    side = "above" if descent.lr > descent.problem.max_stable_lr else "below"
    return f"Learning rate {descent.lr:g}, {side} the limit 2 / sharpness = {descent.problem.max_stable_lr:.3f}"


def surface_of(descent: Descent) -> Surface:
    """Return the surface of a descent's problem with its path, by the formula of the loss.

    Args:
        descent: the descent.
    """
    problem, start = descent.problem, descent.path[0]
    minimum = np.array(problem.least_squares)
    path = _path_of(descent)
    smallest = _SMALLEST_SPAN * max(1.0, float(np.abs(minimum).max())) / 2
    low, high = window_around(np.vstack([path.seen, minimum - smallest, minimum + smallest]), smallest)
    weights, biases = (np.linspace(float(low[axis]), float(high[axis]), _GRID) for axis in range(2))
    return Surface(
        kind="parameters",
        names=("weight w", "bias b"),
        axes=(weights, biases),
        losses=problem.loss(weights[:, np.newaxis], biases),
        home=start,
        paths=(path,),
        max_stable_lr=problem.max_stable_lr,
        minimum=minimum,
        origin=np.zeros(2),
        directions=np.eye(2),
        batches=1,
        cost=Cost(descent.steps, _GRID**2, 0.0),
    )


def _path_of(descent: Descent) -> Path:
    finite = np.logical_and.accumulate(np.isfinite(descent.path).all(axis=1))
    places, losses = descent.path[finite], descent.losses[finite]
    diverges = descent.lr > descent.problem.max_stable_lr
    return Path(
        lr=descent.lr,
        steps=np.arange(len(places)),
        places=places,
        losses=losses,
        taken=descent.steps,
        outcome=descent.outcome,
        shown=places_of_leaps(losses, places) if diverges else len(places),
    )
