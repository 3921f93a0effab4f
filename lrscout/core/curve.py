"""The record of one run: what every runner produces and every analysis reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from lrscout.core.errors import InvalidValueError

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Outcome(StrEnum):
    """How a run ended, as far as its losses tell."""

    TOO_SLOW = "too_slow"
    CONVERGING = "converging"
    PLATEAUED = "plateaued"
    OSCILLATING = "oscillating"
    DIVERGING = "diverging"
    NON_FINITE = "non_finite"

    @property
    def sentence(self) -> str:
        """What the outcome means, in words."""
        return _OUTCOME_SENTENCES[self]


_OUTCOME_SENTENCES = {
    Outcome.TOO_SLOW: "it moves the right way and is still far away",
    Outcome.CONVERGING: "it is on its way down and slowing as it nears the bottom",
    Outcome.PLATEAUED: "it has stopped improving",
    Outcome.OSCILLATING: "it jumps from side to side without coming closer",
    Outcome.DIVERGING: "every step lands farther away; no number of steps will help",
    Outcome.NON_FINITE: "the numbers grew until they became none at all (NaN or infinity)",
}


class Stop(StrEnum):
    """Why a run took no further step."""

    COMPLETED = "completed"
    DIVERGED = "diverged"
    NON_FINITE = "non_finite"


@dataclass(frozen=True, eq=False)
class Curve:
    """One run: the lr and the loss of each step, and how it ended.

    Args:
        lrs: the learning rate used at each step.
        losses: the training loss of each step's batch, before that step's update. Finite, except that
            the last one may be NaN or infinite, and then `stopped` is `Stop.NON_FINITE`.
        evaluated_at: the steps before which the evaluation loss was taken.
        evaluations: the evaluation losses at those steps.
        stopped: why the run took no further step.
        seed: the seed of the run's data order and generators.
    """

    lrs: Float[np.ndarray, " step"]
    losses: Float[np.ndarray, " step"]
    stopped: Stop = Stop.COMPLETED
    seed: int = 0
    evaluated_at: Int[np.ndarray, " evaluation"] = field(default_factory=lambda: np.zeros(0, int))
    evaluations: Float[np.ndarray, " evaluation"] = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        if self.lrs.ndim != 1 or self.lrs.shape != self.losses.shape:
            raise InvalidValueError(
                f"A curve needs one lr for each loss, but the shapes are {self.lrs.shape} and {self.losses.shape}."
            )
        if self.evaluated_at.shape != self.evaluations.shape:
            raise InvalidValueError(
                "A curve needs one step for each evaluation, but the shapes are "
                f"{self.evaluated_at.shape} and {self.evaluations.shape}."
            )

    @property
    def steps(self) -> int:
        """The number of steps taken."""
        return len(self.lrs)
