"""The gradient of a steady loss and products with its Hessian, in three ways from the fastest to the last resort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from lrscout.core.errors import FleetUnavailableError, LandscapeUnavailableError
from lrscout.core.landscape import Derivatives
from lrscout.loops.differences import product_by_differences, unit_and_length
from lrscout.loops.torch.graphs import (
    Gradients,
    LossGraph,
    are_known_to_be_differentiable,
    operators_of,
    products,
    refuse_to_be_differentiated,
)
from lrscout.loops.torch.steady import CANNOT_BE_KEPT, SteadyLoss
from lrscout.loops.torch.trial import Saved

if TYPE_CHECKING:
    from jaxtyping import Float

_MOST_GRAPHS = 8
"""Of more batches the graphs are not kept, which would take as many times the memory of a step."""

_FINE = float(torch.finfo(torch.float32).eps)
_DISAGREEMENT = 0.1


@dataclass(frozen=True)
class Share:
    """A batch and its share in a mean over batches."""

    batch: Any
    share: float


_Way: TypeAlias = Callable[["Float[np.ndarray, ' parameter']", Sequence[Share]], Derivatives]


class CannotMultiplyError(Exception):
    """A way to multiply by the Hessian is not open to a loss."""


class Hessians:
    """The derivatives of a loss wherever its loop stands.

    Args:
        loss: the loss.
    """

    def __init__(self, loss: SteadyLoss) -> None:
        self._loss = loss
        self._ways: list[_Way] = [self._by_a_graph, self._anew, self._by_differences]
        self._proven: set[_Way] = {self._by_differences}
        self._is_homemade = False

    def at(self, position: Float[np.ndarray, " parameter"], shares: Sequence[Share]) -> Derivatives:
        """Return the derivatives where the loop stands, of a mean over batches.

        Args:
            position: where it stands.
            shares: the batches.

        Raises:
            LandscapeUnavailableError: there is no gradient.
        """
        with torch.enable_grad():
            for way in list(self._ways):
                if way == self._by_a_graph and len(shares) > _MOST_GRAPHS:
                    continue
                try:
                    derivatives = way(position, shares)
                    if way not in self._proven:
                        self._prove(derivatives, position, shares)
                        self._proven.add(way)
                    return derivatives
                except CannotMultiplyError:
                    self._ways.remove(way)  # It depends on the operators, which stay the same ones.
        raise AssertionError("The last way is open to every loss that has a gradient.")

    def _by_a_graph(self, position: Float[np.ndarray, " parameter"], shares: Sequence[Share]) -> Derivatives:
        kept = _KeptGraph(self._loss, position, shares)
        self._is_homemade |= kept.is_homemade
        if kept.is_known and not kept.is_homemade:
            self._proven.add(self._by_a_graph)  # A trial would cost as much as a product.
        return Derivatives(kept.loss, kept.gradient, kept.product)

    def _anew(self, position: Float[np.ndarray, " parameter"], shares: Sequence[Share]) -> Derivatives:
        """Compute the gradient with its graph again for each batch and product, in the loop's own parameters."""
        parameters = self._loss.parameters

        def product_of(part: Share, unit: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " parameter"]:
            with torch.enable_grad(), self._loss.at(position) as loss_of:
                gradients = LossGraph(loss_of(part.batch)).gradients(parameters.tensors, create_graph=True)
                _check(operators_of(gradients))
                along = products(gradients, parameters.tensors, parameters.parts(unit), retain_graph=False)
                return part.share * parameters.flat(along)

        def product(direction: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " parameter"]:
            unit, length = unit_and_length(direction)
            return length * np.sum([product_of(part, unit) for part in shares], axis=0)

        return Derivatives(*self._loss_and_gradient(position, shares), product)

    def _by_differences(self, position: Float[np.ndarray, " parameter"], shares: Sequence[Share]) -> Derivatives:
        derivatives, _ = self._differences(position, shares)
        return derivatives

    def _differences(
        self, position: Float[np.ndarray, " parameter"], shares: Sequence[Share]
    ) -> tuple[Derivatives, float]:
        """Return derivatives by differences, and the relative rounding that they suffer from."""
        saved = Saved(self._loss.parameters.tensors)
        loss, gradient = self._loss_and_gradient(position, shares, saved)

        def gradient_at(at: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " parameter"]:
            with torch.enable_grad():
                return self._loss_and_gradient(at, shares)[1]

        product = product_by_differences(gradient_at, position, saved.rounding)
        return Derivatives(loss, gradient, product, exact=False), saved.rounding

    def _loss_and_gradient(
        self, position: Float[np.ndarray, " parameter"], shares: Sequence[Share], saved: Saved | None = None
    ) -> tuple[float, Float[np.ndarray, " parameter"]]:
        parameters = self._loss.parameters
        loss, gradient = 0.0, np.zeros(len(position))
        for part in shares:
            with self._loss.at(position) as loss_of, _noting(saved):
                graph = LossGraph(loss_of(part.batch))
                self._is_homemade |= graph.is_homemade
                loss += part.share * graph.value
                gradient += part.share * parameters.flat(graph.gradients(parameters.tensors))
        return loss, gradient

    def _prove(
        self, derivatives: Derivatives, position: Float[np.ndarray, " parameter"], shares: Sequence[Share]
    ) -> None:
        """Multiply once, and see whether every operator has the derivative that takes.

        Raises:
            CannotMultiplyError: one has none.
        """
        direction = derivatives.gradient if derivatives.gradient.any() else np.ones_like(position)
        try:
            product = derivatives.product(direction)
        except Exception as error:  # What has no second derivative says so in many ways.
            raise CannotMultiplyError from error
        if self._is_homemade:
            # An operator that is written without regard to second derivatives says nothing: it leaves them out.
            differences, rounding = self._differences(position, shares)
            expected = differences.product(direction)
            apart = np.linalg.norm(product - expected)
            if rounding <= _FINE and apart > _DISAGREEMENT * np.linalg.norm(expected):
                raise CannotMultiplyError


class _KeptGraph:
    """The gradient of a mean over batches with its graph, through which each product is one more backward pass.

    It stands on copies of the parameters, so that it holds wherever the loop goes.

    Args:
        loss: the loss.
        position: where the gradient is taken.
        shares: the batches.

    Raises:
        CannotMultiplyError: the graph does not stand on the copies alone, or there can be none.
    """

    def __init__(self, loss: SteadyLoss, position: Float[np.ndarray, " parameter"], shares: Sequence[Share]) -> None:
        self._parameters = loss.parameters
        self._leaves = [torch.nn.Parameter(part.clone()) for part in loss.parameters.parts(position)]
        self._gradients: Gradients = [None] * len(self._leaves)
        self.loss = 0.0
        self.is_homemade, self.is_known = False, True
        for part in shares:
            self._add(loss, part)
        self.gradient = self._parameters.flat(self._gradients)
        # What a loss writes to its parameters may be in the way of another batch's graph.
        self.is_known &= not any(leaf._version for leaf in self._leaves)

    def product(self, direction: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " parameter"]:
        """Return the product of the Hessian with a direction."""
        # Single precision holds a direction of length 1, but not every direction of double precision.
        unit, length = unit_and_length(direction)
        along = products(self._gradients, self._leaves, self._parameters.parts(unit), retain_graph=True)
        return length * self._parameters.flat(along)

    def _add(self, loss: SteadyLoss, part: Share) -> None:
        """Add the gradient of a batch with its graph."""
        try:
            with loss.over(self._leaves) as loss_of:
                graph = self._graph_of(loss_of, part.batch)
                gradients = self._gradients_of(graph)
        except FleetUnavailableError as error:
            raise CannotMultiplyError from error
        operators = operators_of(gradients)
        _check(operators)
        self.is_known &= are_known_to_be_differentiable(operators)
        self.loss += part.share * graph.value
        self.is_homemade |= graph.is_homemade
        self._gradients = [
            _sum(so_far, gradient if gradient is None or part.share == 1 else part.share * gradient)
            for so_far, gradient in zip(self._gradients, gradients, strict=True)
        ]

    def _graph_of(self, loss_of: Callable[[Any], torch.Tensor], batch: Any) -> LossGraph:
        try:
            graph = LossGraph(loss_of(batch))
        except RuntimeError as error:
            if CANNOT_BE_KEPT in str(error):
                raise CannotMultiplyError from error
            raise
        if graph.begins_at(self._parameters.tensors):
            raise CannotMultiplyError  # The loss has parameters from a place that is not to be found.
        return graph

    def _gradients_of(self, graph: LossGraph) -> Gradients:
        try:
            return graph.gradients(self._leaves, create_graph=True)
        except LandscapeUnavailableError as error:  # Perhaps there is one without a graph of its own.
            raise CannotMultiplyError from error


def _check(operators: set[str]) -> None:
    if refuse_to_be_differentiated(operators):
        raise CannotMultiplyError


def _sum(left: torch.Tensor | None, right: torch.Tensor | None) -> torch.Tensor | None:
    return right if left is None else left if right is None else left + right


def _noting(saved: Saved | None) -> Any:
    if saved is None:
        return nullcontext()
    return torch.autograd.graph.saved_tensors_hooks(saved.note, lambda tensor: tensor)
