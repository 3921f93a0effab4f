"""The loss of a PyTorch loop over its parameters, with its derivatives and what the optimizer makes of them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from lrscout.core.errors import LandscapeUnavailableError, UnsupportedLoopError
from lrscout.core.landscape import Block, Derivatives
from lrscout.loops.data import batch_size_of
from lrscout.loops.torch.graphs import LossGraph
from lrscout.loops.torch.hessian import Hessians, Share
from lrscout.loops.torch.lanes import first_sentence, made_anew
from lrscout.loops.torch.parameters import Parameters, blocks_of
from lrscout.loops.torch.points import Points
from lrscout.loops.torch.steady import DifferentiableLoop, SteadyLoss

if TYPE_CHECKING:
    from jaxtyping import Float


class TorchLandscape:
    """The landscape of a PyTorch loop.

    Args:
        loop: the parts of the loop.
        batches: the batches, on the device.

    Raises:
        LandscapeUnavailableError: there are no parameters, or some are not real numbers.
    """

    def __init__(self, loop: DifferentiableLoop, batches: Sequence[Any]) -> None:
        sizes = [batch_size_of(batch) for batch in batches]
        self._loop = loop
        self._batches = list(batches)
        self._loss = SteadyLoss(loop)
        self._shares = [Share(batch, size / sum(sizes)) for batch, size in zip(batches, sizes, strict=True)]
        self._hessians = Hessians(self._loss)
        self._points = Points(self._loss, self._shares)
        self._blocks = blocks_of(self._parameters.tensors, loop.modules)

    @property
    def blocks(self) -> Sequence[Block]:
        return self._blocks

    @property
    def batches(self) -> int:
        return len(self._batches)

    def position(self) -> Float[np.ndarray, " parameter"]:
        with self._loop.visit():
            return self._parameters.flat()

    def losses(self, positions: Float[np.ndarray, "point parameter"]) -> Float[np.ndarray, " point"]:
        return self._points.losses(np.asarray(positions, float))

    def derivatives(self, batch: int | None = None) -> Derivatives:
        shares = self._shares if batch is None else [Share(self._batches[batch], 1.0)]
        return self._hessians.at(self.position(), shares)

    def updates(
        self,
        gradients: Float[np.ndarray, "step parameter"],
        lr: float,
        position: Float[np.ndarray, " parameter"] | None = None,
        *,
        warm_up: int = 0,
    ) -> Float[np.ndarray, "step parameter"]:
        # Clipping and a scaler bound a step from time to time; whether steps grow they do not decide.
        gradients = np.asarray(gradients, float)
        with self._loop.visit():
            optimizer = self._loop.rates.optimizer
            try:
                copied = _CopiedOptimizer(self._loop, self._parameters, lr)
                start = self._parameters.parts(np.zeros_like(self._parameters.flat()) if position is None else position)
                for step in range(warm_up):
                    copied.step(gradients[0] if step % 2 == 0 else -gradients[0], start)
                changes = [copied.change(gradient, start) for gradient in gradients]
            except Exception as error:  # It is the user's code, or another library's.
                raise LandscapeUnavailableError(
                    f"{type(optimizer).__name__} cannot be asked what it would do: {first_sentence(error)}."
                ) from error
        return np.array(changes).reshape(gradients.shape)

    def check_differentiable(self) -> None:
        """Find out whether the loss has a graph, as one for evaluation may not.

        Raises:
            LandscapeUnavailableError: it has none.
        """
        try:
            with torch.enable_grad(), self._loss.at(self.position()) as loss_of:
                LossGraph(loss_of(self._batches[0]))
        except (LandscapeUnavailableError, UnsupportedLoopError) as error:
            raise LandscapeUnavailableError(f"Apart from its steps only its evaluation is known. {error}") from error

    @property
    def _parameters(self) -> Parameters:
        return self._loss.parameters


class _CopiedOptimizer:
    """A copy of a loop's optimizer, as it stands, over copies of the parameters.

    Args:
        loop: the parts of the loop.
        parameters: the parameters.
        lr: the learning rate of its steps.
    """

    def __init__(self, loop: DifferentiableLoop, parameters: Parameters, lr: float) -> None:
        self._parameters = parameters
        self._copies = [nn.Parameter(tensor.detach().clone()) for tensor in parameters.tensors]
        copies = dict(zip(parameters.tensors, self._copies, strict=True))
        self._optimizer = made_anew(loop.rates.optimizer, copies, lambda _, __, value: _copied(value))
        loop.rates.of_copy(self._optimizer).set(lr)

    def change(
        self, gradient: Float[np.ndarray, " parameter"], start: Sequence[torch.Tensor]
    ) -> Float[np.ndarray, " parameter"]:
        """Take a step with a gradient from given parameters, and return how they change."""
        self.step(gradient, start)
        return self._parameters.flat(self._copies) - self._parameters.flat(start)

    @torch.no_grad()
    def step(self, gradient: Float[np.ndarray, " parameter"], start: Sequence[torch.Tensor]) -> None:
        """Take a step with a gradient from given parameters."""
        for copied, part, value in zip(self._copies, self._parameters.parts(gradient), start, strict=True):
            copied.copy_(value)
            copied.grad = part.contiguous()
        self._optimizer.step()


def _copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else copy.deepcopy(value)
