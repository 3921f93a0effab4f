"""A task as a PyTorch model, so that finders for PyTorch can be asked about it by their own code.

The model has one parameter, the vector of all of the task's parameters. Its loss and its gradient are those of the
task, computed by JAX; the optimizer, the learning rate and everything that a finder does are PyTorch's.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import numpy as np
import torch
from jax.flatten_util import ravel_pytree
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.lr_regret.task import Task

_PROBE_SEED = 0

OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, float]]] = {
    "SGD": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "AdamW": (torch.optim.AdamW, {"weight_decay": 1e-2}),
}
"""The optimizers of the tasks, and what they are made with beside a rate."""


class _Loss(torch.autograd.Function):
    """The loss of a position on some examples, with its gradient."""

    @staticmethod
    def forward(context: Any, position: torch.Tensor, places: torch.Tensor, loss_and_gradient: Any) -> torch.Tensor:
        loss, gradient = loss_and_gradient(position.detach().numpy(), places.numpy())
        context.gradient = torch.from_numpy(np.array(gradient))
        return torch.tensor(float(loss))

    @staticmethod
    def backward(context: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return upstream * context.gradient, None, None


class Model(torch.nn.Module):
    """The model of a task: given the places of examples in the training data, it returns their loss.

    Args:
        task: the task.
        seed: the seed of the problem: the split of the data and the initial parameters.

    Its `steps` are the losses that it was asked for, whatever the finder says of itself.
    """

    def __init__(self, task: Task, seed: int) -> None:
        super().__init__()
        self.steps = 0
        problem = task.problem(seed)
        start, to_params = ravel_pytree(problem.params)
        self.position = torch.nn.Parameter(torch.from_numpy(np.array(start)))
        training = tuple(jax.numpy.asarray(array) for array in problem.training)
        compiled = _compiled(task.name, problem.loss, to_params)
        self._loss_and_gradient = lambda position, places: compiled(position, places, training)

    def forward(self, places: torch.Tensor) -> torch.Tensor:
        self.steps += 1
        return _Loss.apply(self.position, places, self._loss_and_gradient)  # pyright: ignore


_programs: dict[str, Any] = {}
"""The compiled program of the latest task; all its seeds share it."""


def _compiled(name: str, loss: Callable[[Any, Any], Any], to_params: Callable[[Any], Any]) -> Any:
    if name not in _programs:
        _programs.clear()

        def loss_at(position: Any, places: Any, training: Any) -> Any:
            return loss(to_params(position), tuple(array[places] for array in training))

        _programs[name] = jax.jit(jax.value_and_grad(loss_at))
    return _programs[name]


def loss_of(output: torch.Tensor, *unused: Any) -> torch.Tensor:
    """Return what the model returned, which is the loss."""
    return output


def optimizer_of(task: Task, model: torch.nn.Module, lr: float) -> torch.optim.Optimizer:
    """Return the task's optimizer in PyTorch."""
    kind, settings = OPTIMIZERS[task.optimizer]
    return kind(model.parameters(), lr=lr, **settings)


def dataset_of(task: Task, seed: int) -> TensorDataset:
    """Return the training data: of each example its place, and a target that is not used, as finders expect pairs."""
    examples, _ = _sizes(task, seed)
    return TensorDataset(torch.arange(examples), torch.zeros(examples))


def batch_size_of(task: Task, seed: int) -> int:
    """Return the number of examples in a batch."""
    return _sizes(task, seed)[1]


def loader_of(task: Task, seed: int) -> DataLoader[Any]:
    """Return the training data in batches, in random order, without the examples that do not fill a batch."""
    return DataLoader(dataset_of(task, seed), batch_size_of(task, seed), shuffle=True, drop_last=True)


@lru_cache(maxsize=64)
def _sizes(task: Task, seed: int) -> tuple[int, int]:
    examples = len(task.problem(seed).training[0])
    return examples, task.batch_size or examples


def begin_probe() -> None:
    """Seed every generator: a finder draws batches of its own, not those of the runs that are judged."""
    random.seed(_PROBE_SEED)
    np.random.seed(_PROBE_SEED)
    torch.manual_seed(_PROBE_SEED)
