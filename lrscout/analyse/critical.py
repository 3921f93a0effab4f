"""The learning rate from which on the next step raises the loss, found by looking at the loss alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_MOST_OCTAVES = 80
_CLOSE_ENOUGH = 1.2
_ROUNDING = 8 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class CriticalRate:
    """Where the next step begins to raise the loss.

    Args:
        lr: the critical learning rate; None where there is none.
        low: the highest rate found that does not raise the loss.
        high: the lowest rate found that does.
        loss_before: the loss before the step.
        looks: every rate that was looked at with the loss after the step, from the lowest rate up.
    """

    lr: float | None
    low: float | None
    high: float | None
    loss_before: float
    looks: tuple[tuple[float, float], ...]


def critical_rate(loss_after: Callable[[float], float], loss_before: float, start_lr: float) -> CriticalRate:
    """Find the critical learning rate by strides that double, and then by bisection.

    Args:
        loss_after: returns the loss after one step at a rate.
        loss_before: the loss before it.
        start_lr: the rate to look at first.

    Returns:
        The critical rate, between two rates that are at most a fifth apart; None where every rate within 80 octaves
        raises the loss, or none does.

    Source:
        Kalra and Barkeshli 2024 (arXiv 2406.09405).

    >>> found = critical_rate(lambda lr: (1 - 4 * lr) ** 2, 1.0, start_lr=0.1)
    >>> found.low < 0.5 <= found.high, len(found.looks)
    (True, 6)
    """
    looks: dict[float, float] = {}
    margin = _ROUNDING * abs(loss_before)

    def raises(lr: float) -> bool:
        looks[lr] = loss_after(lr)
        return not looks[lr] <= loss_before + margin  # NaN is a rise.

    low, high = _bracket(raises, start_lr)
    if low is None or high is None:
        return CriticalRate(None, low, high, loss_before, tuple(sorted(looks.items())))
    while high / low > _CLOSE_ENOUGH:
        middle = math.sqrt(low * high)
        if raises(middle):
            high = middle
        else:
            low = middle
    return CriticalRate(math.sqrt(low * high), low, high, loss_before, tuple(sorted(looks.items())))


def _bracket(raises: Callable[[float], bool], start_lr: float) -> tuple[float | None, float | None]:
    """Return a rate that does not raise the loss and a higher one that does, as far as there are such."""
    too_high = raises(start_lr)
    lr, octaves = start_lr, 1
    while octaves <= _MOST_OCTAVES:
        following = lr * 2.0 ** (-octaves if too_high else octaves)
        if raises(following) != too_high:
            return (following, lr) if too_high else (lr, following)
        lr, octaves = following, 2 * octaves
    return (None, lr) if too_high else (lr, None)
