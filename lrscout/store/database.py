"""The database behind a store: how it is reached, begun and used, and what its errors mean."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import URL, Connection, Engine, inspect, select
from sqlalchemy.exc import DBAPIError

from lrscout.core.errors import NoStoreError, StoreError
from lrscout.store import tables
from lrscout.store.writer import Writer


class Database:
    """A database that holds a store's tables; the two kinds differ in how they are opened, locked and explained.

    Args:
        engine: SQLAlchemy's engine.
        place: what to call the database in a sentence.
    """

    def __init__(self, engine: Engine, place: str) -> None:
        self.engine = engine
        self.place = place

    @contextmanager
    def transaction(self, *, writes: bool = False) -> Generator[Connection]:
        """Open a connection and a transaction, which is committed when the block ends well.

        Args:
            writes: whether the block will write, so that it waits for other writers now and not halfway.

        Raises:
            StoreError: the database does not do its part.
        """
        with self.explained(), self.engine.connect().execution_options(writes=writes) as connection, connection.begin():
            yield connection

    @contextmanager
    def explained(self) -> Generator[None]:
        """Turn what the database raises in the block into one sentence.

        Raises:
            StoreError: the sentence.
        """
        try:
            yield
        except DBAPIError as error:
            raise StoreError(self.sentence(error.orig)) from error

    def prepare(self, *, create: bool) -> None:
        """Check that the store can be read by this version, and make its tables if there are none.

        Args:
            create: whether to make a store where there is none.

        Raises:
            StoreError: there is none, or it is not for this version, or it is no store.
        """
        with self.transaction() as connection:
            found = self._number(connection)
        if found is None:
            if not create:
                raise NoStoreError(f"There is no store in {self.place}.")
            found = self._create()
        if found > tables.LAYOUT:
            raise StoreError(
                f"The store in {self.place} was made by a newer lrscout: its layout is number {found}, and this "
                f"version reads number {tables.LAYOUT}. Upgrade lrscout to read it."
            )

    def _create(self) -> int:
        self.before_creation()
        with self.transaction(writes=True) as connection:
            self.alone(connection)
            found = self._number(connection)
            if found is None:
                tables.tables.create_all(connection)
                connection.execute(tables.layouts.insert().values(number=tables.LAYOUT))
        return tables.LAYOUT if found is None else found

    def _number(self, connection: Connection) -> int | None:
        """Return the layout's number, or None where there are no tables of ours."""
        inspector = inspect(connection)
        if not inspector.has_table(tables.layouts.name):
            self.refuse_another_programs(inspector.get_table_names())
            return None
        numbers = connection.scalars(select(tables.layouts.c.number)).all()
        if len(numbers) != 1:
            raise StoreError(f"The store in {self.place} is damaged: it says {len(numbers)} numbers of its layout.")
        return numbers[0]

    def refuse_another_programs(self, names: list[str]) -> None:
        """Raise StoreError if the tables that are there belong to somebody who would not want ours beside them."""

    def before_creation(self) -> None:
        """Do what must be done before the first table is made."""

    def alone(self, connection: Connection) -> None:
        """Keep others from making the tables at the same time, until the transaction ends."""

    def writer(self, study: int) -> Writer:
        """Return the right to write a study, not yet acquired."""
        raise NotImplementedError

    def is_being_written(self, study: int) -> bool:
        """Return whether somebody has the right to write a study now. To look does not take it from anybody."""
        raise NotImplementedError

    def shrink(self) -> None:
        """Give back the space of what was deleted."""

    def sentence(self, error: BaseException | None) -> str:
        """Return what an error of the database's driver means for the user."""
        return f"The store in {self.place} could not be read or written: {first_line(error)}."


def first_line(error: BaseException | None) -> str:
    """Return what a database's driver said, in one line without a full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def shown(url: URL) -> str:
    """Return a URL as it may be printed: without its password."""
    return url.render_as_string(hide_password=True)
