"""The runs that a study keeps: at which rate each was, without reading one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from lrscout.app.layout import Layout, Place, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lrscout.store.records import CurveSummary, StudyRecord

Position = tuple[int, int]
"""The number of a block, and the position in it."""

_STANDING_STILL = 2.0**-30
"""A rate as far below the highest is no candidate: find takes it to see the losses where the loop stands."""


@dataclass(frozen=True)
class KeptRun:
    """A run of a study.

    Args:
        lr: its rate, with a schedule the peak of it.
        summary: what is known of its curve.
        place: where it is in a sweep; None elsewhere.
    """

    lr: float
    summary: CurveSummary
    place: Place | None


def runs_of(record: StudyRecord, summaries: Iterable[CurveSummary]) -> dict[Position, KeptRun]:
    """Return the runs that took a step at a rate of interest, by where they are kept.

    Args:
        record: the study.
        summaries: its curves in a line each, block by block.
    """
    layout, lines = Layout.of(record), list(summaries)
    floor = _STANDING_STILL * max((line.peak_lr for line in lines if math.isfinite(line.peak_lr)), default=0.0)
    # Of runs at rates that are told apart by no more than a rounding, the longest one's tells what it was.
    longest_first = sorted(lines, key=lambda line: -line.steps)
    rates = {} if layout else _merged(line.peak_lr for line in longest_first if line.peak_lr > floor)
    runs: dict[Position, KeptRun] = {}
    for block, curves in groupby(lines, key=lambda line: line.block):
        for position, line in enumerate(curves):
            place = None if layout is None else layout.place(block, position)
            if line.steps == 0:
                continue
            if layout is not None and place is not None:
                # The peak that a run has come to is lower than that of its schedule where it ended in the warmup.
                runs[block, position] = KeptRun(layout.lrs[place.rate], line, place)
            elif line.peak_lr > floor:
                runs[block, position] = KeptRun(rates.get(line.peak_lr, line.peak_lr), line, None)
    return runs


def _merged(lrs: Iterable[float]) -> dict[float, float]:
    """Return for each rate the first of those that it is the same as: two that are asked for in one are one.

    >>> _merged([0.4, 0.1, 0.40000000000010855])
    {0.4: 0.4, 0.1: 0.1, 0.40000000000010855: 0.4}
    """
    first: list[float] = []
    merged: dict[float, float] = {}
    for lr in lrs:
        known = nearest(first, lr)
        if known is None:
            first.append(lr)
        merged.setdefault(lr, lr if known is None else first[known])
    return merged
