"""The loop of the lesson: a line through noisy points, by gradient descent, in JAX."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from lrscout.core.imports import require
from lrscout.lesson.engines import jax_engine
from lrscout.lesson.problem import sample_problem

if TYPE_CHECKING:
    from lrscout.loops.jax.adapter import JaxLoop


def line() -> JaxLoop:
    """Return a loop that fits a weight and a bias to fifty points, by plain gradient descent on all of them.

    Its learning rate is stable up to 0.775.

    Raises:
        MissingDependencyError: JAX or optax is not installed.
    """
    require("jax", extra="examples")
    return cast("JaxLoop", jax_engine(sample_problem()).loop)
