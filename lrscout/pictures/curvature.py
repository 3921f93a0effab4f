"""The curvature: the sharpness along a run against its limit, or the loss along the next step."""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from lrscout.measure.sharpness import Curvature, Track
from lrscout.pictures.style import (
    GREY,
    LABEL_SIZE,
    LIMIT,
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
    from matplotlib.axes import Axes

_HEADROOM = 0.35
"""How far above the loss before the step the picture goes on, in heights of the fall below it."""


def plot_curvature(curvature: Curvature, ax: Axes | None = None) -> Axes:
    """Draw the sharpness along a run if it was tracked, and otherwise the loss along the next step.

    Args:
        curvature: the result.
        ax: the axes to draw on; new ones by default.
    """
    ax = new_axes(ax)
    if curvature.track is not None:
        return _plot_track(curvature.track, ax)
    return _plot_next_step(curvature, ax)


def _plot_track(track: Track, ax: Axes) -> Axes:
    ax.plot(track.steps, track.sharpness, color=SMOOTHED, linewidth=1.8, label="sharpness")
    ax.plot(track.steps, track.limits, color=LIMIT, linestyle="--", linewidth=1.4, label="limit of stability")
    top = 1.5 * float(track.limits.max())
    low = min(0.0, float(track.sharpness.min()))
    ax.set_ylim(*padded(low, max(top, min(float(track.sharpness.max()), 3 * top))))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    dress(ax, title=f"The sharpness along a run at lr {track.lr:.3g}", x="step", y="sharpness")
    beside = ax.twinx()
    beside.plot(np.arange(len(track.losses)), track.losses, color=GREY, linewidth=0.9, alpha=0.8, label="training loss")
    beside.set_ylabel("training loss", color=GREY, fontsize=LABEL_SIZE)
    beside.tick_params(labelsize=SMALL_SIZE, colors=GREY)
    beside.spines[["top"]].set_visible(False)
    lines = [*ax.get_lines(), *beside.get_lines()]
    add_legend(ax, "upper right", handles=lines)
    ax.set_zorder(beside.get_zorder() + 1)
    ax.patch.set_visible(False)
    return ax


def _plot_next_step(curvature: Curvature, ax: Axes) -> Axes:
    """Draw the loss after the next step at each rate that was looked at."""
    rates, losses = (np.array(column) for column in zip(*curvature.critical.looks, strict=True))
    before = curvature.critical.loss_before
    finite = losses[np.isfinite(losses)]
    lowest = min(float(finite.min(initial=before)), before)
    height = (before - lowest) or abs(before) or 1.0
    low, high = lowest - 0.1 * height, before + _HEADROOM * height
    ax.plot(rates, drawable(losses, low, high), color=LOSS, marker="o", markersize=4, label="loss after the next step")
    ax.axhline(before, color=GREY, linewidth=1, linestyle=":", label="loss before it")
    if curvature.critical_lr is not None:
        ax.axvline(curvature.critical_lr, color=PATH, linewidth=1.2, label=f"critical lr {curvature.critical_lr:.2g}")
    if curvature.max_stable_lr is not None:
        label = f"limit of stability {curvature.max_stable_lr:.3g}"
        ax.axvline(curvature.max_stable_lr, color=LIMIT, linewidth=1.4, linestyle="--", label=label)
    ax.set_xscale("log")
    ax.set_ylim(low, high)
    dress(ax, title="What the next step does to the loss", x="learning rate", y="loss")
    add_legend(ax, "best")
    return ax
