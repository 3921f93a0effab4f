"""Quadratic bowls to draw, with what is known of them in closed form."""

from __future__ import annotations

import numpy as np

import lrscout
from lrscout.core.errors import LandscapeUnavailableError
from lrscout.core.landscape import Block

STEEP = np.array([[2.0, 0.6], [0.6, 0.4]])


def bowl(hessian, start, *, momentum: float = 0.0, scale: float = 1.0, level: float = 0.0, lr: float = 0.1, **more):
    """Gradient descent on `scale * x H x / 2 + level`, whose steps do not depend on the scale."""
    hessian = np.array(hessian, float)
    state = {"x": np.array(start, float), "velocity": np.zeros(len(start))}

    def loss_at(x):
        with np.errstate(all="ignore"):
            return scale * (x @ hessian @ x) / 2 + level

    def step(rate: float) -> float:
        loss = loss_at(state["x"])
        with np.errstate(all="ignore"):
            state["velocity"] = momentum * state["velocity"] + hessian @ state["x"]
            state["x"] = state["x"] - rate * state["velocity"]
        return loss

    def updates_of(gradients, rate: float):
        velocity, changes = state["velocity"] * scale, []
        for gradient in gradients:
            velocity = momentum * velocity + gradient
            changes.append(-rate * velocity / scale)
        return np.array(changes)

    functions = {
        "parameters": lambda: state["x"],
        "loss_at": loss_at,
        "gradient_at": lambda x: scale * hessian @ x,
        "updates_of": updates_of,
    }
    return lrscout.from_functions(step, state.copy, state.update, lr=lr, **functions | more)


def descent(hessian, start, lr: float, steps: int) -> np.ndarray:
    """The positions of gradient descent, by powers of a matrix."""
    shrink = np.eye(len(start)) - lr * np.array(hessian)
    return np.array([np.linalg.matrix_power(shrink, step) @ start for step in range(steps + 1)])


def on_axes(shown, loss_at) -> np.ndarray:
    places = np.stack(np.meshgrid(*shown.axes, indexing="ij"), axis=-1)
    return np.array([loss_at(place) for place in places.reshape(-1, len(shown.axes))]).reshape(shown.losses.shape)


class Weights:
    """A loop over a matrix of three neurons, a kernel of two filters, and biases; the loss is a known quadratic."""

    def __init__(self, seed: int = 0) -> None:
        self.blocks = [Block("dense", (4, 3), 1), Block("kernel", (2, 2, 3), 0), Block("biases", (3,), None)]
        self.batches = 1
        self.x = np.random.default_rng(seed).normal(size=27)
        self.lr = 0.1
        self.most = 0

    def landscape(self, batches: int):
        return self

    def position(self):
        return self.x

    def losses(self, positions):
        self.most = max(self.most, len(positions))
        return positions @ np.arange(27.0) + np.sum(positions**2, axis=1)

    def derivatives(self, batch=None):
        raise LandscapeUnavailableError("This landscape has no derivatives.")

    def updates(self, gradients, lr, position=None, **more):
        raise LandscapeUnavailableError("This landscape has no optimizer.")

    def step(self, lr: float) -> float:
        loss = float(self.losses(self.x[np.newaxis])[0])
        self.x = self.x - lr * (np.arange(27.0) + 2 * self.x)
        return loss

    def evaluate(self) -> float:
        return 0.0

    def snapshot(self):
        return self.x

    def restore(self, snapshot) -> None:
        self.x = snapshot

    def reseed(self, seed: int) -> None: ...


def filters_of(direction, blocks) -> list[np.ndarray]:
    """The norm of each filter of each block, written out."""
    norms, first = [], 0
    for block in blocks:
        values = direction[first : first + block.size].reshape(block.shape)
        first += block.size
        if block.filter_axis is not None:
            others = tuple(axis for axis in range(len(block.shape)) if axis != block.filter_axis)
            norms.append(np.sqrt(np.sum(values**2, axis=others)))
    return norms


def quadratic(hessian, x) -> float:
    return float(x @ hessian @ x / 2)
