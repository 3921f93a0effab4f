"""The pictures of the lesson: its points, its lines, its losses, and all of them in files."""

# pyright: reportUnknownMemberType=false
# Matplotlib leaves the types of its keyword arguments open, so every method of its axes counts as partly unknown.

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np

from lrscout.lesson.descent import Descent
from lrscout.lesson.lr_map import LessonMap
from lrscout.lesson.problem import TRUE_B, TRUE_W, Problem
from lrscout.lesson.story import JUST_RIGHT, TOO_LARGE, Story
from lrscout.pictures.bowl import plot_contours as plot_contours
from lrscout.pictures.bowl import plot_surface as plot_surface
from lrscout.pictures.bowl import verdict
from lrscout.pictures.lr_map import plot_lr_map
from lrscout.pictures.range_test import plot_range_test
from lrscout.pictures.style import (
    DIVERGED,
    DPI,
    LEAST_SQUARES,
    POINTS,
    STABLE,
    STEPS,
    TITLE_SIZE,
    TRUTH,
    add_legend,
    add_legend_below,
    drawable,
    dress,
    new_axes,
    padded,
    panels,
)

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes

_DASHES = ("--", "-.", ":")


def plot_data(problem: Problem, ax: Axes | None = None) -> Axes:
    """Draw the points, the line that they come from, and the line that fits them best.

    Args:
        problem: the points.
        ax: the axes to draw on; new ones by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    w, b = problem.least_squares
    _draw_points(problem, ax)
    ax.axline((0, b), slope=w, color=LEAST_SQUARES, linewidth=2, label=f"least squares: {w:.4f} x + {b:.4f}")
    dress(ax, title=f"{len(problem.x)} points on a line, with noise", x="x", y="y")
    add_legend(ax)
    return ax


def plot_distribution(problem: Problem, ax: Axes | None = None) -> Axes:
    """Draw how the noise is distributed around the true line.

    Args:
        problem: the points.
        ax: the axes to draw on; new ones by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    errors = problem.y - (TRUE_W * problem.x + TRUE_B)
    bins = int(np.clip(np.sqrt(len(errors)) + 1, 3, 40))
    ax.hist(errors, bins=bins, color=POINTS, alpha=0.7, edgecolor="white")
    ax.axvline(0, color=TRUTH, linestyle="--", label="true line")
    dress(ax, title=f"Their noise: standard deviation {np.std(errors):.3f}", x="height above the true line", y="points")
    add_legend(ax)
    return ax


def plot_lines(descent: Descent, ax: Axes | None = None, steps: Sequence[int] = (0, 1, 2, 3, 200)) -> Axes:
    """Draw the line as it stands after some steps of a descent.

    Args:
        descent: the descent.
        ax: the axes to draw on; new ones by default.
        steps: the steps after which to draw the line. For those that the descent did not take, its last one stands.

    Returns:
        The axes.
    """
    ax = new_axes(ax, figsize=(6.4, 5))
    problem = descent.problem
    steps = sorted({min(step, descent.steps) for step in steps})
    left, right = padded(float(problem.x.min()), float(problem.x.max()))
    with np.errstate(over="ignore", invalid="ignore"):
        ends = descent.path[steps] @ np.array([[left, right], [1, 1]])
    low, high = _lines_window(problem, ends)
    _draw_points(problem, ax)
    for index, (step, (at_left, at_right)) in enumerate(zip(steps, ends.tolist(), strict=True)):
        color = STEPS[index % len(STEPS)]
        label = "start" if step == 0 else f"step {step}"
        if not np.isfinite([at_left, at_right]).all():
            ax.plot([], [], color=color, linewidth=2, label=f"{label}: none (NaN)")
        elif max(at_left, at_right) < low or min(at_left, at_right) > high:
            ax.plot([], [], color=color, linewidth=2, label=f"{label}: off the page")
        else:
            ax.axline((left, at_left), (right, at_right), color=color, linewidth=2, label=label)
    ax.set_xlim(left, right)
    ax.set_ylim(low, high)
    dress(ax, title=verdict(descent), x="x", y="y")
    add_legend_below(ax, distance=0.13)
    return ax


def plot_losses(descents: Sequence[Descent], ax: Axes | None = None) -> Axes:
    """Draw the loss after each step of descents of one problem at several learning rates.

    Args:
        descents: the descents, at least one.
        ax: the axes to draw on; new ones by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    problem = descents[0].problem
    limit = problem.max_stable_lr
    lowest = float(problem.loss(*np.array(problem.least_squares)))
    start = max(float(descent.losses[0]) for descent in descents) or 1.0
    low, high = max(0.5 * lowest, 1e-9 * start), 1e3 * start
    for descent, look in zip(descents, _looks(descents), strict=True):
        losses = np.where(np.isfinite(descent.losses), drawable(descent.losses, low, high), np.nan)
        ax.plot(losses, linewidth=1.7, label=f"{descent.lr:g}", **look)
    ax.set_xscale("symlog", linthresh=1)  # A logarithmic axis that has room for step 0.
    ax.set_yscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xlim(0, max(descent.steps for descent in descents))
    ax.set_ylim(low, high)
    dress(ax, title=_no_steps_help(limit), x="step", y="loss")
    add_legend(ax, "upper right", ncols=2, title=f"learning rate (limit {limit:.3f})")
    return ax


def plot_lesson_map(lesson_map: LessonMap, ax: Axes | None = None) -> Axes:
    """Draw the lesson's learning-rate x steps map with the limit of stability.

    Args:
        lesson_map: the map.
        ax: the axes to draw on; new ones by default.

    Returns:
        The axes.
    """
    limit = lesson_map.problem.max_stable_lr
    ax = plot_lr_map(lesson_map.lr_map, ax, limit=limit)
    ax.set_title(_no_steps_help(limit), fontsize=TITLE_SIZE, loc="left")
    return ax


def save_lesson(story: Story, folder: Path | str) -> list[Path]:
    """Draw the whole lesson into PNG files.

    Args:
        story: the lesson.
        folder: where the files go; it is made if it is not there.

    Returns:
        The files, in the order of the lesson.

    Raises:
        OSError: a file could not be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    right, large = story.descent(JUST_RIGHT), story.descent(TOO_LARGE)
    pictures = {
        "data.png": panels((11, 4.2), partial(plot_data, story.problem), partial(plot_distribution, story.problem)),
        "lines.png": panels((11, 5), partial(plot_lines, large), partial(plot_lines, right)),
        "losses.png": panels((6.8, 4.6), partial(plot_losses, story.descents)),
        "range_test.png": panels((6.8, 4.4), partial(plot_range_test, story.ladder)),
        "surface.png": panels((12, 5.4), partial(plot_surface, right), partial(plot_surface, large), projection="3d"),
        "contours.png": panels((11, 4.8), partial(plot_contours, right), partial(plot_contours, large)),
    }
    for name, picture in pictures.items():
        picture.savefig(folder / name, dpi=DPI)
    return [folder / name for name in pictures]


def _no_steps_help(limit: float) -> str:
    return f"Above a learning rate of {limit:.3f} no number of steps will help"


def _looks(descents: Sequence[Descent]) -> list[dict[str, Any]]:
    """Return each descent's colour and dashes: a scale of colours below the limit, dashes in grey above it."""
    stable = [descent for descent in descents if descent.lr <= descent.problem.max_stable_lr]
    shades = iter(matplotlib.colormaps[STABLE](np.linspace(0, 0.85, len(stable))))
    dashes = cycle(_DASHES)
    return [
        {"color": next(shades)} if descent in stable else {"color": DIVERGED, "linestyle": next(dashes)}
        for descent in descents
    ]


def _draw_points(problem: Problem, ax: Axes) -> None:
    ax.scatter(problem.x, problem.y, s=18, color=POINTS, alpha=0.7, linewidths=0, label="points")
    ax.axline((0, TRUE_B), slope=TRUE_W, color=TRUTH, linestyle="--", label=f"true line: {TRUE_W:g} x + {TRUE_B:g}")


def _lines_window(problem: Problem, ends: Float[np.ndarray, "line 2"]) -> tuple[float, float]:
    """Return heights that show the points, the first line, and of the others those that do not squash the points."""
    points = problem.y.astype(float)
    middle = float(points.mean())
    reach = 2 * max(float(np.abs(ends[0] - middle).max()), float(np.ptp(points)))
    near = ends[(np.abs(ends - middle) <= reach).all(axis=1)]  # NaN is never near.
    shown = np.concatenate([points, near.ravel()])
    return padded(float(shown.min()), float(shown.max()))
