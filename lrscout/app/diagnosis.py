"""The diagnosis of a log that was sent in. It stays in memory: no file is written, and no name of it is opened."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.analyse.diagnose import Diagnosis, diagnose
from lrscout.analyse.smoothing import level_line
from lrscout.app.answers import RefusedError
from lrscout.app.thinning import thinned
from lrscout.core.errors import EmptyDataError, InvalidValueError, LogError, MissingDependencyError
from lrscout.logs.log import Log
from lrscout.logs.names import shown
from lrscout.logs.read import columns_of, read_log

if TYPE_CHECKING:
    from jaxtyping import Float

POINTS = 2000
"""The most points of the curve that is sent back."""

_MOST_NAMES = 200
"""Runs and columns that are told of."""


@dataclass(frozen=True)
class Question:
    """What is asked of a log.

    Args:
        name: what the file is called.
        run: the name of a run in it; by default the first.
        loss: the column of the training loss; by default told by its name.
        lr: the column of the learning rate, or the rate itself; by default told by its name.
    """

    name: str
    run: str | None = None
    loss: str | None = None
    lr: str | None = None


def diagnosis_of(content: bytes, question: Question) -> dict[str, Any]:
    """Return what became of a run, by its log.

    Args:
        content: the file.
        question: what is asked of it.

    Raises:
        RefusedError: it cannot be read, or does not hold what is asked for.
    """
    logs = _read(content, question)
    names = [log.name for log in logs]
    if question.run is not None and question.run not in names:
        raise RefusedError(422, f"There is no run {shown(question.run)!r} in the file.", runs=names[:_MOST_NAMES])
    log = logs[0 if question.run is None else names.index(question.run)]
    diagnosis = _judged(log)
    return {
        "diagnosis": diagnosis.to_dict(),
        "sentences": [_verdict(diagnosis), *diagnosis.advice],
        "notes": log.notes,
        "curve": _curve(diagnosis, log),
        "runs": names[:_MOST_NAMES],
        "run": log.name,
        "losses": log.columns[:_MOST_NAMES],
        "loss": log.column,
    }


def _read(content: bytes, question: Question) -> list[Log]:
    try:
        return read_log(BytesIO(content), loss=question.loss, lr=question.lr, name=question.name)
    except (LogError, InvalidValueError, MissingDependencyError) as error:
        raise RefusedError(422, str(error), losses=_candidates(content)) from error


def _candidates(content: bytes) -> list[str]:
    """Return the columns among which to choose where the training loss could not be told."""
    try:
        return columns_of(BytesIO(content))[:_MOST_NAMES]
    except (LogError, MissingDependencyError):
        return []


def _judged(log: Log) -> Diagnosis:
    evaluated = len(log.evaluations) > 0
    try:
        # Numbers near the largest that there are overflow on the way, and what comes of that is not finite.
        with np.errstate(all="ignore"):
            return diagnose(
                log.losses,
                log.lrs,
                log.evaluations if evaluated else None,
                steps=log.steps,
                evaluated_at=log.evaluated_at if evaluated else None,
            )
    except (InvalidValueError, EmptyDataError) as error:
        raise RefusedError(422, f"{log.name}: {error}", losses=log.columns[:_MOST_NAMES]) from error


def _verdict(diagnosis: Diagnosis) -> str:
    """Return the first sentence of a diagnosis, which is how it went."""
    return str(diagnosis).removesuffix(" ".join(diagnosis.advice)).strip()


def _curve(diagnosis: Diagnosis, log: Log) -> dict[str, Any]:
    losses, kept = diagnosis.losses, thinned(diagnosis.losses, POINTS)
    lrs = (
        None
        if log.lrs is None
        else log.lrs[np.searchsorted(log.steps, diagnosis.steps[kept]).clip(max=len(log.lrs) - 1)]
    )
    evaluated = thinned(diagnosis.evaluations, POINTS)
    return {
        "steps": diagnosis.steps[kept],
        "losses": losses[kept],
        "smoothed": _smoothed(diagnosis, kept),
        "lrs": lrs,
        "evaluated_at": diagnosis.evaluated_at[evaluated],
        "evaluations": diagnosis.evaluations[evaluated],
    }


def _smoothed(diagnosis: Diagnosis, kept: Any) -> Float[np.ndarray, " point"] | None:
    """Return the level of the losses where it shows more than they do; NaN where they are not finite."""
    finite = np.isfinite(diagnosis.losses)
    losses = diagnosis.losses[finite]
    if len(losses) == 0:
        return None
    # As the picture does, which an explosion would otherwise flatten.
    usual = np.quantile(losses, 0.75)
    with np.errstate(over="ignore"):
        span = min(losses.max(), usual + 10 * (usual - losses.min())) - losses.min()
        level = level_line(losses, diagnosis.evidence.noise, float(span))
    if level is None:
        return None
    whole = np.full(len(finite), np.nan)
    whole[finite] = level
    return whole[kept]
