"""What an optimizer makes of gradients, learned by asking it, and the curvature that it can bear.

Near where it stands, an optimizer with momentum answers a gradient with a change now and smaller ones later:
`r0`, then `r1`, `r1 b`, `r1 b**2` and so on, each times the lr. On a loss of curvature `c` along one direction, the run
is then stable below

    lr c = 2 (1 + b) / (r0 (1 + b) - r1)

where the root of its characteristic polynomial leaves the unit circle at -1. That is 2 for gradient descent,
2 (1 + b) for heavy-ball momentum, 2 (1 + b) / (1 + 2 b) for Nesterov's, and 2 (1 + b) / (1 - b) for an averaged
gradient, as in Adam (Cohen et al. 2022, arXiv 2207.14484). Where `r0` differs from parameter to parameter it is a
preconditioner, and the curvature that counts is that of the preconditioned Hessian.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lrscout.core.errors import LandscapeUnavailableError

if TYPE_CHECKING:
    from jaxtyping import Float

_SETTLING = 500
_SMALL = 1e-2
"""Steps after which corrections for a short past are over: 0.99 to this power is 0.7 %."""

_SAME = 1e-3
_YOUNG = 0.02
_PROPORTIONAL = 0.25
_TYPICAL = 1e-3
_FADED = 1e-6
_ROUNDING = 1e-6


class Updates(Protocol):
    """Asks an optimizer what changes it would make; see `lrscout.core.landscape.Landscape.updates`."""

    def __call__(
        self,
        gradients: Float[np.ndarray, "step parameter"],
        lr: float,
        position: Float[np.ndarray, " parameter"] | None = None,
        *,
        warm_up: int = 0,
    ) -> Float[np.ndarray, "step parameter"]: ...


@dataclass(frozen=True, eq=False)
class Dynamics:
    """How an optimizer answers a gradient, for each unit of the lr.

    Args:
        first: the change that a gradient makes at once, over the gradient, for each parameter.
        second: the change that it makes one step later, as a share of the first.
        momentum: the share of each later change that remains in the next.
        decay: the share of a parameter that is taken away from it at each step (weight decay), for each parameter.
        is_young: whether the optimizer has taken so few steps that its preconditioner is still forming; then `first` is
            what it would be if the gradient stayed as it is.
    """

    first: Float[np.ndarray, " parameter"]
    second: float
    momentum: float
    decay: Float[np.ndarray, " parameter"]
    is_young: bool = False

    @property
    def limit(self) -> float:
        """The product of lr and preconditioned curvature below which it is stable."""
        return 2 * (1 + self.momentum) / (1 + self.momentum - self.second) / self._unit

    @property
    def scale(self) -> Float[np.ndarray, " parameter"]:
        """The preconditioner: one where parameters are treated alike, else what a lasting gradient is scaled by."""
        return self.first / self._unit

    @property
    def _unit(self) -> float:
        """What of the first change is not the preconditioner's, as the field's formulas have it."""
        if not self.is_adaptive:
            return float(self.first.max())
        return 1 / (1 + self.second / (1 - self.momentum))

    @property
    def is_adaptive(self) -> bool:
        """Whether each parameter has a scale of its own."""
        return not _alike(self.first)

    @property
    def name(self) -> str:
        """What the optimizer does, in words."""
        scaled = "adaptive descent" if self.is_adaptive else "gradient descent"
        if self.momentum == 0:
            return scaled
        # Of the kinds of momentum, Nesterov's alone makes more of the present gradient than of the last one.
        kind = "Nesterov momentum" if self.second < self.momentum * (1 - _YOUNG) else "momentum"
        return f"{scaled} with {kind} {self.momentum:.3g}"

    def preconditioned(
        self, product: Callable[[Float[np.ndarray, " parameter"]], Float[np.ndarray, " parameter"]]
    ) -> Callable[[Float[np.ndarray, " parameter"]], Float[np.ndarray, " parameter"]]:
        """Return the product with the symmetric matrix whose curvature the optimizer sees.

        Args:
            product: the product with the Hessian.
        """
        root, decay = np.sqrt(self.scale), self.decay / self._unit

        def preconditioned(direction: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " parameter"]:
            return root * product(root * direction) + decay * direction

        return preconditioned


def plain_descent(parameters: int) -> Dynamics:
    """Return the dynamics of plain gradient descent.

    Args:
        parameters: how many there are.
    """
    return Dynamics(np.ones(parameters), 0.0, 0.0, np.zeros(parameters))


def dynamics_of(updates: Updates, gradient: Float[np.ndarray, " parameter"]) -> Dynamics:
    """Learn how an optimizer answers gradients, from its changes in answer to gradients of our own.

    Of two answers to gradients that differ in their sign alone, half the difference is what the gradient did, whatever
    the optimizer remembers; the squares that Adam and its kin keep are the same in both.

    Args:
        updates: asks the optimizer.
        gradient: the gradient where the loop stands.

    Returns:
        The dynamics, for steps of about the size of this gradient.

    Raises:
        LandscapeUnavailableError: the changes are not proportional to the gradient and to the learning rate, or
            parameters differ in momentum.
    """
    asked = _without_zeros(gradient)
    answers = _answers(updates, asked)
    small = _answers(updates, _SMALL * asked)
    if _alike(small[0], _YOUNG) and abs(_typical(small[0], answers[0]) - 1) > _YOUNG:
        # Nothing is scaled by its size, and yet less was made of more: it was clipped.
        asked, answers = _SMALL * asked, small
    first = _checked(answers[0])
    _check_scaled_by_lr(updates, asked, first)
    moving = first > 0
    # What an optimizer with a past makes of a gradient does not depend on one step more.
    is_young = not _stays_alike(first, _answers(updates, asked, after=1)[0])
    if _fades_evenly(answers[:, moving]) and not is_young:
        return Dynamics(first, *_shares(answers[:, moving]), _decay(updates, asked))
    settled = _settled(updates, asked)
    second, momentum = _shares(settled[:, moving])
    return Dynamics(settled[0] if is_young else first, second, momentum, _decay(updates, asked), is_young)


def moved_on(dynamics: Dynamics, updates: Updates, gradient: Float[np.ndarray, " parameter"]) -> Dynamics:
    """Return the dynamics of the same optimizer after further steps, which only change the scale of each parameter.

    Args:
        dynamics: what it was before.
        updates: asks the optimizer as it is now.
        gradient: the gradient where the loop stands now.

    Raises:
        LandscapeUnavailableError: it does not go against the gradient any more.
    """
    if dynamics.is_young:
        return dynamics_of(updates, gradient)
    if not dynamics.is_adaptive:
        return dynamics
    return replace(dynamics, first=_checked(_answers(updates, _without_zeros(gradient))[0]))


def _answers(
    updates: Updates, asked: Float[np.ndarray, " parameter"], lr: float = 1.0, *, after: int = 0
) -> Float[np.ndarray, "4 parameter"]:
    """Return what a gradient changes at once and one, two and three steps later, over the gradient and the lr.

    Args:
        updates: asks the optimizer.
        asked: the gradient.
        lr: the learning rate.
        after: how many steps with this gradient come before.
    """
    before = [asked] * after
    there, back = np.stack([*before, *[asked] * 4]), np.stack([*before, -asked, *[asked] * 3])
    return (updates(back, lr) - updates(there, lr))[after:] / (2 * lr * asked)


def _stays_alike(first: Float[np.ndarray, " parameter"], later: Float[np.ndarray, " parameter"]) -> bool:
    """Whether a gradient is answered as it was one step before."""
    moving = first > 0
    return bool(np.abs(np.median(later[moving] / first[moving]) - 1) <= _YOUNG)


def _settled(updates: Updates, asked: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, "4 parameter"]:
    """Return the answers of an optimizer that has forgotten how it began, for which it takes many steps.

    Raises:
        LandscapeUnavailableError: its steps do not grow with the gradient, as where it takes the gradient's sign.
    """

    def changes(second: float) -> Float[np.ndarray, "5 parameter"]:
        # The first of the gradients is also that of the warm-up, and so the same for all questions.
        return updates(np.stack([asked, second * asked, *[asked] * 3]), 1.0, warm_up=_SETTLING)[1:]

    whole, half, back = changes(1.0), changes(0.5), changes(-1.0)
    settled = (back - whole) / (2 * asked)
    first = _checked(settled[0])
    share = _typical(2 * (half[0] - whole[0])[first > 0] / asked[first > 0], first[first > 0])
    if abs(share - 1) > _PROPORTIONAL:
        raise LandscapeUnavailableError(
            "Half a gradient does not change the parameters half as much, so curvature sets no limit to its lr."
        )
    return settled


def _checked(first: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " parameter"]:
    """Return the first answers, or raise if they are not those of a descent. Parameters may stand still."""
    if not np.isfinite(first).all() or (first < 0).any() or not first.any():
        raise LandscapeUnavailableError("Its optimizer does not go against the gradient in every parameter.")
    return first


def _check_scaled_by_lr(
    updates: Updates, asked: Float[np.ndarray, " parameter"], first: Float[np.ndarray, " parameter"]
) -> None:
    """Refuse where parameters keep a learning rate of their own, as those of a group that is held."""
    at_half = _answers(updates, asked, lr=0.5)[0]
    if (
        np.abs(at_half - first).max() > _SAME * first.max()
        and np.abs(at_half / np.where(first > 0, first, 1) - 1).max() > _YOUNG
    ):
        raise LandscapeUnavailableError(
            "Some of its parameters keep a learning rate of their own, so no limit of one learning rate holds for all."
        )


def _fades_evenly(answers: Float[np.ndarray, "4 parameter"]) -> bool:
    """Whether each later change is the same share of the one before it, as without a correction for a short past."""
    if np.abs(answers[1:]).max() <= _FADED * np.abs(answers[0]).max():
        return _alike(answers[0])
    return (
        _alike(answers[1] / answers[0])
        and abs(_typical(answers[2], answers[1]) - _typical(answers[3], answers[2])) < _SAME
    )


def _shares(answers: Float[np.ndarray, "4 parameter"]) -> tuple[float, float]:
    """Return the second change as a share of the first, and the momentum."""
    second = _typical(answers[1], answers[0])
    if abs(second) <= _FADED:
        return 0.0, 0.0
    shares = answers[1] / answers[0]
    low, high = np.quantile(shares, [0.05, 0.95])
    if high - low > 0.1:
        raise LandscapeUnavailableError(
            f"Parameters differ in momentum ({low:.3g} to {high:.3g}), and no one limit holds for them."
        )
    return second, _typical(answers[2], answers[1])


def _decay(updates: Updates, asked: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " parameter"]:
    """Return the share of each parameter that a step takes away."""
    at_zero = updates(asked[np.newaxis], 1.0)[0]
    taken = at_zero - updates(asked[np.newaxis], 1.0, np.ones_like(asked))[0]
    return np.where(taken > _ROUNDING * (1 + np.abs(at_zero)), taken, 0.0)


def _without_zeros(gradient: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " parameter"]:
    """Return a gradient whose zeros, about which an optimizer cannot be asked, are small numbers instead."""
    size = float(np.sqrt(np.mean(gradient**2))) or 1.0
    return np.where(gradient == 0, _TYPICAL * size, gradient)


def _typical(numerator: Float[np.ndarray, " parameter"], denominator: Float[np.ndarray, " parameter"]) -> float:
    return float(np.median(numerator / denominator))


def _alike(values: Float[np.ndarray, " parameter"], within: float = _SAME) -> bool:
    low, high = float(values.min()), float(values.max())
    return high - low <= within * abs(high)
