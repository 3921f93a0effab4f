"""The range test that a store keeps, as Python reads it, also while its repeats are under way."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.analyse.heights import heights_of
from lrscout.app.answers import MALFORMED, RefusedError
from lrscout.app.remembered import Remembered
from lrscout.app.thinning import thinned
from lrscout.core.checks import check_count
from lrscout.core.result import Cost
from lrscout.measure.range_test import RangeTest

if TYPE_CHECKING:
    from jaxtyping import Float

    from lrscout.store.records import StudyRecord

_KIND = "range-test"
_REMEMBERED = 8
_POINTS = 600
"""The most points of a line that is drawn."""


class RangeTests:
    """The range tests that were asked for last: to read suggestions off their noise takes a moment."""

    def __init__(self) -> None:
        self._known: Remembered[RangeTest | None] = Remembered(_REMEMBERED)

    def of(self, record: StudyRecord) -> RangeTest | None:
        """Return the range test of the repeats that are kept by now, or None where there are none.

        Args:
            record: the study.

        Raises:
            RefusedError: it is no range test, or its runs are not those of one.
            StoreError: its curves cannot be read.
        """
        if not is_range_test(record):
            raise RefusedError(404, f"The study {record.summary.name!r} is no range test.")
        # A study that was deleted and begun again has another beginning.
        key = record.summary.name, record.summary.created, record.revision
        return self._known.get_or_make(key, lambda: _read(record))


def is_range_test(record: StudyRecord) -> bool:
    """Return whether a study is a call of `range_test`."""
    return record.summary.kind == _KIND


def planned_repeats(record: StudyRecord) -> int | None:
    """Return how many repeats a range test is to have, or None where that is not known."""
    with suppress(*MALFORMED):
        return check_count("repeats", record.inputs["repeats"], at_least=1)
    return None


def range_test_as_dict(test: RangeTest) -> dict[str, Any]:
    """Return a range test as the page draws it.

    Args:
        test: the range test.
    """
    low, high = heights_of(test.watched)
    level = test.smoothed
    return {
        "watched": test.loss,
        "repeats": [{"seed": curve.seed} | _line(curve.lrs, curve.losses) for curve in test.watched],
        "smoothed": _line(test.lrs[: len(level)], level),
        "low": low,
        "high": high,
        "suggestions": [told | {"level": _level(test, told["lr"])} for told in suggestions_of(test)],
        "stopped": str(test.stopped),
        "stopped_at": float(test.lrs[-1]),
    }


def suggestions_of(test: RangeTest) -> list[dict[str, Any]]:
    """Return what each rule suggests, the best rule first.

    Args:
        test: the range test.
    """
    return [
        {"rule": rule} | suggestion.to_dict() | {"chosen": rule == test.rule}
        for rule, suggestion in test.suggestions.items()
    ]


def suggested_so_far(test: RangeTest) -> str:
    """Return a sentence on what the repeats that are done suggest.

    Args:
        test: the range test.
    """
    found = test.suggestion
    if found.lr is None:
        return f"So far there is no learning rate to suggest. {found.reason}"
    return f"So far it suggests {found.lr:.2g} ({found.low:.2g} to {found.high:.2g} as the noise goes)."


def _read(record: StudyRecord) -> RangeTest | None:
    curves = [curve for _, block in record.blocks() for curve in block]
    if not curves:
        return None
    try:
        inputs, told = record.inputs, (record.result or {}).get("cost")
        counted = Cost(sum(curve.steps for curve in curves), sum(len(curve.evaluations) for curve in curves), 0.0)
        cost = counted if told is None else Cost(**told)
        test = RangeTest(tuple(curves), inputs["rule"], inputs["smoothing"], inputs["loss"], cost, record.summary.name)
        # Whatever is wrong with what a store holds shows while all of it is read, and not in the middle of an answer.
        str(test)
        range_test_as_dict(test)
    except MALFORMED as error:
        sentence = f"The runs of the study {record.summary.name!r} do not fit what it was begun with."
        raise RefusedError(422, sentence) from error
    return test


def _line(lrs: Float[np.ndarray, " step"], losses: Float[np.ndarray, " step"]) -> dict[str, Any]:
    kept = thinned(losses, _POINTS) if len(losses) else np.zeros(0, int)
    return {"lrs": lrs[kept], "losses": losses[kept]}


def _level(test: RangeTest, lr: float | None) -> float | None:
    return None if lr is None else test.level_at(lr)
