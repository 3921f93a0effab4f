"""A sweep in a process of its own, to be killed: a line on stdout when it begins, then the map as JSON."""

from __future__ import annotations

import sys

import numpy as np

import lrscout
from lrscout import LRMap

LRS = np.geomspace(1e-3, 3, 6)
SEEDS, STEPS = 3, 400


def noisy(seed: int):
    """Gradient descent on a noisy parabola."""
    generator = np.random.default_rng(seed)
    position = [1.0]

    def step(lr: float) -> float:
        noise = generator.normal(0, 0.1)
        loss = position[0] ** 2 / 2 if abs(position[0]) < 1e150 else np.inf
        position[0] -= lr * (position[0] + noise)
        return loss

    def snapshot():
        return position[0], generator.bit_generator.state

    def restore(copy) -> None:
        position[0], generator.bit_generator.state = copy

    def reseed(seed: int) -> None:
        generator.bit_generator.state = np.random.default_rng(seed).bit_generator.state

    return lrscout.from_functions(step, snapshot, restore, lambda: min(abs(position[0]), 1e150), reseed=reseed, lr=0.1)


def swept(url: str | None) -> LRMap:
    return lrscout.sweep(noisy, LRS, STEPS, seeds=SEEDS, store=url, study=None if url is None else "killed")


if __name__ == "__main__":
    print("begun", flush=True)
    swept(sys.argv[1])
    print("done", flush=True)
