"""What the judged picks say together: means over families, with intervals from resampling the families."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.lr_regret.judge import FLOOR, Row
from benchmarks.lr_regret.judge import floor as floor_of
from benchmarks.lr_regret.records import RESULTS, load, oracle_path
from benchmarks.lr_regret.tasks import DEVELOPMENT, HORIZONS, SCHEDULES, SET_ASIDE, TASKS

PATH = RESULTS / "summary.json"
SETS = {"development": DEVELOPMENT, "set aside": SET_ASIDE}
OVERALL = "overall"
CELLS = (OVERALL, *(f"{schedule} {horizon}" for schedule in SCHEDULES for horizon in HORIZONS))

_RANGE_TESTS = ("fastai", "torch-lr-finder", "Lightning", "ignite", "ktrain")
_RESAMPLES = 4000
_COVERAGE = 0.95


@dataclass(frozen=True)
class Mean:
    """A mean over families.

    Args:
        mean: the mean of the families' own means.
        low: the lower end of its bootstrap interval of 95 %.
        high: the upper end.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Figures:
    """What there is to say about a finder, over all of its calls or those of one horizon and schedule.

    Args:
        calls: how many calls: a task, a seed, a horizon and a schedule.
        tasks: of how many tasks.
        families: of how many families.
        regret: the regret on held-out loss.
        training_regret: the regret on training loss.
        disasters: the share of calls whose regret is above 0.25.
        times_the_floor: the mean regret as a multiple of the floor's on the same tasks.
        octaves: quartiles of the signed octaves to the best rate; None for what picks no rate.
        cost: the mean of the cost, in step equivalents.
        share_of_run: the mean of the cost as a share of the run.
        total_cost: the median of what it cost in all to come near the grid's best loss with a constant rate, as a
            multiple of the horizon; infinite where most did not.
        never: the share of these calls that had not come there after three horizons or 3000 steps.
        no_rate: the share of calls without a rate.
    """

    calls: int
    tasks: int
    families: int
    regret: Mean
    training_regret: Mean
    disasters: Mean
    times_the_floor: Mean | None
    octaves: tuple[float, float, float] | None
    cost: float
    share_of_run: float
    total_cost: float | None
    never: float | None
    no_rate: float


def make() -> dict[str, dict[str, dict[str, Figures]]]:
    """Summarise what has been judged, by set of tasks, finder and cell, and keep it."""
    summary: dict[str, dict[str, dict[str, Figures]]] = {}
    for name, tasks in SETS.items():
        judged = _answered_by_all({task: load(task) for task in tasks if oracle_path(task).exists()})
        floor = [row for task, rows in judged.items() if rows for row in floor_of(task)]
        rows = floor + [row for rows in judged.values() for row in rows if row.finder != FLOOR]
        finders = list(dict.fromkeys(row.finder for row in rows))
        summary[name] = {
            finder: _by_cell([row for row in rows if row.finder == finder], None if finder == FLOOR else floor)
            for finder in finders
        }
    plain = {
        set_name: {
            finder: {cell: asdict(figures) for cell, figures in cells.items()} for finder, cells in finders.items()
        }
        for set_name, finders in summary.items()
    }
    best = {name: {cell: best_range_test(finders, cell) for cell in CELLS} for name, finders in summary.items()}
    PATH.write_text(json.dumps(_plain({"best range test": best, **plain}), indent=1, allow_nan=False) + "\n")
    return summary


def _answered_by_all(judged: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """Return the tasks about which every finder was asked: means over different tasks are not comparable."""
    finders = {row.finder for rows in judged.values() for row in rows} - {FLOOR}
    return {task: rows for task, rows in judged.items() if rows and {row.finder for row in rows} >= finders}


def best_range_test(finders: Mapping[str, Mapping[str, Figures]], cell: str) -> dict[str, str | float] | None:
    """Return the rule of another package with the least mean regret: what there is to beat."""
    rules = {
        finder: cells[cell].regret.mean
        for finder, cells in finders.items()
        if finder.startswith(_RANGE_TESTS) and cell in cells
    }
    if not rules:
        return None
    best = min(rules, key=lambda finder: rules[finder])
    return {"finder": best, "regret": rules[best]}


def _by_cell(rows: Sequence[Row], floor: Sequence[Row] | None) -> dict[str, Figures]:
    cells: dict[str, Figures] = {}
    for cell in CELLS:
        mine = [row for row in rows if _belongs(row, cell)]
        tasks = {row.task for row in mine}
        beside = None if floor is None else [row for row in floor if _belongs(row, cell) and row.task in tasks]
        if mine:
            cells[cell] = figures_of(mine, beside)
    return cells


def _belongs(row: Row, cell: str) -> bool:
    return cell in (OVERALL, f"{row.schedule} {row.horizon}")


def figures_of(rows: Sequence[Row], floor: Sequence[Row] | None = None) -> Figures:
    """Return the figures of rows of one finder.

    Args:
        rows: its rows.
        floor: the floor's, of the same tasks.
    """
    families = _families(rows)
    regrets = _family_means(rows, families, lambda row: row.regret)
    octaves = [row.octaves for row in rows if row.octaves is not None]
    totals = [row.total_cost / row.horizon for row in rows if row.total_cost is not None]
    times = None if floor is None else _ratio(regrets, _family_means(floor, families, lambda row: row.regret))
    return Figures(
        calls=len(rows),
        tasks=len({row.task for row in rows}),
        families=len(families),
        regret=_mean(regrets),
        training_regret=_mean(_family_means(rows, families, lambda row: row.training_regret)),
        disasters=_mean(_family_means(rows, families, lambda row: float(row.disaster))),
        times_the_floor=times,
        octaves=tuple(np.quantile(octaves, [0.25, 0.5, 0.75]).tolist()) if octaves else None,
        cost=float(np.mean([row.cost for row in rows])),
        share_of_run=float(np.mean([row.cost / row.horizon for row in rows])),
        # The lower of two middle ones, since infinite ones have no mean.
        total_cost=float(np.quantile(totals, 0.5, method="lower")) if totals else None,
        never=float(np.mean(np.isinf(totals))) if totals else None,
        no_rate=float(np.mean([row.lr is None for row in rows])),
    )


def _families(rows: Iterable[Row]) -> list[str]:
    return sorted({TASKS[row.task].family for row in rows})


def _family_means(rows: Collection[Row], families: Sequence[str], value: Callable[[Row], float]) -> np.ndarray:
    """Return the mean of each family, in which every task counts the same."""
    by_family: dict[str, dict[str, list[float]]] = {family: {} for family in families}
    for row in rows:
        by_family[TASKS[row.task].family].setdefault(row.task, []).append(value(row))
    return np.array([np.mean([np.mean(of_task) for of_task in by_family[family].values()]) for family in families])


def _draws(families: int) -> np.ndarray:
    """Return families drawn with replacement, the same ones for every finder."""
    return np.random.default_rng(0).integers(families, size=(_RESAMPLES, families))


def _mean(values: np.ndarray) -> Mean:
    return _interval(float(values.mean()), values[_draws(len(values))].mean(axis=1))


def _ratio(values: np.ndarray, others: np.ndarray) -> Mean:
    draws = _draws(len(values))
    with np.errstate(divide="ignore", invalid="ignore"):
        resampled = values[draws].mean(axis=1) / others[draws].mean(axis=1)
        return _interval(float(values.mean() / others.mean()), resampled)


def _interval(mean: float, resampled: np.ndarray) -> Mean:
    low, high = np.quantile(resampled, [(1 - _COVERAGE) / 2, (1 + _COVERAGE) / 2])
    return Mean(mean, float(low), float(high))


def _plain(value: object) -> object:
    """Return nested values that JSON can hold, at the digits that mean something."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else ("inf" if value > 0 else None)
    return value
