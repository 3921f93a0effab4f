"""When a guarded run keeps a snapshot, and when it has to go back to it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lrscout.analyse.monitor import Monitor
from lrscout.analyse.standing import BLOCK, Standing, Stay, level_of
from lrscout.core.checks import check_count, check_lr
from lrscout.core.curve import Outcome

_FEWEST_BETWEEN = 64
_SNAPSHOTS = 32

_REMEMBERED = 512
"""The losses that a new monitor is told after a return, so that it knows the noise; its own rules look no farther."""

_PATIENCE = 0.25
"""The share of the run that a loss may stay up; what a schedule raises it brings down again by the end."""

_FEWEST_OF_UNKNOWN = 256
"""How long a loss may at least stay up in a run of unknown length, which may have only begun."""

_PROGRESS = 1.0
"""By how many standard errors of a block's level a run must be better than it was at its last snapshot."""

_SHARE_OF_GAIN = 1 / 3
_SURE = 8.0
_LAST = 3
"""So many losses in a row are no bad batch."""


@dataclass(frozen=True)
class _Mark:
    """What the judgement of a run was at a snapshot."""

    count: int
    standing: Any
    recent: tuple[tuple[float, float], ...]
    reference: float


class Guarding:
    """Watches a run, and says when to keep a snapshot, when to go back to it, and why.

    A run is lost when `Monitor` says that it diverges; when a loss is not finite; when the loss has stayed for a
    quarter of the run, and at least 64 steps, above where it began, far above its best, or far above what was usual
    for it, each beyond the noise, and is not on its way back; when it has leapt away and come no lower than it began,
    or stood still since; and when it ends like that. A snapshot is due every so many steps, and waits until the run is
    better than at the last one, beyond the noise, and nothing rises: a run that is about to be lost is none to go back
    to, and where there was no progress, nothing is lost by going back farther.

    Everything is said of differences of losses, so neither their unit nor their zero matters.

    Args:
        steps: how many losses the run will tell, if that is known.
        every: after how many of them to keep a snapshot; by default 64, or a 32nd of the run if that is more.
        max_stable_lr: the largest stable learning rate, if it is known, for the monitor.

    Raises:
        InvalidValueError: an argument is not above zero.

    >>> guarding = Guarding(1000)
    >>> guarding.keep()
    >>> for step in range(1000):
    ...     reason = guarding.update(0.9, 0.01 * 1.7**step)
    ...     if reason:
    ...         break
    >>> step < 50, reason
    (True, 'the loss diverged')
    """

    def __init__(
        self, steps: int | None = None, *, every: int | None = None, max_stable_lr: float | None = None
    ) -> None:
        self._steps = None if steps is None else check_count("steps", steps, at_least=1)
        own = max(_FEWEST_BETWEEN, (steps or 0) // _SNAPSHOTS)
        self.every = own if every is None else check_count("every", every, at_least=1)
        self._max_stable_lr = None if max_stable_lr is None else check_lr("max_stable_lr", max_stable_lr)
        self._count = 0
        self._standing = Standing()
        self._mark = _Mark(0, self._standing.mark(), (), math.inf)
        self._begin_from_mark()

    @property
    def count(self) -> int:
        """How many losses there are of the run as it counts, without those from which it went back."""
        return self._count

    @property
    def is_due(self) -> bool:
        """Whether it is time for a snapshot, and nothing speaks against one."""
        return self._is_calm and self._count >= self._due_at and self._count != self._steps

    def begin(self, evaluation: float) -> None:
        """Take the evaluation loss of the start, which, unlike the first loss, no batch makes low by chance.

        Args:
            evaluation: the loss.
        """
        self._standing.start = evaluation

    def keep(self) -> None:
        """Take note that a snapshot has been taken here."""
        self._due_at = (self._count // self.every + 1) * self.every
        self._mark = _Mark(self._count, self._standing.mark(), tuple(self._recent), self._standing.together())
        self._is_calm = False

    def put_off(self) -> None:
        """Let snapshots come half as often from here on, because they are dear."""
        self.every *= 2
        self._due_at = (self._count // self.every + 1) * self.every

    def go_back(self) -> None:
        """Take note that the run stands at the last snapshot again."""
        self._count = self._mark.count
        self._standing.return_to(self._mark.standing)
        self._begin_from_mark()

    def update(self, lr: float | None, loss: float) -> str | None:
        """Take the next loss.

        Args:
            lr: the learning rate of its step, or None if it is not known.
            loss: the loss.

        Returns:
            Why the run is lost, if it is.
        """
        self._count += 1
        self._is_calm = False
        if not math.isfinite(loss):
            return "the loss was not finite"
        self._recent.append((math.nan if lr is None else lr, loss))
        self._standing.told(loss, self._count)
        self._monitor.update(lr, loss)
        if self._monitor.should_stop:
            return "the loss diverged"
        self._block.append(loss)
        return self._judge() if len(self._block) == BLOCK else None

    def ended(self, evaluations: Sequence[tuple[int, float]] = ()) -> str | None:
        """Judge the end of the run, after which nothing comes that could show more.

        Args:
            evaluations: after how many losses the run was evaluated, and to what; the last is that of the end.

        Returns:
            Why the run is lost, if it is.
        """
        if evaluations and not math.isfinite(evaluations[-1][1]):
            return "the evaluation loss was not finite"
        last = [loss for _, loss in self._recent][-BLOCK:]
        if len(last) < _LAST:
            return None
        standing = self._standing
        usual = self._above_usual.limit if self._above_usual.levels else standing.limit_of_usual()
        if _explodes(last) and last[-1] > (usual if standing.blocks > 1 else standing.first):
            return "the loss was exploding when the run ended"
        if not standing.blocks:
            return None
        level, lowest = level_of(last), min(last[-_LAST:])
        if lowest > usual or level > standing.limit_of_start():
            return "the loss ended far above what it had been"
        if min(level, lowest) > standing.limit_of_best():
            return "the loss ended far above its best"
        if standing.has_leapt_in_vain(level, self._count):
            return "the loss leapt up, and all that it did afterwards was in vain"
        return self._leap_at_the_end(evaluations)

    def _judge(self) -> str | None:
        """Judge the run at the end of a block."""
        standing, patience = self._standing, self._patience
        left = patience if self._steps is None else max(self._steps - self._count, 0)
        losses, self._block = self._block, []
        level = level_of(losses)
        waiting = self._above_usual.levels
        limits = standing.limit_of_start(), standing.limit_of_best(), standing.limit_of_usual()
        for stay, limit in zip((self._above_start, self._above_best, self._above_usual), limits, strict=True):
            stayed = stay.above(level, limit, patience, left)
            if stayed:
                return f"the loss had stayed far above what it had been for {stayed} steps"
        if self._above_usual.levels:
            return None
        # What lay above it was a passing thing, and belongs to what is usual.
        standing.append([*waiting, level], losses)
        if standing.has_leapt_in_vain(level, self._count, patience):
            return "the loss leapt up, and all that it did afterwards was in vain"
        reference = standing.first if math.isinf(self._mark.reference) else self._mark.reference
        is_better = standing.together() < reference - _PROGRESS * standing.error()
        self._is_calm = is_better and standing.is_calm(losses)
        return None

    @property
    def _patience(self) -> float:
        if self._steps is None:
            return max(_FEWEST_OF_UNKNOWN, _PATIENCE * self._count)
        return max(_FEWEST_BETWEEN, _PATIENCE * self._steps)

    def _leap_at_the_end(self, evaluations: Sequence[tuple[int, float]]) -> str | None:
        """Tell whether the evaluation, which sees the last updates too, leapt up at the end. Overfitting is slow."""
        if len(evaluations) <= 2 or evaluations[0][0] != 0:
            return None
        (_, start), (_, before), (_, end) = evaluations[0], evaluations[-2], evaluations[-1]
        gained = max(self._standing.first - self._standing.best, 0.0)
        margin = _SHARE_OF_GAIN * gained + _SURE * self._standing.error()
        return "the evaluation loss leapt up at the end" if end > start and end - before > margin else None

    def _begin_from_mark(self) -> None:
        self._recent = deque(self._mark.recent, maxlen=_REMEMBERED)
        self._monitor = self._new_monitor(self._mark.recent)
        self._due_at = (self._count // self.every + 1) * self.every
        self._block: list[float] = []
        self._above_start, self._above_best, self._above_usual = Stay(), Stay(), Stay()
        self._is_calm = False

    def _new_monitor(self, known: Sequence[tuple[float, float]]) -> Monitor:
        monitor = Monitor(max_stable_lr=self._max_stable_lr, stop_on_divergence=True, say=None)
        for lr, loss in known:
            monitor.update(lr, loss)
            if Outcome.DIVERGING in [verdict.outcome for verdict in monitor.verdicts]:
                return self._new_monitor(())  # What it has said, it would not say again.
        return monitor


def _explodes(losses: Sequence[float]) -> bool:
    """Whether each of the last losses lies above the one before, by more and more."""
    climbs = [later - earlier for earlier, later in pairwise(losses[-max(4, len(losses) // 2) :])]
    return len(climbs) >= _LAST and climbs[0] > 0 and all(later > earlier for earlier, later in pairwise(climbs))
