"""When a rise of the loss is no passing one: growth that has been kept up, seen as it happens.

A run that diverges grows by a factor at each step, so that its rise gets steeper all the time, and goes on. What rises
in a healthy run does not: a spike of a bad batch is over in a few steps; a restart of the schedule jumps and settles; a
wide network at a large rate jumps away fast and comes back (Lewkowycz et al. 2020, arXiv 2003.02218); momentum carries
the loss up no higher than it came from. So this asks for a rise that has got steeper over forty steps in a row.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import TypeVar

from lrscout.analyse.stop import BeyondReturn
from lrscout.core.curve import Stop

Item = TypeVar("Item")

_BLOCK = 8
_RISE = 5
_PAST = 16
_FEWEST_PAST = 6

_SURE = 8.0
"""By how many standard errors the rise must exceed the past. A block's scatter comes from few values, whose quotients
have heavy tails, and a long run is looked at a thousand times."""

_SURE_OF_THE_FIRST = 2.0
_SURE_OF_STEEPENING = 4.0
_TOLERATED = 2.0
_STEEP = 1.45
"""The growth from block to block, just under 5 % a step, that no parabola keeps up: such as momentum climbs."""

_AS_EVER = 0.97
"""By how much slower growth may become and still count as growth by a factor."""

_EXPECTED_OF_THE_RATE = 4
"""While the lr rises, so does the noise of the loss: with its square, and near the limit faster. This power is more."""

_MOVED = 0.1
"""What the past itself has moved counts as noise in this share: a run at the edge of stability goes up and down."""

_RESTARTED = 2.0
_NORMAL = 0.6745
_LARGEST = 1e9
_LEAST_OCTAVE = -1100


class Block:
    """A few steps in a row, summarised.

    Args:
        mean: the mean of the middle half of the losses.
        noise: the standard error of that mean, by the losses' scatter around their neighbours.
        lr: the last learning rate.
    """

    __slots__ = ("lr", "mean", "noise")

    def __init__(self, mean: float, noise: float, lr: float) -> None:
        self.mean, self.noise, self.lr = mean, noise, lr


class Rising:
    """Watches a run for a rise that is kept up, in constant time a step.

    The losses are averaged over blocks of eight steps, these over pairs, pairs of pairs and so on, so that slow growth
    shows above the noise too, only later.

    Args:
        max_stable_lr: the largest stable learning rate, if it is known. Above it a rise is no surprise.
    """

    def __init__(self, max_stable_lr: float | None = None) -> None:
        self._limit = math.inf if max_stable_lr is None else max_stable_lr
        self._beyond = BeyondReturn(0)
        self._losses: list[float] = []
        self._clean: deque[float] = deque(maxlen=_BLOCK * _RISE)
        self._levels: list[_Level] = []
        self._highest: dict[int, float] = {}
        self._last = -math.inf
        self._peak = -math.inf
        self._upward = -1

    def update(self, lr: float, loss: float) -> int | None:
        """Take the next step.

        Args:
            lr: its learning rate; NaN if it is not known.
            loss: its loss, finite.

        Returns:
            How many steps back the rise is to be judged from, if it is time to; or None.
        """
        if loss > self._last:
            self._upward += 1
        else:
            self._upward = 0
            self._peak = max(self._peak, self._last)
        self._last = loss
        self._losses.append(loss)
        if self._beyond.update(loss) is Stop.DIVERGED:
            return _BLOCK * (_PAST + _RISE)
        if len(self._losses) < _BLOCK:
            return None
        block = _summary(self._losses, lr)
        self._clean.extend(self._losses)
        self._losses = []
        rising = self._rises_at_some_level(block)
        return self._upward + 1 if self._rises_cleanly(lr) else rising

    def _rises_cleanly(self, lr: float) -> bool:
        """Tell whether every single loss has lain above the last one, ever more steeply, by a factor that stays.

        Where there is no noise, a run that had fallen by orders of magnitude need not climb back before it is seen.
        """
        if self._upward < _BLOCK * _RISE:
            return False
        losses = list(self._clean)
        ends = [losses[-1 - _BLOCK * place] for place in range(_RISE)][::-1]
        climbs = [later - earlier for earlier, later in pairwise(ends)]
        growth = [later / earlier for earlier, later in pairwise(climbs)]
        if min(growth) <= self._expected(lr):
            return False
        if lr > self._limit or min(growth) > _STEEP * self._expected(lr):
            return True
        # At the edge of stability a slow rise comes and goes by itself, but not from the start, nor from a raise.
        has_a_cause = self._last > self._peak or lr > self._lr_before_the_rise()
        return has_a_cause and math.log(growth[-1]) >= _AS_EVER * math.log(max(growth))

    def _lr_before_the_rise(self) -> float:
        blocks = self._levels[0].blocks
        return blocks[max(0, len(blocks) - 2 - self._upward // _BLOCK)].lr

    def _expected(self, lr: float) -> float:
        blocks = self._levels[0].blocks
        return _grown(blocks[-min(_RISE, len(blocks))].lr, lr) if blocks else 1.0

    def _rises_at_some_level(self, block: Block) -> int | None:
        rising, size = None, _BLOCK
        for level in self._levels:
            forgotten = level.append(block)
            if size == _BLOCK and forgotten is not None:
                self._remember(forgotten)
            if level.rises(self._limit, self._highest):
                rising = size * len(level.blocks)
            if level.pending is None:
                level.pending = block
                return rising
            block, level.pending = _merged(level.pending, block), None
            size *= 2
        self._levels.append(_Level(block))
        return rising

    def _remember(self, block: Block) -> None:
        octave = _octave(block.lr)
        self._highest[octave] = max(block.mean, self._highest.get(octave, -math.inf))


class _Level:
    """Blocks of one size.

    Args:
        first: the first of them.
    """

    def __init__(self, first: Block) -> None:
        self.blocks: deque[Block] = deque([first])
        self.pending: Block | None = first

    def append(self, block: Block) -> Block | None:
        """Take the next block, and return the one that is too old for it."""
        self.blocks.append(block)
        return self.blocks.popleft() if len(self.blocks) > _PAST + _RISE else None

    def rises(self, limit: float, highest: dict[int, float]) -> bool:
        """Tell whether the last blocks rise, ever more steeply, beyond the noise and beyond what was there before."""
        blocks = self.blocks
        if len(blocks) < _RISE or not blocks[-1].mean > blocks[-2].mean > blocks[-3].mean:
            return False
        before, (first, second, third, fourth, last) = _parted(blocks)
        if not third.mean > second.mean > first.mean:
            return False
        past = [block.mean for block in (*before, first)]
        error = max(_scatter([*before, first]), _MOVED * (max(past) - min(past)))
        if second.mean - first.mean <= _SURE_OF_THE_FIRST * error:
            return False
        if last.mean - fourth.mean <= fourth.mean - third.mean - _TOLERATED * error:
            return False
        steep = _grown(third.lr, last.lr) * (1.0 if len(before) >= _FEWEST_PAST else _STEEP**2)
        if last.mean - third.mean <= steep * (third.mean - first.mean) + _SURE_OF_STEEPENING * error:
            return False
        ceiling = first.mean if last.lr > limit else _ceiling([*before, first], last.lr, highest)
        return last.mean - ceiling > _SURE * error


def _ceiling(past: list[Block], lr: float, highest: dict[int, float]) -> float:
    """Return what the loss must exceed: the past, or what it was at such rates if a schedule begins again."""
    ceiling = max(block.mean for block in past)
    if lr > _RESTARTED * min(block.lr for block in past):
        return max([ceiling, *(mean for octave, mean in highest.items() if octave >= _octave(lr) - 1)])
    return ceiling


def _summary(losses: list[float], lr: float) -> Block:
    ordered = sorted(losses)
    mean = (ordered[2] + ordered[3] + ordered[4] + ordered[5]) / 4
    # Second differences, in which a trend cancels and independent noise does not, as in `smoothing.noise`.
    bends = sorted(abs(y - (x + z) / 2) for x, y, z in _threes(losses))
    noise = (bends[2] + bends[3]) / 2 / _NORMAL / math.sqrt(1.5 * _BLOCK)
    return Block(mean, noise, lr)


def _merged(first: Block, second: Block) -> Block:
    return Block(first.mean / 2 + second.mean / 2, math.hypot(first.noise, second.noise) / 2, second.lr)


def _parted(blocks: deque[Block]) -> tuple[list[Block], list[Block]]:
    listed = list(blocks)
    return listed[:-_RISE], listed[-_RISE:]


def _scatter(past: list[Block]) -> float:
    """Return the standard error of a block's mean: what its losses say, or if that is more, how such means differ."""
    within = median(block.noise for block in past)
    if len(past) < _FEWEST_PAST:
        return within
    bends = (abs(y.mean - x.mean / 2 - z.mean / 2) for x, y, z in _threes(past))
    return max(within, median(bends) / _NORMAL / math.sqrt(1.5))


def _threes(items: list[Item]) -> Iterator[tuple[Item, Item, Item]]:
    return zip(items, items[1:], items[2:], strict=False)


def _grown(earlier: float, later: float) -> float:
    return min(later / earlier, _LARGEST) ** _EXPECTED_OF_THE_RATE if later > earlier > 0 else 1.0


def _octave(lr: float) -> int:
    return math.frexp(lr)[1] if lr > 0 else _LEAST_OCTAVE
