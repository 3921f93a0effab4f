"""Loops told by functions: plain NumPy."""

from __future__ import annotations

import random

import numpy as np

import lrscout
from lrscout.lesson.engines import numpy_engine
from lrscout.lesson.problem import sample_problem
from tests.battery import Case, Part, numpy_generator, python_generator


def lesson() -> Case:
    """Full batches of the lesson's line, whose own loop is everything that there is."""
    engine = numpy_engine(sample_problem())
    home = engine.loop

    def write(position: tuple[float, float]) -> None:
        engine.loop._restore(np.array(position, np.float32))

    return Case(home, {"position": Part(engine.position, write)})


def noisy() -> Case:
    """Heavy ball on a valley, with a generator of its own and noise from the global ones."""
    random.seed(0)
    np.random.seed(0)
    own = np.random.default_rng(0)
    state = {"position": np.array([1.0, -2.0]), "momentum": np.zeros(2)}
    curvature = np.array([1.0, 0.1])

    def step(lr: float) -> float:
        position = state["position"]
        noise = own.normal(0, 0.05, 2) + np.random.normal(0, 0.05, 2) + random.gauss(0, 0.05)
        loss = float(curvature @ position**2) / 2
        state["momentum"] = 0.9 * state["momentum"] + curvature * position + noise
        state["position"] = position - lr * state["momentum"]
        return loss

    def snapshot():
        return {name: value.copy() for name, value in state.items()}, own.bit_generator.state

    def restore(copy) -> None:
        state.update({name: value.copy() for name, value in copy[0].items()})
        own.bit_generator.state = copy[1]

    def reseed(seed: int) -> None:
        own.bit_generator.state = np.random.default_rng(seed).bit_generator.state

    loop = lrscout.from_functions(
        step, snapshot, restore, evaluate=lambda: float(curvature @ state["position"] ** 2), reseed=reseed, lr=0.05
    )
    parts = {
        "python generator": python_generator(),
        "numpy generator": numpy_generator(),
        "own generator": Part(
            lambda: own.bit_generator.state, lambda value: setattr(own.bit_generator, "state", value)
        ),
        "position": Part(lambda: state["position"].copy(), lambda value: state.update(position=value)),
        "momentum": Part(lambda: state["momentum"].copy(), lambda value: state.update(momentum=value)),
    }
    return Case(loop, parts)


CASES = {case.__name__: case for case in (lesson, noisy)}
