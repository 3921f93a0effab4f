"""What is read off a log file: one run's losses, and whatever came with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Real


@dataclass(frozen=True, eq=False)
class Log:
    """One run of a log file, in the order of its steps.

    Args:
        name: the run's name; of a file with a single run, the file's.
        steps: the number of each step with a loss, ascending; whole where the file's are.
        losses: the training loss at those steps; NaN and infinities are kept.
        lrs: the learning rate at those steps, or None if the file has none.
        evaluated_at: the numbers of the steps with an evaluation, ascending.
        evaluations: the evaluation losses at those steps.
        notes: in sentences, what was chosen, mended or left out.
        column: the name of the column that the losses are from.
        columns: the names of the columns that losses could be from.
    """

    name: str
    steps: Real[np.ndarray, " step"]
    losses: Float[np.ndarray, " step"]
    lrs: Float[np.ndarray, " step"] | None
    evaluated_at: Real[np.ndarray, " evaluation"]
    evaluations: Float[np.ndarray, " evaluation"]
    notes: tuple[str, ...] = ()
    column: str = ""
    columns: tuple[str, ...] = ()

    @property
    def observed(self) -> dict[str, Any]:
        """What the log holds, by the names that `lrscout.diagnose` has for it."""
        observed: dict[str, Any] = {"losses": self.losses, "lr": self.lrs, "steps": self.steps}
        if len(self.evaluations):
            observed |= {"evaluations": self.evaluations, "evaluated_at": self.evaluated_at}
        return observed
