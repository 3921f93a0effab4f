"""Targets for the tests of the command line."""

import itertools
import math
import os
import signal

import numpy as np

import lrscout


def _loop(step):
    return lrscout.from_functions(step, lambda: None, lambda _: None, lr=0.1)


def good():
    position = [1.0]

    def step(lr):
        loss = position[0] ** 2
        position[0] -= lr * 2 * position[0]
        return loss

    return lrscout.from_functions(
        step, position.copy, lambda copy: position.__setitem__(0, copy[0]), lambda: position[0] ** 2, lr=0.1
    )


def nan_at_once():
    return _loop(lambda lr: math.nan)


def constant():
    return _loop(lambda lr: 0.5)


def rising():
    steps = itertools.count(1)
    return _loop(lambda lr: float(next(steps)))


def vector():
    return _loop(lambda lr: np.ones(3))


def empty():
    return lrscout.from_jax(np.float32(1), __import__("optax").sgd, lambda w, batch: w**2, [], lr=0.1)


def breaks():
    def step(lr):
        if lr > 1e-3:
            raise ValueError("the third layer is tired")
        return 1.0

    return _loop(step)


def interrupted():
    def step(lr):
        if lr > 1e-3:
            os.kill(os.getpid(), signal.SIGINT)
        return 1.0

    return _loop(step)


def not_a_loop():
    return 42


def raises_at_once():
    raise RuntimeError("no data on this machine")


number = 7


def talks():
    print("hello")
    return good()


def leaves():
    raise SystemExit(3)


def jax_vector():
    import optax

    return lrscout.from_jax(np.ones(3, np.float32), optax.sgd, lambda w, batch: w**2, [np.ones(1)], lr=0.1)


def differentiable():
    """A quadratic with curvatures 4 and 0.5, whose gradient is given."""
    curvatures, position = np.array([4.0, 0.5]), np.ones(2)

    def step(lr):
        loss = float(curvatures @ position**2) / 2
        position[:] -= lr * curvatures * position
        return loss

    return lrscout.from_functions(
        step,
        position.copy,
        lambda copy: position.__setitem__(slice(None), copy),
        lr=0.1,
        parameters=lambda: position,
        loss_at=lambda at: float(curvatures @ at**2) / 2,
        gradient_at=lambda at: curvatures * at,
    )
