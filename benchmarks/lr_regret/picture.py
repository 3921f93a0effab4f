"""The picture of the benchmark: regret against cost, every finder a point."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from benchmarks.lr_regret import constants, searches, without_rate
from benchmarks.lr_regret.judge import FLOOR
from benchmarks.lr_regret.summary import OVERALL, Figures, Mean
from lrscout.pictures.style import (
    BLACK,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SMALL_SIZE,
    VERMILLION,
    add_legend,
    dress,
)

_KINDS = {
    "lrscout": (VERMILLION, "o"),
    "range tests of other packages": (GREY, "s"),
    "searches by Optuna, over 1e-5 to 10": (ORANGE, "D"),
    "rates that nobody looked for": (GREEN, "v"),
    "optimizers that ask for no rate": (PURPLE, "^"),
}
_LINEAR_BELOW = 0.1
_LEAST_REGRET = 1e-4
_COLUMN = 1.03
_LINE = 0.036
_BESIDE = 0.012
_FLOOR_LABEL = "the floor: a whole grid's choice on other seeds"


def kind_of(finder: str) -> str:
    """Return the kind of finder that a name belongs to."""
    if finder.startswith("lrscout"):
        return "lrscout"
    if finder in (*searches.RANDOM_SEARCH, *searches.HALVING):
        return "searches by Optuna, over 1e-5 to 10"
    if finder in (constants.DEFAULT, constants.CONSTANT):
        return "rates that nobody looked for"
    if finder in without_rate.WAYS:
        return "optimizers that ask for no rate"
    return "range tests of other packages"


def plot(ax: Axes, finders: Mapping[str, Mapping[str, Figures]], title: str) -> Axes:
    """Draw the mean regret of finders against what they cost; those that cost the same stand side by side."""
    ax.set_yscale("log")
    ax.set_xscale("symlog", linthresh=_LINEAR_BELOW, linscale=0.5)
    others = {finder: cells[OVERALL] for finder, cells in finders.items() if finder != FLOOR}
    figures = [cells[OVERALL] for cells in finders.values()]
    ax.set_ylim(max(min(each.regret.low for each in figures), _LEAST_REGRET) / 1.5, 1.15)
    ax.set_xlim(-0.03, 1.3 * max(each.share_of_run for each in others.values()))
    ax.set_xticks([0, 0.1, 1], ["0", "0.1", "1"])
    _draw_floor(ax, finders[FLOOR][OVERALL].regret)
    places = _side_by_side(ax, others)
    for finder, each in others.items():
        colour, marker = _KINDS[kind_of(finder)]
        cost, regret = places[finder]
        ax.plot([cost] * 2, [max(each.regret.low, _LEAST_REGRET), each.regret.high], color=colour, alpha=0.4, zorder=2)
        ax.plot(cost, regret, marker, color=colour, markersize=5.5, markeredgecolor="white", zorder=3)
    for kind, (colour, marker) in _KINDS.items():
        if any(kind_of(finder) == kind for finder in others):
            ax.plot([], [], marker, color=colour, label=kind)
    dress(ax, title=title, x="cost of finding the rate, as a share of the run", y="mean normalised regret")
    add_legend(ax, "upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
    _name(ax, places)
    return ax


def _draw_floor(ax: Axes, regret: Mean) -> None:
    ax.axhline(max(regret.mean, _LEAST_REGRET), color=BLACK, linewidth=1, linestyle="--", zorder=1, label=_FLOOR_LABEL)
    ax.axhspan(max(regret.low, _LEAST_REGRET), regret.high, color=BLACK, alpha=0.06, linewidth=0)


def _side_by_side(ax: Axes, finders: Mapping[str, Figures]) -> dict[str, tuple[float, float]]:
    """Return where to draw each finder: at its cost and regret, but beside others that cost nearly the same."""
    to_axes = ax.transData + ax.transAxes.inverted()
    regrets = {finder: max(figures.regret.mean, _LEAST_REGRET) for finder, figures in finders.items()}
    across = {finder: to_axes.transform((each.share_of_run, regrets[finder]))[0] for finder, each in finders.items()}
    places: dict[str, tuple[float, float]] = {}
    for group in _near_groups(across):
        group.sort(key=lambda finder: regrets[finder])
        middle = float(np.mean([across[finder] for finder in group]))
        for index, finder in enumerate(group):
            x = middle + _BESIDE * (index - (len(group) - 1) / 2)
            height = to_axes.transform((0.0, regrets[finder]))[1]
            places[finder] = float(to_axes.inverted().transform((x, height))[0]), regrets[finder]
    return places


def _near_groups(across: Mapping[str, float]) -> list[list[str]]:
    """Part names by their places: a gap wider than a marker begins another group."""
    groups: list[list[str]] = []
    last = -np.inf
    for finder, x in sorted(across.items(), key=lambda item: item[1]):
        if x - last > _BESIDE:
            groups.append([])
        groups[-1].append(finder)
        last = x
    return groups


def _name(ax: Axes, places: Mapping[str, tuple[float, float]]) -> None:
    """Write the names in a column on the right, each joined to its point."""
    to_axes = ax.transData + ax.transAxes.inverted()
    ordered = sorted(places, key=lambda finder: places[finder][1])
    heights = np.array([to_axes.transform(places[finder])[1] for finder in ordered])
    for finder, height in zip(ordered, _spread(heights), strict=True):
        colour, _ = _KINDS[kind_of(finder)]
        joint = {"arrowstyle": "-", "color": colour, "alpha": 0.3, "linewidth": 0.6, "shrinkB": 4, "relpos": (0, 0.5)}
        ax.annotate(
            finder,
            places[finder],
            xytext=(_COLUMN, height),
            textcoords="axes fraction",
            fontsize=SMALL_SIZE - 0.5,
            color=colour,
            va="center",
            annotation_clip=False,
            arrowprops=joint,
        )


def _spread(heights: np.ndarray) -> np.ndarray:
    """Move ascending heights apart, as little as the room allows, so that lines of text fit."""
    line = min(_LINE, 1.0 / max(len(heights), 1))
    placed = heights.copy()
    for index in range(1, len(placed)):
        placed[index] = max(placed[index], placed[index - 1] + line)
    placed -= max(placed[-1] - 1.0, 0.0) if len(placed) else 0.0
    for index in range(len(placed) - 2, -1, -1):
        placed[index] = min(placed[index], placed[index + 1] - line)
    return placed
