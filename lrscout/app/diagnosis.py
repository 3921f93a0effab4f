"""The diagnosis of a log that was sent in. It stays in memory: no file is written, and no name of it is opened."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np

from lrscout.analyse.diagnose import Diagnosis, diagnose
from lrscout.app.answers import NOT_AMISS, RefusedError
from lrscout.app.levels import level_of
from lrscout.app.thinning import thinned
from lrscout.core.errors import EmptyDataError, InvalidValueError, LogError, MissingDependencyError
from lrscout.logs.log import Log
from lrscout.logs.names import Role, shown
from lrscout.logs.read import columns_of, read_log

POINTS = 2000
"""The most points of the curve that is sent back."""

_MOST_NAMES = 200
"""Runs and columns that are told of."""

_LOSS = str(Role.LOSS)
"""What the readers call the column that the page can be told; where they name it, it is what they could not find."""

_OF_RATE = re.compile(rf"There is no column .* for the {Role.LR}\.|^lr must be ")
_OPTION = re.compile(r" Say which .*--(?P<option>[a-z]+)\b.*$", re.DOTALL)


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
        sentence = f"There is no run {shown(question.run)!r} in the file."
        raise RefusedError(NOT_AMISS, sentence, runs=names[:_MOST_NAMES])
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
        losses = _candidates(content) if _LOSS in str(error) else []
        raise RefusedError(NOT_AMISS, _in_words_of_the_page(str(error), question, losses), losses=losses) from error


def _in_words_of_the_page(sentence: str, question: Question, losses: list[str]) -> str:
    """Return what a reader of logs says without the options of a command, which the page does not have.

    >>> _in_words_of_the_page("a: It has two. Say which with step, such as --step b.", Question("a"), [])
    'a: It has two. In a terminal lrscout diagnose can be told which, with --step.'
    """
    if question.lr is not None and _OF_RATE.search(sentence):
        return (
            f"The learning rate must be a number above zero, such as 0.1, or a column of the log, but it is "
            f"{shown(question.lr)!r}."
        )
    option = _OPTION.search(sentence)
    if option is None:
        return sentence
    before, name = sentence[: option.start()], option.group("option")
    if name == "loss":
        return f"{before} Choose it below." if losses else before
    return f"{before} In a terminal lrscout diagnose can be told which, with --{name}."


def _candidates(content: bytes) -> list[str]:
    """Return the columns among which to choose where the training loss could not be told."""
    try:
        return columns_of(BytesIO(content))[:_MOST_NAMES]
    except (LogError, MissingDependencyError):
        return []


def _judged(log: Log) -> Diagnosis:
    try:
        # Numbers near the largest that there are overflow on the way, and what comes of that is not finite.
        with np.errstate(all="ignore"):
            return diagnose(**log.observed)
    except (InvalidValueError, EmptyDataError) as error:
        raise RefusedError(NOT_AMISS, f"{log.name}: {error}", losses=log.columns[:_MOST_NAMES]) from error


def _verdict(diagnosis: Diagnosis) -> str:
    """Return the first sentence of a diagnosis, which is how it went."""
    return str(diagnosis).removesuffix(" ".join(diagnosis.advice)).strip()


def _curve(diagnosis: Diagnosis, log: Log) -> dict[str, Any]:
    losses, kept = diagnosis.losses, thinned(diagnosis.losses, POINTS)
    smoothed = level_of(losses, diagnosis.evidence.noise)
    lrs = (
        None
        if log.lrs is None
        else log.lrs[np.searchsorted(log.steps, diagnosis.steps[kept]).clip(max=len(log.lrs) - 1)]
    )
    evaluated = thinned(diagnosis.evaluations, POINTS)
    return {
        "steps": diagnosis.steps[kept],
        "losses": losses[kept],
        "smoothed": None if smoothed is None else smoothed[kept],
        "lrs": lrs,
        "evaluated_at": diagnosis.evaluated_at[evaluated],
        "evaluations": diagnosis.evaluations[evaluated],
    }
