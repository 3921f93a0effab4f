"""The loss that a longer run will come to, from those of shorter ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_SLOWEST, _FASTEST = 0.9, 0.3
"""The share of its gain that a doubling of the run may keep from one to the next."""

_UNKNOWN = 0.7
_GENEROUS = 0.3
"""The power of that share which the more hopeful end of the interval goes by."""

_MARGIN = 0.03
"""The share of the fall that no prediction is surer than."""


@dataclass(frozen=True)
class Foretold:
    """A loss to come.

    Args:
        value: the loss to expect.
        low: the lower end of an interval that held the truth about four times in five on the tasks of the benchmark.
        high: the upper end.
    """

    value: float
    low: float
    high: float


def foretell(levels: Sequence[tuple[float, float]], steps: float, floor: float = -math.inf) -> Foretold:
    """Extrapolate the losses of runs of growing length to a longer one.

    Each doubling of a run gains a share of what the doubling before it gained; the share is read off the last levels.

    Args:
        levels: the length and the final loss of each run, by length, two of them at least.
        steps: the length of the run to come.
        floor: what no loss can be below. An expectation below it becomes the middle between it and the last level.

    >>> told = foretell([(1, 1.0), (2, 0.5), (4, 0.25)], 8)
    >>> round(told.value, 2)
    0.12
    """
    lengths = np.log2([length for length, _ in levels])
    losses = np.minimum.accumulate([loss for _, loss in levels])
    gains, middles = -np.diff(losses) / np.diff(lengths), (lengths[1:] + lengths[:-1]) / 2
    share = _UNKNOWN
    if len(gains) > 1 and gains[-2] > 0:
        share = float(np.clip((gains[-1] / gains[-2]) ** (1 / (middles[-1] - middles[-2])), _FASTEST, _SLOWEST))
    doublings = max(float(np.log2(steps)) - lengths[-1], 0.0)
    last, margin = float(losses[-1]), _MARGIN * float(losses[0] - losses[-1])

    def gained(share: float) -> float:
        at_the_end = gains[-1] * share ** (lengths[-1] - middles[-1])
        return float(at_the_end * (share**doublings - 1) / np.log(share))

    expected = last - gained(share)
    return Foretold(
        expected if expected > floor else (floor + last) / 2,
        max(last - gained(share**_GENEROUS) - margin, floor),
        last + margin,
    )
