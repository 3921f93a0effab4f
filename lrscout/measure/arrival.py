"""After how many steps a run gets to a loss, and whether it does on other orders of the data too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from lrscout.analyse.extrapolate import StepsNeeded, steps_to_target
from lrscout.core.schedules import constant
from lrscout.measure.probing import Prober, Trial
from lrscout.measure.race import evenly

Found: TypeAlias = tuple[float, StepsNeeded]
"""The octave of a rate, and the steps that it takes."""

SHARE_OF_EVALUATIONS = 0.5
"""What evaluations on the way may cost, as a share of the steps."""

_IN_SIGHT = 30
"""A curve foretells nothing that is much smaller than its own fall."""

_CANDIDATES = 3
"""How many rates are tried on other orders of the data until one gets there on them too."""

_ORDERS, _LONGER = 3, 2.0
"""How many orders that are, and how many times as long as it should take they may take."""

_DEAREST = 2.0
"""What that may cost at most, as a multiple of what has been spent by then."""

_FEWEST_EVALUATIONS, _MOST_EVALUATIONS = 16, 32
_LEAST_DOUBT = 1.1
_FOUR_IN_FIVE = 1.886 * math.sqrt(1 + 1 / _ORDERS)
"""How many deviations of three values to go to either side to hold a fourth one four times in five (Student's t)."""


@dataclass(frozen=True)
class Confirmation:
    """What other orders of the data said.

    Args:
        octave: the rate that gets there on them, or the last that was tried.
        steps: the steps that it takes; None where no rate does.
    """

    octave: float
    steps: StepsNeeded | None

    def told(self, first: float) -> str:
        """Return it in a sentence.

        Args:
            first: the octave of the rate that was the first on one order.
        """
        assert self.steps is not None
        begins = f"On {_ORDERS} other orders of the data"
        took = f"about {self.steps.steps} steps"
        if self.octave == first:
            return f"{begins} it took {took}."
        return f"{begins} it did not, and {2.0**self.octave:.2g} took {took}."


def confirmed(prober: Prober, found: Sequence[Found], target: float, evaluated: bool, most: int) -> Confirmation | None:
    """Run the rates that get there, the first one first, on other orders of the data until one gets there on them too.

    A rate that is the first of several on one order owes that in part to luck.

    Args:
        prober: takes the probes.
        found: the rates, the first one first.
        target: the loss to reach.
        evaluated: whether it is the evaluation loss that gets there.
        most: how many steps a run may take.

    Returns:
        What came of it; None where it would be too dear to ask even the first.
    """
    last = None
    for octave, needed in found[:_CANDIDATES]:
        steps = min(math.ceil(_LONGER * max(needed.steps, 1)), most)
        if _ORDERS * steps > _DEAREST * prober.spent:
            break
        many = np.clip(SHARE_OF_EVALUATIONS * steps / prober.evaluation_steps, _FEWEST_EVALUATIONS, _MOST_EVALUATIONS)
        evaluate_at = evenly(steps, int(many)) if evaluated else []
        (trial,) = prober.try_rates([octave], steps, constant(), evaluate_at, prober.other_seeds(_ORDERS))
        arrivals = [arrival_of(replace(trial, curves=(curve,)), target, evaluated) for curve in trial.curves]
        there = [arrival.steps for arrival in arrivals if isinstance(arrival, StepsNeeded)]
        if len(there) > _ORDERS / 2:
            return Confirmation(octave, typical([*there, *[steps] * (_ORDERS - len(there))]))
        last = Confirmation(octave, None)
    return last


def typical(arrivals: Sequence[int]) -> StepsNeeded:
    """Return the middle of three arrivals, and between what a fourth one is likely to be, four times in five.

    Args:
        arrivals: the steps that runs took.
    """
    logarithms = np.log(np.maximum(arrivals, 1))
    spread = max(_FOUR_IN_FIVE * float(np.std(logarithms, ddof=1)), math.log(_LEAST_DOUBT))
    low, high = np.exp(np.mean(logarithms) + np.array([-spread, spread]))
    return StepsNeeded(round(math.exp(np.median(logarithms))), math.floor(low), math.ceil(high))


def arrival_of(trial: Trial, target: float, evaluated: bool) -> StepsNeeded | str:
    """Return the steps from the start to a loss, or why they are not known.

    Args:
        trial: the run.
        target: the loss.
        evaluated: whether it is the evaluation loss that gets there.
    """
    steps, losses = np.arange(len(trial.losses), dtype=float), trial.losses
    if evaluated:
        steps, losses = trial.evaluations
    # The evaluation data stay the same; a low training loss may be that of an easy batch.
    there = np.flatnonzero((losses if evaluated else _settled(losses)) <= target)
    if len(there):
        seen = int(steps[there[0]])
        return StepsNeeded(seen, int(0.9 * seen), math.ceil(1.1 * seen))
    if not trial.completed:
        return "the run broke off"
    if not np.isfinite(losses).all():
        return "the losses on the way are not all finite numbers"
    near = _in_sight(losses, target)
    further = steps_to_target(losses[near:], steps[near:], target)
    if isinstance(further, str):
        return further
    done, ahead = int(steps[-1]), max(further.steps, 1)  # It is not there yet, whatever the curve foretells.
    return StepsNeeded(done + ahead, done + further.low, done + max(further.high, ahead))


def _in_sight(losses: np.ndarray, target: float) -> int:
    """Return where the loss is first so near to the target that it shows the pace of the rest of the way."""
    distance = _settled(losses) - target
    return int(np.flatnonzero(distance <= _IN_SIGHT * distance[-1])[0])


def _settled(losses: np.ndarray) -> np.ndarray:
    """Return the running median over a tenth of the losses, so that a lucky batch is not an arrival."""
    width = max(1, len(losses) // 10)
    return np.array([np.median(losses[max(0, end - width) : end]) for end in range(1, len(losses) + 1)])
