"""A study under way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, select

from lrscout.core.checks import check_count
from lrscout.core.curve import Curve
from lrscout.core.errors import StoreError
from lrscout.store.database import Database
from lrscout.store.inputs import written
from lrscout.store.records import read_blocks, rows_of
from lrscout.store.tables import arrays, blocks, curves, studies
from lrscout.store.writer import Writer


class Study:
    """A study that this process writes and nobody else; `Store.begin` makes it.

    It is a context manager. Leaving it lets others write the study.
    """

    name: str
    """The name of the study."""
    inputs: dict[str, Any]
    """The arguments it was begun with, as they came back from the store."""
    was_new: bool
    """Whether this call began it, and nothing was taken up again."""
    versions: dict[str, str]
    """What was at work when it was begun: lrscout, Python, NumPy and the frameworks."""
    result: dict[str, Any] | None
    """Its result, or None while it is not finished."""

    def __init__(self, database: Database, writer: Writer, row: Any, *, was_new: bool) -> None:
        self._database = database
        self._writer = writer
        self._id: int = row.id
        self.name = row.name
        self.inputs = json.loads(row.inputs)
        self.versions = json.loads(row.versions)
        self.result = None if row.result is None else json.loads(row.result)
        self.was_new = was_new

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.release()

    def finished(self) -> dict[int, tuple[Curve, ...]]:
        """Return the curves of the blocks that are done, bit for bit, by the number of the block.

        Raises:
            StoreError: a curve is damaged, or the database does not do its part.
        """
        with self._database.transaction() as connection:
            return dict(read_blocks(connection, self._id, self.name))

    def keep(self, block: int, curves: Sequence[Curve]) -> None:
        """Commit a block that is done. Where the block is kept already, this changes nothing.

        Args:
            block: the number of the block.
            curves: its curves. They may be none.

        Raises:
            InvalidValueError: a curve that no database could hold.
            StoreError: the database does not do its part. The blocks that were kept before are safe.
        """
        check_count("block", block, at_least=0)
        rows = [rows_of(curve) for curve in curves]
        self._writer.write(lambda connection: self._insert(connection, block, rows))

    def finish(self, result: dict[str, Any]) -> None:
        """Commit the result of the study.

        Args:
            result: the result as plain lists, numbers and strings.

        Raises:
            InvalidValueError: there is something else in it.
            StoreError: the database does not do its part. The blocks that were kept before are safe.
        """
        text = written("result", result)
        self._writer.write(
            lambda connection: connection.execute(studies.update().where(studies.c.id == self._id).values(result=text))
        )
        self.result = json.loads(text)

    def _insert(self, connection: Connection, number: int, rows: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
        if connection.scalar(select(studies.c.id).where(studies.c.id == self._id)) is None:
            raise StoreError(f"The study {self.name!r} was deleted while it was under way.")
        kept = select(blocks.c.id).where(blocks.c.study == self._id, blocks.c.number == number)
        if connection.scalar(kept) is not None:
            return
        inserted = connection.execute(blocks.insert().values(study=self._id, number=number))
        assert inserted.inserted_primary_key is not None
        places = [{"block": inserted.inserted_primary_key[0], "place": place} for place in range(len(rows))]
        if rows:
            connection.execute(curves.insert(), [place | row for place, (row, _) in zip(places, rows, strict=True)])
            connection.execute(arrays.insert(), [place | blobs for place, (_, blobs) in zip(places, rows, strict=True)])
