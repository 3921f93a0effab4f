"""The store as the page sees it: read only, by names, and silent about where it is."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from lrscout.app.answers import RefusedError
from lrscout.core.errors import NoStoreError, StoreError
from lrscout.store.store import open_store

if TYPE_CHECKING:
    from lrscout.store.records import CurveSummary, StudyRecord
    from lrscout.store.store import Store

_log = logging.getLogger("lrscout.app")


class Shelf:
    """The studies that the page shows.

    Args:
        url: the store, or None for no studies at all.
        may_come: whether the store may be a file that somebody has yet to make.

    Raises:
        StoreError: the store cannot be opened.
        MissingDependencyError: a PostgreSQL store needs psycopg.
    """

    def __init__(self, url: str | Path | None, *, may_come: bool = False) -> None:
        self._url = url
        self._may_come = may_come
        self._store: Store | None = None
        self._opened()

    @property
    def name(self) -> str | None:
        """The bare name of the file or the database, without folders, user, host and password."""
        with self.explained():
            if self._url is None or self._opened() is None:
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
            RefusedError: there is none of this name, or the store does not do its part.
        """
        if not any(study.summary.name == name for study in self.outlines()):
            raise RefusedError(404, f"There is no study {name!r}.")
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
            try:
                self._store = open_store(self._url, create=False)
            except NoStoreError:  # Or half of one, where somebody is just making it.
                if not self._may_come:
                    raise
        return self._store
