"""The map of a sweep that is kept in a store, also while it is under way."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.analyse.checkpoints import outcome_at
from lrscout.app.answers import MALFORMED, RefusedError
from lrscout.app.layout import Layout, Place, Rectangle, rectangle_of
from lrscout.app.remembered import Remembered
from lrscout.core.curve import Curve, Outcome
from lrscout.core.result import Cost
from lrscout.measure.lr_map import LRMap

if TYPE_CHECKING:
    from jaxtyping import Bool

    from lrscout.store.records import StudyRecord

_REMEMBERED = 3
"""Studies whose curves are kept in memory."""

_PATIENCE = 0.3
"""Seconds that one request may spend on judging runs; the next one goes on."""

_NEVER_HELPS = (Outcome.DIVERGING, Outcome.NON_FINITE)


class KeptSweep:
    """What is known of a sweep so far; it grows with the study.

    Args:
        layout: the runs of the sweep.

    Attributes:
        judged: the newest map whose runs are all judged, or None before there is one.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.curves: dict[Place, Curve] = {}
        self._lock = Lock()
        self._blocks: set[int] = set()
        self._outcomes: dict[tuple[Place, int], Outcome] = {}
        self._map: tuple[str, LRMap] | None = None
        self._made = 0
        self.judged: LRMap | None = None

    def map(self, record: StudyRecord) -> LRMap | None:
        """Return the map of the runs that are kept by now, or None where there are none.

        Where its runs are many, some outcomes may be None: they are judged when it is asked for again.

        Args:
            record: the study.
        """
        made = self._made
        with self._lock:
            # What was made while this one waited is as new as it could be.
            known = self._map
            if known is not None and known[0] == record.revision and (self._made > made or is_judged(known[1])):
                return known[1]
            lr_map = self._renewed(record)
            self._made += 1
            return lr_map

    def _renewed(self, record: StudyRecord) -> LRMap | None:
        self._read(record)
        rectangle = rectangle_of(self.layout, self.curves)
        if rectangle is None:
            return None
        lr_map = self._map_of(rectangle, record)
        self._judge(lr_map, rectangle, record)
        self._map = record.revision, lr_map
        if is_judged(lr_map):
            self.judged = lr_map
        return lr_map

    def _read(self, record: StudyRecord) -> None:
        new = set(record.block_numbers()) - self._blocks
        for number, curves in record.blocks(new) if new else ():
            self._blocks.add(number)
            for position, curve in enumerate(curves):
                place = self.layout.place(number, position)
                if place is not None and curve.steps > 0:
                    self.curves[place] = curve

    def _map_of(self, rectangle: Rectangle, record: StudyRecord) -> LRMap:
        layout, lengths = self.layout, range(rectangle.lengths)
        curves = tuple(
            tuple(tuple(self.curves[Place(seed, length, rate)] for length in lengths) for rate in rectangle.rates)
            for seed in rectangle.seeds
        )
        flat = [curve for seed in curves for runs in seed for curve in runs]
        cost = Cost(sum(curve.steps for curve in flat), sum(len(curve.evaluations) for curve in flat), 0.0)
        lr_map = LRMap(
            lrs=np.array([layout.lrs[rate] for rate in rectangle.rates]),
            checkpoints=np.array(layout.checkpoints if layout.shared else layout.checkpoints[: rectangle.lengths]),
            seeds=tuple(layout.seeds[seed] for seed in rectangle.seeds),
            schedule=layout.schedule,
            curves=curves,
            watched=layout.watched,
            runner="",
            cost=cost,
            study=record.summary.name,
        )
        with suppress(*MALFORMED):
            told = record.result or {}
            return replace(lr_map, runner=told["runner"], notes=tuple(told["notes"]), cost=Cost(**told["cost"]))
        return lr_map

    def _judge(self, lr_map: LRMap, rectangle: Rectangle, record: StudyRecord) -> None:
        """Give a map its outcomes: those of its result, or else those that there is time to find."""
        # A cached property is what stands under its name, so this is the way to give it what is known already.
        with suppress(*MALFORMED):
            told = (record.result or {})["outcomes"]
            vars(lr_map)["outcomes"] = _as_outcomes(told, (len(lr_map.lrs), len(lr_map.checkpoints)))
            return
        own = np.full((len(lr_map.seeds), len(lr_map.lrs), len(lr_map.checkpoints)), None, object)
        ends = time.monotonic() + _PATIENCE
        for column in reversed(range(own.shape[2])):  # The longest budget is what the answer in sentences is about.
            for row, seed in enumerate(rectangle.seeds):
                for rank, rate in enumerate(rectangle.rates):
                    place = Place(seed, 0 if self.layout.shared else column, rate)
                    own[row, rank, column] = self._outcome(place, int(lr_map.checkpoints[column]), ends)
        vars(lr_map)["own_outcomes"] = own
        unknown = _missing(own).any(axis=0)
        outcomes = lr_map.outcomes
        outcomes[unknown] = None

    def _outcome(self, place: Place, checkpoint: int, ends: float) -> Outcome | None:
        known = self._outcomes.get((place, checkpoint))
        if known is None and time.monotonic() < ends:
            known = self._outcomes[place, checkpoint] = outcome_at(self.curves[place], checkpoint)
        return known


class Maps:
    """The sweeps that were asked for last."""

    def __init__(self) -> None:
        self._kept: Remembered[KeptSweep] = Remembered(_REMEMBERED)

    def of(self, record: StudyRecord) -> LRMap | None:
        """Return the map of a study, or None where it has no runs yet.

        Args:
            record: the study.

        Raises:
            RefusedError: it is no sweep, or its runs are not those of its plan.
            StoreError: its curves cannot be read.
        """
        layout = Layout.of(record)
        if layout is None:
            raise RefusedError(404, f"The study {record.summary.name!r} is no sweep, so it has no map.")
        kept = self._kept_of(record, layout)
        try:
            return kept.map(record)
        except MALFORMED as error:
            sentence = f"The runs of the study {record.summary.name!r} do not fit what it was begun with."
            raise RefusedError(422, sentence) from error

    def judged(self, record: StudyRecord) -> LRMap | None:
        """Return the newest map of a study whose runs are all judged; it may be older than what is kept.

        Args:
            record: the study.
        """
        kept = self._kept.get((record.summary.name, record.summary.created))
        return None if kept is None else kept.judged

    def _kept_of(self, record: StudyRecord, layout: Layout) -> KeptSweep:
        # A study that was deleted and begun again has another beginning.
        return self._kept.get_or_make((record.summary.name, record.summary.created), lambda: KeptSweep(layout))


def map_as_dict(lr_map: LRMap) -> dict[str, Any]:
    """Return a map as the page draws it.

    Args:
        lr_map: the map.
    """
    return {
        "lrs": lr_map.lrs,
        "checkpoints": lr_map.checkpoints,
        "losses": lr_map.loss,
        "start": lr_map.start,
        "outcomes": [[None if outcome is None else str(outcome) for outcome in row] for row in lr_map.outcomes],
        "judged": is_judged(lr_map),
        "watched": lr_map.watched,
        "seeds": len(lr_map.seeds),
        "best": [None if best.lr is None else asdict(best) for best in lr_map.frontier()],
        "max_stable_lr": lowest_diverging(lr_map),
    }


def is_judged(lr_map: LRMap) -> bool:
    """Return whether every outcome of a map is known."""
    return not _missing(lr_map.outcomes).any()


def lowest_diverging(lr_map: LRMap) -> float | None:
    """Return the rate from which on every run of the longest budget diverges, where all below do not."""
    ends = list(zip(lr_map.lrs.tolist(), lr_map.outcomes[:, -1], strict=True))
    lost = [lr for lr, outcome in ends if outcome in _NEVER_HELPS]
    kept = [lr for lr, outcome in ends if outcome not in _NEVER_HELPS]
    return min(lost) if lost and kept and max(kept) < min(lost) else None


def _missing(outcomes: Any) -> Bool[np.ndarray, "*outcome"]:
    return np.array([outcome is None for outcome in outcomes.flat], bool).reshape(outcomes.shape)


def _as_outcomes(words: list[list[str]], shape: tuple[int, int]) -> Any:
    outcomes = np.empty(shape, object)
    outcomes[:] = [[Outcome(word) for word in row] for row in words]
    return outcomes
