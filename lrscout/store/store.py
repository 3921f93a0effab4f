"""Where studies are kept."""

from __future__ import annotations

import difflib
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError

from lrscout.core.errors import InvalidValueError, StoreError
from lrscout.store.database import Database
from lrscout.store.default import DEFAULT_STORE
from lrscout.store.inputs import check_same, written
from lrscout.store.postgres import Postgres
from lrscout.store.records import CurveSummary, StudyRecord, StudySummary, read_summaries
from lrscout.store.sqlite import Sqlite
from lrscout.store.study import Study
from lrscout.store.tables import blocks, curves, studies
from lrscout.store.versions import versions
from lrscout.store.writer import Writer

_FORMS = "a file such as lrscout.db, or postgresql+psycopg://user@host/database"
_LONGEST = 200


def open_store(url: str | Path = DEFAULT_STORE, *, create: bool = True) -> Store:
    """Open a store, and make it where there is none.

    Args:
        url: a file for SQLite, as a path or as ``sqlite:///file``; or ``postgresql+psycopg://user@host/database``.
        create: whether to make the store if it is not there.

    Returns:
        The store. It holds nothing open between two calls, so there is nothing to close.

    Raises:
        StoreError: it cannot be opened: the place cannot be reached or written to, holds something else, or was made
            by a newer lrscout.
        MissingDependencyError: a PostgreSQL store needs psycopg (the extra ``postgres``).

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     open_store(Path(folder) / "lrscout.db").studies()
    []
    """
    database = _database(url, create=create)
    database.prepare(create=create)
    return Store(database)


class Store:
    """Studies in a database; `open_store` opens it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def place(self) -> str:
        """What to call the store in a sentence: its file, or its URL without the password."""
        return self._database.place

    def __repr__(self) -> str:
        return f"Store({self._database.place!r})"

    def begin(self, name: str, *, kind: str, inputs: dict[str, Any], target: str | None) -> Study:
        """Begin a study, or take it up again, as its one writer.

        Args:
            name: the name of the study.
            kind: the verb that it is a call of.
            inputs: the verb's arguments, as plain lists, numbers and strings.
            target: the code reference of its loop, if it has one.

        Returns:
            The study. Leave it, as a context manager, to let others write it.

        Raises:
            InvalidValueError: the name cannot be one, or the study was begun with other inputs.
            StoreError: another driver is writing the study, or the database does not do its part.
        """
        _check_name(name)
        text = written("inputs", inputs)
        with self._database.transaction(writes=True) as connection:
            row, was_new = self._find_or_insert(connection, name, kind=kind, inputs=text, target=target)
        kept = {"kind": row.kind, **json.loads(row.inputs), "target": row.target}
        check_same(name, kept, {"kind": kind, **json.loads(text), "target": target})
        writer = self._acquired(row)
        try:
            return Study(
                self._database, writer, writer.write(lambda connection: _sign(connection, row)), was_new=was_new
            )
        except BaseException:
            writer.release()
            raise

    def studies(self) -> list[StudySummary]:
        """Return a line for every study, the oldest first.

        Raises:
            StoreError: the database does not do its part.
        """
        with self._database.transaction() as connection:
            return [_summary(row) for row in connection.execute(_listing().order_by(studies.c.id))]

    def load(self, name: str) -> StudyRecord:
        """Return a study: its inputs, its result and, on demand, its curves.

        Args:
            name: the name of the study.

        Raises:
            StoreError: there is no such study, or the database does not do its part.
        """
        with self._database.transaction() as connection:
            whole = _listing().add_columns(studies.c.result)
            row = connection.execute(whole.where(studies.c.id == self._id(connection, name))).one()
        return self._record(row, None if row.result is None else json.loads(row.result))

    def outlines(self) -> list[StudyRecord]:
        """Return every study, the newest first, without its result: that may be long, and is None here.

        Raises:
            StoreError: the database does not do its part.
        """
        with self._database.transaction() as connection:
            return [self._record(row, None) for row in connection.execute(_listing().order_by(studies.c.id.desc()))]

    def curves(self, name: str) -> list[CurveSummary]:
        """Return a line for every curve of a study, block by block. No array is read for it.

        Args:
            name: the name of the study.

        Raises:
            StoreError: there is no such study, or the database does not do its part.
        """
        with self._database.transaction() as connection:
            return read_summaries(connection, self._id(connection, name))

    def delete(self, name: str) -> None:
        """Delete a study with all its curves.

        A SQLite file becomes smaller by that; PostgreSQL keeps the space and uses it again.

        Args:
            name: the name of the study.

        Raises:
            StoreError: there is no such study, a driver is writing it, or the database does not do its part.
        """
        with self._database.transaction() as connection:
            study = self._id(connection, name)
            row = connection.execute(select(studies).where(studies.c.id == study)).one()
        writer = self._acquired(row)
        try:
            writer.write(lambda connection: connection.execute(studies.delete().where(studies.c.id == study)))
        finally:
            writer.release()
        self._database.shrink()

    def _record(self, row: Row[Any], result: dict[str, Any] | None) -> StudyRecord:
        inputs, found = json.loads(row.inputs), json.loads(row.versions)
        return StudyRecord(_summary(row), inputs, found, result, self._database, row.id)

    def _find_or_insert(
        self, connection: Connection, name: str, *, kind: str, inputs: str, target: str | None
    ) -> tuple[Row[Any], bool]:
        query = select(studies).where(studies.c.name == name)
        row = connection.execute(query).one_or_none()
        if row is not None:
            return row, False
        values = {"kind": kind, "target": target, "inputs": inputs, "versions": json.dumps(versions())}
        try:
            with connection.begin_nested():
                connection.execute(studies.insert().values(name=name, created=datetime.now(UTC), **values))
        except IntegrityError:  # PostgreSQL, and another driver began it just now.
            return connection.execute(query).one(), False
        return connection.execute(query).one(), True

    def _acquired(self, row: Row[Any]) -> Writer:
        writer = self._database.writer(row.id)
        if writer.acquire():
            return writer
        with self._database.transaction() as connection:
            signed = connection.scalar(select(studies.c.writer).where(studies.c.id == row.id))
        told = ", process {process} on {host} since {since},".format_map(json.loads(signed)) if signed else ""
        raise StoreError(
            f"Another driver{told} is writing the study {row.name!r}. Wait until it has ended, or choose another name."
        )

    def _id(self, connection: Connection, name: str) -> int:
        found = connection.scalar(select(studies.c.id).where(studies.c.name == name))
        if found is not None:
            return found
        names = connection.scalars(select(studies.c.name).order_by(studies.c.name)).all()
        near = difflib.get_close_matches(name, names)
        if near:
            hint = f"Did you mean {' or '.join(map(repr, near))}?"
        elif names:
            hint = f"It has {', '.join(map(repr, names[:5]))}{' and others' if len(names) > 5 else ''}."
        else:
            hint = "It has none yet."
        raise StoreError(f"There is no study {name!r} in {self._database.place}. {hint}")


def _database(url: str | Path, *, create: bool) -> Database:
    if isinstance(url, Path) or "://" not in url:
        return Sqlite(Path(url), create=create)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        safe = url if "@" not in url else f"{url.partition('://')[0]}://..."  # There may be a password in it.
        raise StoreError(f"A store is {_FORMS}, but this cannot be read as a URL: {safe}") from None
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        if parsed.database in (None, "", ":memory:"):
            raise StoreError(
                "A store in memory would be gone with the process. Name a file, as in sqlite:///lrscout.db."
            )
        return Sqlite(Path(parsed.database), create=create)
    if parsed.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return Postgres(parsed.set(drivername="postgresql+psycopg"))
    raise StoreError(f"A store is {_FORMS}, but this URL begins with {parsed.drivername}://.")


def _check_name(name: str) -> None:
    if not name.strip() or not name.isprintable() or len(name) > _LONGEST:
        raise InvalidValueError(
            f"The name of a study is 1 to {_LONGEST} printable characters, but this one is {name[:_LONGEST]!r}."
        )


def _listing() -> Select[Any]:
    of_study = blocks.c.study == studies.c.id
    block_count = select(func.count()).select_from(blocks).where(of_study).scalar_subquery()
    joined = curves.join(blocks, curves.c.block == blocks.c.id)
    curve_count = select(func.count()).select_from(joined).where(of_study).scalar_subquery()
    told = [column for column in studies.c if column is not studies.c.result]
    finished = studies.c.result.is_not(None)
    return select(*told, finished.label("finished"), block_count.label("block_count"), curve_count.label("curve_count"))


def _summary(row: Row[Any]) -> StudySummary:
    return StudySummary(
        row.name, row.kind, row.target, row.created, bool(row.finished), row.block_count, row.curve_count
    )


def _sign(connection: Connection, row: Row[Any]) -> Row[Any]:
    """Write down who writes a study now, for whoever else tries to, and return the study as it stands."""
    since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    who = json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": since})
    connection.execute(studies.update().where(studies.c.id == row.id).values(writer=who))
    now = connection.execute(select(studies).where(studies.c.id == row.id)).one_or_none()
    if now is None:
        raise StoreError(f"The study {row.name!r} was deleted just now. Begin it again.")
    return now
