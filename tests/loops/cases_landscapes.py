"""Loops of every framework that descend the same quadratics by a heavy ball."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import keras
import numpy as np
import optax
import tensorflow as tf
import torch
from torch import nn

import lrscout
from tests.battery import Part
from tests.loops import cases_jax, cases_keras, cases_tensorflow, cases_torch
from tests.loops.landscapes import LR, MATRIX, MOMENTUM, SIZE, VECTOR, LandscapeCase, Quadratics, fail_if

SPLIT = [6]


class Batches:
    """The batches in their order, pass after pass."""

    def __init__(self, pairs: list[Any]) -> None:
        self._pairs = pairs

    def __iter__(self):
        return iter(self._pairs)


def start_of(problem: Quadratics) -> tuple[np.ndarray, np.ndarray]:
    matrix, vector = np.split(problem.start, SPLIT)
    return matrix.reshape(MATRIX), vector


def functions() -> LandscapeCase:
    """NumPy in double precision, without products: all data as one batch, all parameters as one matrix."""
    problem, broken = Quadratics(), [False]
    state: dict[str, Any] = {"at": problem.start.reshape(2, 4).astype(float), "change": np.zeros((2, 4)), "step": 0}

    def gradient_at(at, batch: int | None = None):
        fail_if(broken)
        return problem.gradient(at.ravel(), batch).reshape(2, 4)

    def loss_at(at, batch: int | None = None):
        fail_if(broken)
        return problem.loss(at.ravel(), batch)

    def step(lr: float) -> float:
        batch = state["step"] % 3
        loss = loss_at(state["at"], batch)
        state["change"] = MOMENTUM * state["change"] - lr * gradient_at(state["at"], batch)
        state["at"] = state["at"] + state["change"]
        state["step"] += 1
        return loss

    def updates_of(gradients, lr: float):
        change, changes = state["change"], []
        for gradient in gradients:
            change = MOMENTUM * change - lr * gradient
            changes.append(change)
        return np.reshape(changes, gradients.shape)

    loop = lrscout.from_functions(
        step,
        state.copy,
        state.update,
        lr=LR,
        parameters=lambda: state["at"],
        loss_at=loss_at,
        gradient_at=gradient_at,
        updates_of=updates_of,
    )
    parts = {name: Part(lambda name=name: state[name], print) for name in state}
    return LandscapeCase(
        loop, parts, problem=problem, shapes=((2, 4),), exact=False, tolerance=1e-8, batches=None, broken=broken
    )


def functions_with_products() -> LandscapeCase:
    """NumPy in single precision, products included."""
    problem, broken = Quadratics(), [False]
    state: dict[str, Any] = {"at": problem.start, "change": np.zeros(SIZE, np.float32), "step": 0}

    def loss_at(at):
        fail_if(broken)
        assert at.dtype == np.float32
        return problem.loss(at)

    def step(lr: float) -> float:
        batch = state["step"] % 3
        loss = problem.loss(state["at"], batch)
        state["change"] = np.float32(MOMENTUM) * state["change"] - np.float32(lr) * problem.gradient(state["at"], batch)
        state["at"] = (state["at"] + state["change"]).astype(np.float32)
        state["step"] += 1
        return loss

    def updates_of(gradients, lr: float):
        changes = [state["change"]]
        for gradient in gradients:
            changes.append(MOMENTUM * changes[-1] - lr * gradient)
        return changes[1:] if len(gradients) else gradients

    loop = lrscout.from_functions(
        step,
        state.copy,
        state.update,
        lr=LR,
        parameters=lambda: state["at"],
        loss_at=loss_at,
        gradient_at=problem.gradient,
        product_at=lambda at, direction: problem.hessian() @ direction,
        updates_of=updates_of,
    )
    parts = {name: Part(lambda name=name: state[name], print) for name in state}
    return LandscapeCase(loop, parts, problem=problem, shapes=((SIZE,),), batches=None, broken=broken)


def in_jax() -> LandscapeCase:
    """A function of the lr, a dictionary of arrays, NumPy batches."""
    problem, broken = Quadratics(), [False]

    def loss(params, batch):
        fail_if(broken)
        x, y = batch
        return jnp.mean((x @ jnp.concatenate([params["matrix"].ravel(), params["vector"]]) - y) ** 2)

    matrix, vector = start_of(problem)
    params = {"matrix": jnp.asarray(matrix), "vector": jnp.asarray(vector)}
    loop = lrscout.from_jax(params, lambda lr: optax.sgd(lr, MOMENTUM), loss, problem.pairs, lr=LR)
    return LandscapeCase(loop, cases_jax.parts_of(loop), problem=problem, broken=broken)


class Sum(nn.Module):
    """A linear function whose weights lie in a matrix and a vector."""

    def __init__(self, problem: Quadratics, broken: list[bool]) -> None:
        super().__init__()
        matrix, vector = map(torch.tensor, start_of(problem))
        self.matrix, self.vector = nn.Parameter(matrix), nn.Parameter(vector)
        self.broken = broken

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fail_if(self.broken)
        return x @ torch.cat([self.matrix.flatten(), self.vector])


def in_torch() -> LandscapeCase:
    """A module, stochastic gradient descent, batches of tensors."""
    problem, broken = Quadratics(), [False]
    module = Sum(problem, broken)
    optimizer = torch.optim.SGD(module.parameters(), LR, momentum=MOMENTUM)
    pairs = [(torch.tensor(x), torch.tensor(y)) for x, y in problem.pairs]
    loop = lrscout.from_torch(module, optimizer, nn.MSELoss(), pairs)
    return LandscapeCase(loop, cases_torch.module_parts(module, optimizer), problem=problem, broken=broken)


def in_tensorflow() -> LandscapeCase:
    """Two variables, a Keras optimizer, batches of arrays."""
    problem, broken = Quadratics(), [False]
    starts = zip(start_of(problem), ("matrix", "vector"), strict=True)
    matrix, vector = (tf.Variable(start, name=name) for start, name in starts)
    optimizer = keras.optimizers.SGD(LR, momentum=MOMENTUM)

    def loss(batch):
        fail_if(broken)
        x, y = batch
        return tf.reduce_mean((tf.linalg.matvec(x, tf.concat([tf.reshape(matrix, [-1]), vector], 0)) - y) ** 2)

    loop = lrscout.from_tensorflow([matrix, vector], optimizer, loss, problem.pairs)
    parts = {"variables": cases_tensorflow.variable(matrix, vector)}
    parts["slots"] = cases_tensorflow.variable(*optimizer.variables)
    return LandscapeCase(loop, parts, problem=problem, broken=broken)


class KerasSum(keras.Model):
    """A linear function whose weights lie in a matrix and a vector."""

    def __init__(self, problem: Quadratics, broken: list[bool]) -> None:
        super().__init__()
        self.matrix, self.vector = self.add_weight(MATRIX, name="matrix"), self.add_weight(VECTOR, name="vector")
        for weight, start in zip((self.matrix, self.vector), start_of(problem), strict=True):
            weight.assign(start)
        self.check = lambda: fail_if(broken)  # Keras would copy a list.

    def call(self, x):
        self.check()
        weights = keras.ops.concatenate([keras.ops.reshape(self.matrix, (-1, 1)), self.vector[:, np.newaxis]])
        return keras.ops.matmul(x, weights)


def in_keras() -> LandscapeCase:
    """A model of one's own, the mean squared error, batches of arrays."""
    problem, broken = Quadratics(), [False]
    model = KerasSum(problem, broken)
    model.compile(keras.optimizers.SGD(LR, momentum=MOMENTUM), "mse")
    loop = lrscout.from_keras(model, Batches([(x, y[:, np.newaxis]) for x, y in problem.pairs]))
    return LandscapeCase(loop, cases_keras.parts_of(loop, model), problem=problem, broken=broken)


CASES = {"keras": in_keras}
if keras.backend.backend() == "tensorflow":
    CASES |= {"functions": functions, "functions_with_products": functions_with_products}
    CASES |= {"jax": in_jax, "torch": in_torch, "tensorflow": in_tensorflow}
