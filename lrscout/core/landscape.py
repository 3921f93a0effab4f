"""What a landscape is: the loss over a loop's parameters on fixed batches, with its derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Block:
    """One array of parameters, as it lies in the flat vector of all of them.

    Args:
        name: what the user calls it.
        shape: its shape.
        filter_axis: the axis along which its filters, or the neurons of a dense layer, are counted; None for an array
            of fewer than two axes, which has none.
    """

    name: str
    shape: tuple[int, ...]
    filter_axis: int | None

    @property
    def size(self) -> int:
        """The number of parameters."""
        return int(np.prod(self.shape, dtype=int))


@dataclass(frozen=True, eq=False)
class Derivatives:
    """The loss, its gradient and products with its Hessian at one place.

    Args:
        loss: the loss there.
        gradient: its gradient.
        product: returns the product of its Hessian with a direction.
        exact: whether the products are derivatives, not finite differences of gradients.
    """

    loss: float
    gradient: Float[np.ndarray, " parameter"]
    product: Callable[[Float[np.ndarray, " parameter"]], Float[np.ndarray, " parameter"]]
    exact: bool = True


class Landscape(Protocol):
    """The training loss as a function of the trained parameters, on batches that stay the same.

    It is deterministic: dropout is off, and whatever else is drawn at random is drawn the same each time. Positions,
    gradients and directions are flat vectors in double precision, the blocks one after another. Nothing here changes
    the loop.
    """

    @property
    def blocks(self) -> Sequence[Block]:
        """The arrays of parameters in the order of the flat vector."""
        ...

    @property
    def batches(self) -> int:
        """The number of batches."""
        ...

    def position(self) -> Float[np.ndarray, " parameter"]:
        """Return the parameters as they are now."""
        ...

    def losses(self, positions: Float[np.ndarray, "point parameter"]) -> Float[np.ndarray, " point"]:
        """Return the loss at each of several positions, the mean over the batches by their sizes."""
        ...

    def derivatives(self, batch: int | None = None) -> Derivatives:
        """Return the derivatives where the loop stands now; they hold until its next step.

        Args:
            batch: the index of the batch whose loss it is; by default it is the mean over all of them.
        """
        ...

    def updates(
        self,
        gradients: Float[np.ndarray, "step parameter"],
        lr: float,
        position: Float[np.ndarray, " parameter"] | None = None,
        *,
        warm_up: int = 0,
    ) -> Float[np.ndarray, "step parameter"]:
        """Return the changes that the optimizer, as it stands, would make if its next steps had these gradients.

        Args:
            gradients: the gradients, in the order of the steps; the loss's own are not computed.
            lr: the learning rate of each step.
            position: the parameters before each of the steps, by default all zero, where a change is told to the last
                digit. They matter to weight decay.
            warm_up: steps to be taken beforehand, whose changes are not returned: the first gradient, its opposite, and
                so on in turn, which lets an optimizer forget how it began.

        Raises:
            LandscapeUnavailableError: the optimizer cannot be asked; the message says why.
        """
        ...


@runtime_checkable
class Differentiable(Protocol):
    """A loop whose loss can be differentiated."""

    def landscape(self, batches: int) -> Landscape:
        """Return the loss over the trained parameters on training batches of a new pass; the loop stays where it is.

        Args:
            batches: how many batches at most: where a pass over the data has no more than these, it is that pass.

        Raises:
            LandscapeUnavailableError: the loss of this loop cannot be differentiated; the message says why.
        """
        ...
