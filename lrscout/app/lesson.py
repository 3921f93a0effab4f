"""The lesson's data, for a browser that computes the rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrscout.core.result import jsonable
from lrscout.lesson.engines import START_B, START_W
from lrscout.lesson.problem import TRUE_B, TRUE_W, sample_problem


def lesson_points() -> dict[str, Any]:
    """Return the points of the lesson as `x` and the noise of each.

    In double precision, `0.1 x + 0.5 + noise` rounded to single precision is `y`, bit for bit.
    """
    problem = sample_problem()
    x = problem.x.astype(float)
    return jsonable(
        {
            "x": x,
            "noise": problem.y.astype(np.float64) - (TRUE_W * x + TRUE_B),
            "true": {"w": TRUE_W, "b": TRUE_B},
            "start": {"w": START_W, "b": START_B},
        }
    )
