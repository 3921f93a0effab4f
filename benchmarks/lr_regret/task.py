"""What a task is: a model, its data and its optimizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import optax

import lrscout

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": optax.sgd,
    "momentum": lambda lr: optax.sgd(lr, momentum=0.9),
    "AdamW": lambda lr: optax.adamw(lr, weight_decay=1e-2),
}
"""The optimizers, each a function of the learning rate."""

DEFAULT_LR = {"SGD": 1e-2, "momentum": 1e-2, "AdamW": 1e-3}
"""The rates that Keras (SGD, with and without momentum) and PyTorch (AdamW) use when none is given."""


@dataclass(frozen=True, eq=False)
class Problem:
    """One draw of a task: what a seed makes of it.

    Args:
        params: the initial parameters, a pytree of arrays in single precision.
        loss: the loss of parameters on a batch, a pure JAX function that is the same object for every draw.
        training: the training data, arrays of equal length.
        held_out: the data to evaluate on.
    """

    params: Any
    loss: Callable[[Any, Any], Any]
    training: tuple[np.ndarray, ...]
    held_out: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Task:
    """A model, its data and its optimizer.

    Args:
        family: the family that it belongs to, the unit of the statistics.
        model: its name in the family.
        optimizer: a key of `OPTIMIZERS`.
        draw: makes the problem of a seed, which sets the split of the data and the initial parameters.
        batch_size: examples in a batch; None for all.
    """

    family: str
    model: str
    optimizer: str
    draw: Callable[[np.random.Generator], Problem]
    batch_size: int | None

    @property
    def name(self) -> str:
        """The name, such as `cnn-plain-momentum`."""
        return f"{self.family}-{self.model}-{self.optimizer}".lower().replace(" ", "-")

    def problem(self, seed: int) -> Problem:
        """Return the draw of a seed."""
        return self.draw(np.random.default_rng(seed))

    def loop(self, seed: int = 0) -> Any:
        """Return the training loop of a seed."""
        problem = self.problem(seed)
        return lrscout.from_jax(
            problem.params,
            OPTIMIZERS[self.optimizer],
            problem.loss,
            problem.training,
            lr=DEFAULT_LR[self.optimizer],
            batch_size=self.batch_size,
            eval_data=problem.held_out,
        )

    def evaluation_in_steps(self, seed: int = 0) -> float:
        """Return what an evaluation costs in steps: a third of a step for each batch's worth of held-out examples."""
        problem = self.problem(seed)
        examples = self.batch_size or len(problem.training[0])
        return len(problem.held_out[0]) / examples / 3
