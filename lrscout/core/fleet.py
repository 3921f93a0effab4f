"""What a fleet is: copies of one loop that step together, each at a learning rate of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


class Fleet(Protocol):
    """Copies of a loop, one a lane, that take every step together on the same batch."""

    @property
    def size(self) -> int:
        """The number of lanes."""
        ...

    def advance(self, lrs: Float[np.ndarray, "step lane"]) -> Float[np.ndarray, "step lane"]:
        """Take steps and return each lane's training loss before each update; a lane that is NaN stays NaN."""
        ...

    def evaluate(self) -> Float[np.ndarray, " lane"]:
        """Return each lane's loss on the fixed evaluation data, in evaluation mode; this changes nothing."""
        ...


@runtime_checkable
class Vectorizable(Protocol):
    """A loop that can become a fleet."""

    def fleet(self, size: int, steps: int) -> Fleet:
        """Return copies of the loop as it stands, which draw their batches from it.

        The loop itself moves on in its data while the fleet advances; the caller brings it home.

        Args:
            size: the number of lanes.
            steps: how many steps they will take at most, so that batches can be drawn ahead.

        Raises:
            FleetUnavailableError: this loop cannot be vectorized; the message says why.
        """
        ...

    def lane_bytes(self) -> int:
        """Return an estimate of the memory, in bytes, that each lane of a fleet takes while it steps.

        Raises:
            FleetUnavailableError: this loop cannot be vectorized; the message says why.
        """
        ...
