"""The tables of a store, the same in SQLite and PostgreSQL.

Their names begin with ``lrscout_``, since a PostgreSQL database is often shared with other programs. What a list shows
stands apart from the arrays, so that listing never reads a blob.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

LAYOUT = 1
"""The number of this layout. A store with a higher one was made by a newer lrscout."""


class UtcTime(TypeDecorator[datetime]):
    """A moment, also where the database knows no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return a moment that knows it is in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


tables = MetaData()

layouts = Table("lrscout_layout", tables, Column("number", Integer, primary_key=True, autoincrement=False))

studies = Table(
    "lrscout_studies",
    tables,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("kind", String(40), nullable=False),
    Column("target", Text),
    Column("created", UtcTime, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("versions", Text, nullable=False),
    Column("result", Text),
    Column("writer", Text),
    sqlite_autoincrement=True,  # The writer's lock goes by the number, so no number may come twice.
)

blocks = Table(
    "lrscout_blocks",
    tables,
    Column("id", Integer, primary_key=True),
    Column("study", Integer, ForeignKey(studies.c.id, ondelete="CASCADE"), nullable=False),
    Column("number", BigInteger, nullable=False),
    UniqueConstraint("study", "number"),
)

curves = Table(
    "lrscout_curves",
    tables,
    Column("block", Integer, ForeignKey(blocks.c.id, ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("seed", BigInteger, nullable=False),
    Column("peak_lr", Double),
    Column("steps", BigInteger, nullable=False),
    Column("stopped", String(40), nullable=False),
    Column("last_loss", Double),
    Column("lowest_loss", Double),
    Column("evaluations", BigInteger, nullable=False),
    Column("last_evaluation", Double),
)
"""One row a curve. A loss that is NaN is null, since SQLite has no NaN."""

ARRAYS = ("lrs", "losses", "evaluated_at", "evaluations")
"""The arrays of a curve."""

arrays = Table(
    "lrscout_arrays",
    tables,
    Column("block", Integer, primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    *(Column[Any](name, LargeBinary, nullable=False) for name in ARRAYS),
    ForeignKeyConstraint(["block", "place"], [curves.c.block, curves.c.place], ondelete="CASCADE"),
)
