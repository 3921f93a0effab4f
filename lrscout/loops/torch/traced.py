"""The gradients of every lane, computed by a program that is traced once where nothing can be lost by that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import nn, random

from lrscout.loops.torch.steps import LossOf, Supervised
from lrscout.loops.torch.vectorized import Tensors, Vectorized

STEPS_WORTH_TRACING = 200
"""Tracing takes as long as it saves in so many steps."""

_SIGHTINGS = 3
"""How often batches of one shape come before tracing them may pay."""

_HOOKS = "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"
_ALIASES = "detach", "alias", "view", "_unsafe_view", "expand"


class Gradients(Protocol):
    """The losses and gradients of every lane."""

    def __call__(self, trained: Tensors, state: Tensors, batch: Any) -> tuple[torch.Tensor, Sequence[Any], Tensors]:
        """Return each lane's loss, the parameters' gradients (None where there is none) and each lane's new state."""
        ...


class EagerGradients:
    """The losses and gradients of every lane, by the user's own code at each step.

    Args:
        losses_of: the losses.
    """

    def __init__(self, losses_of: Vectorized) -> None:
        self._losses_of = losses_of

    def __call__(self, trained: Tensors, state: Tensors, batch: Any) -> tuple[torch.Tensor, Sequence[Any], Tensors]:
        losses, state = self._losses_of(trained, state, batch)
        # The lanes do not depend on each other, so the gradient of their sum holds each lane's own.
        gradients = torch.autograd.grad(losses.sum(), trained, allow_unused=True)
        return losses.detach(), gradients, state


class TracedGradients:
    """The same, without the way through Python and through each operator's rule.

    Args:
        eager: what is traced. It must do nothing but compute with tensors, as `is_pure` tells.
        modules: the modules whose modes it depends on.
    """

    def __init__(self, eager: EagerGradients, modules: Sequence[nn.Module]) -> None:
        self._eager = eager
        self._modules = modules
        self._sightings: Counter[Any] = Counter()
        self._programs: dict[Any, Any] = {}

    def __call__(self, trained: Tensors, state: Tensors, batch: Any) -> tuple[torch.Tensor, Sequence[Any], Tensors]:
        if not all(isinstance(part, torch.Tensor) for part in batch):
            return self._eager(trained, state, batch)
        tensors: Tensors = [*batch, *state]
        layouts = tuple((tensor.shape, tensor.stride(), tensor.dtype, tensor.device) for tensor in tensors)
        key = layouts, tuple(module.training for module in self._modules)
        self._sightings[key] += 1
        if self._sightings[key] == _SIGHTINGS:
            self._programs[key] = self._trace(trained, state, batch)
        program = self._programs.get(key)
        if program is None:
            return self._eager(trained, state, batch)
        with torch.no_grad():
            return program(trained, state, list(batch))

    def _trace(self, trained: Tensors, state: Tensors, batch: Any) -> Any:
        """Return the program, or None where there can be none."""
        from torch.fx.experimental.proxy_tensor import make_fx  # Slow to load.

        devices: Any = [device for device in {tensor.device for tensor in trained} if device.type == "cuda"]
        copies = [tensor.clone() for tensor in state]
        with random.fork_rng(devices):  # pyright: ignore[reportUnknownMemberType]
            try:
                return _without_aliases(make_fx(self._eager)(trained, copies, list(batch)))
            except Exception:
                return None


def is_pure(loss_of: LossOf) -> bool:
    """Whether a loss is made of PyTorch's own modules and functions only, so that it computes and does nothing else."""
    if not isinstance(loss_of, Supervised):
        return False
    loss_fn = loss_of.loss_fn
    is_own_function = getattr(loss_fn, "__module__", None) == "torch.nn.functional"
    modules = [*loss_of.model.modules(), *(loss_fn.modules() if isinstance(loss_fn, nn.Module) else ())]
    return (isinstance(loss_fn, nn.Module) or is_own_function) and all(map(_is_plain, modules))


def _is_plain(module: nn.Module) -> bool:
    attributes = vars(module)
    is_own = type(module).__module__.startswith("torch.nn.modules.") and "forward" not in attributes
    return is_own and not any(attributes.get(hooks) for hooks in _HOOKS)


def _without_aliases(program: Any) -> Any:
    """Take out of a traced program the calls that return what they are given."""
    for node in _aliases(program):
        node.replace_all_uses_with(node.args[0])
        program.graph.erase_node(node)
    program.recompile()
    return program


def _aliases(program: Any) -> Iterator[Any]:
    for node in list(program.graph.nodes):
        name = getattr(getattr(node.target, "overloadpacket", None), "__name__", None)
        if name in _ALIASES:
            before, after = node.args[0].meta.get("tensor_meta"), node.meta.get("tensor_meta")
            if before is not None and after is not None and before.shape == after.shape:
                yield node
