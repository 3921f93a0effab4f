"""What the page tells of studies: the list, and one of them in sentences and numbers."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lrscout.app.answers import MALFORMED
from lrscout.app.layout import Layout
from lrscout.app.maps import Maps, is_judged, map_as_dict
from lrscout.app.recommendations import recommendation_of
from lrscout.app.shelf import Shelf
from lrscout.core.curve import Outcome, Stop

if TYPE_CHECKING:
    from lrscout.measure.lr_map import LRMap
    from lrscout.measure.recommendation import Probe
    from lrscout.store.records import CurveSummary, StudyRecord

_NONE_YET = (
    "There are no studies. To make one, name it: lrscout sweep TARGET --lrs 1e-4:10:24 --steps 1000 --study first"
)
_STANDING_STILL = 2.0**-30
"""A rate as far below the highest is no candidate: find takes it to see the losses where the loop stands."""

_OUTCOMES = {Stop.DIVERGED: Outcome.DIVERGING, Stop.NON_FINITE: Outcome.NON_FINITE}


def list_studies(shelf: Shelf) -> dict[str, Any]:
    """Return a line for every study, the newest first. No array is read for it.

    Args:
        shelf: the store.
    """
    found = shelf.outlines()
    with shelf.explained():
        entries = [_entry(record) for record in found]
    return {"store": shelf.name, "studies": entries, "sentence": None if entries else _NONE_YET}


def show_study(shelf: Shelf, maps: Maps, name: str) -> dict[str, Any]:
    """Return what there is to tell of a study besides its pictures.

    Args:
        shelf: the store.
        maps: the sweeps that are known already.
        name: the name of the study.

    Raises:
        RefusedError: there is no such study.
    """
    record = shelf.study(name)
    with shelf.explained():
        entry = _entry(record)
        told = {"inputs": record.inputs, "versions": record.versions, "revision": record.revision}
        if Layout.of(record) is not None:
            return entry | told | _of_sweep(record, entry, maps.of(record))
        return entry | told | _of_probes(record, entry, shelf.curves(name))


def show_map(shelf: Shelf, maps: Maps, name: str) -> dict[str, Any] | None:
    """Return the map of a sweep, or None where it has no runs yet.

    Args:
        shelf: the store.
        maps: the sweeps that are known already.
        name: the name of the study.

    Raises:
        RefusedError: there is no such study, or it is no sweep.
    """
    record = shelf.study(name)
    with shelf.explained():
        lr_map = maps.of(record)
        return None if lr_map is None else map_as_dict(lr_map) | {"revision": record.revision}


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a text.

    >>> sentences_of("Use a rate of 0.1. It takes e.g. 30 steps! Cost: 3 s.")
    ['Use a rate of 0.1.', 'It takes e.g. 30 steps!', 'Cost: 3 s.']
    """
    return re.split(r"(?<=[.!?]) +(?=[A-Z'\"])", text)


def _entry(record: StudyRecord) -> dict[str, Any]:
    summary, layout = record.summary, Layout.of(record)
    state = "finished" if summary.finished else "running" if record.is_being_written() else "stopped"
    return {
        "name": summary.name,
        "kind": summary.kind,
        "target": None if summary.target is None else _without_folders(summary.target),
        "created": summary.created.isoformat(),
        "state": state,
        "curves": summary.curves,
        "planned": None if layout is None else layout.runs,
    }


def _without_folders(target: str) -> str:
    """Return a target without the folders of its file, which are nobody else's business.

    >>> _without_folders("/home/somebody/digits.py:make"), _without_folders("package.digits:make")
    ('digits.py:make', 'package.digits:make')
    """
    return re.split(r"[/\\]", target)[-1]


def _of_sweep(record: StudyRecord, entry: dict[str, Any], lr_map: LRMap | None) -> dict[str, Any]:
    finished = record.result is not None
    told = _progress(entry)
    if lr_map is not None and is_judged(lr_map):
        told = sentences_of(str(lr_map)) if finished else [*told, *_so_far(lr_map)]
    return {
        "sentences": told,
        "cost": _spent(record, lr_map),
        "recommendation": None,
        "rates": [] if lr_map is None else _rates_of_map(lr_map),
    }


def _of_probes(record: StudyRecord, entry: dict[str, Any], curves: list[CurveSummary]) -> dict[str, Any]:
    counted = {"steps": sum(curve.steps for curve in curves), "evaluations": sum(curve.evaluations for curve in curves)}
    told = {
        "sentences": _progress(entry),
        "cost": counted | {"seconds": None, "products": 0},
        "recommendation": None,
        "rates": _rates_of_curves(curves, ()),
    }
    if record.result is None or record.summary.kind != "find":
        return told
    with suppress(*MALFORMED):
        recommendation = recommendation_of(record.result)
        return {
            "sentences": sentences_of(str(recommendation)),
            "cost": record.result["cost"],
            "recommendation": record.result,
            "rates": _rates_of_curves(curves, recommendation.probes),
        }
    return told


def _progress(entry: dict[str, Any]) -> list[str]:
    done, planned = entry["curves"], entry["planned"]
    runs = f"{done} of {planned} runs are" if planned else f"{done} run{' is' if done == 1 else 's are'}"
    if entry["state"] == "finished":
        return [f"It is finished: {runs} kept."]
    if entry["state"] == "running":
        return [f"It is under way: {runs} done."]
    return [f"It was stopped: {runs} kept.", "The same call with the same name goes on from there."]


def _so_far(lr_map: LRMap) -> list[str]:
    best = lr_map.frontier()[-1]
    if lr_map.lr is None or best.loss is None:
        return [f"So far no rate brings the {lr_map.loss_name} below its start."]
    return [
        f"So far the best of {len(lr_map.lrs)} rate{'s' * (len(lr_map.lrs) > 1)} for {best.steps} steps is "
        f"{lr_map.lr:.2g}: {lr_map.loss_name} {best.loss:.3g}."
    ]


def _spent(record: StudyRecord, lr_map: LRMap | None) -> dict[str, Any] | None:
    if record.result is not None:
        return record.result.get("cost")
    if lr_map is None:
        return None
    return {"steps": lr_map.cost.steps, "evaluations": lr_map.cost.evaluations, "seconds": None, "products": 0}


def _rates_of_map(lr_map: LRMap) -> list[dict[str, Any]]:
    rates: list[dict[str, Any]] = []
    for rank, lr in enumerate(lr_map.lrs.tolist()):
        curves = [curve for seed in lr_map.curves for curve in seed[rank]]
        outcome = lr_map.outcomes[rank, -1]
        rates.append(
            {
                "lr": lr,
                "runs": len(curves),
                "steps": max(curve.steps for curve in curves),
                "last_loss": float(lr_map.loss[rank, -1]),
                "outcome": None if outcome is None else str(outcome),
            }
        )
    return rates


def _rates_of_curves(curves: list[CurveSummary], probes: tuple[Probe, ...]) -> list[dict[str, Any]]:
    """Return the rates of runs that make no map; how they went is known of those that a result tells of."""
    judged = {(probe.lr, probe.steps): probe.outcome for probe in probes}
    by_rate: dict[float, list[CurveSummary]] = defaultdict(list)
    floor = standing_still(curves)
    for curve in curves:
        if curve.peak_lr > floor:
            by_rate[curve.peak_lr].append(curve)
    rates: list[dict[str, Any]] = []
    for lr, runs in sorted(by_rate.items()):
        longest = max(runs, key=lambda curve: curve.steps)
        last = longest.last_evaluation if longest.evaluations else longest.last_loss
        known = {steps: outcome for (other, steps), outcome in judged.items() if math.isclose(other, lr, rel_tol=1e-9)}
        outcome = known[max(known)] if known else _OUTCOMES.get(longest.stopped)
        rates.append({"lr": lr, "runs": len(runs), "steps": longest.steps, "last_loss": last, "outcome": outcome})
    return rates


def standing_still(curves: list[CurveSummary]) -> float:
    """Return the rate up to which runs were not meant to move anything."""
    return _STANDING_STILL * max((curve.peak_lr for curve in curves if math.isfinite(curve.peak_lr)), default=0.0)
