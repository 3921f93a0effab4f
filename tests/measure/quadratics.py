"""Full-batch descent, in every framework, on quadratics whose spectrum is known.

The loss is `sum(curvature * (Q x)**2) / 2`, where the reflection Q hides the axes of the spectrum from the parameters.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import keras
import numpy as np
import optax
import tensorflow as tf
import torch

import lrscout


def spectrum(dimension: int, condition: float, kind: str = "even ratios") -> np.ndarray:
    """Curvatures from 1 / condition to 1."""
    if kind == "even ratios":
        return np.geomspace(1 / condition, 1, dimension)
    if kind == "even differences":
        return np.linspace(1 / condition, 1, dimension)
    assert kind == "a crowd at the top"
    few = dimension - dimension // 2
    return np.r_[np.geomspace(1 / condition, 0.1, few), np.linspace(0.95, 1, dimension // 2)]


class Problem:
    """A quadratic with hidden axes, and where to start on it."""

    def __init__(self, curvatures: np.ndarray, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        mirror = generator.normal(size=len(curvatures))
        self.curvatures = curvatures.astype(np.float32)
        self.mirror = (mirror / np.linalg.norm(mirror)).astype(np.float32)
        self.start = generator.normal(size=len(curvatures)).astype(np.float32)

    def reflected(self, x: Any) -> Any:
        return x - 2 * self.mirror * (self.mirror * x).sum()

    def loss(self, x: np.ndarray) -> float:
        return float(np.sum(self.curvatures * self.reflected(x) ** 2)) / 2

    def gradient(self, x: np.ndarray) -> np.ndarray:
        return self.reflected(self.curvatures * self.reflected(x))


def with_functions(problem: Problem, lr: float, momentum: float) -> Any:
    state = {"x": problem.start.astype(float), "change": np.zeros(len(problem.start))}

    def step(lr: float) -> float:
        loss = problem.loss(state["x"])
        state["change"] = momentum * state["change"] - lr * problem.gradient(state["x"])
        state["x"] = state["x"] + state["change"]
        return loss

    def updates_of(gradients: np.ndarray, lr: float) -> list[np.ndarray]:
        change, changes = state["change"], []
        for gradient in gradients:
            change = momentum * change - lr * gradient
            changes.append(change)
        return changes

    return lrscout.from_functions(
        step,
        state.copy,
        state.update,
        lr=lr,
        parameters=lambda: state["x"],
        loss_at=problem.loss,
        gradient_at=problem.gradient,
        updates_of=updates_of,
    )


def with_jax(problem: Problem, lr: float, momentum: float) -> Any:
    def loss(x: Any, batch: Any) -> Any:
        return jnp.sum(problem.curvatures * problem.reflected(x) ** 2) / 2

    return lrscout.from_jax(
        jnp.asarray(problem.start), lambda lr: optax.sgd(lr, momentum or None), loss, [np.zeros(1)], lr=lr
    )


def with_torch(problem: Problem, lr: float, momentum: float) -> Any:
    curvatures, mirror = torch.tensor(problem.curvatures), torch.tensor(problem.mirror)
    module = torch.nn.Module()
    module.x = x = torch.nn.Parameter(torch.tensor(problem.start))

    def loss(batch: Any) -> torch.Tensor:
        return (curvatures * (x - 2 * mirror * (mirror * x).sum()) ** 2).sum() / 2

    return lrscout.from_torch(module, torch.optim.SGD([x], lr, momentum=momentum), step_fn=loss, data=[torch.zeros(1)])


def with_tensorflow(problem: Problem, lr: float, momentum: float) -> Any:
    x = tf.Variable(problem.start)
    optimizer = keras.optimizers.SGD(lr, momentum=momentum)

    def loss(batch: Any) -> Any:
        turned = x - 2 * problem.mirror * tf.reduce_sum(problem.mirror * x)
        return tf.reduce_sum(problem.curvatures * turned**2) / 2

    return lrscout.from_tensorflow([x], optimizer, loss, [np.zeros(1, np.float32)])


class Bowl(keras.Model):
    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem
        self.x = self.add_weight(problem.start.shape)
        self.x.assign(problem.start)

    def call(self, inputs: Any) -> Any:
        ops, mirror = keras.ops, keras.ops.convert_to_tensor(self.problem.mirror)
        turned = self.x - 2 * mirror * ops.sum(mirror * self.x)
        height = ops.sum(keras.ops.convert_to_tensor(self.problem.curvatures) * turned**2) / 2
        return height + 0 * inputs


def with_keras(problem: Problem, lr: float, momentum: float) -> Any:
    model = Bowl(problem)
    model.compile(keras.optimizers.SGD(lr, momentum=momentum), loss=lambda targets, height: keras.ops.mean(height))
    return lrscout.from_keras(model, np.zeros((1, 1)), np.zeros((1, 1)), batch_size=1)


FRAMEWORKS = {
    "functions": with_functions,
    "jax": with_jax,
    "torch": with_torch,
    "tensorflow": with_tensorflow,
    "keras": with_keras,
}
if keras.backend.backend() != "tensorflow":
    FRAMEWORKS = {"keras": with_keras}
