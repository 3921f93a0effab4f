"""Numbers from the text of a file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np

from lrscout.core.errors import LogError
from lrscout.logs.names import shown

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_MISSING = re.compile(r"na|n/a|<na>|null|none|[-:]*", re.IGNORECASE)
"""A cell without a number; dashes alone stand for one, or make the line under the header of a printed table."""

_NUMBER = re.compile(r"[+-]?(?:(?:\d+[.,]?\d*|[.,]\d+)(?:e[+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE)


@dataclass
class Numbers:
    """Reads numbers, and remembers which sign they have for decimals.

    Args:
        comma: whether a comma may stand for the decimal point. Where it separates columns it may not.
    """

    comma: bool = False
    _seen: dict[str, str] = field(default_factory=dict[str, str])

    def column(
        self, cells: list[str]
    ) -> tuple[Int[np.ndarray, " number"], Float[np.ndarray, " number"], Int[np.ndarray, " text"]]:
        """Return the numbers of a column's cells.

        Args:
            cells: the text of each cell; an empty one is missing.

        Returns:
            Which cells hold numbers, these numbers, and which cells hold something else.

        Raises:
            LogError: some numbers have a decimal comma and others a decimal point.
        """
        text = "\n".join(cells)
        # What `float` takes beyond this, such as 1_000 and digits of other scripts, no training framework writes.
        if text.isascii() and "_" not in text and "," not in text:
            filled = np.fromiter(map(bool, cells), bool, len(cells))
            try:
                values = np.fromiter(map(float, compress(cells, filled)), float)
            except ValueError:
                pass
            else:
                if "." in text and self.comma:
                    self._note(".", next(cell for cell in cells if "." in cell))
                return np.flatnonzero(filled), values, np.zeros(0, int)
        return self._one_by_one(cells)

    def one(self, cell: str) -> float | None:
        """Return the number in a cell, or None if it is missing.

        Raises:
            LogError: earlier numbers had another sign for decimals.
            ValueError: the cell holds something else.
        """
        cell = cell.strip()
        if _MISSING.fullmatch(cell):
            return None
        if not _NUMBER.fullmatch(cell) or ("," in cell and not self.comma):
            raise ValueError
        if self.comma:
            for sign in (sign for sign in ",." if sign in cell):
                self._note(sign, cell)
        return float(cell.replace(",", "."))

    def _one_by_one(
        self, cells: list[str]
    ) -> tuple[Int[np.ndarray, " number"], Float[np.ndarray, " number"], Int[np.ndarray, " text"]]:
        where: list[int] = []
        values: list[float] = []
        text: list[int] = []
        for index, cell in enumerate(cells):
            try:
                value = self.one(cell)
            except LogError:
                raise
            except ValueError:
                text.append(index)
                continue
            if value is not None:
                where.append(index)
                values.append(value)
        return np.array(where, int), np.array(values, float), np.array(text, int)

    def _note(self, sign: str, cell: str) -> None:
        self._seen.setdefault(sign, cell)
        if len(self._seen) == 2:
            raise LogError(
                f"Some numbers have a decimal comma, such as {shown(self._seen[','])}, and others a point, such as "
                f"{shown(self._seen['.'])}, so neither can be trusted to mean decimals. Write all of them one way."
            )
