"""One run of the lesson's descent, with the path that it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.analyse.diagnose import Diagnosis, diagnose
from lrscout.core.checks import check_count, check_lr
from lrscout.core.curve import Outcome
from lrscout.core.loop import restored
from lrscout.core.result import Result, jsonable
from lrscout.lesson.engines import Engine
from lrscout.lesson.problem import Problem

if TYPE_CHECKING:
    from jaxtyping import Float

_ARRIVED = 0.99999
_WORDS = ((_ARRIVED, "arrived"), (0.5, "close"), (0.05, "on its way"), (0.0, "too slow"))
"""The share of the way, in loss, from which on each word fits."""


@dataclass(frozen=True, eq=False)
class Descent(Result):
    """A run of gradient descent on the lesson's problem.

    Args:
        problem: what is descended.
        engine: the engine's name.
        lr: the learning rate.
        path: weight and bias at the start and after each step.
    """

    problem: Problem
    engine: str
    lr: float
    path: Float[np.ndarray, "position 2"]

    @property
    def steps(self) -> int:
        """The number of steps taken."""
        return len(self.path) - 1

    @property
    def losses(self) -> Float[np.ndarray, " position"]:
        """The loss at each position of the path, in double precision."""
        return self.problem.loss(self.path[:, 0], self.path[:, 1])

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """How the run ended and what would mend it, knowing the problem's limit."""
        losses = np.where(np.isfinite(self.path).all(axis=1), self.losses, np.nan)
        return diagnose(losses, self.lr, max_stable_lr=self.problem.max_stable_lr)

    @property
    def outcome(self) -> Outcome:
        """How the run ended."""
        return self.diagnosis.outcome

    @property
    def starts_at_the_best_line(self) -> bool:
        """Whether the start is as good as the least-squares line, so that there is nothing to do."""
        return bool(self.losses[0] - self.problem.lowest_loss <= self.problem.rounding)

    @property
    def share_of_the_way(self) -> float:
        """The share of the loss above the least-squares line's that the run has got rid of, at most 1.

        A run that starts at the best line has no way to go: it is there, or it has left for nothing.
        """
        first, last = self.losses[[0, -1]] - self.problem.lowest_loss
        if self.starts_at_the_best_line:
            return 1.0 if last <= self.problem.rounding else -math.inf
        return float((first - last) / first)

    @property
    def arrived(self) -> bool:
        """Whether the run has come to the least-squares line."""
        return self.share_of_the_way >= _ARRIVED

    def first(self, steps: int) -> Descent:
        """Return the run as it was after some of its steps."""
        return Descent(self.problem, self.engine, self.lr, self.path[: steps + 1])

    @property
    def words(self) -> str:
        """How the run ended, in a word or two."""
        if self.outcome is Outcome.NON_FINITE:
            return "NaN"
        share = self.share_of_the_way
        if share < 0:
            return "jumps away"
        return next(words for reached, words in _WORDS if share >= reached)

    def __str__(self) -> str:
        w, b = self.path[-1]
        limit = self.problem.max_stable_lr
        where = f"After {self.steps} steps at learning rate {self.lr:g}: w = {w:.4g}, b = {b:.4g}"
        exact_w, exact_b = self.problem.least_squares
        exact = f"The exact answer is w = {exact_w:.4f}, b = {exact_b:.4f}"
        if self.starts_at_the_best_line and self.arrived:
            return f"{where}. {exact}: it starts at the least-squares line, there is nothing to do."
        if self.lr > limit:
            return f"{where}. {exact}. {' '.join(self.diagnosis.advice)}"
        if self.arrived:
            return f"{where}. {exact}: it has arrived at the least-squares line."
        return f"{where}. {exact}: {self.lr:g} is below the limit {limit:.3f}, and {self.outcome.sentence}."

    def to_dict(self) -> dict[str, Any]:
        w, b = self.path[-1]
        exact_w, exact_b = self.problem.least_squares
        return jsonable(
            {
                "engine": self.engine,
                "lr": self.lr,
                "steps": self.steps,
                "w": float(w),
                "b": float(b),
                "loss": float(self.losses[-1]),
                "path": self.path,
                "outcome": str(self.outcome),
                "sharpness": self.problem.sharpness,
                "max_stable_lr": self.problem.max_stable_lr,
                "least_squares": {"w": exact_w, "b": exact_b},
            }
        )


def descend(problem: Problem, engine: Engine, lr: float, steps: int) -> Descent:
    """Take steps at one learning rate, note the path, and bring the engine back to its start.

    Args:
        problem: the problem that the engine descends.
        engine: the engine.
        lr: the learning rate.
        steps: the number of steps, at least 1.

    Raises:
        InvalidValueError: `lr` or `steps` is out of range.
    """
    lr, steps = check_lr("lr", lr), check_count("steps", steps, at_least=1)
    path = [engine.position()]
    with restored(engine.loop):
        for _ in range(steps):
            # From NaN there is no way back, so the rest of the path is known without taking it.
            if not np.isnan(path[-1]).any():
                engine.loop.step(lr)
            path.append(engine.position())
    return Descent(problem, engine.name, lr, np.array(path))
