"""The learning rate from which on the next step raises the loss, found by looking at the loss alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lrscout.core.errors import InvalidValueError

_MOST_OCTAVES = 80
_CLOSE_ENOUGH = 1.2
_ROUNDING = 64 * float(np.finfo(np.float32).eps)
"""The share of the loss that a fall must exceed to be told from rounding in single precision."""


@dataclass(frozen=True)
class CriticalRate:
    """Where the next step begins to raise the loss.

    Args:
        lr: the critical learning rate; None where there is none.
        low: the highest rate found that does not raise the loss; None where every rate raises it.
        high: the lowest rate found that does; None where none does.
        is_flat: whether the loss changes so little that rounding may decide; then there is no critical rate.
        loss_before: the loss before the step.
        looks: every rate that was looked at with the loss after the step, from the lowest rate up.
    """

    lr: float | None
    low: float | None
    high: float | None
    loss_before: float
    looks: tuple[tuple[float, float], ...]
    is_flat: bool = False


def critical_rate(loss_after: Callable[[float], float], loss_before: float, start_lr: float) -> CriticalRate:
    """Find the critical learning rate by strides that double, and then by bisection.

    Args:
        loss_after: returns the loss after one step at a rate.
        loss_before: the loss before it.
        start_lr: the rate to look at first.

    Returns:
        The critical rate, between two rates that are at most a fifth apart; None where every rate within 80 octaves
        raises the loss, or none does, or where it falls by no more than rounding may feign.

    Raises:
        InvalidValueError: the loss before the step is not finite.

    Source:
        Kalra and Barkeshli 2024 (arXiv 2406.09405).

    >>> found = critical_rate(lambda lr: (1 - 4 * lr) ** 2, 1.0, start_lr=0.1)
    >>> found.low < 0.5 <= found.high, len(found.looks)
    (True, 6)
    """
    if not math.isfinite(loss_before):
        raise InvalidValueError(f"The loss where the loop stands is {loss_before:g}. Start from where it is finite.")
    looks: dict[float, float] = {}

    def raises(lr: float) -> bool:
        looks[lr] = loss_after(lr)
        return not looks[lr] <= loss_before  # NaN is a rise.

    low, high = _bracket(raises, start_lr)
    while low is not None and high is not None and high / low > _CLOSE_ENOUGH:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if raises(middle) else (middle, high)
    is_flat = low is not None and not _falls(looks, loss_before)
    if low is not None and is_flat:
        raises(low / 2)  # Just below the critical rate the loss is where it was; half-way to it, it is lowest.
        is_flat = not _falls(looks, loss_before)
    lr = math.sqrt(low * high) if low is not None and high is not None and not is_flat else None
    return CriticalRate(lr, low, high, loss_before, tuple(sorted(looks.items())), is_flat)


def _falls(looks: dict[float, float], loss_before: float) -> bool:
    """Whether the loss is seen to fall by more than rounding may feign."""
    lowest = min((loss for loss in looks.values() if math.isfinite(loss)), default=loss_before)
    return loss_before - lowest > _ROUNDING * abs(loss_before)


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
