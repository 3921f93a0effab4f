"""The curves of chosen rates, thinned for a picture."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.analyse.judge import OUTCOME_WHEN_STOPPED, judge
from lrscout.app.answers import RefusedError
from lrscout.app.layout import Layout, nearest
from lrscout.app.shelf import Shelf
from lrscout.app.studies import standing_still
from lrscout.app.thinning import thinned
from lrscout.core.curve import Curve, Outcome

if TYPE_CHECKING:
    from lrscout.store.records import StudyRecord

MOST_RATES = 50
"""Rates that may be asked for at once."""

_UNASKED = 24
"""Curves that are shown where no rate is asked for."""

_MOST_CURVES = 100
_FEWEST_TO_JUDGE = 2

_Position = tuple[int, int]
"""The number of a block, and the position in it."""


def show_curves(shelf: Shelf, name: str, rates: list[float], points: int) -> dict[str, Any]:
    """Return curves of a study, by rate.

    Args:
        shelf: the store.
        name: the name of the study.
        rates: the rates; none of them for some curves of all.
        points: the most points of a curve.

    Raises:
        RefusedError: there is no such study, or no curve at one of the rates.
    """
    record = shelf.study(name)
    positions = _positions(shelf, record)
    chosen = _chosen(name, positions, rates) if rates else _spread(positions)
    with shelf.explained():
        found = _read(record, dict(chosen[:_MOST_CURVES]))
    shown = [_as_dict(curve, lr, points) for lr, curve in found]
    return {"curves": shown, "left_out": max(0, len(chosen) - _MOST_CURVES), "revision": record.revision}


def _positions(shelf: Shelf, record: StudyRecord) -> dict[_Position, float]:
    """Return the rate of every curve that is kept, by where it is kept. No array is read for it."""
    layout, summaries = Layout.of(record), shelf.curves(record.summary.name)
    floor = standing_still(summaries) if layout is None else 0.0
    positions: dict[_Position, float] = {}
    for block, curves in groupby(summaries, key=lambda curve: curve.block):
        for position, curve in enumerate(curves):
            place = None if layout is None else layout.place(block, position)
            # The peak that a run has come to is lower than that of its schedule where it ended in the warmup.
            lr = curve.peak_lr if layout is None or place is None else layout.lrs[place.rate]
            if curve.steps > 0 and lr > floor:
                positions[block, position] = lr
    return positions


def _chosen(name: str, positions: dict[_Position, float], rates: list[float]) -> list[tuple[_Position, float]]:
    there = sorted(set(positions.values()))
    chosen: set[float] = set()
    for rate in rates:
        index = nearest(there, rate)
        if index is None:
            raise RefusedError(404, f"The study {name!r} has no curve at lr {rate:g}.")
        chosen.add(there[index])
    return [(position, lr) for position, lr in positions.items() if lr in chosen]


def _spread(positions: dict[_Position, float]) -> list[tuple[_Position, float]]:
    """Return some curves, whose rates are spread over all."""
    by_rate = sorted(positions.items(), key=lambda item: (item[1], item[0]))
    places = np.unique(np.linspace(0, len(by_rate) - 1, min(len(by_rate), _UNASKED)).round().astype(int))
    return [by_rate[place] for place in places.tolist()]


def _read(record: StudyRecord, chosen: dict[_Position, float]) -> list[tuple[float, Curve]]:
    blocks = record.blocks({block for block, _ in chosen})
    found = [
        (chosen[number, position], curve)
        for number, curves in blocks
        for position, curve in enumerate(curves)
        if (number, position) in chosen
    ]
    return sorted(found, key=lambda pair: (pair[0], pair[1].seed, pair[1].steps))


def _as_dict(curve: Curve, lr: float, points: int) -> dict[str, Any]:
    kept, evaluated = thinned(curve.losses, points), thinned(curve.evaluations, points)
    return {
        "lr": lr,
        "seed": curve.seed,
        "steps": kept,
        "lrs": curve.lrs[kept],
        "losses": curve.losses[kept],
        "evaluated_at": curve.evaluated_at[evaluated],
        "evaluations": curve.evaluations[evaluated],
        "outcome": _outcome(curve),
        "stopped": str(curve.stopped),
    }


def _outcome(curve: Curve) -> Outcome | None:
    """Return how a run ended, judged by itself alone."""
    if curve.stopped in OUTCOME_WHEN_STOPPED:
        return OUTCOME_WHEN_STOPPED[curve.stopped]
    return judge(curve.losses).outcome if curve.steps >= _FEWEST_TO_JUDGE else None
