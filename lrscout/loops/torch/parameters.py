"""The trained parameters of a PyTorch loop as one flat vector in double precision."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from lrscout.core.errors import LandscapeUnavailableError
from lrscout.core.landscape import Block
from lrscout.loops.torch.vectorized import Tensors

if TYPE_CHECKING:
    from jaxtyping import Float


class Parameters:
    """Tensors and the flat vector of all their numbers, one tensor after another.

    Args:
        tensors: the parameters. They stay the loop's own.

    Raises:
        LandscapeUnavailableError: there are none, or some are not real numbers.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        if not tensors:
            raise LandscapeUnavailableError("The optimizer trains no parameter. Let one of them require a gradient.")
        if others := {str(tensor.dtype) for tensor in tensors if not tensor.is_floating_point()}:
            raise LandscapeUnavailableError(
                "Cannot tell the curvature over parameters that are not real numbers, and some are of "
                f"{', '.join(others)}. Keep complex ones as their real and imaginary parts."
            )
        self.tensors = list(tensors)
        self._sizes = [tensor.numel() for tensor in tensors]
        self._kinds = {(tensor.device, tensor.dtype) for tensor in tensors}

    @property
    def precision(self) -> float:
        """The relative rounding error of the coarsest of them."""
        return max(torch.finfo(dtype).eps for _, dtype in self._kinds)

    def flat(self, tensors: Iterable[torch.Tensor | None] | None = None) -> Float[np.ndarray, " parameter"]:
        """Return tensors like the parameters as one vector, zeros for None; by default the parameters themselves."""
        tensors = self.tensors if tensors is None else tensors
        given = [
            torch.zeros_like(like) if tensor is None else tensor.detach()
            for tensor, like in zip(tensors, self.tensors, strict=True)
        ]
        dense = [tensor if tensor.layout == torch.strided else tensor.to_dense() for tensor in given]
        if len({tensor.device for tensor in dense}) > 1:
            dense = [tensor.cpu() for tensor in dense]
        return torch.cat([tensor.reshape(-1) for tensor in dense]).cpu().double().numpy()

    def parts(self, vectors: Float[np.ndarray, "*lane parameter"]) -> Tensors:
        """Return a vector as tensors like the parameters, or several vectors as stacks of such tensors."""
        numbers = torch.tensor(vectors, dtype=torch.float64)
        alike = {kind: torch.split(numbers.to(*kind), self._sizes, dim=-1) for kind in self._kinds}
        return [
            alike[tensor.device, tensor.dtype][index].reshape(numbers.shape[:-1] + tensor.shape)
            for index, tensor in enumerate(self.tensors)
        ]

    @contextmanager
    def at(self, position: Float[np.ndarray, " parameter"]) -> Generator[None]:
        """Give the parameters the values of a position while the block lasts, whoever holds them."""
        before = [tensor.detach().clone() for tensor in self.tensors]
        try:
            self._write(self.parts(position))
            yield
        finally:
            self._write(before)

    def _write(self, values: Tensors) -> None:
        # To whoever keeps a graph over the parameters, nothing has happened once the values are back.
        for tensor, value in zip(self.tensors, values, strict=True):
            tensor.data.copy_(value)


def trained_by(optimizer: Optimizer) -> list[torch.Tensor]:
    """Return the parameters that an optimizer trains, in the order of its groups, each once."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return list({id(parameter): parameter for parameter in parameters if parameter.requires_grad}.values())


def blocks_of(parameters: Sequence[torch.Tensor], modules: Sequence[nn.Module]) -> list[Block]:
    """Return the blocks of parameters, with the names that they have in their model.

    Args:
        parameters: the parameters.
        modules: the modules that hold them, and those in these modules. Where there are several models, their numbers
            stand before the names.
    """
    within = {id(part) for module in modules for part in module.modules() if part is not module}
    models = [module for module in modules if id(module) not in within]
    wanted = set(map(id, parameters))
    named = [{id(parameter): name for name, parameter in model.named_parameters()} for model in models]
    named = [names for names in named if wanted & names.keys()]
    found: dict[int, str] = {}
    for number, names in enumerate(named):
        for key, name in names.items():
            name = name.replace("_orig_mod.", "")  # A compiled module has the compiler's name in those of its parts.
            found.setdefault(key, name if len(named) == 1 else f"{number}.{name}")
    return [
        Block(
            found.get(id(parameter), f"parameter {index}"), tuple(parameter.shape), 0 if parameter.ndim >= 2 else None
        )
        for index, parameter in enumerate(parameters)
    ]
