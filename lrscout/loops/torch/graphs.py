"""The graph that PyTorch keeps of a loss: what it is made of, its gradient, and products with its Hessian."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch.autograd.function import BackwardCFunction

from lrscout.core.errors import LandscapeUnavailableError
from lrscout.loops.torch.lanes import first_sentence
from lrscout.loops.torch.vectorized import Tensors

_COMPUTED_ANEW = "CheckpointFunctionBackward"
_REFUSE = {"torch::autograd::Error", "torch::autograd::NotImplemented"}

_ORDINARY = re.compile(
    r"(?!.*Backward.*Backward)\w+Backward\d+|torch::autograd::(AccumulateGrad|CopySlices|CopyBackwards)"
)
"""Operators of which a gradient may consist; those with a name such as TanhBackwardBackward0 were made for one."""

_MADE_FOR_GRADIENTS = re.compile(
    r"(AdaptiveAvgPool2D|AdaptiveMaxPool2D|AvgPool2D|BinaryCrossEntropy|Convolution|CudnnBatchNorm|Elu|EmbeddingDense|Gelu"
    r"|GridSampler2D|Hardshrink|Hardswish|Hardtanh|HuberLoss|LeakyRelu|LogSigmoid|LogSoftmax|MaxPool2DWithIndices|MseLoss"
    r"|NativeBatchNorm|NativeLayerNorm|NllLoss|NllLoss2D|PreluKernel|ReflectionPad2D|ReplicationPad2D|Select|Sigmoid|Slice"
    r"|SmoothL1Loss|Softmax|Softplus|Softshrink|Tanh|Threshold|UpsampleBilinear2D|UpsampleNearest2D)"
    r"Backward(Data)?Backward\d+"
)
"""Those that are known to have a derivative of their own. Not all have one, and some say so only when asked for it."""

Gradients = Sequence[torch.Tensor | None]
"""The gradient over each of several tensors, None where the loss does not depend on one."""


class LossGraph:
    """A loss with its graph.

    Args:
        loss: the loss.

    Raises:
        LandscapeUnavailableError: it has no graph, or one in which not every parameter shows.
    """

    def __init__(self, loss: torch.Tensor) -> None:
        if not loss.requires_grad:
            raise LandscapeUnavailableError(
                "The loss does not depend on any parameter that requires a gradient. "
                "Return it as it was computed, neither detached nor as a number."
            )
        self._loss = loss
        if any(node.name() == _COMPUTED_ANEW for node in self._nodes):
            raise LandscapeUnavailableError(
                "PyTorch keeps the parameters of checkpointed activations out of the graph of the loss. "
                "Call torch.utils.checkpoint.checkpoint with use_reentrant=False."
            )

    @property
    def value(self) -> float:
        """The loss."""
        return self._loss.item()

    @property
    def is_homemade(self) -> bool:
        """Whether an operator in it is not PyTorch's own, so that nobody vouches for the graph of its gradient."""
        return any(isinstance(node, BackwardCFunction) for node in self._nodes)

    def begins_at(self, tensors: Iterable[torch.Tensor]) -> bool:
        """Whether the loss was computed from one of some tensors."""
        wanted = set(map(id, tensors))
        return any(id(getattr(node, "variable", None)) in wanted for node in self._nodes)

    def gradients(self, over: Sequence[torch.Tensor], *, create_graph: bool = False) -> Gradients:
        """Return the gradient over some tensors.

        Raises:
            LandscapeUnavailableError: there is none.
        """
        try:
            return torch.autograd.grad(self._loss, list(over), create_graph=create_graph, allow_unused=True)
        except Exception as error:
            raise LandscapeUnavailableError(f"PyTorch has no gradient of the loss: {first_sentence(error)}.") from error

    @cached_property
    def _nodes(self) -> set[Any]:
        return _reached([self._loss])


def operators_of(gradients: Gradients) -> set[str]:
    """Return the names of the operators on the way to gradients."""
    return {node.name() for node in _reached(gradient for gradient in gradients if gradient is not None)}


def refuse_to_be_differentiated(operators: set[str]) -> bool:
    """Whether some operators say that they must not, or cannot, be differentiated.

    Over given tensors PyTorch need not hear of it, and may take what an operator returned to be the same everywhere.
    """
    return not operators.isdisjoint(_REFUSE)


def are_known_to_be_differentiable(operators: set[str]) -> bool:
    """Whether all of some operators have a derivative for sure."""
    return all(_ORDINARY.fullmatch(name) or _MADE_FOR_GRADIENTS.fullmatch(name) for name in operators)


def products(
    gradients: Gradients, over: Sequence[torch.Tensor], direction: Tensors, *, retain_graph: bool
) -> Gradients:
    """Return the product of the Hessian with a direction, through the graph of gradients.

    Args:
        gradients: the gradients with their graph; those without one are the same everywhere.
        over: what they were taken over.
        direction: a tensor for each of these.
        retain_graph: whether there will be more products.
    """
    pairs = zip(gradients, direction, strict=True)
    curved = [(gradient, part) for gradient, part in pairs if gradient is not None and gradient.requires_grad]
    if not curved:
        return [None] * len(over)
    outputs, parts = zip(*curved, strict=True)
    return torch.autograd.grad(outputs, list(over), parts, retain_graph=retain_graph, allow_unused=True)


def _reached(tensors: Iterable[torch.Tensor]) -> set[Any]:
    """Return the nodes of the graphs of tensors."""
    found: set[Any] = set()
    nodes: list[Any] = [tensor.grad_fn for tensor in tensors]
    while nodes:
        node = nodes.pop()
        if node is not None and node not in found:
            found.add(node)
            nodes += [following for following, _ in node.next_functions]
    return found
