"""The picture of a range test: the losses, their smoothed level, and where each rule finds a learning rate."""

# pyright: reportUnknownMemberType=false
# Matplotlib leaves the types of its keyword arguments open, so every method of its axes counts as partly unknown.

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from lrscout.analyse.heights import heights_of
from lrscout.core.curve import Stop
from lrscout.measure.range_test import RangeTest
from lrscout.pictures.style import (
    DIVERGED,
    LOSS,
    MARKERS,
    SMALL_SIZE,
    SMOOTHED,
    SUGGESTIONS,
    add_legend,
    drawable,
    dress,
    new_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ENDINGS = {Stop.DIVERGED: "diverged", Stop.NON_FINITE: "not finite"}
_ROOM_FOR_REASON = 0.3
_ROOM_FOR_ENDING = 0.08


def plot_range_test(test: RangeTest, ax: Axes | None = None) -> Axes:
    """Draw the loss against the learning rate, with what each rule suggests.

    Args:
        test: the range test.
        ax: the axes to draw on; new ones by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    ax.set_xscale("log")
    low, high = heights_of(test.watched)
    _draw_losses(test, ax, low, high)
    if test.stopped is not Stop.COMPLETED:
        _shade_ending(test, ax)
    _mark_suggestions(test, ax)
    if test.lr is None:
        title = "No learning rate to suggest"
        low -= _ROOM_FOR_REASON * (high - low)
        _tell_reason(test, ax)
    else:
        title = f"Suggested learning rate: {test.lr:.2g} ({test.suggestion.low:.2g} to {test.suggestion.high:.2g})"
    ax.set_xlim(*_rate_window(test))
    ax.set_ylim(low, high)
    dress(ax, title=title, x="learning rate", y=test.loss_name)
    if any(np.isfinite(curve.losses).any() for curve in test.watched):
        _add_legend(test, ax)
    else:
        ax.set_yticks([])
    return ax


def _rate_window(test: RangeTest) -> tuple[float, float]:
    rates = [suggestion.lr for suggestion in test.suggestions.values() if suggestion.lr is not None]
    first, last = min([float(test.lrs[0]), *rates]), _last_rate(test)
    if last == first:  # Over at the first step; without a second one the ladder is unknown.
        return first, 100 * first
    room = _ROOM_FOR_ENDING if test.stopped is not Stop.COMPLETED else 0.02
    return first * (first / last) ** 0.02, last * (last / first) ** room


def _last_rate(test: RangeTest) -> float:
    return max(float(curve.lrs[-1]) for curve in test.watched)


def _draw_losses(test: RangeTest, ax: Axes, low: float, high: float) -> None:
    repeats = len(test.watched)
    label = test.loss_name if repeats == 1 else f"{test.loss_name} of {repeats} repeats"
    for curve in test.watched:
        losses = np.where(np.isfinite(curve.losses), curve.losses, np.nan)
        ax.plot(curve.lrs, drawable(losses, low, high), color=LOSS, linewidth=0.8, alpha=0.6, label=label)
        label = "_more"  # A leading underscore keeps the other repeats out of the legend.
    level = test.smoothed
    if len(level) == 0:
        return
    ax.plot(
        test.lrs[: len(level)],
        drawable(level, low, high),
        color=SMOOTHED,
        linewidth=2,
        label="smoothed" if repeats == 1 else "smoothed mean",
    )


def _shade_ending(test: RangeTest, ax: Axes) -> None:
    edge = _rate_window(test)[1]
    ax.axvspan(float(test.lrs[-1]), edge, color=DIVERGED, alpha=0.18, linewidth=0)
    ax.text(
        math.sqrt(_last_rate(test) * edge),  # Beyond the repeats that may have gone on without the first to stop.
        0.5,
        _ENDINGS[test.stopped],
        transform=ax.get_xaxis_transform(),
        rotation=90,
        ha="center",
        va="center",
        fontsize=SMALL_SIZE,
        color=DIVERGED,
    )


def _mark_suggestions(test: RangeTest, ax: Axes) -> None:
    for rule, suggestion in test.suggestions.items():
        if suggestion.lr is None or suggestion.low is None or suggestion.high is None:
            continue
        chosen, color = rule == test.rule, SUGGESTIONS[rule]
        if chosen:
            ax.axvspan(suggestion.low, suggestion.high, color=color, alpha=0.2, linewidth=0)
            ax.axvline(suggestion.lr, color=color, linewidth=1)
        ax.plot(
            [suggestion.lr],
            [test.level_at(suggestion.lr)],
            linestyle="none",
            marker=MARKERS[rule],
            markersize=9 if chosen else 6.5,
            color=color,
            markeredgecolor="white",
            zorder=3 if chosen else 4,  # Another rule's smaller mark at the same rate is seen on top of it.
            label=f"{rule}: {suggestion.lr:.2g}",
        )


def _tell_reason(test: RangeTest, ax: Axes) -> None:
    points_wide = 72 * ax.bbox.width / ax.figure.dpi
    reason = textwrap.fill(test.suggestion.reason, width=max(20, int(points_wide / (0.55 * SMALL_SIZE))))
    ax.text(0.02, 0.03, reason, transform=ax.transAxes, fontsize=SMALL_SIZE, va="bottom", linespacing=1.3)


def _add_legend(test: RangeTest, ax: Axes) -> None:
    legend = add_legend(ax)
    for text in legend.get_texts():
        if text.get_text().startswith(f"{test.rule}:"):
            text.set_fontweight("bold")
