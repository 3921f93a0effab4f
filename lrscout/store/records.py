"""What a store tells of a study, and the way between its rows and curves."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, select

from lrscout.core.curve import Curve, Stop
from lrscout.core.errors import InvalidValueError, StoreError
from lrscout.store.arrays import decode, encode
from lrscout.store.database import Database
from lrscout.store.tables import ARRAYS, arrays, blocks, curves

_FETCHED = 256
"""Curves read at a time."""

_NAMED = 500
"""Blocks that a query names at a time; databases have a limit."""


@dataclass(frozen=True)
class StudySummary:
    """A study in a line.

    Args:
        name: its name.
        kind: the verb it is a call of.
        target: the code reference of its loop, if it has one.
        created: when it was begun.
        finished: whether it has its result.
        blocks: the number of blocks kept so far.
        curves: the number of curves in them.
    """

    name: str
    kind: str
    target: str | None
    created: datetime
    finished: bool
    blocks: int
    curves: int


@dataclass(frozen=True)
class CurveSummary:
    """A curve in a line.

    Args:
        block: the number of its block.
        seed: the seed of its run.
        peak_lr: its highest learning rate; NaN if it has none.
        steps: the number of steps taken.
        stopped: why it took no further step.
        last_loss: its last training loss; NaN if it has none.
        lowest_loss: its lowest finite training loss; NaN if it has none.
        evaluations: the number of its evaluations.
        last_evaluation: its last evaluation loss; NaN if it has none.
    """

    block: int
    seed: int
    peak_lr: float
    steps: int
    stopped: Stop
    last_loss: float
    lowest_loss: float
    evaluations: int
    last_evaluation: float


@dataclass(frozen=True)
class StudyRecord:
    """A study as it is kept.

    Args:
        summary: the study in a line.
        inputs: the arguments it was begun with.
        versions: what was at work then: lrscout, Python, NumPy and the frameworks.
        result: its result as plain lists, numbers and strings, or None while it is not finished.
    """

    summary: StudySummary
    inputs: dict[str, Any]
    versions: dict[str, str]
    result: dict[str, Any] | None
    _database: Database = field(repr=False, compare=False)
    _id: int = field(repr=False, compare=False)

    @property
    def revision(self) -> str:
        """A word that is another one as soon as something is added, or the study is another one of the same name."""
        return f"{self._id}-{self.summary.blocks}-{'finished' if self.summary.finished else 'open'}"

    def is_being_written(self) -> bool:
        """Return whether a driver is writing the study now.

        Raises:
            StoreError: the database does not do its part.
        """
        return not self.summary.finished and self._database.is_being_written(self._id)

    def blocks(self, numbers: Collection[int] | None = None) -> Iterator[tuple[int, tuple[Curve, ...]]]:
        """Yield the number and the curves of each block, bit for bit, without holding them all in memory.

        Args:
            numbers: the blocks to read; by default all of them.

        Raises:
            StoreError: a curve is damaged, or the database does not do its part.
        """
        with self._database.transaction() as connection:
            if numbers is None:
                yield from read_blocks(connection, self._id, self.summary.name)
                return
            wanted = sorted(numbers)
            for first in range(0, len(wanted), _NAMED):
                part = wanted[first : first + _NAMED]
                yield from read_blocks(connection, self._id, self.summary.name, part)

    def block_numbers(self) -> list[int]:
        """Return the numbers of the blocks that are kept by now, ascending. No curve is read for it.

        Raises:
            StoreError: the database does not do its part.
        """
        query = select(blocks.c.number).where(blocks.c.study == self._id).order_by(blocks.c.number)
        with self._database.transaction() as connection:
            return list(connection.scalars(query))

    def curves(self) -> list[Curve]:
        """Return every curve, bit for bit, block by block.

        Raises:
            StoreError: a curve is damaged, or the database does not do its part.
        """
        return [curve for _, block in self.blocks() for curve in block]


def rows_of(curve: Curve) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the rows of a curve in the table of curves and in the table of arrays.

    Raises:
        InvalidValueError: the curve has a seed or an array that no database could hold.
    """
    if not -(2**63) <= curve.seed < 2**63:
        raise InvalidValueError(f"A store keeps seeds below 2^63, but this one is {curve.seed}.")
    finite = curve.losses[np.isfinite(curve.losses)]
    row = {
        "seed": int(curve.seed),
        "peak_lr": float(curve.lrs.max()) if curve.steps else None,
        "steps": curve.steps,
        "stopped": str(curve.stopped),
        "last_loss": _last(curve.losses),
        "lowest_loss": float(finite.min()) if len(finite) else None,
        "evaluations": len(curve.evaluations),
        "last_evaluation": _last(curve.evaluations),
    }
    return row, {name: encode(getattr(curve, name)) for name in ARRAYS}


def read_blocks(
    connection: Connection, study: int, name: str, numbers: Collection[int] | None = None
) -> Iterator[tuple[int, tuple[Curve, ...]]]:
    """Yield the number and the curves of each block of a study.

    Args:
        connection: where to read.
        study: the number of the study in the database.
        name: the name of the study, for a sentence about what is damaged.
        numbers: the blocks to read; by default all of them.

    Raises:
        StoreError: a curve is damaged.
    """
    columns = (blocks.c.number, curves.c.place, curves.c.seed, curves.c.stopped, *(arrays.c[name] for name in ARRAYS))
    joined = blocks.outerjoin(curves, curves.c.block == blocks.c.id).outerjoin(
        arrays, (arrays.c.block == curves.c.block) & (arrays.c.place == curves.c.place)
    )
    query = (
        select(*columns).select_from(joined).where(blocks.c.study == study).order_by(blocks.c.number, curves.c.place)
    )
    if numbers is not None:
        query = query.where(blocks.c.number.in_(numbers))
    rows = connection.execution_options(yield_per=_FETCHED).execute(query)
    for number, block in groupby(rows, key=lambda row: row.number):
        yield number, tuple(_curve(row, name) for row in block if row.place is not None)


def read_summaries(connection: Connection, study: int) -> list[CurveSummary]:
    """Return a line for every curve of a study, and read no array.

    Args:
        connection: where to read.
        study: the number of the study in the database.
    """
    query = (
        select(blocks.c.number, curves)
        .join(curves, curves.c.block == blocks.c.id)
        .where(blocks.c.study == study)
        .order_by(blocks.c.number, curves.c.place)
    )
    return [
        CurveSummary(
            block=row.number,
            seed=row.seed,
            peak_lr=_or_nan(row.peak_lr),
            steps=row.steps,
            stopped=Stop(row.stopped),
            last_loss=_or_nan(row.last_loss),
            lowest_loss=_or_nan(row.lowest_loss),
            evaluations=row.evaluations,
            last_evaluation=_or_nan(row.last_evaluation),
        )
        for row in connection.execute(query)
    ]


def _curve(row: Row[Any], name: str) -> Curve:
    try:
        decoded = {column: decode(getattr(row, column)) for column in ARRAYS}
        return Curve(stopped=Stop(row.stopped), seed=row.seed, **decoded)
    except (StoreError, TypeError, ValueError) as error:
        raise StoreError(
            f"Curve {row.place} of block {row.number} of the study {name!r} is damaged: {error}"
        ) from error


def _last(losses: np.ndarray[Any, Any]) -> float | None:
    last = float(losses[-1]) if len(losses) else math.nan
    return None if math.isnan(last) else last


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
