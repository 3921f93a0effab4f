"""The record of a run that may go on for ever, in bounded memory."""

from __future__ import annotations

import math
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

_MOST = 3072
_RECENT = 768
_THREE = 3

Row = tuple[float, ...]
"""A step, what else belongs to it, and last its loss."""


class Thinned:
    """A list of rows that stays short: once it is full, each three in a row become one, and so do those to come.

    The one is their middle by loss, since the median of three takes noise and bad batches away, and leaves an
    alternation, a fall and an explosion what they are. Its step is that of the second.

    Args:
        most: how many rows make it full.

    Attributes:
        rows: the rows kept.
        stride: how many steps each of them stands for.

    >>> thinned = Thinned(9)
    >>> for step in range(100):
    ...     thinned.append((step, (-1) ** step))
    >>> thinned.rows
    [(13, 1), (40, -1), (67, 1)]
    """

    def __init__(self, most: int = _MOST) -> None:
        self.rows: list[Row] = []
        self.stride = 1
        self._most = most
        self._waiting: list[list[Row]] = []

    def append(self, row: Row) -> None:
        """Take the next row."""
        for waiting in self._waiting:
            waiting.append(row)
            if len(waiting) < _THREE:
                return
            row = _middle(waiting)
            waiting.clear()
        self.rows.append(row)
        if len(self.rows) >= self._most:
            whole = len(self.rows) - len(self.rows) % _THREE
            threes = [self.rows[place : place + _THREE] for place in range(0, whole, _THREE)]
            self._waiting.append(self.rows[whole:])
            self.rows = [_middle(three) for three in threes]
            self.stride *= _THREE


def _middle(three: list[Row]) -> Row:
    losses = sorted(row[-1] for row in three if math.isfinite(row[-1]))
    return (*three[1][:-1], losses[len(losses) // 2] if losses else math.nan)


class Stretch(NamedTuple):
    """A part of a run: the number of each step, its learning rate, NaN where it is not known, and its loss."""

    steps: Float[np.ndarray, " step"]
    lrs: Float[np.ndarray, " step"]
    losses: Float[np.ndarray, " step"]


class RollingRecord:
    """Keeps every one of a run's last steps, and the whole run by threes, nines, ... as it grows longer.

    >>> record = RollingRecord()
    >>> for step in range(100_000):
    ...     record.append(step, 0.1, 2.0)
    >>> whole = record.whole()
    >>> len(whole.steps) <= 3072, whole.steps[:3].tolist(), record.last(3).steps.tolist()
    (True, [40.0, 121.0, 202.0], [99997.0, 99998.0, 99999.0])
    """

    def __init__(self) -> None:
        self._whole = Thinned()
        self._recent: deque[Row] = deque(maxlen=_RECENT)

    def append(self, step: float, lr: float, loss: float) -> None:
        """Take the next step."""
        row = (step, lr, loss)
        self._whole.append(row)
        self._recent.append(row)

    def whole(self) -> Stretch:
        """Return the whole run, so many steps at a time."""
        return _stretch(self._whole.rows)

    def last(self, steps: int) -> Stretch:
        """Return the last steps: each of them, or where that is too far back, so many at a time."""
        if steps <= len(self._recent):
            return _stretch(list(islice(self._recent, len(self._recent) - steps, None)))
        return _stretch(self._whole.rows[-(steps // self._whole.stride) :])

    def closely(self) -> Stretch:
        """Return the whole run, with every one of its last steps."""
        if not self._recent:
            return _stretch([])
        older = [row for row in self._whole.rows if row[0] < self._recent[0][0]]
        return _stretch([*older, *self._recent])


def _stretch(rows: list[Row]) -> Stretch:
    steps, lrs, losses = np.array(rows, float).reshape(-1, 3).T
    return Stretch(steps, lrs, losses)
