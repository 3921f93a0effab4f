"""Descents to find a rate for: plain NumPy, each with a function of the position and the step, and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import lrscout

Function = Callable[[np.ndarray, np.random.Generator], tuple[Any, np.ndarray]]

CURVATURES = np.array([4.0, 1.5, 0.5])
LIMIT = 2 / 4.0

_GENERATOR = np.random.default_rng(0)
INPUTS = _GENERATOR.normal(size=(96, 6))
TARGETS = INPUTS @ _GENERATOR.normal(size=6) + 0.3 * _GENERATOR.normal(size=96)


class Descent:
    """A descent whose batches are drawn anew for each seed, and its loop.

    Args:
        function: takes the position and the generator of the batches, and returns the loss and the gradient.
        start: where it begins.
        lr: the user's own rate.
        adam: whether Adam takes the steps.
        evaluate: takes the position and the number of steps taken, and returns the loss on evaluation data.
        at_step: called with the number of each step, counted over the whole life of the descent.
    """

    def __init__(
        self,
        function: Function,
        start: Any,
        *,
        lr: float = 0.1,
        adam: bool = False,
        evaluate: Callable[[np.ndarray, int], float] | None = None,
        at_step: Callable[[int], object] = lambda step: None,
    ) -> None:
        self._function, self._adam, self._at_step = function, adam, at_step
        start = np.array(start, float)
        self.state = {"x": start, "mean": 0 * start, "square": 0 * start, "steps": 0}
        self._generator = np.random.default_rng(0)
        self.ever = 0
        self.loop = lrscout.from_functions(
            self._step,
            self._snapshot,
            self._restore,
            None if evaluate is None else lambda: evaluate(self.state["x"], self.state["steps"]),
            reseed=self._reseed,
            lr=lr,
        )

    def _step(self, lr: float) -> float:
        state = self.state
        with np.errstate(all="ignore"):
            loss, gradient = self._function(state["x"], self._generator)
            change = lr * self._direction(gradient)
        self.state = state | {"x": state["x"] - change, "steps": state["steps"] + 1} | self._moments(gradient)
        self.ever += 1
        self._at_step(self.ever)
        return float(loss)

    def _moments(self, gradient: np.ndarray) -> dict[str, np.ndarray]:
        with np.errstate(all="ignore"):
            mean = 0.9 * self.state["mean"] + 0.1 * gradient
            return {"mean": mean, "square": 0.99 * self.state["square"] + 0.01 * gradient**2}

    def _direction(self, gradient: np.ndarray) -> np.ndarray:
        if not self._adam:
            return gradient
        moments, steps = self._moments(gradient), self.state["steps"] + 1
        deviation = np.sqrt(moments["square"] / (1 - 0.99**steps))
        return np.where(deviation > 0, moments["mean"] / (1 - 0.9**steps) / deviation, 0.0)

    def _snapshot(self) -> Any:
        return self.state, self._generator.bit_generator.state

    def _restore(self, copy: Any) -> None:
        self.state, self._generator.bit_generator.state = copy

    def _reseed(self, seed: int) -> None:
        self._generator.bit_generator.state = np.random.default_rng(seed).bit_generator.state

    @property
    def bits(self) -> tuple[Any, ...]:
        """Everything that its next step depends on."""
        parts = [np.asarray(self.state[name]).tobytes() for name in ("x", "mean", "square", "steps")]
        return *parts, str(self._generator.bit_generator.state)


def bowl(x: np.ndarray, generator: np.random.Generator) -> tuple[Any, np.ndarray]:
    """A quadratic whose gradient is exact."""
    return CURVATURES @ x**2 / 2, CURVATURES * x


def regression(x: np.ndarray, generator: np.random.Generator) -> tuple[Any, np.ndarray]:
    """Linear regression on batches of eight."""
    batch = generator.integers(0, len(INPUTS), 8)
    errors = INPUTS[batch] @ x - TARGETS[batch]
    return np.mean(errors**2) / 2, INPUTS[batch].T @ errors / 8


def error_of(x: np.ndarray, steps: int = 0) -> float:
    """The loss of the linear regression on all data."""
    with np.errstate(all="ignore"):
        return float(np.mean((INPUTS @ x - TARGETS) ** 2)) / 2


def in_the_bowl(**how: Any) -> Descent:
    """Descend a quadratic."""
    return Descent(bowl, np.ones(3), **how)


def on_batches(**how: Any) -> Descent:
    """Fit a linear regression by batches."""
    return Descent(regression, np.zeros(6), **how)


def final_loss(make: Callable[[], Descent], lr: float, factors: np.ndarray) -> float:
    """Return the loss after a run, as the next step would report it."""
    descent = make()
    for factor in factors:
        descent.loop.step(lr * float(factor))
    return descent.loop.step(0.0)
