"""How each run of a study went: the same answer for its table, its curves and its race."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from lrscout.analyse.checkpoints import outcome_of
from lrscout.app.answers import MALFORMED, RefusedError
from lrscout.app.layout import nearest
from lrscout.app.maps import Maps
from lrscout.app.recommendations import recommendation_of
from lrscout.app.remembered import Remembered
from lrscout.app.runs import KeptRun, Position
from lrscout.core.curve import Outcome, Stop

if TYPE_CHECKING:
    from lrscout.measure.recommendation import Probe
    from lrscout.store.records import StudyRecord

_REMEMBERED = 8
"""Studies whose outcomes are kept in memory; of one that is no sweep they are few."""


class Outcomes:
    """How the runs went that were asked for last.

    Args:
        maps: the sweeps that are known already.
    """

    def __init__(self, maps: Maps) -> None:
        self._maps = maps
        self._known: Remembered[dict[Position, Outcome]] = Remembered(_REMEMBERED)

    def of(self, record: StudyRecord, runs: Mapping[Position, KeptRun]) -> dict[Position, Outcome | None]:
        """Return how runs went; of a sweep's None is what its map does not tell yet.

        Args:
            record: the study.
            runs: some of its runs.

        Raises:
            StoreError: its curves cannot be read.
        """
        if any(run.place is not None for run in runs.values()):
            return self._by_map(record, runs)
        probes = probes_of(record)
        judged = self._judged(record, {position for position, run in runs.items() if probe_of(run, probes) is None})
        return {
            position: judged[position] if (probe := probe_of(run, probes)) is None else probe.outcome
            for position, run in runs.items()
        }

    def _by_map(self, record: StudyRecord, runs: Mapping[Position, KeptRun]) -> dict[Position, Outcome | None]:
        found: dict[Position, Outcome | None] = dict.fromkeys(runs)
        try:
            lr_map = self._maps.of(record)
        except RefusedError:  # Curves that make no map are curves all the same.
            return found
        if lr_map is None:
            return found
        ranks = {lr: rank for rank, lr in enumerate(lr_map.lrs.tolist())}
        shared = lr_map.schedule == "constant"
        for position, run in runs.items():
            if run.place is None or run.lr not in ranks:
                continue
            column = len(lr_map.checkpoints) - 1 if shared else run.place.length
            if column < len(lr_map.checkpoints):
                found[position] = lr_map.outcomes[ranks[run.lr], column]
        return found

    def _judged(self, record: StudyRecord, wanted: set[Position]) -> dict[Position, Outcome]:
        """Return what the rule of probes says of runs, reading those that it has not been asked about."""
        # A study that was deleted and begun again has another beginning.
        key = record.summary.name, record.summary.created
        known = self._known.get_or_make(key, dict)
        new = wanted - known.keys()
        for block, curves in record.blocks({block for block, _ in new}) if new else ():
            known.update({(block, place): outcome_of(curve) for place, curve in enumerate(curves) if curve.steps > 0})
        return known


def probes_of(record: StudyRecord) -> tuple[Probe, ...]:
    """Return the probes that the result of a search tells of; none where there is none."""
    if record.result is not None and record.summary.kind == "find":
        with suppress(*MALFORMED):
            return recommendation_of(record.result).probes
    return ()


def probe_of(run: KeptRun, probes: tuple[Probe, ...]) -> Probe | None:
    """Return the probe that a run was taken for, or None if it was for none that is told of."""
    # One that was broken off is shorter than what it was for.
    alike = [probe for probe in probes if probe.steps >= run.summary.steps]
    alike = [probe for probe in alike if probe.steps == run.summary.steps or run.summary.stopped is not Stop.COMPLETED]
    found = nearest([probe.lr for probe in alike], run.lr)
    return None if found is None else alike[found]
