"""The curves of chosen rates, thinned for a picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.analyse.judge import judge
from lrscout.app.answers import RefusedError
from lrscout.app.layout import nearest
from lrscout.app.levels import level_of
from lrscout.app.outcomes import Outcomes
from lrscout.app.runs import KeptRun, Position, runs_of
from lrscout.app.shelf import Shelf
from lrscout.app.thinning import thinned
from lrscout.core.curve import Curve, Outcome

if TYPE_CHECKING:
    from jaxtyping import Float

    from lrscout.store.records import StudyRecord

MOST_RATES = 50
"""Rates that may be asked for at once."""

_UNASKED = 24
"""Curves that are shown where no rate is asked for."""

_MOST_CURVES = 100
_FEWEST_TO_JUDGE = 2


def show_curves(shelf: Shelf, known: Outcomes, name: str, rates: list[float], points: int) -> dict[str, Any]:
    """Return curves of a study, by rate.

    Args:
        shelf: the store.
        known: how the runs went that were asked for before.
        name: the name of the study.
        rates: the rates; none of them for some curves of all.
        points: the most points of a curve.

    Raises:
        RefusedError: there is no such study, or no curve at one of the rates.
    """
    record = shelf.study(name)
    runs = runs_of(record, shelf.curves(name))
    asked = _chosen(name, runs, rates) if rates else _spread(runs)
    chosen = {position: runs[position] for position in asked[:_MOST_CURVES]}
    with shelf.explained():
        outcomes = known.of(record, chosen)
        found = _read(record, chosen)
    levels = _levels([curve for _, curve in found])
    shown = [
        _as_dict(curve, level, chosen[position].lr, points, outcomes[position])
        for (position, curve), level in zip(found, levels, strict=True)
    ]
    return {"curves": shown, "left_out": len(asked) - len(chosen), "revision": record.revision}


def _chosen(name: str, runs: dict[Position, KeptRun], rates: list[float]) -> list[Position]:
    there = sorted({run.lr for run in runs.values()})
    chosen: set[float] = set()
    for rate in rates:
        index = nearest(there, rate)
        if index is None:
            raise RefusedError(404, f"The study {name!r} has no curve at lr {rate:g}.")
        chosen.add(there[index])
    return [position for position, run in runs.items() if run.lr in chosen]


def _spread(runs: dict[Position, KeptRun]) -> list[Position]:
    """Return some curves, whose rates are spread over all."""
    by_rate = sorted(runs, key=lambda position: (runs[position].lr, position))
    places = np.unique(np.linspace(0, len(by_rate) - 1, min(len(by_rate), _UNASKED)).round().astype(int))
    return [by_rate[place] for place in places.tolist()]


def _read(record: StudyRecord, chosen: dict[Position, KeptRun]) -> list[tuple[Position, Curve]]:
    blocks = record.blocks({block for block, _ in chosen})
    found = [
        ((number, position), curve)
        for number, curves in blocks
        for position, curve in enumerate(curves)
        if (number, position) in chosen
    ]
    return sorted(found, key=lambda pair: (chosen[pair[0]].lr, pair[1].seed, pair[1].steps))


def _levels(curves: list[Curve]) -> list[Float[np.ndarray, " step"] | None]:
    """Return the levels of curves that are looked at together: where one is noisy, those of all that are as long."""
    noise = [judge(curve.losses).evidence.noise if curve.steps >= _FEWEST_TO_JUDGE else None for curve in curves]
    levels = [level_of(curve.losses, size, up_to_start=True) for curve, size in zip(curves, noise, strict=True)]
    if all(level is None for level in levels):
        return levels
    return [level_of(curve.losses, math.inf, up_to_start=True) for curve in curves]


def _as_dict(
    curve: Curve,
    smoothed: Float[np.ndarray, " step"] | None,
    lr: float,
    points: int,
    outcome: Outcome | None,
) -> dict[str, Any]:
    kept, evaluated = thinned(curve.losses, points), thinned(curve.evaluations, points)
    return {
        "lr": lr,
        "seed": curve.seed,
        "steps": kept,
        "lrs": curve.lrs[kept],
        "losses": curve.losses[kept],
        "smoothed": None if smoothed is None else smoothed[kept],
        "evaluated_at": curve.evaluated_at[evaluated],
        "evaluations": curve.evaluations[evaluated],
        "outcome": outcome,
        "stopped": str(curve.stopped),
    }
