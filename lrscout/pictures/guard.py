"""The picture of a guarded run: its losses, its rate, and where it was taken back."""

# pyright: reportUnknownMemberType=false
# Matplotlib leaves the types of its keyword arguments open, so every method of its axes counts as partly unknown.

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from lrscout.measure.guard import GuardedRun
from lrscout.pictures.style import DIVERGED, LOSS, PATH, SMALL_SIZE, add_legend, drawable, dress, new_axes, padded

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LARGEST = 1e250
"""What larger losses are taken for, so that there is room for a margin around them."""

_ABOVE = 10.0
_MOST_NAMED = 6


def plot_guarded_run(run: GuardedRun, ax: Axes | None = None) -> Axes:
    """Draw the losses of the run as it counts, its evaluations, and a line wherever it was taken back to.

    Args:
        run: the guarded run.
        ax: the axes to draw on; new ones by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    curve = run.curve
    losses, evaluations = (np.clip(values, -_LARGEST, _LARGEST) for values in (curve.losses, curve.evaluations))
    low, high = _window(np.concatenate([losses, evaluations]))
    ax.plot(np.arange(curve.steps), drawable(losses, low, high), color=LOSS, linewidth=0.9, label="training loss")
    if len(evaluations):
        at, heights = curve.evaluated_at, drawable(evaluations, low, high)
        ax.plot(at, heights, color=PATH, marker="o", markersize=3.5, linestyle="", label="evaluation loss")
    _mark_rollbacks(run, ax)
    ax.set_ylim(low, high)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    times = {0: "never taken back", 1: "taken back once"}.get(
        len(run.rollbacks), f"taken back {len(run.rollbacks)} times"
    )
    dress(ax, title=f"A guarded run, {times}, at lr {run.lr:.3g} in the end", x="step", y="loss")
    add_legend(ax)
    return ax


def _mark_rollbacks(run: GuardedRun, ax: Axes) -> None:
    rates: dict[int, list[str]] = {}
    for rollback in run.rollbacks:
        told = "given up" if rollback.new_lr is None else f"lr {rollback.new_lr:.2g}"
        rates.setdefault(rollback.back_to, []).append(told)
    for place, (step, told) in enumerate(rates.items()):
        ax.axvline(step, color=DIVERGED, linewidth=1.2, linestyle="--", label=None if place else "taken back to")
        if place < _MOST_NAMED:
            ax.annotate(
                told[-1],
                (step, 0.98),
                xycoords=("data", "axes fraction"),
                xytext=(3, 0),
                textcoords="offset points",
                rotation=90,
                va="top",
                fontsize=SMALL_SIZE,
                color=DIVERGED,
            )


def _window(values: np.ndarray) -> tuple[float, float]:
    """Return the heights between which to look: an explosion would flatten all that came before it."""
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return 0.0, 1.0
    lowest, usual, highest = (float(part) for part in np.quantile(values, [0, 0.75, 1]))
    if usual > lowest:
        highest = min(highest, usual + _ABOVE * (usual - lowest))
    if highest == lowest:
        lowest, highest = lowest - (abs(lowest) or 1.0) / 2, highest + (abs(highest) or 1.0) / 2
    return padded(lowest, highest)
