"""The same descent on four engines, each written as its users would write it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lrscout.core.checks import check_choice
from lrscout.core.errors import InvalidValueError
from lrscout.core.imports import require
from lrscout.core.loop import Loop
from lrscout.lesson.problem import Problem
from lrscout.loops.functions import from_functions

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

START_W, START_B = 0.0, -1.0
USUAL_LR = 0.5


@dataclass(frozen=True)
class Engine:
    """A loop over the lesson's two variables, in single precision.

    Args:
        name: the engine's name.
        loop: gradient descent on the whole data.
        position: reads the weight and the bias.
    """

    name: str
    loop: Loop
    position: Callable[[], tuple[float, float]]


def numpy_engine(problem: Problem, w0: float = START_W, b0: float = START_B) -> Engine:
    """Return the descent in plain NumPy, with the gradient worked out by hand."""
    x, y = problem.x, problem.y
    position = np.array([w0, b0], np.float32)

    def step(lr: float) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            mistakes: Float32[np.ndarray, " sample"] = position[0] * x + position[1] - y
            loss = float(np.mean(mistakes**2))
            position[0] -= np.float32(lr) * 2 * np.mean(mistakes * x)
            position[1] -= np.float32(lr) * 2 * np.mean(mistakes)
            return loss

    def restore(copy: Float[np.ndarray, " 2"]) -> None:
        position[:] = copy

    def slope(mistakes: Float32[np.ndarray, " sample"]) -> Float32[np.ndarray, " 2"]:
        return np.array([2 * np.mean(mistakes * x), 2 * np.mean(mistakes)], np.float32)

    loop = from_functions(
        step,
        snapshot=position.copy,
        restore=restore,
        evaluate=lambda: problem.loss(position[0], position[1]),
        lr=USUAL_LR,
        parameters=lambda: position,
        loss_at=lambda line: problem.loss(line[0], line[1]),
        gradient_at=lambda line: slope(line[0] * x + line[1] - y),
        product_at=lambda line, direction: slope(direction[0] * x + direction[1]),
        updates_of=lambda gradients, lr: np.float32(-lr) * gradients,
    )
    return Engine("numpy", loop, lambda: (float(position[0]), float(position[1])))


def jax_engine(problem: Problem, w0: float = START_W, b0: float = START_B) -> Engine:
    """Return the descent in JAX, with optax."""
    jnp, optax = require("jax.numpy", extra="jax"), require("optax", extra="jax")
    from lrscout.loops.jax.adapter import from_jax

    def loss(params: dict[str, float], batch: tuple[float, float]) -> float:
        x, y = batch
        return jnp.mean((params["w"] * x + params["b"] - y) ** 2)

    start = {"w": jnp.float32(w0), "b": jnp.float32(b0)}
    loop = from_jax(start, optax.sgd, loss, (jnp.asarray(problem.x), jnp.asarray(problem.y)), lr=USUAL_LR)
    return Engine("jax", loop, lambda: (float(loop.params["w"]), float(loop.params["b"])))


def torch_engine(problem: Problem, w0: float = START_W, b0: float = START_B) -> Engine:
    """Return the descent in PyTorch."""
    require("torch", extra="torch")
    import torch

    from lrscout.loops.torch.adapter import from_torch

    class Line(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = torch.nn.Parameter(torch.tensor(w0))
            self.b = torch.nn.Parameter(torch.tensor(b0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.w * x + self.b

    line = Line()
    optimizer = torch.optim.SGD(line.parameters(), lr=USUAL_LR)
    batch = torch.from_numpy(problem.x), torch.from_numpy(problem.y)  # pyright: ignore[reportUnknownMemberType]
    loop = from_torch(line, optimizer, torch.nn.MSELoss(), [batch])
    return Engine("torch", loop, lambda: (line.w.item(), line.b.item()))


def tensorflow_engine(problem: Problem, w0: float = START_W, b0: float = START_B) -> Engine:
    """Return the descent in TensorFlow, as the lesson taught it: variables, `GradientTape`, subtraction."""
    tf = require("tensorflow", extra="tensorflow")
    from lrscout.loops.tensorflow.adapter import from_tensorflow

    w, b = tf.Variable(w0, dtype=tf.float32, name="w"), tf.Variable(b0, dtype=tf.float32, name="b")

    def loss(batch: tuple[float, float]) -> float:
        x, y = batch
        return tf.reduce_mean((w * x + b - y) ** 2)

    data = tf.constant(problem.x), tf.constant(problem.y)
    loop = from_tensorflow([w, b], None, loss, data, lr=USUAL_LR)
    return Engine("tensorflow", loop, lambda: (float(w), float(b)))


ENGINES: dict[str, Callable[..., Engine]] = {
    "jax": jax_engine,
    "tensorflow": tensorflow_engine,
    "torch": torch_engine,
    "numpy": numpy_engine,
}


def make_engine(name: str, problem: Problem, w0: float = START_W, b0: float = START_B) -> Engine:
    """Return an engine by its name.

    Raises:
        InvalidValueError: there is no engine of that name, or the start is not a number between -1e6 and 1e6.
        MissingDependencyError: its framework is not installed.
    """
    for variable, start in (("w0", w0), ("b0", b0)):
        if not abs(start) <= 1e6:
            raise InvalidValueError(f"{variable} must be between -1e6 and 1e6, but it is {start!r}.")
    return ENGINES[check_choice("engine", name, tuple(ENGINES))](problem, w0, b0)
