"""The order of a run's steps: rows that are not sorted, runs that were resumed, steps counted anew in every epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Restarts:
    """Where a run went back to an earlier step, as when it is resumed from a checkpoint.

    Args:
        rows: the first row after each restart, ascending.
        steps: the step of that row.
    """

    rows: Int[np.ndarray, " restart"]
    steps: Float[np.ndarray, " restart"]

    def survivors(self, rows: Int[np.ndarray, " row"], steps: Float[np.ndarray, " row"]) -> Bool[np.ndarray, " row"]:
        """Return which rows still stand after the restarts: those before the steps that were taken anew.

        Args:
            rows: rows of the file, ascending.
            steps: their steps.
        """
        # For each restart the earliest step that it or a later one went back to.
        back_to = np.minimum.accumulate(self.steps[::-1])[::-1]
        return steps < np.append(back_to, np.inf)[np.searchsorted(self.rows, rows, side="right")]


def restarts_of(rows: Int[np.ndarray, " row"], steps: Float[np.ndarray, " row"]) -> Restarts:
    """Return where a run was resumed from an earlier step.

    Steps that go back may also be rows out of order. What tells a resumed run is a step that is logged once more after
    the steps went back.

    Args:
        rows: the rows of the file with a loss, ascending.
        steps: their steps, all finite.

    >>> restarts_of(np.arange(5), np.array([0.0, 10.0, 20.0, 10.0, 20.0])).steps
    array([10.])
    >>> restarts_of(np.arange(4), np.array([0.0, 20.0, 10.0, 30.0])).steps
    array([], dtype=float64)
    """
    begins = np.concatenate([[0], np.flatnonzero(steps[1:] < steps[:-1]) + 1])
    if len(begins) == 1:
        return Restarts(rows[:0], steps[:0])
    _, first, inverse = np.unique(steps, return_index=True, return_inverse=True)
    lengths = np.diff(np.append(begins, len(steps)))
    again = first[inverse] < np.repeat(begins, lengths)
    resumed = begins[np.logical_or.reduceat(again, begins)]
    return Restarts(rows[resumed], steps[resumed])


def steps_an_epoch(steps: Float[np.ndarray, " row"], epochs: Float[np.ndarray, " row"]) -> float | None:
    """Return how many steps an epoch has if the file counts them anew in each, or None if it counts them through.

    Steps that are counted through go back only with the epoch, or within it, when a run is resumed.

    Args:
        steps: the step of each row with a loss, in the order of the file.
        epochs: its epoch, which may be NaN.

    >>> steps_an_epoch(np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.0, 1.0]))
    2.0
    """
    back = np.flatnonzero(steps[1:] < steps[:-1]) + 1
    if len(back) == 0 or np.mean(np.floor(epochs[back]) > np.floor(epochs[back - 1])) <= 0.5:
        return None
    # Not every step needs to be logged, so the longest epoch tells; whether from 0 or from 1, the lowest step.
    return float(steps.max()) - min(float(steps.min()), 1.0) + 1
