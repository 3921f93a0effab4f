"""A store in a PostgreSQL database."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from sqlalchemy import URL, Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from lrscout.core.errors import MissingDependencyError, StoreError
from lrscout.core.imports import require
from lrscout.store import tables
from lrscout.store.database import Database, first_line, shown
from lrscout.store.writer import Answer, Writer

PAUSES = (0.5, 1, 2, 4, 8, 8, 8)
"""Seconds to wait before each further attempt to reach a server that went away: half a minute in all."""

_MOMENTS = (0.1, 0.4, 1.5)
"""Seconds to wait for a lock: the server takes a moment to see that a driver was killed."""

_OPTIONS = {
    "application_name": "lrscout",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
"""So that a network that was cut is noticed in half a minute and not in hours."""

_SAME_ON_THE_SERVER = "SELECT " + ", ".join(
    f"set_config('tcp_keepalives_{name}', '{value}', false)"
    for name, value in {"idle": 30, "interval": 10, "count": 3}.items()
)
"""So that the lock of a driver whose machine went away is soon free."""

_LOCK = text("SELECT pg_try_advisory_lock((CAST(CAST(:table AS regclass) AS oid)::bigint << 32) | :study)")
"""By the number of the table and of the study, so that two stores in two schemas of one database never meet."""

_LOCKED = text(
    "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND classid = CAST(CAST(:table AS regclass) AS oid) AND objid = CAST(:study AS bigint)::oid)"
)
"""The same lock, looked at from outside: a key of 64 bits is listed as two halves."""

_PASSING = ("08", "57P", "25006", "55006")
"""Beginnings of the codes of what passes: connection lost, server stopping or starting, a standby not yet in charge."""


class Postgres(Database):
    """A store in a PostgreSQL database.

    Args:
        url: the URL of the database.

    Raises:
        MissingDependencyError: psycopg, through which it is reached, is not installed.
    """

    def __init__(self, url: URL) -> None:
        try:
            require("psycopg", extra="postgres")
        except MissingDependencyError:
            raise
        except ImportError as error:  # psycopg itself is there, and the library of PostgreSQL that it calls is not.
            raise MissingDependencyError(
                f"psycopg cannot be used: {first_line(error)}. Install it whole with: pip install 'lrscout[postgres]'"
            ) from error
        arguments = {name: value for name, value in _OPTIONS.items() if name not in url.query}
        super().__init__(create_engine(url, poolclass=NullPool, connect_args=arguments), shown(url))

    def writer(self, study: int) -> Writer:
        """Return the right to write a study, not yet acquired: a lock that lives as long as a connection."""
        return _SessionWriter(self, study)

    def is_being_written(self, study: int) -> bool:
        """Return whether a connection has the lock of a study."""
        with self.transaction() as connection:
            return bool(connection.scalar(_LOCKED, {"table": tables.studies.name, "study": study}))

    def alone(self, connection: Connection) -> None:
        """Keep others from making the tables at the same time, until the transaction ends."""
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": tables.layouts.name})

    def sentence(self, error: BaseException | None) -> str:
        """Return what an error of psycopg means for the user."""
        code = _code(error)
        if code == "53100":
            return f"The disk of {self.place} is full. What was kept is safe: make room and go on with it."
        if code is None:
            return f"PostgreSQL cannot be reached at {self.place}: {first_line(error)}."
        return super().sentence(error)


class _SessionWriter(Writer):
    """The right goes with the connection, so what is written goes through that very connection.

    When it breaks, the right is gone too, and both are taken again before anything is written.
    """

    def __init__(self, database: Postgres, study: int) -> None:
        self._database = database
        self._study = study
        self._connection: Connection | None = None

    def acquire(self) -> bool:
        with self._database.explained():
            for moment in _MOMENTS:
                if self._connect() is not None:
                    return True
                wait(moment)
            return self._connect() is not None

    def release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            if not connection.invalidated:
                # The server would see the end of the connection too, but a moment later.
                with suppress(SQLAlchemyError), connection.begin():
                    connection.exec_driver_sql("SELECT pg_advisory_unlock_all()")
            connection.close()

    def write(self, work: Callable[[Connection], Answer]) -> Answer:
        reason = "another driver has the study now"
        for pause in (*PAUSES, None):
            try:
                connection = self._connect()
                if connection is not None:
                    with connection.begin():
                        return work(connection)
                # Another driver, or what the server has not yet noticed to be the end of this one's connection.
                reason = "another driver has the study now"
            except DBAPIError as error:
                if not _passing(error):
                    raise StoreError(self._database.sentence(error.orig)) from error
                reason = first_line(error.orig)
                self.release()
            if pause is not None:
                wait(pause)
        raise StoreError(
            f"The connection to PostgreSQL at {self._database.place} broke, and after {sum(PAUSES):.0f} s still: "
            f"{reason}. What was kept is safe: go on with the study by its name when that is over."
        )

    def _connect(self) -> Connection | None:
        """Return the connection that has the lock, or None if somebody else has the lock."""
        if self._connection is not None and self._connection.invalidated:
            self.release()  # SQLAlchemy would connect it anew, and without the lock.
        if self._connection is None:
            connection = self._database.engine.connect()
            try:
                with connection.begin():
                    connection.exec_driver_sql(_SAME_ON_THE_SERVER)
                    ours = connection.scalar(_LOCK, {"table": tables.studies.name, "study": self._study})
            except BaseException:
                connection.close()
                raise
            if not ours:
                connection.close()
                return None
            self._connection = connection
            _holders.add(self)
        return self._connection

    def let_go(self) -> None:
        """In a child process, forget the connection to the server without ending it for the parent."""
        if self._connection is not None and not self._connection.invalidated:
            driver: Any = self._connection.connection.driver_connection
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, driver.fileno(), inheritable=False)
            os.close(nowhere)


_holders: WeakSet[_SessionWriter] = WeakSet()
"""The writers of this process that have a connection."""


def _let_go() -> None:
    for holder in _holders:
        holder.let_go()


if hasattr(os, "register_at_fork"):
    # A connection ends when the last process that has it does, and a worker may outlive the driver that forked it.
    os.register_at_fork(after_in_child=_let_go)


def wait(seconds: float) -> None:
    """Wait before another attempt."""
    time.sleep(seconds)


def _code(error: BaseException | None) -> str | None:
    """Return the code of an error that the server told, or None for one that it could not tell."""
    return getattr(error, "sqlstate", None)


def _passing(error: DBAPIError) -> bool:
    """Return whether an error may be gone at the next attempt."""
    code = _code(error.orig)
    return error.connection_invalidated or code is None or code.startswith(_PASSING)
