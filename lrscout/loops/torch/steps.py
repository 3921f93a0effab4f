"""The ways in which PyTorch code takes one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch import nn
from torch.optim import Optimizer

from lrscout.core.errors import LossError, UnsupportedLoopError

LossOf: TypeAlias = Callable[[Any], torch.Tensor]
"""The loss of a batch."""

Draw: TypeAlias = Callable[[], Any]
"""Returns the next batch, on the model's device."""


class Supervised:
    """The loss of a batch that is a pair of inputs and targets.

    Args:
        model: the model.
        loss_fn: takes the model's output and the targets.
    """

    def __init__(self, model: nn.Module, loss_fn: Callable[..., torch.Tensor]) -> None:
        self.model = model
        self.loss_fn = loss_fn

    def __call__(self, batch: Any) -> torch.Tensor:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:  # pyright: ignore[reportUnknownArgumentType]
            raise UnsupportedLoopError(
                "With loss_fn a batch must be a pair (inputs, targets), but it is a "
                f"{type(batch).__name__}. Give step_fn(batch) -> loss instead."  # pyright: ignore
            )
        inputs, targets = batch  # pyright: ignore[reportUnknownVariableType]
        return self.loss_fn(self.model(inputs), targets)


class Step(Protocol):
    """One update of the parameters."""

    def __call__(self, draw: Draw) -> torch.Tensor:
        """Draw as many batches as one update takes, make the update, and return the loss before it."""
        ...


class Backward:
    """Backward pass and update, from the loss of a batch.

    Args:
        loss_of: the loss of a batch.
        optimizer: the optimizer.
        scaler: the gradient scaler, if there is one.
        accumulate: batches whose gradients are averaged for one update.
        clip_norm: the norm to which the gradients are clipped, if they are.
    """

    def __init__(
        self,
        loss_of: LossOf,
        optimizer: Optimizer,
        scaler: torch.amp.GradScaler | None = None,
        accumulate: int = 1,
        clip_norm: float | None = None,
    ) -> None:
        self.loss_of = loss_of
        self.optimizer = optimizer
        self.scaler = scaler
        self.accumulate = accumulate
        self.clip_norm = clip_norm

    def __call__(self, draw: Draw) -> torch.Tensor:
        losses: list[torch.Tensor] = []
        for _ in range(self.accumulate):
            loss = attached(one_number(self.loss_of(draw())))
            if not losses:
                self.optimizer.zero_grad()
            self._add_gradient(loss if self.accumulate == 1 else loss / self.accumulate)
            losses.append(loss.detach())
        self._update()
        return losses[0] if self.accumulate == 1 else torch.stack([loss.reshape(()) for loss in losses]).mean()

    def _add_gradient(self, loss: torch.Tensor) -> None:
        scaled = loss if self.scaler is None else self.scaler.scale(loss)
        scaled.backward()  # pyright: ignore[reportUnknownMemberType]

    def _update(self) -> None:
        if self.clip_norm is not None:
            if self.scaler is not None:
                self.scaler.unscale_(self.optimizer)
            parameters: Sequence[torch.Tensor] = [p for group in self.optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, self.clip_norm)
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()


class OwnUpdate:
    """An update that the user's own function makes whole, of any number of models and optimizers."""

    def __init__(self, update_fn: Callable[[Any], Any]) -> None:
        self._update_fn = update_fn

    def __call__(self, draw: Draw) -> torch.Tensor:
        loss = self._update_fn(draw())
        return one_number(torch.tensor(loss) if isinstance(loss, (int, float)) else loss).detach()


def one_number(loss: Any) -> torch.Tensor:
    """Return a loss that is a tensor with one number.

    Raises:
        LossError: it is something else.
    """
    if not isinstance(loss, torch.Tensor):
        raise LossError(f"The loss must be a tensor with one number, but it is a {type(loss).__name__}.")
    if loss.numel() != 1:
        raise LossError(
            f"The loss must be one number, but it is a tensor of shape {tuple(loss.shape)}. "
            "Reduce it, for example with .mean()."
        )
    return loss


def attached(loss: torch.Tensor) -> torch.Tensor:
    """Return a loss that is attached to the graph.

    Raises:
        UnsupportedLoopError: it is not.
    """
    if not loss.requires_grad:
        raise UnsupportedLoopError(
            "The loss does not depend on any parameter that requires a gradient. "
            "Return it as it was computed, neither detached nor as a number."
        )
    return loss
