"""What the page tells of studies: the list, and one of them in sentences and numbers."""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lrscout.app.answers import MALFORMED, NOT_AMISS, RefusedError
from lrscout.app.layout import Layout
from lrscout.app.maps import Maps, is_judged, map_as_dict
from lrscout.app.outcomes import Outcomes
from lrscout.app.range_tests import (
    RangeTests,
    is_range_test,
    planned_repeats,
    range_test_as_dict,
    suggested_so_far,
    suggestions_of,
)
from lrscout.app.recommendations import recommendation_of
from lrscout.app.runs import KeptRun, Position, runs_of
from lrscout.app.shelf import NoStudyError, Shelf
from lrscout.core.curve import Outcome
from lrscout.core.result import jsonable

if TYPE_CHECKING:
    from lrscout.measure.lr_map import LRMap
    from lrscout.measure.range_test import RangeTest
    from lrscout.store.records import CurveSummary, StudyRecord

_NONE_YET = (
    "There are no studies. To make one, name it: lrscout sweep TARGET --lrs 1e-4:10:24 --steps 1000 --study first"
)
_RUNS = {"range-test": "repeat"}
"""What the runs of a study are called, where they are not called runs."""


def list_studies(shelf: Shelf) -> dict[str, Any]:
    """Return a line for every study, the newest first. No array is read for it.

    Args:
        shelf: the store.
    """
    found = shelf.outlines()
    with shelf.explained():
        entries = [_entry(record) for record in found]
    sentence = None if entries else _NONE_YET
    return {"store": shelf.name, "awaited": shelf.awaited, "studies": entries, "sentence": sentence}


def show_study(shelf: Shelf, maps: Maps, known: Outcomes, tests: RangeTests, name: str) -> dict[str, Any]:
    """Return what there is to tell of a study besides its pictures.

    Args:
        shelf: the store.
        maps: the sweeps that are known already.
        known: how the runs went that were asked for before.
        tests: the range tests that are known already.
        name: the name of the study.

    Raises:
        RefusedError: there is no such study yet, or its runs are not those of one.
    """
    try:
        record = shelf.study(name)
    except NoStudyError as error:
        # Whoever shares a link to a study may do so before it begins.
        sentence = f"There is no study {name!r} yet; it appears here when it begins."
        raise RefusedError(NOT_AMISS, sentence) from error
    with shelf.explained():
        entry = _entry(record)
        told = {"inputs": record.inputs, "versions": record.versions, "revision": record.revision}
        if Layout.of(record) is not None:
            return entry | told | _of_sweep(record, entry, maps, shelf.curves(name))
        if is_range_test(record):
            return entry | told | _of_range_test(record, entry, tests.of(record))
        return entry | told | _of_probes(record, entry, known, shelf.curves(name))


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


def show_range_test(shelf: Shelf, tests: RangeTests, name: str) -> dict[str, Any] | None:
    """Return the lines of a range test with what is read off them, or None where it has no repeats yet.

    Args:
        shelf: the store.
        tests: the range tests that are known already.
        name: the name of the study.

    Raises:
        RefusedError: there is no such study, or it is no range test.
    """
    record = shelf.study(name)
    with shelf.explained():
        test = tests.of(record)
        return None if test is None else range_test_as_dict(test) | {"revision": record.revision}


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
        "planned": layout.runs if layout else planned_repeats(record) if is_range_test(record) else None,
    }


def _without_folders(target: str) -> str:
    """Return a target without the folders of its file, which are nobody else's business.

    >>> _without_folders("/home/somebody/digits.py:make"), _without_folders("package.digits:make")
    ('digits.py:make', 'package.digits:make')
    """
    return re.split(r"[/\\]", target)[-1]


def _of_sweep(record: StudyRecord, entry: dict[str, Any], maps: Maps, curves: list[CurveSummary]) -> dict[str, Any]:
    lr_map, told = maps.of(record), _progress(entry)
    # While new runs are being judged, what was said of those before them is still so.
    judged = lr_map if lr_map is not None and is_judged(lr_map) else maps.judged(record)
    if record.result is None:
        told = told if judged is None else [*told, *_so_far(judged)]
    elif judged is lr_map and lr_map is not None:
        told = sentences_of(str(lr_map))
    best = None if lr_map is None else lr_map.lr
    return {
        "sentences": told,
        "cost": _counted(curves) if record.result is None else record.result.get("cost"),
        "recommendation": None,
        "best": best,
        "rates": [] if lr_map is None else _rates_of_map(lr_map),
    }


def _of_range_test(record: StudyRecord, entry: dict[str, Any], test: RangeTest | None) -> dict[str, Any]:
    if test is None:
        told = {"sentences": _progress(entry), "cost": None, "suggestions": []}
    elif record.result is None:
        sentences, cost = [*_progress(entry), suggested_so_far(test)], jsonable(test.cost) | {"seconds": None}
        told = {"sentences": sentences, "cost": cost, "suggestions": suggestions_of(test)}
    else:
        told = {"sentences": sentences_of(str(test)), "cost": test.cost, "suggestions": suggestions_of(test)}
    return told | {"recommendation": None, "best": None, "rates": []}


def _of_probes(
    record: StudyRecord, entry: dict[str, Any], known: Outcomes, curves: list[CurveSummary]
) -> dict[str, Any]:
    runs = runs_of(record, curves)
    told = {
        "sentences": _progress(entry),
        "cost": _counted(curves),
        "recommendation": None,
        "best": None,
        "rates": _rates_of_runs(runs, known.of(record, runs)),
    }
    if record.result is None or record.summary.kind != "find":
        return told
    with suppress(*MALFORMED):
        recommendation = recommendation_of(record.result)
        return told | {
            "sentences": sentences_of(str(recommendation)),
            "cost": record.result["cost"],
            "recommendation": record.result,
            "best": recommendation.lr,
            "test_runs": len(curves) - len(recommendation.probes) * len(record.inputs["seeds"]),
        }
    return told


def _progress(entry: dict[str, Any]) -> list[str]:
    done, planned = entry["curves"], entry["planned"]
    run = _RUNS.get(entry["kind"], "run")
    of_all = f"{done} of {planned} {run}{'s are' if planned != 1 else ' is'}"
    runs = of_all if planned else f"{done} {run}{' is' if done == 1 else 's are'}"
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


def _counted(curves: list[CurveSummary]) -> dict[str, Any]:
    """Return what runs have cost so far. How long they took is known of a result alone."""
    counted = {"steps": sum(curve.steps for curve in curves), "evaluations": sum(curve.evaluations for curve in curves)}
    return counted | {"seconds": None, "products": 0}


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


def _rates_of_runs(runs: dict[Position, KeptRun], outcomes: dict[Position, Outcome | None]) -> list[dict[str, Any]]:
    """Return the rates of runs that make no map; how a rate did is how its longest run did."""
    by_rate: dict[float, list[Position]] = defaultdict(list)
    for position, run in runs.items():
        by_rate[run.lr].append(position)
    rates: list[dict[str, Any]] = []
    for lr, positions in sorted(by_rate.items()):
        longest = max(positions, key=lambda position: runs[position].summary.steps)
        line = runs[longest].summary
        last = line.last_evaluation if line.evaluations else line.last_loss
        shown = {"lr": lr, "runs": len(positions), "steps": line.steps, "last_loss": last}
        rates.append(shown | {"outcome": outcomes[longest]})
    return rates
