"""The report: tables in docs/benchmark.md, between its markers, and the pictures beside it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.lr_regret import summary
from benchmarks.lr_regret.judge import FLOOR
from benchmarks.lr_regret.picture import kind_of, plot
from benchmarks.lr_regret.summary import OVERALL, Figures, Mean
from benchmarks.lr_regret.tasks import HORIZONS, SCHEDULES
from lrscout.pictures.style import DPI, panels

DOCUMENTS = Path(__file__).parents[2] / "docs"
PAGE = DOCUMENTS / "benchmark.md"
PICTURES = {"development": "benchmark.png", "set aside": "benchmark_set_aside.png"}

_SIZE = (8.5, 6.8)
Cells = Mapping[str, Figures]


def write() -> None:
    """Summarise what has been judged, and write the tables and the pictures."""
    made = summary.make()
    text = PAGE.read_text(encoding="utf-8")
    for name, finders in made.items():
        if not finders:
            continue
        key = name.replace(" ", "-")
        ordered = _ordered(finders)
        picture = f"![Mean regret against cost, {name} tasks, every finder a point](images/{PICTURES[name]})"
        text = _between(text, f"{key}-overall", "\n\n".join([_coverage(name, finders), picture, _overall(ordered)]))
        for schedule in SCHEDULES:
            text = _between(text, f"{key}-{schedule}", _by_horizon(ordered, schedule))
        figure = panels(_SIZE, partial(plot, finders=finders, title=f"Regret against cost, {name} tasks"))
        figure.savefig(DOCUMENTS / "images" / PICTURES[name], dpi=DPI)
    PAGE.write_text(text, encoding="utf-8")


def _ordered(finders: Mapping[str, Cells]) -> dict[str, Cells]:
    """Return the floor first, then ours, then the others, best first."""

    def place(item: tuple[str, Cells]) -> tuple[int, float]:
        finder, cells = item
        rank = 0 if finder == FLOOR else 1 if kind_of(finder) == "lrscout" else 2
        return rank, cells[OVERALL].regret.mean

    return dict(sorted(finders.items(), key=place))


def _coverage(name: str, finders: Mapping[str, Cells]) -> str:
    most = max((cells[OVERALL] for cells in finders.values()), key=lambda figures: figures.calls)
    of = len(summary.SETS[name])
    judged = f"{most.tasks}" if most.tasks == of else f"{most.tasks} of {of}"
    return f"{judged} tasks of {most.families} families, {most.calls} calls of each finder."


def _overall(finders: Mapping[str, Cells]) -> str:
    most = max(cells[OVERALL].tasks for cells in finders.values())
    columns: dict[str, Callable[[Figures], str]] = {
        "regret": lambda figures: _mean(figures.regret),
        "times the floor": lambda figures: (
            "1" if figures.times_the_floor is None else _number(figures.times_the_floor.mean)
        ),
        "on training loss": lambda figures: _mean(figures.training_regret),
        "disasters": lambda figures: _percent(figures.disasters.mean),
        "octaves to the best": lambda figures: _octaves(figures.octaves),
        "cost in steps": lambda figures: f"{figures.cost:,.0f}",
        "cost / run": lambda figures: _number(figures.share_of_run),
        "steps to the best loss / run": _total,
    }
    lines = [_line(["finder", *columns]), _line(["---"] * (len(columns) + 1))]
    for finder, cells in finders.items():
        figures = cells[OVERALL]
        name = finder if figures.tasks == most else f"{finder} ({figures.tasks} tasks)"
        lines.append(_line([name, *(tell(figures) for tell in columns.values())]))
    return "\n".join(lines)


def _by_horizon(finders: Mapping[str, Cells], schedule: str) -> str:
    lines = [_line(["finder", *(f"T = {horizon}" for horizon in HORIZONS)]), _line(["---"] * (len(HORIZONS) + 1))]
    for finder, cells in finders.items():
        here = [cells.get(f"{schedule} {horizon}") for horizon in HORIZONS]
        lines.append(_line([finder, *("" if figures is None else _mean(figures.regret) for figures in here)]))
    return "\n".join(lines)


def _between(text: str, key: str, content: str) -> str:
    """Return a text with what stands between two markers replaced."""
    begin, end = f"<!-- begin {key} -->", f"<!-- end {key} -->"
    if begin not in text or end not in text:
        raise ValueError(f"{PAGE.name} has no markers {begin} and {end}.")
    return re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n\n{content}\n\n{end}", text, flags=re.DOTALL)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _mean(mean: Mean) -> str:
    return f"{_number(mean.mean)} ({_number(mean.low)} to {_number(mean.high)})"


def _number(value: float) -> str:
    """Return a number to two digits, without an exponent.

    >>> [_number(value) for value in (0.0, 0.000123, 0.0998, 0.5, 1.0, 12.34, 1234.5)]
    ['0', '0.00012', '0.10', '0.50', '1.0', '12', '1200']
    """
    if not math.isfinite(value):
        return "-" if math.isnan(value) else "never"
    if value == 0:
        return "0"
    rounded = float(f"{value:.1e}")
    return f"{rounded:.{max(1 - math.floor(math.log10(abs(rounded))), 0)}f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"


def _octaves(quartiles: tuple[float, float, float] | None) -> str:
    if quartiles is None:
        return "-"
    low, middle, high = (f"{round(value, 1) + 0.0:+.1f}".replace("-", "\N{MINUS SIGN}") for value in quartiles)
    return f"{middle} ({low} to {high})"


def _times(figures: Figures) -> str:
    return "1" if figures.times_the_floor is None else _number(figures.times_the_floor.mean)


def _total(figures: Figures) -> str:
    if figures.total_cost is None or figures.never is None:
        return "-"
    return f"{_number(figures.total_cost)} ({_percent(figures.never)} never)"
