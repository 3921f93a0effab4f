"""The columns of a log file: what every reader fills and every run is made of."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.core.errors import LogError
from lrscout.logs.limits import MOST_COLUMNS, MOST_NUMBERS, MOST_RUNS
from lrscout.logs.names import PER_EPOCH, Meaning, Role, meaning_of, shown
from lrscout.logs.numbers import Numbers

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_OFTEN = 4096
_LONGEST_WORD = 200


@dataclass(frozen=True)
class Wanted:
    """Which columns the caller asks for; None where they are to be found by their names.

    Args:
        loss: the training loss.
        lr: the learning rate: a column, or one number for the whole run.
        step: the number of the step.
        evaluation: the evaluation loss.
        run: what tells runs apart: a column; or the name of the run that is wanted.
    """

    loss: str | None = None
    lr: str | float | None = None
    step: str | None = None
    evaluation: str | None = None
    run: str | None = None

    @property
    def names(self) -> set[str]:
        """The columns that are asked for, and a run."""
        return {name for name in (self.loss, self.lr, self.step, self.evaluation, self.run) if isinstance(name, str)}

    def seeks(self, meaning: Meaning) -> bool:
        """Return whether a column of such a meaning could be of use, though nobody asks for it."""
        asked = {Role.LOSS: self.loss, Role.EVALUATION: self.evaluation, Role.LR: self.lr, Role.STEP: self.step}
        # Epochs also tell whether the steps are counted anew in each.
        return asked.get(meaning.role) is None or meaning == Meaning(Role.STEP, PER_EPOCH)


@dataclass
class Column:
    """The numbers of a column, and the rows in which they stand.

    Args:
        rows: the row of each number.
        values: the numbers.
        texts: how many cells hold something else.
        example: the first of these, with its row.
    """

    rows: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    texts: int = 0
    example: str = ""

    def add(self, row: int, value: float) -> None:
        """Add a number."""
        self.rows.append(row)
        self.values.append(value)

    def extend(self, rows: Int[np.ndarray, " number"], values: Float[np.ndarray, " number"]) -> None:
        """Add the numbers of many rows."""
        self.rows.frombytes(rows.astype(np.int64).tobytes())
        self.values.frombytes(values.astype(np.float64).tobytes())

    def reject(self, row: int, cell: str, times: int = 1) -> None:
        """Count cells that hold no number."""
        if not self.texts:
            self.example = f"{shown(cell)!r} in row {row + 1}"
        self.texts += times

    @property
    def arrays(self) -> tuple[Int[np.ndarray, " number"], Float[np.ndarray, " number"]]:
        """The rows and the numbers."""
        return np.frombuffer(self.rows, np.int64), np.frombuffer(self.values, np.float64)


@dataclass
class Labels:
    """The words of a column that tells runs apart, and the rows in which they stand.

    Args:
        rows: the row of each word.
        codes: the position of the word among the different ones.
        words: the different ones, each with its position.
    """

    rows: array[int] = field(default_factory=lambda: array("q"))
    codes: array[int] = field(default_factory=lambda: array("q"))
    words: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, row: int, word: str) -> None:
        """Add a word.

        Raises:
            LogError: there are too many different ones.
        """
        code = self.words.setdefault(word, len(self.words))
        if code == MOST_RUNS:
            raise LogError(
                f"The column that tells runs apart has more than {MOST_RUNS:,} different words, such as {shown(word)}. "
                "Split the file, or rename the column if it is no run's name."
            )
        self.rows.append(row)
        self.codes.append(code)


class Table:
    """The columns of a log file that could be of use to a run, and the names of the others.

    Args:
        wanted: the columns that the caller asks for.
    """

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.rows = 0
        self.notes: list[str] = []
        self.columns: dict[str, Column] = {}
        self.labels: dict[str, Labels] = {}
        self._kept: dict[str, Column | Labels | None] = {}
        self._numbers = Numbers()

    @property
    def names(self) -> list[str]:
        """The names of all columns, in the order in which they came."""
        return list(self._kept)

    @property
    def candidates(self) -> list[str]:
        """The names of the columns that losses could be from: all but those that are plainly something else."""
        losses = (Role.LOSS, Role.EVALUATION)
        meanings = {name: meaning_of(name) for name in self._kept}
        return [name for name, meaning in meanings.items() if meaning is None or meaning.role in losses]

    def name_of(self, column: Column) -> str:
        """Return the name of a column."""
        return next(name for name, other in self.columns.items() if other is column)

    def column(self, name: str) -> Column | Labels | None:
        """Return the column of a name, or None if it is of no use.

        Raises:
            LogError: there are too many columns.
        """
        if name in self._kept:
            return self._kept[name]
        if len(self._kept) == MOST_COLUMNS:
            raise LogError(
                f"There are more than {MOST_COLUMNS:,} columns, so this is hardly the log of a training run."
            )
        meaning = meaning_of(name)
        column = None
        if name == self.wanted.run or (
            meaning is not None and meaning.role is Role.RUN and name not in self.wanted.names
        ):
            column = self.labels[name] = Labels()
        elif name in self.wanted.names or (meaning is not None and self.wanted.seeks(meaning)):
            column = self.columns[name] = Column()
        self._kept[name] = column
        return column

    def add_row(self, cells: Iterable[tuple[str, Any]]) -> None:
        """Add a row of named values, as they come from JSON.

        Args:
            cells: the names and values; None is missing, an object in an object counts as ``outer/inner``.

        Raises:
            LogError: a limit is passed.
        """
        for name, value in cells:
            self._add_cell(name, value)
        self.rows += 1
        if self.rows % _OFTEN == 0:
            self.check_size()

    def add_list(self, name: str, values: Iterable[Any]) -> None:
        """Add a column of values, as they come from JSON, whose first belongs to the first row.

        Args:
            name: the column.
            values: its values; None is missing.

        Raises:
            LogError: a limit is passed.
        """
        column, row = self.column(name), -1
        for row, value in enumerate(values):
            self._add_value(column, row, value)
            if row % _OFTEN == 0:
                self.check_size()
        self.rows = max(self.rows, row + 1)

    def check_size(self) -> None:
        """Raise if more numbers are kept than a run can need.

        Raises:
            LogError: there are.
        """
        kept = sum(len(column.rows) for column in (*self.columns.values(), *self.labels.values()))
        if max(kept, self.rows) > MOST_NUMBERS:
            raise LogError(
                f"It has more than {MOST_NUMBERS:,} rows, or numbers in the columns of use, which is the most that is "
                "read. Keep every tenth row, or say which columns to read."
            )

    def _add_cell(self, name: str, value: Any) -> None:
        # Brackets are counted before, so this does not go deep.
        if isinstance(value, dict):
            for key, inner in value.items():  # pyright: ignore[reportUnknownVariableType]
                self._add_cell(f"{name}/{key}", inner)
        else:
            self._add_value(self.column(name), self.rows, value)

    def _add_value(self, column: Column | Labels | None, row: int, value: Any) -> None:
        if column is None or value is None:
            return
        if isinstance(column, Labels):
            column.add(row, f"{value:.17g}" if isinstance(value, float) else str(value)[:_LONGEST_WORD])
        elif isinstance(value, float):
            column.add(row, value)
        elif isinstance(value, str):
            self._add_text(column, row, value)
        else:
            column.reject(row, str(value)[:_LONGEST_WORD])

    def _add_text(self, column: Column, row: int, text: str) -> None:
        """Add a number in quotation marks, as NaN and infinity are written where JSON must be strict."""
        try:
            number = self._numbers.one(text)
        except ValueError:
            column.reject(row, text)
            return
        if number is not None:
            column.add(row, number)
