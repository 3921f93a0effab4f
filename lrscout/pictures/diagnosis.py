"""The picture of a diagnosis: the losses of a run along its steps, and what became of it."""

# pyright: reportUnknownMemberType=false
# Matplotlib leaves the types of its keyword arguments open, so every method of its axes counts as partly unknown.

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from lrscout.analyse.diagnose import Diagnosis
from lrscout.analyse.smoothing import level_line
from lrscout.pictures.style import (
    DIVERGED,
    LOSS,
    PATH,
    SMALL_SIZE,
    SMOOTHED,
    add_legend,
    drawable,
    dress,
    new_axes,
    padded,
)

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes

    Points = Float[np.ndarray, " point"]

_MOST_POINTS = 4000
"""Points of a line; more are not seen, only drawn."""

_DECADES = 2
_LARGEST = 1e250
"""What larger losses are taken for, so that there is room for a margin around them."""

_TITLE_WIDTH, _TITLE_LINES = 80, 3


def plot_diagnosis(diagnosis: Diagnosis, ax: Axes | None = None) -> Axes:
    """Draw the losses of a run, smoothed where they are noisy, its evaluations, and where the numbers end.

    Args:
        diagnosis: the diagnosis.
        ax: the axes to draw on; new ones by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    finite = np.isfinite(diagnosis.losses)
    steps, losses = diagnosis.steps[finite], np.clip(diagnosis.losses[finite], -_LARGEST, _LARGEST)
    shown = np.isfinite(diagnosis.evaluations)
    evaluated_at, evaluations = (
        diagnosis.evaluated_at[shown],
        np.clip(diagnosis.evaluations[shown], -_LARGEST, _LARGEST),
    )
    low, high = _window(losses, evaluations, ax)
    ax.plot(*_thinned(steps, drawable(losses, low, high)), color=LOSS, linewidth=0.9, label="training loss")
    level = level_line(losses, diagnosis.evidence.noise, high - low)
    if level is not None:
        ax.plot(*_thinned(steps, drawable(level, low, high)), color=SMOOTHED, linewidth=2, label="smoothed")
    if len(evaluations):
        points = _thinned(evaluated_at, drawable(evaluations, low, high))
        marker = "o" if len(evaluations) <= 50 else None
        ax.plot(*points, color=PATH, linewidth=1.4, marker=marker, markersize=3.5, label="evaluation loss")
    if diagnosis.evidence.first_non_finite is not None:
        _mark_end(diagnosis.evidence.first_non_finite, float(diagnosis.steps[-1]), ax)
    ax.set_ylim(low, high)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    dress(ax, title=_verdict(diagnosis), x="step", y="loss")
    if ax.get_lines():
        add_legend(ax)
    return ax


def _verdict(diagnosis: Diagnosis) -> str:
    """Return how the diagnosis begins, on as many lines as a title may have."""
    lines = textwrap.wrap(str(diagnosis), _TITLE_WIDTH, max_lines=_TITLE_LINES, placeholder=" …")
    return "\n".join(lines)


def _window(losses: Points, evaluations: Points, ax: Axes) -> tuple[float, float]:
    """Return the heights between which to look, having made the axis logarithmic where that shows more."""
    values = np.concatenate([losses, evaluations])
    if len(values) == 0:
        ax.set_yticks([])
        return 0.0, 1.0
    lowest, highest = float(values.min()), float(values.max())
    if lowest > 0 and np.log10(highest) - np.log10(lowest) > _DECADES:
        ax.set_yscale("log")
        low, high = padded(float(np.log10(lowest)), float(np.log10(highest)))
        return float(10.0 ** max(low, -300.0)), float(10.0**high)
    # An explosion would flatten all that came before it.
    usual = float(np.quantile(values, 0.75))
    if usual > lowest:
        highest = min(highest, usual + 10 * (usual - lowest))
    if highest == lowest:
        lowest, highest = lowest - (abs(lowest) or 1.0) / 2, highest + (abs(highest) or 1.0) / 2
    return padded(lowest, highest)


def _thinned(steps: Points, values: Points) -> tuple[Points, Points]:
    """Return the lowest and the highest point of each of many parts of a line, which look like all of its points."""
    if len(values) <= _MOST_POINTS:
        return steps, values
    size = -(-2 * len(values) // _MOST_POINTS)
    starts = np.arange(0, len(values), size)
    parts = [values[start : start + size] for start in starts]
    kept = np.sort(
        np.concatenate(
            [[start + part.argmin(), start + part.argmax()] for start, part in zip(starts, parts, strict=True)]
        )
    )
    return steps[kept], values[kept]


def _mark_end(first: float, last: float, ax: Axes) -> None:
    ax.axvline(first, color=DIVERGED, linewidth=1.2, linestyle="--")
    if last > first:
        ax.axvspan(first, last, color=DIVERGED, alpha=0.18, linewidth=0)
    ax.annotate(
        f"not finite from step {first:g}",
        (first, 0.5),
        xycoords=("data", "axes fraction"),
        xytext=(-4, 0),
        textcoords="offset points",
        rotation=90,
        ha="right",
        va="center",
        fontsize=SMALL_SIZE,
        color=DIVERGED,
    )
