"""The store as the page sees it: read only, by names, and silent about where it is."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from lrscout.app.answers import RefusedError
from lrscout.core.errors import NoStoreError, StoreError
from lrscout.store.store import open_store

if TYPE_CHECKING:
    from lrscout.store.records import CurveSummary, StudyRecord
    from lrscout.store.store import Store

_log = logging.getLogger("lrscout.app")


class NoStudyError(RefusedError):
    """There is no study of some name."""


class Shelf:
    """The studies that the page shows.

    Args:
        url: the store, which may be a file that somebody has yet to make, or None for no studies at all.

    Raises:
        StoreError: the store cannot be opened.
        MissingDependencyError: a PostgreSQL store needs psycopg.
    """

    def __init__(self, url: str | Path | None) -> None:
        self._url = url
        self._store: Store | None = None
        self._opened()

    @property
    def name(self) -> str | None:
        """The bare name of the store, or None where there is none yet."""
        with self.explained():
            return None if self._opened() is None else self._bare_name

    @property
    def awaited(self) -> str | None:
        """The bare name of the store that somebody has yet to make, or None where there is nothing to wait for."""
        with self.explained():
            return self._bare_name if self._opened() is None else None

    @property
    def _bare_name(self) -> str | None:
        """The name of the file or the database without folders, user, host and password."""
        if self._url is None:
            return None
        if isinstance(self._url, Path) or "://" not in self._url:
            return Path(self._url).name
        from sqlalchemy.engine import make_url

        return PurePath(make_url(self._url).database or "").name

    def outlines(self) -> list[StudyRecord]:
        """Return every study, the newest first, without its result.

        Raises:
            RefusedError: the store does not do its part.
        """
        with self.explained():
            store = self._opened()
            return [] if store is None else store.outlines()

    def study(self, name: str) -> StudyRecord:
        """Return a study.

        Raises:
            NoStudyError: there is none of this name.
            RefusedError: the store does not do its part.
        """
        if not any(study.summary.name == name for study in self.outlines()):
            raise NoStudyError(404, f"There is no study {name!r}.")
        with self.explained():
            return self.opened.load(name)

    def curves(self, name: str) -> list[CurveSummary]:
        """Return a line for every curve of a study, block by block.

        Raises:
            RefusedError: the store does not do its part.
        """
        with self.explained():
            return self.opened.curves(name)

    @property
    def opened(self) -> Store:
        """The store, where a study of it has been found."""
        store = self._opened()
        assert store is not None
        return store

    @contextmanager
    def explained(self) -> Generator[None]:
        """Turn what a store cannot do into a refusal without the store's address, which is told on this side only.

        Raises:
            RefusedError: the store could not be read.
        """
        try:
            yield
        except StoreError as error:
            _log.warning("%s", error)
            sentence = "The store could not be read; what it said is in the terminal in which lrscout ui runs."
            raise RefusedError(422, sentence) from error

    def _opened(self) -> Store | None:
        if self._store is None and self._url is not None:
            # There will be one, or there is half of one that somebody is just making.
            with suppress(NoStoreError):
                self._store = open_store(self._url, create=False)
        return self._store
