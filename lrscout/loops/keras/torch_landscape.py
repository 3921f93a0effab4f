"""The landscape of a Keras loop on the PyTorch backend, where everything happens to the variables themselves."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lrscout.core.landscape import Block, Derivatives
from lrscout.loops.data import Data, batch_size_of
from lrscout.loops.differences import product_by_differences, unit_and_length
from lrscout.loops.keras.state import KerasState, is_seed
from lrscout.loops.keras.training_loss import TrainingLoss, one_number
from lrscout.loops.keras.updates import KerasUpdates
from lrscout.loops.torch.parameters import Parameters
from lrscout.loops.torch.vectorized import plain_attention

if TYPE_CHECKING:
    from jaxtyping import Float


class KerasOnTorchLandscape:
    """The landscape of a Keras loop on the PyTorch backend.

    Args:
        blocks: the blocks of the variables that are trained.
        trained: these variables.
        loss_of: the loss on a batch.
        updates: what the optimizer does.
        batches: the batches.
        state: everything that the model and its optimizers remember.
        data: what else the loss may draw from.

    Raises:
        LandscapeUnavailableError: some of the variables are not real numbers.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        trained: Sequence[Any],
        loss_of: TrainingLoss,
        updates: KerasUpdates,
        batches: Sequence[Any],
        state: KerasState,
        data: Data,
    ) -> None:
        self._blocks = blocks
        self._parameters = Parameters([variable.value for variable in trained])
        self._loss_of = loss_of
        self._updates = updates
        self._batches = [(batch, batch_size_of(batch)) for batch in batches]
        self._state = state
        self._data = data
        self._seeds = [(variable, variable.value.clone()) for variable in state.variables if is_seed(variable)]
        self._twice_differentiable: bool | None = None

    @property
    def blocks(self) -> Sequence[Block]:
        return self._blocks

    @property
    def batches(self) -> int:
        return len(self._batches)

    def position(self) -> Float[np.ndarray, " parameter"]:
        return self._parameters.flat()

    def losses(self, positions: Float[np.ndarray, "point parameter"]) -> Float[np.ndarray, " point"]:
        def loss_on(batch: Any) -> Float[np.ndarray, ""]:
            return np.array(one_number(self._loss_of(batch)).item(), float)

        with torch.no_grad():
            return np.array([self._mean(self._batches, loss_on, position) for position in positions], float)

    def derivatives(self, batch: int | None = None) -> Derivatives:
        batches = self._batches if batch is None else [self._batches[batch]]
        here = self.position()

        def loss_and_gradient(at: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " loss_and_parameter"]:
            return self._mean(batches, self._loss_and_gradient_on, at)

        def product(direction: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " parameter"]:
            # Single precision holds a direction of length 1, but not every direction of double precision.
            unit, length = unit_and_length(direction)
            return length * self._mean(batches, lambda batch: self._product_on(batch, unit), here)

        both = loss_and_gradient(here)
        if self._twice_differentiable is None:
            self._twice_differentiable = self._can_multiply(here)
        if self._twice_differentiable:
            return Derivatives(float(both[0]), both[1:], product)
        precision = self._parameters.precision
        by_differences = product_by_differences(lambda at: loss_and_gradient(at)[1:], here, precision)
        return Derivatives(float(both[0]), both[1:], by_differences, exact=False)

    def updates(
        self,
        gradients: Float[np.ndarray, "step parameter"],
        lr: float,
        position: Float[np.ndarray, " parameter"] | None = None,
        *,
        warm_up: int = 0,
    ) -> Float[np.ndarray, "step parameter"]:
        gradients = np.asarray(gradients, float)
        changes = np.empty_like(gradients)
        here = self._state.read()
        try:
            self._updates.set_lr(lr)
            for step in range(warm_up):
                self._change(gradients[0] if step % 2 == 0 else -gradients[0], position)
            for step, gradient in enumerate(gradients):
                changes[step] = self._change(gradient, position)
        finally:
            self._state.write(here)
        return changes

    def _change(
        self, gradient: Float[np.ndarray, " parameter"], position: Float[np.ndarray, " parameter"] | None
    ) -> Float[np.ndarray, " parameter"]:
        before = np.zeros_like(gradient) if position is None else position
        with torch.no_grad(), self._parameters.at(before):
            before = self._parameters.flat()
            self._updates.follow(self._parameters.parts(gradient))
            return self._parameters.flat() - before

    def _mean(
        self,
        batches: Sequence[tuple[Any, int]],
        value_on: Callable[[Any], Float[np.ndarray, "*value"]],
        position: Float[np.ndarray, " parameter"],
    ) -> Float[np.ndarray, "*value"]:
        """Return the mean of a function of a batch over batches, weighted by their sizes, at a position."""
        examples = sum(size for _, size in batches)
        values: list[Any] = []
        with self._parameters.at(position), plain_attention():
            for batch, size in batches:
                with self._steady():
                    values.append(size / examples * value_on(batch))
        return np.sum(values, axis=0)

    @contextmanager
    def _steady(self) -> Generator[None]:
        """Let a loss begin from the same state each time, and bring it back after the block."""
        before = self._state.read(evaluation=True)
        try:
            with self._data.same_draws():
                for variable, value in self._seeds:
                    variable.assign(value)
                yield
        finally:
            self._state.write(before)

    def _loss_and_gradient_on(self, batch: Any) -> Float[np.ndarray, " loss_and_parameter"]:
        loss, gradients = self._differentiated(batch)
        return np.append(float(loss.item()), self._parameters.flat(gradients))

    def _product_on(self, batch: Any, direction: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " parameter"]:
        _, gradients = self._differentiated(batch, create_graph=True)
        pairs = [
            (gradient, along)
            for gradient, along in zip(gradients, self._parameters.parts(direction), strict=True)
            if gradient is not None and gradient.requires_grad
        ]
        if not pairs:  # A loss that is linear in the parameters.
            return np.zeros_like(direction)
        outputs, along = zip(*pairs, strict=True)
        return self._parameters.flat(torch.autograd.grad(outputs, self._parameters.tensors, along, allow_unused=True))

    def _differentiated(
        self, batch: Any, *, create_graph: bool = False
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor | None]]:
        # An operator marked as differentiable only once looks whether what it is given from above has a graph.
        loss = one_number(self._loss_of(batch))
        loss = loss * torch.ones_like(loss, requires_grad=create_graph)
        return loss, torch.autograd.grad(loss, self._parameters.tensors, create_graph=create_graph, allow_unused=True)

    def _can_multiply(self, position: Float[np.ndarray, " parameter"]) -> bool:
        def prove(batch: Any) -> Float[np.ndarray, " parameter"]:
            _, gradients = self._differentiated(batch, create_graph=True)
            if _ends_in_an_error(gradients):
                raise NotImplementedError
            return self._product_on(batch, position)

        try:
            self._mean(self._batches[:1], prove, position)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # What PyTorch says of an operator whose gradient has none of its own.
            return False
        return True


def _ends_in_an_error(tensors: Sequence[torch.Tensor | None]) -> bool:
    """Whether PyTorch would raise an error on the way to something that these depend on, and leaves out that way.

    So it does with an operator that is marked as differentiable only once.
    """
    seen: set[Any] = set()
    nodes: list[Any] = [tensor.grad_fn for tensor in tensors if tensor is not None]
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        if node.name() == "torch::autograd::Error":
            return True
        seen.add(node)
        nodes += [before for before, _ in node.next_functions]
    return False
