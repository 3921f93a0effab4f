"""The picture of a learning-rate x steps map: its valley, the best rate for each budget, and how the runs went."""

# pyright: reportUnknownMemberType=false
# Matplotlib leaves the types of its keyword arguments open, so every method of its axes counts as partly unknown.

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.patheffects import withStroke
from matplotlib.textpath import TextPath

from lrscout.core.checks import check_lr
from lrscout.core.curve import Outcome
from lrscout.measure.lr_map import Best, LRMap
from lrscout.pictures.regions import Ground, cell_edges, outlines, patches
from lrscout.pictures.style import (
    BLACK,
    LABEL_SIZE,
    LIMIT,
    SMALL_SIZE,
    VALLEY,
    WORSE,
    add_legend,
    dress,
    new_axes,
)

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from lrscout.pictures.regions import Cells, Edges

NAMES = {outcome: str(outcome).replace("_", " ") for outcome in Outcome} | {Outcome.NON_FINITE: "not finite"}

_LOGARITHMIC_FROM = 3
"""The factor between the start and the lowest loss from which on the colours are logarithmic."""

_FLAT = 1e-6
"""A fall of this share of the start, or of less, is none."""

_OTHER_BATCHES = 0.1
"""The share of the fall by which a training loss may lie above the start because it is that of other batches."""

_LARGEST = 1e300
"""What larger losses are taken for, so that the distance between two of them is a number."""

_FEW = 8
"""The number of budgets, or of rates, of which each has room for a tick of its own."""

_MARGIN = 5
"""How far a name keeps off lines and outlines, in points."""

_NAME: dict[str, Any] = {
    "ha": "center",
    "va": "center",
    "fontsize": SMALL_SIZE,
    "path_effects": [withStroke(linewidth=2, foreground="white", alpha=0.85)],
    "zorder": 5,
}
_LETTER: dict[str, Any] = {"color": BLACK, "path_effects": _NAME["path_effects"], "zorder": 5}

_HANDLE, _UNUSED = 4.8 * SMALL_SIZE, 1.2 * SMALL_SIZE
"""The width that a legend's label takes beside its text, and how much of that the last one does not, in points."""


def plot_lr_map(lr_map: LRMap, ax: Axes | None = None, *, limit: float | None = None) -> Axes:
    """Draw the loss over steps and learning rate, the best rate for each budget, and how the runs were going.

    Args:
        lr_map: the map.
        ax: the axes to draw on; new ones by default. The colour bar takes its room from them.
        limit: a learning rate to draw as the limit of stability, such as 2 / sharpness.

    Returns:
        The axes.

    Raises:
        InvalidValueError: `limit` is not a finite number above zero.
    """
    if limit is not None:
        limit = check_lr("limit", limit)
    ax = new_axes(ax, figsize=(6.8, 4.6))
    width = 72 / ax.figure.dpi * ax.bbox.width
    x, y = cell_edges(lr_map.checkpoints), cell_edges(lr_map.lrs)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    ground = Ground(ax, x, y)
    _draw_best(lr_map, ax, ground)
    if limit is not None:
        _draw_limit(limit, ax, ground)
    _draw_losses(lr_map, ax, x, y)
    _draw_outlines(lr_map, ax, x, y)
    _name_regions(lr_map, ax, ground)
    ax.xaxis.set_major_formatter("{x:g}")
    _tick_each(ax.xaxis, lr_map.checkpoints, "g")
    _tick_each(ax.yaxis, lr_map.lrs, ".3g")
    steps = "steps" if lr_map.one_run_serves_all else f"steps (each a run of its own, {lr_map.schedule} schedule)"
    dress(ax, title=_verdict(lr_map), x=steps, y="learning rate")
    _add_legend(ax, width)
    return ax


def _draw_losses(lr_map: LRMap, ax: Axes, x: Edges, y: Edges) -> None:
    loss = np.clip(lr_map.loss, -_LARGEST, _LARGEST)
    finite = loss[np.isfinite(lr_map.loss)]
    known = math.isfinite(lr_map.start)
    start = float(np.clip(lr_map.start, -_LARGEST, _LARGEST)) if known else float(finite.max(initial=-_LARGEST))
    lowest = float(finite.min(initial=start))
    reach = _OTHER_BATCHES * (start - lowest) if lr_map.watched == "training" else 0.0
    worse = ~np.isfinite(lr_map.loss) | (loss > start + reach)
    mesh = ax.pcolormesh(
        x,
        y,
        np.ma.masked_array(np.minimum(loss, start), worse),
        norm=_scale(lowest, start),
        cmap=matplotlib.colormaps[VALLEY].with_extremes(bad=WORSE, over=WORSE),
        rasterized=True,  # Or the cells would be parted by hairlines in a PDF.
    )
    if worse.any():
        label = f"worse than the start, {start:.3g}" if known else "not finite"
        ax.plot([], [], color=WORSE, marker="s", markersize=9, linestyle="none", label=label)
    if not worse.all():
        bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02, extend="max" if worse.any() else "neither")
        bar.set_label(lr_map.loss_name, fontsize=LABEL_SIZE)
        bar.ax.tick_params(which="both", labelsize=SMALL_SIZE)
        bar.outline.set_visible(False)


def _scale(lowest: float, start: float) -> Normalize:
    """Return the colours' scale: logarithmic where that shows more of the valley."""
    if start - lowest <= _FLAT * abs(start):
        return Normalize(start - (abs(start) or 1.0), start)
    if lowest > 0 and start / lowest >= _LOGARITHMIC_FROM:
        return LogNorm(lowest, start)
    return Normalize(lowest, start)


def _draw_outlines(lr_map: LRMap, ax: Axes, x: Edges, y: Edges) -> None:
    segments = outlines(lr_map.outcomes, x, y)
    for color, width in ((BLACK, 1.8), ("white", 0.8)):  # In two tones, to be seen on every colour of the valley.
        lines = LineCollection(list(segments), colors=color, linewidths=width, capstyle="projecting")
        ax.add_collection(lines, autolim=False)


def _draw_best(lr_map: LRMap, ax: Axes, ground: Ground) -> None:
    frontier = lr_map.frontier()
    steps, lr, low, high = (_numbers(frontier, field) for field in ("steps", "lr", "low", "high"))
    known = np.isfinite(lr)
    if not known.any():
        return
    label = "best rate"
    if np.isfinite(low).any():
        label = f"best rate, range over {len(lr_map.seeds)} seeds"
        ax.vlines(steps, low, high, color="white", linewidth=1.4, zorder=3, path_effects=_halo(2.8, BLACK))
    ax.plot(
        steps,
        lr,
        color="white",
        linewidth=1.6,
        marker="o",
        markersize=4,
        label=label,
        zorder=4,
        path_effects=_halo(3.2, BLACK),
        clip_on=False,  # A best rate on the edge of a fine map is seen whole.
    )
    low, high = np.where(np.isfinite(low), low, lr), np.where(np.isfinite(high), high, lr)
    ground.occupy(steps[known], low[known], high[known], margin=_MARGIN)


def _numbers(frontier: tuple[Best, ...], field: str) -> Float[np.ndarray, " checkpoint"]:
    """Return a field of the best rates, with NaN for None."""
    return np.array([getattr(best, field) for best in frontier], float)


def _draw_limit(limit: float, ax: Axes, ground: Ground) -> None:
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    off = "" if bottom <= limit <= top else " (off the map)"
    ax.plot(
        [left, right],
        [limit, limit],
        color=LIMIT,
        linestyle="--",
        linewidth=1.8,
        label=f"stability limit: {limit:.3g}{off}",
        zorder=2.5,
    )
    ground.occupy(np.array([left, right]), np.array([limit, limit]), np.array([limit, limit]), margin=_MARGIN)


def _name_regions(lr_map: LRMap, ax: Axes, ground: Ground) -> None:
    """Name every patch that has room; an outcome that has none gets its first letter, which the legend explains."""
    without: dict[Outcome, Cells | None] = {}
    for patch in patches(lr_map.outcomes):
        outcome = lr_map.outcomes[patch][0]
        without.setdefault(outcome, patch)
        if _name(NAMES[outcome], patch, ax, ground):
            without[outcome] = None
    for outcome, patch in without.items():
        if patch is not None:
            name = NAMES[outcome]
            place = ground.place(patch, SMALL_SIZE, SMALL_SIZE) or _one_of(patch, lr_map)
            ax.plot(*place, linestyle="none", marker=rf"$\mathrm{{{name[0]}}}$", markersize=6, label=name, **_LETTER)


def _name(name: str, patch: Cells, ax: Axes, ground: Ground) -> bool:
    """Write a name on a patch, across or upwards, and return whether there was room for it."""
    width, height = _width_of(name) + _MARGIN, SMALL_SIZE + _MARGIN
    if place := ground.place(patch, width, height):
        ax.text(*place, name, **_NAME)
    elif place := ground.place(patch, height, width):
        ax.text(*place, name, rotation=90, **_NAME)
    return place is not None


@cache
def _width_of(text: str) -> float:
    """Return the width of a text in points."""
    return float(TextPath((0, 0), text, size=SMALL_SIZE).get_extents().width)


def _one_of(cells: Cells, lr_map: LRMap) -> tuple[float, float]:
    """Return the middle of one of some cells."""
    rates, checkpoints = np.nonzero(cells)
    one = len(rates) // 2
    return float(lr_map.checkpoints[checkpoints[one]]), float(lr_map.lrs[rates[one]])


def _add_legend(ax: Axes, width: float) -> None:
    """Add the legend below the axes, in as many columns as fit into a width in points."""
    widths = [_HANDLE + _width_of(label) for label in ax.get_legend_handles_labels()[1]]
    for columns in range(len(widths), 0, -1):
        if columns == 1 or sum(max(column) for column in np.array_split(widths, columns)) <= width + _UNUSED:
            add_legend(ax, "upper center", bbox_to_anchor=(0.5, -0.13), ncols=columns)
            break


def _halo(width: float, color: str) -> list[withStroke]:
    return [withStroke(linewidth=width, foreground=color)]


def _tick_each(axis: Axis, centres: Float[np.ndarray, " cell"], form: str) -> None:
    """Put a tick at each of a few centres; more, or crowded ones, keep the ticks of a logarithmic axis."""
    logs = np.log(centres)
    if len(centres) <= _FEW and (len(centres) == 1 or np.diff(logs).min() * _FEW >= np.ptp(logs) / 2):
        axis.set_ticks(centres, [f"{centre:{form}}" for centre in centres])
        axis.set_ticks([], minor=True)


def _verdict(lr_map: LRMap) -> str:
    best = lr_map.frontier()[-1]
    steps = f"{best.steps} step{'s' * (best.steps > 1)}"
    if best.lr is None:
        return f"After {steps} no learning rate has a finite loss"
    if lr_map.lr is None:
        return f"After {steps} no learning rate has brought the loss down"
    interval = f" ({best.low:.2g} to {best.high:.2g})" if best.low is not None else ""
    return f"Best learning rate for {steps}: {best.lr:.2g}{interval}"
