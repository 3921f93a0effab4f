"""What a look at the curvature of the loss tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.analyse.critical import CriticalRate
from lrscout.analyse.dynamics import Dynamics
from lrscout.analyse.lanczos import Eigenvalue, Product, extreme_eigenvalues
from lrscout.core.checks import check_count
from lrscout.core.errors import InvalidValueError, UnsupportedLoopError
from lrscout.core.landscape import Derivatives, Landscape
from lrscout.core.result import Cost, Result, jsonable

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_GRADIENT_DESCENT = 2.0
_TOLD = 1e-4
"""The smallest relative error worth telling: a sharpness is said to four digits."""


@dataclass(frozen=True, eq=False)
class View:
    """The curvature as an optimizer sees it, from where its loop stands.

    Args:
        landscape: the loss over the parameters.
        dynamics: what the optimizer makes of gradients; None to see the Hessian as it is.
        position: the parameters here.
    """

    landscape: Landscape
    dynamics: Dynamics | None
    position: Float[np.ndarray, " parameter"]

    def product(self, derivatives: Derivatives) -> Product:
        """Return the product with the Hessian, preconditioned as the optimizer does it.

        Args:
            derivatives: the derivatives here. They may hold on to much memory, so the view does not.
        """
        return derivatives.product if self.dynamics is None else self.dynamics.preconditioned(derivatives.product)

    @property
    def limit(self) -> float:
        """The product of lr and sharpness below which the optimizer, or else gradient descent, is stable."""
        return _GRADIENT_DESCENT if self.dynamics is None else self.dynamics.limit


@dataclass(frozen=True)
class BatchSharpness:
    """The curvature of single batches' losses, each along its own gradient.

    Args:
        mean: the mean over the batches.
        error: its standard error.
        batches: the number of batches.
    """

    mean: float
    error: float
    batches: int


@dataclass(frozen=True, eq=False)
class Track:
    """The sharpness along a run.

    Args:
        lr: the learning rate of the run.
        steps: the steps before which the sharpness was measured.
        sharpness: the sharpness there.
        limits: the sharpness above which the optimizer is not stable at this lr, there.
        losses: the training loss of every step.
    """

    lr: float
    steps: Int[np.ndarray, " place"]
    sharpness: Float[np.ndarray, " place"]
    limits: Float[np.ndarray, " place"]
    losses: Float[np.ndarray, " step"]


@dataclass(frozen=True, eq=False)
class Curvature(Result):
    """How sharply the loss curves where a loop stands, and the learning rates that follow from it.

    Args:
        of: ``"optimizer"`` or ``"hessian"``: whose curvature it is.
        sharpness: the largest eigenvalue of the Hessian, preconditioned as the optimizer does it; None where the loss
            cannot be differentiated.
        relative_error: how far off it is at most, as a share of it.
        optimizer: what the optimizer makes of gradients, in words; None where it could not be asked.
        max_stable_lr: the learning rate below which a loss of this curvature is descended; None where nothing curves
            upwards, or the limit is not known.
        lr: the learning rate that the user set.
        critical: the learning rate from which on the loop's next step raises the loss.
        batch_sharpness: the curvature of single batches, where the data have several.
        track: the sharpness along a run, if it was asked for.
        cost: what it cost.
        notes: what else there is to say.
        view: what was looked at.
    """

    of: str
    sharpness: float | None
    relative_error: float | None
    optimizer: str | None
    max_stable_lr: float | None
    lr: float
    critical: CriticalRate
    batch_sharpness: BatchSharpness | None
    track: Track | None
    cost: Cost
    notes: tuple[str, ...]
    view: View | None

    @property
    def critical_lr(self) -> float | None:
        """The learning rate from which on the loop's next step raises the loss, or None where there is none."""
        return self.critical.lr

    def spectrum(self, k: int, *, accuracy: float = 0.01) -> tuple[list[Eigenvalue], list[Eigenvalue]]:
        """Return the k largest and the k smallest eigenvalues, the outermost first.

        Args:
            k: how many at each end.
            accuracy: the error at which to stop, as a share of the eigenvalue that is largest in size.

        Raises:
            UnsupportedLoopError: the loss cannot be differentiated, or the loop has moved on since.
            InvalidValueError: `k` is not a whole number above zero.
        """
        k = check_count("k", k, at_least=1)
        if self.view is None:
            raise UnsupportedLoopError(f"There is no spectrum because there is no Hessian. {' '.join(self.notes)}")
        if not np.array_equal(self.view.landscape.position(), self.view.position):
            raise UnsupportedLoopError("The loop has moved on since. Call lrscout.curvature again where it is now.")
        product = self.view.product(self.view.landscape.derivatives())
        return extreme_eigenvalues(product, len(self.view.position), k, accuracy=accuracy)

    def __str__(self) -> str:
        return " ".join([*self._limit(), *self._critical(), *self._batches(), *self._track(), *self.notes]) + (
            f" Cost: {self.cost}."
        )

    def to_dict(self) -> dict[str, Any]:
        track = self.track
        return jsonable(
            {
                "of": self.of,
                "sharpness": self.sharpness,
                "relative_error": self.relative_error,
                "optimizer": self.optimizer,
                "max_stable_lr": self.max_stable_lr,
                "critical_lr": self.critical_lr,
                "lr": self.lr,
                "batch_sharpness": None if self.batch_sharpness is None else vars(self.batch_sharpness),
                "track": None if track is None else vars(track),
                "products": self.cost.products,
                "cost": self.cost,
                "notes": self.notes,
            }
        )

    def _limit(self) -> list[str]:
        if self.sharpness is None or self.relative_error is None:
            return []
        seen = "The sharpness that the optimizer sees" if self._is_scaled else "The sharpness"
        told = [f"{seen} is {self.sharpness:.4g} (within {100 * max(self.relative_error, _TOLD):.1g} %)."]
        if self.sharpness <= 0:
            return ["The loss curves upwards in no direction, so curvature sets no limit."]
        if self.max_stable_lr is None or self.view is None:
            return told
        whom = self.optimizer or "gradient descent"
        told.append(
            f"So {whom} is stable below lr {self.view.limit:.3g} / {self.sharpness:.4g} = {self.max_stable_lr:.3g}."
        )
        if self.lr > self.max_stable_lr:
            told.append(
                f"{self.lr:.3g} is above the limit {self.max_stable_lr:.3g}: every step lands farther away in the "
                "sharpest direction, until the run comes to flatter ground or diverges."
            )
        return told

    @property
    def _is_scaled(self) -> bool:
        return self.view is not None and self.view.dynamics is not None and self.view.dynamics.is_adaptive

    def _critical(self) -> list[str]:
        if self.critical.is_flat:
            return ["The next step changes the loss too little to tell from which learning rate on it raises it."]
        if self.critical.lr is not None:
            return [f"From lr {self.critical.lr:.2g} on, the very next step raises the loss."]
        return [
            "The next step raises the loss at every learning rate."
            if self.critical.low is None
            else "The next step raises the loss at no learning rate."
        ]

    def _batches(self) -> list[str]:
        if self.batch_sharpness is None or self.view is None:
            return []
        one = self.batch_sharpness
        bearable = self.view.limit / self.lr
        return [
            f"On single batches, along their own gradients, the curvature is {one.mean:.3g} (± {one.error:.1g}); at lr "
            f"{self.lr:.3g} steps on batches are stable while it is below {bearable:.3g}."
        ]

    def _track(self) -> list[str]:
        if self.track is None:
            return []
        track = self.track
        return [
            f"In {len(track.losses)} steps at lr {track.lr:.3g} the sharpness went from {track.sharpness[0]:.3g} to "
            f"{track.sharpness[-1]:.3g}; the limit at that rate is {track.limits[-1]:.3g}."
        ]


def check_finite(derivatives: Derivatives) -> Derivatives:
    """Return derivatives, or raise if the loop stands where there are none.

    Raises:
        InvalidValueError: the loss or its gradient is not finite.
    """
    if not np.isfinite(derivatives.loss) or not np.isfinite(derivatives.gradient).all():
        raise InvalidValueError(
            f"The loss where the loop stands is {derivatives.loss:g}, or its gradient is not finite. Start from where "
            "they are."
        )
    return derivatives
