"""The whole lesson in nine points: rates against steps, the range test, the limit, and the exact answer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lrscout.core.curve import Outcome
from lrscout.lesson.descent import Descent, descend
from lrscout.lesson.engines import Engine
from lrscout.lesson.problem import TRUE_B, TRUE_W, Problem
from lrscout.measure.range_test import RangeTest, range_test

LRS = (0.0001, 0.01, 0.1, 0.5, 0.77, 0.9, 1.0, 10.0)
STEPS = (1, 2, 3, 20, 200, 1000)
TOO_SMALL, JUST_RIGHT, TOO_LARGE = 0.0001, 0.5, 0.9


@dataclass(frozen=True, eq=False)
class Story:
    """What the lesson shows.

    Args:
        problem: the points and the exact answer.
        descents: the longest run at each learning rate; the shorter ones are its beginnings.
        ladder: the range test.
    """

    problem: Problem
    descents: tuple[Descent, ...]
    ladder: RangeTest

    def descent(self, lr: float) -> Descent:
        """Return the run at one of `LRS`."""
        return next(descent for descent in self.descents if descent.lr == lr)

    @property
    def table(self) -> list[tuple[float, list[str]]]:
        """For each learning rate, how the run ended after each number of `STEPS`, in words."""
        return [(descent.lr, [descent.first(steps).words for steps in STEPS]) for descent in self.descents]

    @property
    def before_the_table(self) -> list[str]:
        """The first three points, which set the scene."""
        errors = self.problem.y - (TRUE_W * self.problem.x + TRUE_B)
        w, b = self.descents[0].path[0]
        return [
            f"The data: {len(self.problem.x)} points on the line y = {TRUE_W:g} x + {TRUE_B:g}, with noise of "
            f"{np.std(errors):.3f} around it.",
            "The model: a weight w and a bias b; it predicts w x + b. The loss, how mistaken it is, is the mean "
            f"squared error. It starts at w = {w:g}, b = {b:g}, where the loss is {self.descents[0].losses[0]:.3f}.",
            "The gradient tells in which direction the loss grows; each step goes against it: "
            "variable -= learning rate * gradient.",
        ]

    @property
    def after_the_table(self) -> list[str]:
        """The points that the table and the pictures show."""
        small, large = self.descent(TOO_SMALL).first(200), self.descent(TOO_LARGE)
        limit = self.problem.max_stable_lr
        jumps = "; ".join("{:.3g}, {:.3g}".format(*large.path[step]) for step in (1, 2, 3))
        flat, steep = self.problem.eigenvalues
        if small.starts_at_the_best_line:
            way = "where they began: the start is the best line, there is nothing to do"
            not_yet = f"from the best line itself {large.lr:g} goes nowhere"
        else:
            way = f"{math.floor(100 * small.share_of_the_way)} % of the way down"
            not_yet = f"on these points {large.lr:g} is not yet"
        return [
            f"Too small: {small.steps} steps at {small.lr:g} end at w = {small.path[-1][0]:.3f}, "
            f"b = {small.path[-1][1]:.3f}, {way}.",
            f"Too large: at {large.lr:g} each step jumps over the valley and lands farther away (w, b = {jumps}; after "
            f"200 steps w = {large.path[200][0]:.1e}). No number of steps will ever help."
            if large.outcome in (Outcome.DIVERGING, Outcome.NON_FINITE)
            else f"Too large would be a rate above {limit:.3f}; {not_yet}.",
            f"The range test raises the rate at every step. {self.ladder}",
            "The surface of the loss over w and b is a long narrow bowl. Its curvatures are "
            f"{steep:.3f} across and {flat:.3f} along, so the limit is 2 / {steep:.3f} = "
            f"{limit:.3f}: above it the error grows by a fixed factor at every step. Below it, "
            f"the other curvature sets how many steps are needed: at {JUST_RIGHT:g} each step leaves "
            f"{1 - JUST_RIGHT * flat:.3f} of the error along the bowl.",
            "The exact answer, by least squares, is w = {:.4f}, b = {:.4f}; ".format(*self.problem.least_squares)
            + "{} steps at {:g} come to w = {:.4f}, b = {:.4f}.".format(
                self.descent(JUST_RIGHT).steps, JUST_RIGHT, *self.descent(JUST_RIGHT).path[-1]
            ),
        ]


def tell(problem: Problem, engine: Engine) -> Story:
    """Run everything that the lesson shows.

    Args:
        problem: the problem.
        engine: the engine to run it on; it comes back to its start.
    """
    descents = tuple(descend(problem, engine, lr, STEPS[-1]) for lr in LRS)
    return Story(problem, descents, range_test(engine.loop, min_lr=1e-5, max_lr=10, steps=200))
