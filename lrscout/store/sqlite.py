"""A store in one SQLite file."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, NullPool, create_engine, event

from lrscout.core.errors import NoStoreError, StoreError
from lrscout.store.database import Database, first_line
from lrscout.store.writer import Answer, Writer

_PATIENCE = 30
"""Seconds to wait for another process that is writing."""

_MOMENT = 0.2
"""Seconds to wait for a lock before it counts as another driver's."""

_SENTENCES = {
    "SQLITE_FULL": "The disk that holds {place} is full. What was kept is safe: make room and go on with it.",
    "SQLITE_NOTADB": "{place} is not a SQLite database. Name another file for the store.",
    "SQLITE_CORRUPT": "The store in {place} is damaged: {said}.",
    "SQLITE_BUSY": f"Another process has kept {{place}} busy for more than {_PATIENCE} s. Try again when it has ended.",
    "SQLITE_READONLY": "The store in {place} cannot be written to: the file, its folder or its disk is read-only.",
    "SQLITE_PERM": "The store in {place} cannot be written to: the file, its folder or its disk is read-only.",
    "SQLITE_CANTOPEN": "{place} cannot be opened. Are the file and its folder there, and may they be written to?",
    "SQLITE_IOERR": "{place} cannot be read or written ({name}). Is its disk full, or gone?",
}

_NETWORKS = {"9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "smb3", "smbfs"}
"""File systems that several machines may use at once, between which SQLite's write-ahead log does not work."""


class Sqlite(Database):
    """A store in one SQLite file.

    Args:
        path: the file.
        create: whether to make it if it does not exist.

    Raises:
        StoreError: the file cannot be there.
    """

    def __init__(self, path: Path, *, create: bool) -> None:
        # Two drivers that reach one file by two names must meet at one lock.
        self.path = Path(os.path.realpath(path.expanduser()))
        _check_path(self.path, path, create=create)
        # A connection that lives as long as its transaction leaves no file behind, and no child process inherits it.
        engine = create_engine("sqlite://", poolclass=NullPool, creator=self._connect)
        event.listen(engine, "begin", _begin)
        super().__init__(engine, str(path))

    def writer(self, study: int) -> Writer:
        """Return the right to write a study, not yet acquired: a lock on a file beside the database."""
        return _FileWriter(self.lock_of(study), self)

    def lock_of(self, study: int) -> Path:
        """Return the file on which the writer of a study has a lock."""
        return self.path.with_name(f"{self.path.name}.study-{study}.lock")

    def is_being_written(self, study: int) -> bool:
        """Return whether somebody has the lock of a study."""
        return _is_locked(self.lock_of(study))

    def refuse_another_programs(self, names: list[str]) -> None:
        """Raise StoreError if the file holds tables, none of which is ours."""
        if names:
            raise StoreError(f"{self.place} is a database of another program. Name another file for the store.")

    def before_creation(self) -> None:
        """Choose what cannot be chosen once there is a table."""
        self._script("PRAGMA auto_vacuum = INCREMENTAL; VACUUM")
        if not on_a_network(self.path):
            with suppress(StoreError):  # The journal that SQLite keeps otherwise does as well, if less swiftly.
                self._script("PRAGMA journal_mode = WAL")

    def shrink(self) -> None:
        """Make the file smaller by what was deleted."""
        # It frees a page at each step of the statement, and sqlite3 takes all the steps in a script only.
        self._script("PRAGMA incremental_vacuum")

    def sentence(self, error: BaseException | None) -> str:
        """Return what an error of sqlite3 means for the user."""
        name: str = getattr(error, "sqlite_errorname", "")
        for beginning, sentence in _SENTENCES.items():
            if name.startswith(beginning):
                return sentence.format(place=self.place, name=name, said=first_line(error))
        return super().sentence(error)

    def _connect(self) -> sqlite3.Connection:
        # A file that was taken away is not made again, since what it held would not be in it.
        address = f"{self.path.as_uri()}?{'immutable=1' if _is_still(self.path) else 'mode=rw'}"
        connection = sqlite3.connect(address, uri=True, timeout=_PATIENCE, isolation_level=None)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            # A block is minutes of computing and a commit milliseconds of writing, so it may wait for the disk: what
            # was committed survives a loss of power too.
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        return connection

    def _script(self, statements: str) -> None:
        """Run statements that belong to no transaction."""
        with self.explained():
            pooled = self.engine.raw_connection()
        try:
            pooled.cursor().executescript(statements)
        except sqlite3.Error as error:
            raise StoreError(self.sentence(error)) from error
        finally:
            pooled.close()


class _FileWriter(Writer):
    def __init__(self, path: Path, database: Sqlite) -> None:
        self._database = database
        self._path = path
        self._lock = FileLock(self._path, thread_local=False)

    def acquire(self) -> bool:
        try:
            # Who only looks whether the study is being written has the lock for less than a moment.
            self._lock.acquire(timeout=_MOMENT, poll_interval=_MOMENT / 10)
        except Timeout:
            return False
        except OSError as error:
            raise StoreError(
                f"The store in {self._database.place} cannot be locked: {error.strerror or error}."
            ) from error
        return True

    def release(self) -> None:
        # Removed while it is still locked: who waits for it sees then that the file has no name any more. Windows
        # does not let go of an open file, and there it stays.
        if self._lock.is_locked:
            with suppress(OSError):
                self._path.unlink()
            self._lock.release()

    def write(self, work: Callable[[Connection], Answer]) -> Answer:
        with self._database.transaction(writes=True) as connection:
            return work(connection)


def _is_locked(path: Path) -> bool:
    """Return whether a process has a lock on a file; the lock of one that was killed is gone, and its file is not."""
    if sys.platform == "win32":
        return path.exists() and not _could_be_locked(path)
    import fcntl

    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:  # Somebody has the lock, or the file is another user's and may not be read.
        return True
    return False


def _could_be_locked(path: Path) -> bool:
    try:
        with FileLock(path, blocking=False):
            return True
    except (Timeout, OSError):
        return False


def _check_path(path: Path, place: Path, *, create: bool) -> None:
    if path.is_dir():
        raise StoreError(f"{place} is a folder. Name a file in it for the store.")
    if not path.exists() and not create:
        raise NoStoreError(f"There is no store in {place}.")
    if not path.parent.is_dir():
        raise StoreError(f"The folder of {place} does not exist. Make it first, or name another file for the store.")
    if not path.exists():
        try:
            path.touch()
        except OSError as error:
            raise StoreError(f"{place} cannot be made: {error.strerror or error}.") from error


def _is_still(path: Path) -> bool:
    """Return whether nobody can be writing a database, which is read then without the log that cannot be made here."""
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    return path.exists() and not writable and not path.with_name(f"{path.name}-wal").exists()


def _begin(connection: Connection) -> None:
    # sqlite3 itself begins no transaction before a table is made or read, and SQLite lets one that began with
    # reading fail when it comes to write.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def on_a_network(path: Path, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Return whether a file lies on a file system that other machines may use too, as far as can be seen.

    Args:
        path: the absolute path of the file.
        mounts: where the system lists its file systems; where it does not, every disk counts as a local one.
    """
    if sys.platform == "win32":
        return str(path).startswith("\\\\")
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    folders = {str(folder) for folder in path.parents}
    mounted = [line.replace("\\040", "\0").split(" ") for line in lines]
    found = [
        (len(fields[1]), fields[2]) for fields in mounted if fields[1:2] and fields[1].replace("\0", " ") in folders
    ]
    kind = max(found, key=lambda pair: pair[0])[1] if found else ""
    return kind.removeprefix("fuse.") in _NETWORKS or kind == "fuse.sshfs"
