"""A range test in a process of its own that is killed at the first step of its third repeat."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import lrscout
from lrscout import RangeTest

MIN_LR, MAX_LR, STEPS, REPEATS = 1e-3, 30.0, 60, 4


class Noisy:
    """Descent on a parabola from a noisy place, which counts its steps and says when a repeat begins.

    Args:
        on_repeat: is told the number of the repeat that begins, counted from 0.
        curvature: the curvature of the parabola.
    """

    def __init__(self, on_repeat: Callable[[int], object] = lambda number: None, curvature: float = 1.0) -> None:
        self.lr = 0.05
        self.steps = self.repeats = 0
        self._on_repeat, self._curvature = on_repeat, curvature
        self._generator = np.random.default_rng(0)
        self._position = 1.0

    def step(self, lr: float) -> float:
        if lr == MIN_LR:
            self._on_repeat(self.repeats)
            self.repeats += 1
        self.steps += 1
        loss = self.evaluate() + self._generator.normal(0, 0.02)
        self._position -= lr * self._curvature * self._position
        return loss

    def evaluate(self) -> float:
        return self._curvature * self._position**2 / 2

    def snapshot(self) -> Any:
        return self._position, self._generator.bit_generator.state

    def restore(self, snapshot: Any) -> None:
        self._position, self._generator.bit_generator.state = snapshot

    def reseed(self, seed: int) -> None:
        self._generator.bit_generator.state = np.random.default_rng(seed).bit_generator.state


def range_tested(loop: Any, **options: Any) -> RangeTest:
    """Return the range test of these tests."""
    ladder: dict[str, Any] = {"min_lr": MIN_LR, "max_lr": MAX_LR, "steps": STEPS, "repeats": REPEATS}
    return lrscout.range_test(loop, **{**ladder, **options})


def _kill(repeat: int) -> None:
    if repeat == 2:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    range_tested(Noisy(_kill), store=sys.argv[1], study="killed")
