"""The judgement of runs that differ by their learning rate alone: each tells something about the others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.core.curve import Outcome

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

_HARDLY = 0.1
"""The share of the way that the best run came, below which another has hardly moved."""


def judge_together(
    outcomes: Any,
    losses: Float[np.ndarray, "seed rate checkpoint"],
    start: float,
    *,
    below_best: Bool[np.ndarray, "rate checkpoint"],
    training: Float[np.ndarray, "seed rate checkpoint"],
    training_start: Float[np.ndarray, "seed 1 1"],
) -> Any:
    """Settle by the other runs what a run's own losses could not tell through their noise.

    A run below the best rate that has hardly begun to fall as far as the best did is too slow, whatever its noise looks
    like, and one that has fallen does not diverge; a run that stands well above the start diverges.

    Args:
        outcomes: the `Outcome` of each run, judged by its own training losses, by seed, rate and checkpoint.
        losses: the losses that are compared, on training or evaluation data; infinite where a run had ended.
        start: the loss before the first step.
        below_best: where a rate is below the best one for that checkpoint.
        training: the training losses.
        training_start: the first training loss of each seed, the same for all rates.

    Returns:
        The outcomes, settled; an array of its own.
    """
    outcomes = outcomes.copy()
    fall = start - float(losses.min())
    if not math.isfinite(fall) or fall <= 0:
        return outcomes
    share = (start - losses) / fall
    still = outcomes == Outcome.PLATEAUED
    astray = (outcomes == Outcome.DIVERGING) | (outcomes == Outcome.OSCILLATING)
    outcomes[(still | astray) & below_best & (np.abs(share) < _HARDLY)] = Outcome.TOO_SLOW
    outcomes[astray & below_best & (share >= _HARDLY)] = Outcome.PLATEAUED
    # That an evaluation loss rises while the training loss falls is not divergence.
    outcomes[still & (share < -_HARDLY) & (training >= training_start)] = Outcome.DIVERGING
    return outcomes
