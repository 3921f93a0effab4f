"""Problems whose answers are known in closed form."""

from __future__ import annotations

import numpy as np

import lrscout
from lrscout import Curve, Stop


def quadratic_loop(curvatures=(4.0, 0.5), start: float = 1.0, momentum: float = 0.0):
    """Gradient descent on a sum of `curvature * x**2 / 2`; stable below `2 (1 + momentum) / max(curvatures)`."""
    curvature = np.asarray(curvatures, float)
    state = {"x": np.full(len(curvature), start), "velocity": np.zeros(len(curvature))}

    def step(lr: float) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            loss = float(curvature @ state["x"] ** 2) / 2
            state["velocity"] = momentum * state["velocity"] + curvature * state["x"]
            state["x"] = state["x"] - lr * state["velocity"]
        return loss

    return lrscout.from_functions(step, state.copy, state.update, lr=0.1)


def scripted_loop(losses):
    """A loop that reports the given losses whatever its learning rate, and then repeats the last one."""
    position = [0]

    def step(lr: float):
        loss = losses[min(position[0], len(losses) - 1)]
        position[0] += 1
        return loss

    return lrscout.from_functions(step, position.copy, lambda copy: position.__setitem__(0, copy[0]), lr=0.1)


def range_test_curve(
    steps: int = 100,
    *,
    noise: float = 0.0,
    seed: int = 0,
    level: float = 2.0,
    fall: float = 1.0,
    falls_at: float = 1e-2,
    rises_at: float = 3.0,
    min_lr: float = 1e-7,
    max_lr: float = 10.0,
    stopped: Stop = Stop.COMPLETED,
) -> Curve:
    """The shape that every range test should have: flat, a smooth fall around one rate, a steep rise at another."""
    lrs = np.geomspace(min_lr, max_lr, steps)
    losses = level - fall / (1 + (falls_at / lrs) ** 2) + fall * (lrs / rises_at) ** 4
    losses = losses + np.random.default_rng(seed).normal(0, noise, steps) if noise else losses
    return Curve(lrs, losses, stopped, seed)
