"""How the loss of a run that goes on stands to what it was: at the start, at its best, and usually."""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise
from statistics import median

BLOCK = 8
"""So many losses are summarised together."""

TOGETHER = 4
"""The blocks whose mean is compared with that of others like them."""

_RECENT = 16
_FEWEST_LEVELS = 6
_MOST_LOOKED_AT = 256
_LOOKS = 16

_ERROR_OF_BLOCK = 0.5
"""The standard error of a block's level in units of the noise of one loss: of eight normal ones, and a little more."""

_NORMAL = 0.6745
_NOTHING = 1e-6
"""The share of what a run has gained by which its loss may move without meaning anything: it is done, and rounds."""

_SUSPICIOUS = 4.0
_SURE = 8.0
_SURE_OF_EVALUATION = 2.0
_WIDE = 4.0
_SHARE_OF_GAIN = 1 / 3

_STILL_NOISY = 1e-3
"""The noise, as a share of what was gained, from which on a loss that stands still has not simply arrived."""

_HUSHED = 0.25
"""The share of its noise that a loss keeps where the network has gone dead."""


class Standing:
    """What a run has been so far, by the levels and the noise of blocks of eight losses.

    Everything is said of differences of losses, so neither their unit nor their zero matters.

    Attributes:
        start: the evaluation loss before the first step, which no batch makes low by chance; NaN if it is not known.
        best: the lowest mean of four neighbouring levels.
    """

    def __init__(self) -> None:
        self.start = self._first = math.nan
        self.best = math.inf
        self._levels: list[float] = []
        self._noises: deque[float] = deque(maxlen=_RECENT)
        self._opening: list[float] = []
        self._opening_noise = 0.0
        self._last = -math.inf
        self._leap, self._leapt_at = -math.inf, 0
        self._usual = self._lowest = self._error = self._noise = 0.0

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return len(self._levels)

    @property
    def first(self) -> float:
        """The first loss."""
        return self._first

    def mark(self) -> tuple[int, float, float, int, tuple[float, ...]]:
        """Return what to give to `return_to`."""
        return len(self._levels), self.best, self._leap, self._leapt_at, tuple(self._noises)

    def return_to(self, mark: tuple[int, float, float, int, tuple[float, ...]]) -> None:
        """Forget what came after a mark."""
        blocks, self.best, self._leap, self._leapt_at, noises = mark
        self._noises = deque(noises, maxlen=_RECENT)
        del self._levels[blocks:], self._opening[blocks * BLOCK :]
        self._last = -math.inf
        self._sum_up()

    def told(self, loss: float, count: int) -> None:
        """Take a loss, the number `count` of the run."""
        if math.isnan(self._first):
            self._first = loss
        if len(self._opening) < TOGETHER * BLOCK:
            self._opening.append(loss)
        # One alone may be a bad batch.
        if min(loss, self._last) > self._leap:
            self._leap, self._leapt_at = min(loss, self._last), count
        self._last = loss

    def append(self, levels: list[float], losses: list[float]) -> None:
        """Take blocks, by their levels, of which the last is made of these losses."""
        self._levels += levels
        self._noises.append(_noise(losses))
        self.best = min(self.best, self.together())
        if len(self._levels) == TOGETHER:
            self._opening_noise = median(self._noises)
        self._sum_up()

    def together(self) -> float:
        """Return the mean of the last four levels; infinity before there is one."""
        levels = self._levels[-TOGETHER:]
        return sum(level / len(levels) for level in levels) if levels else math.inf

    def error(self) -> float:
        """Return the standard error of a block's level: what its losses say, or what such levels do if that is more."""
        return self._error

    def limit_of_usual(self) -> float:
        """Return what no level should exceed for long: the usual, by as much as that exceeds the best, beyond noise."""
        if not self._levels:
            return math.inf
        return self._usual + (self._usual - self._lowest) + _SURE * self._error

    def limit_of_start(self) -> float:
        """Return what no level should exceed for long: the start, beyond the noise by which one loss may be low."""
        if not self._noises:
            return math.inf
        known = math.isfinite(self.start)
        start = max(self._first, self.start) if known else self._first
        return start + (_SURE_OF_EVALUATION if known else _SUSPICIOUS) * self._noise

    def limit_of_best(self) -> float:
        """Return what no level should exceed for long: the best, by a third of what was gained, beyond noise."""
        if len(self._levels) <= TOGETHER:
            return math.inf
        return self.best + _SHARE_OF_GAIN * max(self._first - self.best, 0.0) + _SURE * self._error

    def is_calm(self, losses: list[float]) -> bool:
        """Tell whether the last block, of these losses, shows neither a rise, nor a leap that was not made good."""
        # After an explosion the noise is not known yet, so the block's own counts if that is less.
        of_one = min(self._error / _ERROR_OF_BLOCK, self._noises[-1])
        level = self._levels[-1]
        if min(losses[-2:]) > level + _SUSPICIOUS * of_one or _rises(losses):
            return False
        levels = self._levels[-TOGETHER:]
        if len(levels) < TOGETHER or _rises(levels[1:]):
            return False
        now = self.together()
        leap = self._leap - self._first
        return leap <= max(self._first - now, _SUSPICIOUS * of_one) and level <= now + _SUSPICIOUS * self._error

    def has_leapt_in_vain(self, level: float, count: int, patience: float = 0.0) -> bool:
        """Tell whether the loss once leapt up, and is now no lower than it began, or has stood still since.

        Args:
            level: the present level.
            count: the number of the present loss.
            patience: how many steps the leap must lie back.
        """
        if not self._levels:
            return False
        error, spread = self._error, self._usual - self._lowest
        of_one = error / _ERROR_OF_BLOCK
        gained = self._first - level
        leap = self._leap - self._first
        since = self._levels[-(-self._leapt_at // BLOCK) :][:TOGETHER]
        has_arrived = of_one <= _STILL_NOISY * gained
        if leap > _SURE * of_one + _WIDE * spread and count - self._leapt_at >= patience:
            if gained < _SUSPICIOUS * of_one + spread:
                return True
            if leap > gained and not has_arrived and len(since) > 1 and level > min(since) - _SUSPICIOUS * error:
                return True
        return count - TOGETHER * BLOCK >= patience and self._has_gone_silent(level, gained)

    def _has_gone_silent(self, level: float, gained: float) -> bool:
        """Tell whether the loss stands still where it was after some leaps in the beginning, and its noise is gone.

        So it does where all units of a network have died, and the outputs no longer depend on the inputs.
        """
        if len(self._levels) <= 2 * TOGETHER:
            return False
        quiet = self._error / _ERROR_OF_BLOCK
        leapt = max(self._opening) - self._first > max(gained, _SURE * quiet)
        is_still = level > min(self._levels[:TOGETHER]) - _SUSPICIOUS * self._error
        return leapt and is_still and _STILL_NOISY * gained < quiet < _HUSHED * self._opening_noise

    def _sum_up(self) -> None:
        levels = self._levels
        if not levels:
            return
        half = len(levels) // 2
        lately = levels[half :: half // _MOST_LOOKED_AT + 1]
        self._usual, self._lowest = median(lately), min(lately)
        recent = levels[-_RECENT:]
        self._noise = median(self._noises)
        self._error = max(_ERROR_OF_BLOCK * self._noise, _NOTHING * (self._first - min(recent)))
        if len(recent) >= _FEWEST_LEVELS:
            self._error = max(self._error, _median_bend(recent) / _NORMAL / math.sqrt(1.5))


class Stay:
    """Counts how long the blocks of a run have lain above a limit that was set when the first of them did."""

    def __init__(self) -> None:
        self.levels: list[float] = []
        self.limit = math.inf

    def above(self, level: float, limit: float, patience: float, left: float) -> int | None:
        """Take the next block, and tell whether the loss has stayed up, and will not be back by the end.

        Args:
            level: the level of the block.
            limit: the limit, if it is to be set now.
            patience: how many steps are long.
            left: how many steps are left.

        Returns:
            For how many steps it has stayed up, if that is too long.
        """
        self.limit = self.limit if self.levels else limit
        if level <= self.limit:
            self.levels = []
            return None
        self.levels.append(level)
        stayed = BLOCK * len(self.levels)
        # Rarely later than the first time, since a long run would be looked at again and again.
        if stayed < patience or len(self.levels) % max(1, len(self.levels) // _LOOKS):
            return None
        centre = len(self.levels) // 2
        early, late = median(self.levels[:centre]), median(self.levels[centre:])
        return None if late - (early - late) * left / (stayed / 2) <= self.limit else stayed


def level_of(losses: list[float]) -> float:
    """Return the mean of the middle half of some losses, as `lrscout.analyse.levels.level_of` does of an array.

    A guard asks for it every eight steps, and an array of eight takes longer to make than to sum.

    >>> level_of([1.0, 3.0, 1.0, 3.0, 1.0, 3.0, 900.0, 3.0])
    2.5
    """
    ordered = sorted(losses)
    quarter = len(ordered) // 4 if len(ordered) > 3 else (len(ordered) - 1) // 2
    middle = ordered[quarter : len(ordered) - quarter]
    return sum(loss / len(middle) for loss in middle)  # Of shares, since the sum of explosions may overflow.


def _rises(values: list[float]) -> bool:
    return all(later > earlier for earlier, later in pairwise(values))


def _noise(losses: list[float]) -> float:
    """Return the standard deviation of the noise of a block, by second differences, in which a trend cancels."""
    return _median_bend(losses) / _NORMAL / math.sqrt(1.5)


def _median_bend(values: list[float]) -> float:
    return median(abs(y - x / 2 - z / 2) for x, y, z in zip(values, values[1:], values[2:], strict=False))
