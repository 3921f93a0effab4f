"""One snapshot of a run, kept up to date, and the way back to it at half the rate."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lrscout.analyse.guarding import Guarding

_SHARE_OF_TIME = 0.01
"""How much of the time of the steps between them snapshots may take: half of what guarding may cost."""

_HALF = 0.5
_IN_VAIN = 3
"""So many batches in a row that are lost at the snapshot itself are no bad batches."""


@dataclass(frozen=True)
class Rollback:
    """One return of a guarded run to its snapshot.

    Args:
        step: the step whose loss showed that the run was lost, counted from 0.
        back_to: the step before which the snapshot had been taken.
        lr: the learning rate until then: the peak of the schedule, or, where no peak is told, that of the step.
        new_lr: the same from there on, or None if the run was given up.
        reason: how the run was lost.
    """

    step: int
    back_to: int
    lr: float
    new_lr: float | None
    reason: str

    @property
    def lost(self) -> int:
        """How many steps were lost."""
        return self.step + 1 - self.back_to

    def __str__(self) -> str:
        steps = f"{self.lost} steps" if self.lost != 1 else "1 step"
        begins = f"Step {self.step}: {self.reason} at lr {self.lr:.3g}. The run goes back by {steps}, to step"
        if self.new_lr is None:
            return f"{begins} {self.back_to}, and ends there."
        return f"{begins} {self.back_to}, and on from there at lr {self.new_lr:.3g}."


class Safeguard:
    """Keeps one snapshot of a run, and goes back to it, at half the rate, when the run is lost.

    At no time is there more than one snapshot: an old one is let go before a new one is taken.

    Args:
        guarding: tells when to keep a snapshot, and when the run is lost.
        save: takes a snapshot.
        bring_back: brings the state of a snapshot back.
        halvings: how often the rate may be halved.
        say: what to call with each sentence, or None.
        may_put_off: whether snapshots become rarer where they would take more than 1 % of the time.
        clock: tells the time in seconds.

    Attributes:
        factor: what every rate is to be multiplied by: one half for each return.
        rollbacks: the returns so far.
        has_given_up: whether no halving was left; the run then stands at its last snapshot.
    """

    def __init__(
        self,
        guarding: Guarding,
        save: Callable[[], Any],
        bring_back: Callable[[Any], object],
        *,
        halvings: int,
        say: Callable[[str], object] | None,
        may_put_off: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._guarding = guarding
        self._save, self._bring_back = save, bring_back
        self._halvings = halvings
        self._say = say
        self._may_put_off = may_put_off
        self._clock = clock
        self._dear = float("inf")
        self._in_vain = 0
        self._snapshot: Any = None
        self._taken_before = 0
        self._since = clock()
        self.factor = 1.0
        self.rollbacks: list[Rollback] = []
        self.has_given_up = False

    @property
    def every(self) -> int:
        """After how many losses a snapshot is taken, as things stand."""
        return self._guarding.every

    def begin(self, step: int = 0) -> None:
        """Take the first snapshot, before a step of the given number."""
        self._keep(step)

    def update(self, step: int, lr: float, loss: float, *, peak: float | None = None) -> Rollback | None:
        """Take a step's loss.

        Args:
            step: the number of the step, counted from 0.
            lr: its learning rate.
            loss: its loss.
            peak: the rate to speak of, if it is not that of the step.

        Returns:
            The return to the snapshot, if there was one.
        """
        reason = self._guarding.update(lr, loss)
        if reason is not None:
            return self.go_back(step, lr if peak is None else peak, reason)
        if self._guarding.is_due:
            self._keep_unless_dear(step + 1)
        return None

    def go_back(self, step: int, lr: float, reason: str, *, is_last: bool = False) -> Rollback:
        """Go back to the snapshot, and half the rate, or give up.

        Args:
            step: the number of the step that was taken last.
            lr: the rate to speak of.
            reason: how the run was lost.
            is_last: whether there are no steps left to take.
        """
        self._bring_back(self._snapshot)
        self._guarding.go_back()
        self._since = self._clock()
        # The first loss after a return is that of the snapshot itself, so no rate can matter to it.
        self._in_vain = self._in_vain + 1 if step == self._taken_before else 0
        self.has_given_up = is_last or len(self.rollbacks) >= self._halvings or self._in_vain >= _IN_VAIN
        if not self.has_given_up:
            self.factor *= _HALF
        new_lr = None if self.has_given_up else _HALF * lr
        rollback = Rollback(step, self._taken_before, lr, new_lr, reason)
        self.rollbacks.append(rollback)
        if self._say is not None:
            self._say(str(rollback))
        return rollback

    def close(self) -> None:
        """Let the snapshot go."""
        self._snapshot = None

    def _keep_unless_dear(self, step: int) -> None:
        spent = self._clock() - self._since
        if self._may_put_off and self._dear > _SHARE_OF_TIME * spent:
            self._guarding.put_off()
        else:
            self._keep(step)

    def _keep(self, step: int) -> None:
        began = self._clock()
        self._snapshot = None
        self._snapshot = self._save()
        self._since = self._clock()
        self._dear = min(self._dear, self._since - began)
        self._taken_before = step
        self._guarding.keep()
