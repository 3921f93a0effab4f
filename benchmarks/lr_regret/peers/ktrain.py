"""ktrain's three rules, written anew: ktrain 0.41 asks for Keras 2 and does not import beside Keras 3.

Its test multiplies the rate by 1.01 from 1e-7 until the smoothed loss is four times its best, or the rate above 10. It
reads the loss that Keras reports after each batch, which is the mean since the epoch began.
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.lr_regret.judge import Pick
from benchmarks.lr_regret.task import Task
from lrscout.core.loop import restored

_RULES = ("minimum gradient", "minimum / 10", "longest valley")
NAMES = tuple(f"ktrain {rule}" for rule in _RULES)

_FIRST, _LAST, _RATIO = 1e-7, 10.0, 1.01
_SMOOTHING = 0.98
_STOP = 4
_SKIPPED = 32
_PROBE_SEED = 0


def picks(task: Task, seed: int) -> list[Pick]:
    """Ask ktrain's rules."""
    lrs, losses = _range_test(task, seed)
    found = (_minimum_gradient(lrs, losses), lrs[np.argmin(losses)] / 10, lrs[_longest_valley(losses)])
    return [
        Pick(name, task.name, seed, None, None, None if lr is None else float(lr), len(lrs))
        for name, lr in zip(NAMES, found, strict=True)
    ]


def _range_test(task: Task, seed: int) -> tuple[np.ndarray, np.ndarray]:
    loop, problem = task.loop(seed), task.problem(seed)
    batches_in_epoch = len(problem.training[0]) // (task.batch_size or len(problem.training[0]))
    lrs: list[float] = []
    smoothed: list[float] = []
    average, best, lr = 0.0, math.inf, _FIRST
    of_epoch: list[float] = []
    with restored(loop):
        loop.reseed(_PROBE_SEED)
        while lr <= _LAST:
            if len(lrs) % batches_in_epoch == 0:
                of_epoch = []
            of_epoch.append(loop.step(lr))
            average = _SMOOTHING * average + (1 - _SMOOTHING) * float(np.mean(of_epoch))
            lrs.append(lr)
            smoothed.append(average / (1 - _SMOOTHING ** len(lrs)))
            if not math.isfinite(smoothed[-1]) or (len(lrs) > 1 and smoothed[-1] > _STOP * best):
                break
            best = min(best, smoothed[-1])
            lr *= _RATIO
    return np.array(lrs), np.array(smoothed)


def _minimum_gradient(lrs: np.ndarray, losses: np.ndarray) -> float | None:
    """Return the rate of the steepest fall between the 33rd loss and the lowest.

    Like ktrain's, the place is counted from the 33rd loss but looked up from the first.
    """
    falling = losses[_SKIPPED : int(np.argmin(losses))]
    return lrs[int(np.argmin(np.gradient(falling)))] if len(falling) > 1 else None


def _longest_valley(losses: np.ndarray) -> int:
    """Return the place half-way through the longest falling sequence of losses, which may leave out some between."""
    lengths = np.ones(len(losses), int)
    for place in range(1, len(losses)):
        above = losses[:place] > losses[place]
        if above.any():
            lengths[place] = 1 + lengths[:place][above].max()
    longest = int(lengths.max())
    first = int(np.argmax(lengths)) - longest
    third = longest / 3
    return max(first + int(third) + int(third / 2), 0)
