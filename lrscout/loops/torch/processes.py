"""Loops that several processes run together, each on its own batches."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager

import torch
from torch import distributed, nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.nn.parallel import DistributedDataParallel


class Processes:
    """The processes that train one model together; one process alone if the model is not distributed.

    Every process sees the mean of the losses, so that all of them take the same decisions at the same step: one NaN
    anywhere is a NaN everywhere.

    Args:
        modules: the modules of the loop.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        modules = list(modules)
        together = distributed.is_available() and distributed.is_initialized()
        self._together = together and any(map(_is_distributed, modules))
        parameters = (parameter for module in modules for parameter in module.parameters(recurse=False))
        # Some backends carry numbers only between the devices that the model is on.
        self._device = next((parameter.device for parameter in parameters), torch.device("cpu"))

    @property
    def together(self) -> bool:
        """Whether several processes train the model."""
        return self._together

    @property
    def rank(self) -> int:
        """The number of this process among them."""
        return distributed.get_rank() if self._together else 0

    def mean(self, loss: torch.Tensor) -> float:
        """Return the mean of every process's loss."""
        if not self._together:
            return loss.item()
        (total,) = self.sums(loss.item())
        return total / distributed.get_world_size()

    def sums(self, *numbers: float) -> list[float]:
        """Return the sum of every process's first number, that of their second numbers, and so on."""
        if not self._together:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64, device=self._device)
        distributed.all_reduce(sums)  # pyright: ignore[reportUnknownMemberType]
        return [float(number) for number in sums]


@contextmanager
def evaluating(modules: Iterable[nn.Module]) -> Generator[None]:
    """Put modules in an evaluation mode in which they wait for no other process, without gradients.

    The caller brings their modes back.
    """
    for module in modules:
        module.training = False
        if isinstance(module, DistributedDataParallel):
            # It would spread its buffers before each batch, and hang where another process has fewer batches.
            module.require_forward_param_sync = False
    with torch.no_grad():
        yield


def _is_distributed(module: nn.Module) -> bool:
    if isinstance(module, (DistributedDataParallel, FullyShardedDataParallel)):
        return True
    return any(hasattr(parameter, "device_mesh") for parameter in module.parameters(recurse=False))
