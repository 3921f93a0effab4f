"""Schedules: the factor in [0, 1] by which the peak lr is multiplied at each step of a budget.

A schedule is a function of the step (counted from 0, a number or an array) and of the total number of steps.

>>> linear()(np.array([0, 1, 2, 3]), 4)
array([1.  , 0.75, 0.5 , 0.25])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from lrscout.core.checks import check_share
from lrscout.core.errors import InvalidValueError

if TYPE_CHECKING:
    from jaxtyping import Float, Num

Schedule: TypeAlias = "Callable[[Num[np.ndarray, ' *step'], int], Float[np.ndarray, ' *step']]"


def constant() -> Schedule:
    """The peak lr at every step."""
    return lambda step, total: np.ones_like(np.asarray(step, float))


def linear() -> Schedule:
    """From the peak lr in a straight line to zero, which it would reach at step `total`.

    Worst-case optimal at a fixed budget (Defazio et al. 2023, arXiv 2310.07831).
    """
    return lambda step, total: 1 - np.asarray(step, float) / total


def cosine() -> Schedule:
    """Half a cosine from the peak lr to zero (Loshchilov and Hutter 2017, arXiv 1608.03983, without restarts)."""
    return lambda step, total: (1 + np.cos(np.pi * np.asarray(step, float) / total)) / 2


def warmup(share: float, then: Schedule) -> Schedule:
    """A straight rise to the peak lr over the first `share` of the steps, then another schedule over the rest.

    Args:
        share: the share of the steps spent rising, in [0, 1).
        then: the schedule of the remaining steps.
    """
    check_share("share", share)

    def factor(step: Num[np.ndarray, " *step"], total: int) -> Float[np.ndarray, " *step"]:
        step = np.asarray(step, float)
        rising = round(share * total)
        after = then(np.maximum(step - rising, 0), total - rising)
        return np.where(step < rising, (step + 1) / max(rising, 1), after)

    return factor


def warmup_stable_decay(warmup_share: float = 0.05, decay_share: float = 0.2) -> Schedule:
    """A straight rise, a plateau, and a straight fall to zero (after Hu et al. 2024, arXiv 2404.06395).

    Args:
        warmup_share: the share of the steps spent rising.
        decay_share: the share of the steps spent falling.
    """
    check_share("warmup_share", warmup_share)
    check_share("decay_share", decay_share)
    if warmup_share + decay_share > 1:
        raise InvalidValueError(
            f"warmup_share and decay_share must not exceed 1 together, but they are {warmup_share:g} "
            f"and {decay_share:g}."
        )

    def plateau_and_fall(step: Num[np.ndarray, " *step"], total: int) -> Float[np.ndarray, " *step"]:
        falling = max(1, round(decay_share * total / (1 - warmup_share)))
        return np.clip((total - np.asarray(step, float)) / falling, 0, 1)

    return warmup(warmup_share, plateau_and_fall)


def one_cycle(rise_share: float = 0.25, start: float = 1 / 25, end: float = 1e-5) -> Schedule:
    """Half a cosine up to the peak and half a cosine down: fastai's form of Smith and Topin 2018 (arXiv 1708.07120).

    Args:
        rise_share: the share of the steps spent rising.
        start: the factor at the first step.
        end: the factor that the fall ends at.
    """
    check_share("rise_share", rise_share)

    def factor(step: Num[np.ndarray, " *step"], total: int) -> Float[np.ndarray, " *step"]:
        step = np.asarray(step, float)
        peak = rise_share * total
        up = start + (1 - start) * _ease(step / max(peak, 1e-12))
        down = 1 - (1 - end) * _ease((step - peak) / (total - peak))
        return np.where(step < peak, up, down)

    return factor


def exponential_ramp(start: float) -> Schedule:
    """An even ratio from each step to the next, from `start` at the first step to 1 at the last.

    The ladder of the range test (Smith 2015, arXiv 1506.01186).

    Args:
        start: the factor at the first step, in (0, 1].
    """
    _check_start(start)
    return lambda step, total: np.exp(np.log(start) * (1 - np.asarray(step, float) / max(total - 1, 1)))


def linear_ramp(start: float) -> Schedule:
    """An even difference from each step to the next, from `start` at the first step to 1 at the last."""
    _check_start(start)
    return lambda step, total: start + (1 - start) * np.asarray(step, float) / max(total - 1, 1)


NAMED: dict[str, Callable[[], Schedule]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "wsd": warmup_stable_decay,
    "one-cycle": one_cycle,
}
"""The schedules that go by a name."""


def _check_start(start: float) -> None:
    if not 0 < start <= 1:
        raise InvalidValueError(f"start must be in (0, 1], but it is {start!r}.")


def _ease(progress: Float[np.ndarray, " *step"]) -> Float[np.ndarray, " *step"]:
    return (1 - np.cos(np.pi * np.clip(progress, 0, 1))) / 2
