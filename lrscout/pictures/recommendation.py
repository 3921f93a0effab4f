"""The pictures of a recommendation: the race that the rate won, and what each budget of steps is good for."""

# pyright: reportUnknownMemberType=false
# Matplotlib leaves the types of its keyword arguments open, so every method of its axes counts as partly unknown.

from __future__ import annotations

import math
import textwrap
from functools import partial
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.colors import to_hex

from lrscout.core.errors import InvalidValueError
from lrscout.measure.recommendation import Probe, Recommendation
from lrscout.pictures.style import (
    BLACK,
    DIVERGED,
    GREEN,
    LIMIT,
    PURPLE,
    SMALL_SIZE,
    SMOOTHED,
    TITLE_SIZE,
    add_legend,
    add_legend_below,
    dress,
    new_axes,
    padded,
    panels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PICK = GREEN
_SHADES, _LIGHTEST, _DARKEST = "Blues", 0.4, 1.0
_LARGEST = 1e300
"""What larger losses are taken for, so that the distance between two of them is a number."""

_LOGARITHMIC_FROM = 3
"""The factor between the highest and the lowest loss from which on the axis is logarithmic."""

_ABOVE_START = 0.25
"""How far above the start losses are still drawn at their height, in heights of the fall."""

_FAR = 30
"""The factor from the rates that were tried beyond which the limit of stability is only named."""

_NARROWEST = 1.0
"""The fewest decades of rates to show."""

_BELOW = 0.16
_ABOVE = 11
"""How far above the axes the title stands, in points: marks lie on their edge."""


def plot_recommendation(recommendation: Recommendation, ax: Axes | None = None) -> Axes:
    """Draw the race: the loss that each probe was compared by, the pick with its range, and where probes diverged.

    Args:
        recommendation: the recommendation.
        ax: the axes to draw on; new ones by default. The legend is below them.

    Returns:
        The axes.
    """
    ax = new_axes(ax, figsize=(6.8, 4.6))
    ax.set_xscale("log")
    low, high = _loss_window(recommendation, ax)
    ax.set_ylim(low, high)
    _draw_pick(recommendation, ax)
    _draw_limit(recommendation, ax)
    if math.isfinite(recommendation.start) and low < recommendation.start < high:
        ax.axhline(recommendation.start, color=BLACK, linestyle=":", linewidth=1, label="before training", zorder=1)
    _draw_probes(recommendation, ax)
    _draw_expectation(recommendation, ax)
    ax.set_xlim(*_rate_window(recommendation))
    peak = "" if recommendation.schedule.name == "constant" else "peak "
    dress(ax, title="", x=f"{peak}learning rate", y=recommendation.loss_name)
    ax.set_title(_verdict(recommendation), fontsize=TITLE_SIZE, loc="left", pad=_ABOVE)
    if recommendation.lr is None:
        _tell_reason(recommendation.reasons[0], ax)
    if ax.get_legend_handles_labels()[1]:
        add_legend_below(ax, distance=_BELOW)
    return ax


def plot_frontier(recommendation: Recommendation, ax: Axes | None = None) -> Axes:
    """Draw the loss that each budget of steps leads to, with the rate that is best for it.

    Args:
        recommendation: a recommendation for neither a number of steps nor a target loss.
        ax: the axes to draw on; new ones by default.

    Returns:
        The axes.

    Raises:
        InvalidValueError: the recommendation has no frontier.
    """
    known = [(line.steps, line.lr, line.loss, line.gain) for line in recommendation.frontier if line.loss is not None]
    if not known:
        raise InvalidValueError(
            "There is no frontier to draw. A recommendation for neither steps nor a target loss has one: "
            "lrscout.find(loop)."
        )
    ax = new_axes(ax)
    ax.set_xscale("log")
    steps, losses = [steps for steps, *_ in known], np.clip([loss for _, _, loss, _ in known], -_LARGEST, _LARGEST)
    if recommendation.steps is not None:
        ax.axvline(recommendation.steps, color=_PICK, linewidth=1.4, label="recommended")
    ax.plot(steps, losses, color=SMOOTHED, marker="o", markersize=6, linewidth=1.6, label="best rate of each budget")
    _scale_losses(float(losses.min()), float(losses.max()), ax)
    for place, (_, lr, _, gain) in zip(zip(steps, losses, strict=True), known, strict=True):
        text = f"lr {lr:.2g}" if gain is None else f"lr {lr:.2g}\n+{100 * gain:.2g} %"
        ax.annotate(text, place, xytext=(6, 5), textcoords="offset points", fontsize=SMALL_SIZE)
    ax.margins(x=0.2, y=0.16)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xticks(steps)
    ax.set_xticks([], minor=True)
    dress(ax, title="", x="steps", y=recommendation.loss_name)
    ax.set_title("What more steps bring", fontsize=TITLE_SIZE, loc="left", pad=_ABOVE)
    add_legend(ax)
    return ax


def picture_of(recommendation: Recommendation) -> Figure:
    """Return the race as a figure, with the frontier beside it where there is one."""
    race = partial(plot_recommendation, recommendation)
    if any(line.loss is not None for line in recommendation.frontier):
        return panels((12.4, 4.8), race, partial(plot_frontier, recommendation))
    return panels((6.8, 4.8), race)


def _loss_window(recommendation: Recommendation, ax: Axes) -> tuple[float, float]:
    """Return the heights between which to look, having made the axis logarithmic where that shows more."""
    scores = [probe.score for probe in recommendation.probes if math.isfinite(probe.score)]
    if recommendation.predicted_loss is not None:
        expected = vars(recommendation.predicted_loss).values()
        # An expectation that runs below zero must not keep losses that never do so off a logarithmic axis.
        all_positive = min(scores, default=0.0) > 0
        scores += [loss for loss in expected if math.isfinite(loss) and (loss > 0 or not all_positive)]
    finite = np.clip(scores, -_LARGEST, _LARGEST)
    start = recommendation.start if math.isfinite(recommendation.start) else float(finite.max(initial=-_LARGEST))
    start = float(np.clip(start, -_LARGEST, _LARGEST))
    if len(finite) == 0:
        ax.set_yticks([])
        return padded(start - (abs(start) or 1.0), start + (abs(start) or 1.0))
    lowest = float(finite.min())
    highest = min(max(start, float(finite.max())), max(start, lowest) + _ABOVE_START * abs(start - lowest))
    return _scale_losses(lowest, highest, ax)


def _scale_losses(lowest: float, highest: float, ax: Axes) -> tuple[float, float]:
    if lowest > 0 and highest / lowest >= _LOGARITHMIC_FROM:
        ax.set_yscale("log")
        low, high = padded(math.log10(lowest), math.log10(highest))
        return 10 ** max(low, -300.0), 10 ** min(high, 300.0)
    if highest == lowest:
        half = (abs(highest) or 1.0) / 2
        return lowest - half, highest + half
    return padded(lowest, highest)


def _rate_window(recommendation: Recommendation) -> tuple[float, float]:
    rates = _rates(recommendation)
    limit = recommendation.max_stable_lr
    if limit is not None and _is_near(limit, rates):
        rates.append(limit)
    low, high = padded(math.log10(min(rates, default=0.1)), math.log10(max(rates, default=1.0)))
    margin = max(0.0, (_NARROWEST - (high - low)) / 2)
    return 10 ** (low - margin), 10 ** (high + margin)


def _rates(recommendation: Recommendation) -> list[float]:
    """Return the rates that a picture has to hold."""
    told = (recommendation.lr, recommendation.low, recommendation.high)
    return [probe.lr for probe in recommendation.probes] + [rate for rate in told if rate is not None]


def _is_near(limit: float, rates: list[float]) -> bool:
    return not rates or min(rates) / _FAR <= limit <= max(rates) * _FAR


def _draw_probes(recommendation: Recommendation, ax: Axes) -> None:
    rungs = sorted({probe.rung for probe in recommendation.probes})
    shades = matplotlib.colormaps[_SHADES](np.linspace(_LIGHTEST, _DARKEST, len(rungs)) if len(rungs) > 1 else [0.8])
    lost: list[float] = []
    for place, rung in enumerate(rungs):
        probes = sorted((probe for probe in recommendation.probes if probe.rung == rung), key=lambda probe: probe.lr)
        _draw_rung(probes, ax, to_hex(shades[place]), size=5.5 + 2.5 * place / max(1, len(rungs) - 1))
        lost += [probe.lr for probe in probes if not math.isfinite(probe.score)]
    if lost:
        top = ax.get_ylim()[1]
        mark: dict[str, Any] = {"marker": "X", "markersize": 9, "color": DIVERGED, "markeredgecolor": "white"}
        ax.plot(lost, [top] * len(lost), linestyle="none", clip_on=False, zorder=5, label="diverged", **mark)


def _draw_rung(probes: list[Probe], ax: Axes, color: str, *, size: float) -> None:
    """Draw the probes of a round: those in the window as points on a line, those above it as arrows at its top."""
    bottom, top = ax.get_ylim()
    finite = [(probe.lr, probe.score) for probe in probes if math.isfinite(probe.score)]
    inside = [(lr, max(score, bottom)) for lr, score in finite if score <= top]
    steps = max(probe.steps for probe in probes)
    rates = sorted({lr for lr, _ in inside})
    middle = [float(np.median([score for lr, score in inside if lr == rate])) for rate in rates]
    ax.plot(rates, middle, color=color, linewidth=1.1, zorder=2.5)  # Of several seeds, the line is their median's.
    ax.plot(
        [lr for lr, _ in inside],
        [score for _, score in inside],
        color=color,
        linestyle="none",
        marker="o",
        markersize=size,
        markeredgecolor="white",
        zorder=3,
        label=f"{steps} step{'s' * (steps > 1)}: {len(probes)} probe{'s' * (len(probes) > 1)}",
    )
    above = [lr for lr, score in finite if score > top]
    ax.plot(above, [top] * len(above), linestyle="none", marker="^", markersize=size, color=color, clip_on=False)


def _draw_pick(recommendation: Recommendation, ax: Axes) -> None:
    if recommendation.lr is None:
        return
    if recommendation.low is not None and recommendation.high is not None:
        ends = recommendation.low, recommendation.high
        ax.axvspan(*ends, color=_PICK, alpha=0.18, linewidth=0, label="where the best rate lies")
    ax.axvline(recommendation.lr, color=_PICK, linewidth=1.8, label=f"pick: {recommendation.lr:.2g}", zorder=2)


def _draw_limit(recommendation: Recommendation, ax: Axes) -> None:
    limit = recommendation.max_stable_lr
    if limit is None:
        return
    off = "" if _is_near(limit, _rates(recommendation)) else " (off the picture)"
    ax.axvline(
        limit,
        color=LIMIT,
        linestyle="--",
        linewidth=1.6,
        label=f"every probe diverged from {limit:.2g} on{off}",
        zorder=2,
    )


def _draw_expectation(recommendation: Recommendation, ax: Axes) -> None:
    expected = recommendation.predicted_loss
    if expected is None or recommendation.lr is None:
        return
    after = "at the end" if recommendation.steps is None else f"after {recommendation.steps}"
    interval = np.clip([expected.low, expected.high], *ax.get_ylim())
    ax.plot([recommendation.lr] * 2, interval, color=PURPLE, linewidth=2.2, zorder=4)
    ax.plot(
        [recommendation.lr],
        [expected.value],
        linestyle="none",
        marker="D",
        markersize=5.5,
        color=PURPLE,
        markeredgecolor="white",
        zorder=5,
        label=f"expected {after}",
    )


def _tell_reason(reason: str, ax: Axes) -> None:
    points_wide = 72 * ax.bbox.width / ax.figure.dpi
    told = textwrap.fill(reason, width=max(20, int(points_wide / (0.55 * SMALL_SIZE))))
    ax.text(0.02, 0.03, told, transform=ax.transAxes, fontsize=SMALL_SIZE, va="bottom", linespacing=1.3)


def _verdict(recommendation: Recommendation) -> str:
    if recommendation.lr is None:
        return "No learning rate to recommend"
    steps = recommendation.steps
    purpose = "" if steps is None else f" for {steps} step{'s' * (steps > 1)}"
    interval = ""
    if recommendation.low is not None and recommendation.high is not None:
        interval = f" ({recommendation.low:.2g} to {recommendation.high:.2g})"
    return f"Recommended learning rate{purpose}: {recommendation.lr:.2g}{interval}"
