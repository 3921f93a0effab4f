"""What a loop's optimizer makes of gradients where it stands, and the limit of stability that follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lrscout.analyse.dynamics import Dynamics, dynamics_of, plain_descent
from lrscout.analyse.lanczos import largest_eigenvalue
from lrscout.core.errors import LandscapeUnavailableError
from lrscout.core.landscape import Landscape
from lrscout.core.loop import Loop, Snapshot

if TYPE_CHECKING:
    from jaxtyping import Float

_SAME_STEP = 0.01


@dataclass
class Inquiry:
    """Asks what the optimizer of a loop makes of gradients.

    Args:
        loop: the loop.
        home: where it stands, and will stand again.
        landscape: its loss over the parameters.
        lr: the learning rate of the steps that it may take, where its optimizer cannot be asked.
    """

    loop: Loop
    home: Snapshot
    landscape: Landscape
    lr: float

    def __post_init__(self) -> None:
        self.steps = self.products = 0
        self.reason = ""

    def dynamics(self, gradient: Float[np.ndarray, " parameter"]) -> Dynamics | None:
        """Return the dynamics, or None, and then `reason` says why they are not known.

        Args:
            gradient: the gradient where the loop stands.
        """
        try:
            return dynamics_of(self.landscape.updates, gradient)
        except LandscapeUnavailableError as error:
            if self._descends_plainly():
                return plain_descent(len(gradient))
            self.reason = str(error)
            return None

    def limit(self) -> float | None:
        """Return the learning rate below which the loop is stable, or None where there is none or it is not known."""
        try:
            here = self.landscape.derivatives()
        except LandscapeUnavailableError:
            return None
        if not np.isfinite(here.loss) or not np.isfinite(here.gradient).all():
            return None
        dynamics = self.dynamics(here.gradient)
        if dynamics is None:
            return None
        largest = largest_eigenvalue(dynamics.preconditioned(here.product), len(here.gradient), hint=here.gradient)
        self.products += largest.products
        return max_stable_lr(dynamics.limit, largest.value)

    def _descends_plainly(self) -> bool:
        """Whether two steps of the loop are what plain gradient descent would do."""
        if self.landscape.batches > 1 or self.lr <= 0:
            return False
        try:
            for _ in range(2):
                before, gradient = self.landscape.position(), self.landscape.derivatives().gradient
                self.steps += 1
                self.loop.step(self.lr)
                missed = self.landscape.position() - before + self.lr * gradient
                if not np.linalg.norm(missed) <= _SAME_STEP * self.lr * np.linalg.norm(gradient):
                    return False
        finally:
            self.loop.restore(self.home)
        return True


def max_stable_lr(limit: float, sharpness: float) -> float | None:
    """Return the learning rate below which curvature is descended, or None where nothing curves upwards.

    Args:
        limit: the product of lr and sharpness below which the optimizer is stable.
        sharpness: the sharpness that it sees.
    """
    return limit / sharpness if sharpness > 0 else None
