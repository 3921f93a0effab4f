"""The lesson's learning-rate x steps map, on which the limit of stability is a straight edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.core.curve import Outcome
from lrscout.core.result import Result, jsonable
from lrscout.lesson.engines import Engine
from lrscout.lesson.problem import Problem
from lrscout.measure.lr_map import LRMap
from lrscout.measure.sweep import sweep

if TYPE_CHECKING:
    from jaxtyping import Float

STEPS = 1000

_DECADES_BELOW, _DECADES_ABOVE = 3, 1
_PER_DECADE = 24


@dataclass(frozen=True, eq=False)
class LessonMap(Result):
    """The map of the lesson's problem, with its exact limit.

    Args:
        problem: the problem.
        lr_map: its map.
    """

    problem: Problem
    lr_map: LRMap

    @property
    def edge(self) -> tuple[float | None, float | None]:
        """The highest learning rate that has not diverged after the longest budget, and the lowest that has."""
        diverged = np.isin(self.lr_map.outcomes[:, -1], [Outcome.DIVERGING, Outcome.NON_FINITE])
        stable, unstable = self.lr_map.lrs[~diverged], self.lr_map.lrs[diverged]
        return (
            float(stable.max()) if len(stable) else None,
            float(unstable.min()) if len(unstable) else None,
        )

    def __str__(self) -> str:
        highest, lowest = self.edge
        limit = f"The limit is 2 / sharpness = 2 / {self.problem.sharpness:.3f} = {self.problem.max_stable_lr:.3f}"
        steps = self.lr_map.checkpoints[-1]
        if highest is None or lowest is None:
            which = "no" if lowest is None else "every"
            return f"{self.lr_map} {limit}; after {steps} steps {which} learning rate has diverged."
        return (
            f"{self.lr_map} {limit}: after {steps} steps the highest learning rate that has not diverged is "
            f"{highest:.3f}, and the lowest that has is {lowest:.3f}."
        )

    def to_dict(self) -> dict[str, Any]:
        highest, lowest = self.edge
        limit = {"max_stable_lr": self.problem.max_stable_lr, "highest_stable": highest, "lowest_diverged": lowest}
        return self.lr_map.to_dict() | jsonable(limit)


def lesson_map(problem: Problem, engine: Engine, steps: int = STEPS) -> LessonMap:
    """Sweep 96 learning rates around the problem's limit, and bring the engine back to its start.

    Args:
        problem: the problem that the engine descends.
        engine: the engine.
        steps: the longest budget, at least 2.

    Raises:
        InvalidValueError: `steps` is out of range.
    """
    return LessonMap(problem, sweep(engine.loop, rates_around(problem.max_stable_lr), steps))


def rates_around(limit: float) -> Float[np.ndarray, " rate"]:
    """Return rates an even ratio apart, placed so that the limit lies half-way between two of them.

    The cells of a picture part half-way, so that there the limit is the edge of a row of cells.

    Args:
        limit: the limit of stability.
    """
    places = np.arange(-_DECADES_BELOW * _PER_DECADE, _DECADES_ABOVE * _PER_DECADE) + 0.5
    return limit * 10 ** (places / _PER_DECADE)
