"""What a curve says about each budget of steps: the loss that it had come to, and how it was going."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lrscout.analyse.judge import OUTCOME_WHEN_STOPPED, judge
from lrscout.core.curve import Curve, Outcome, Stop

if TYPE_CHECKING:
    from jaxtyping import Int

_PER_DECADE = 8
_SHORTEST_BUDGET = 8
_RECENT = 10
FEWEST_TO_JUDGE = 10
"""Losses from which on the rules of diagnosis, which look at trends, say how a run went."""


def shared_checkpoints(steps: int) -> Int[np.ndarray, " checkpoint"]:
    """Return checkpoints that one run can pass, from 1 to `steps`: up to eight to a factor of ten.

    >>> shared_checkpoints(10).tolist()
    [1, 2, 3, 4, 6, 7, 10]
    """
    number = round(_PER_DECADE * math.log10(steps)) + 1
    return np.unique(np.geomspace(1, steps, max(number, 2)).round().astype(int))


def separate_budgets(steps: int) -> Int[np.ndarray, " checkpoint"]:
    """Return budgets that each ask for a run of their own: `steps` and its halves, which together cost twice as much.

    >>> separate_budgets(100).tolist()
    [12, 25, 50, 100]
    """
    budgets = [steps]
    while budgets[-1] // 2 >= _SHORTEST_BUDGET:
        budgets.append(budgets[-1] // 2)
    return np.array(budgets[::-1])


def training_loss_at(curve: Curve, checkpoint: int) -> float:
    """Return the training loss that a run had come to after some steps.

    It is the mean over the last tenth of those steps, so that its lag is the same share of every budget.

    Args:
        curve: the run.
        checkpoint: the number of steps taken.

    Returns:
        The loss; infinity if the run had ended before.
    """
    if not _got_to(curve, checkpoint):
        return math.inf
    return float(np.mean(curve.losses[checkpoint - max(1, checkpoint // _RECENT) : checkpoint]))


def evaluation_loss_at(curve: Curve, checkpoint: int) -> float:
    """Return the evaluation loss of a run after some steps.

    Args:
        curve: the run, which was evaluated there.
        checkpoint: the number of steps taken.

    Returns:
        The loss; infinity if it was not finite, or if the run had ended before.
    """
    if not _got_to(curve, checkpoint):
        return math.inf
    loss = float(curve.evaluations[np.searchsorted(curve.evaluated_at, checkpoint)])
    return loss if math.isfinite(loss) else math.inf


def outcome_of(curve: Curve) -> Outcome:
    """Return how a run went that was taken for itself, as a probe is.

    Args:
        curve: the run, of at least one step.
    """
    if curve.stopped in OUTCOME_WHEN_STOPPED:
        return OUTCOME_WHEN_STOPPED[curve.stopped]
    if curve.steps < FEWEST_TO_JUDGE:
        return Outcome.DIVERGING if curve.losses[-1] > curve.losses[0] else Outcome.CONVERGING
    return judge(curve.losses).outcome


def outcome_at(curve: Curve, checkpoint: int) -> Outcome:
    """Judge a run as it stood after some steps, but at least after its first ten: fewer would be judged by their noise.

    Args:
        curve: the run.
        checkpoint: the number of steps taken.
    """
    if not _got_to(curve, checkpoint):
        return OUTCOME_WHEN_STOPPED.get(curve.stopped, Outcome.DIVERGING)
    return judge(curve.losses[: max(checkpoint + 1, FEWEST_TO_JUDGE)]).outcome


def _got_to(curve: Curve, checkpoint: int) -> bool:
    # A run that ends early does so at its last loss, which is the one after `steps - 1` updates.
    return checkpoint < curve.steps or (curve.stopped is Stop.COMPLETED and checkpoint == curve.steps)
