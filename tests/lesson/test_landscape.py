"""The lesson's landscape on every engine, against what is known of its problem."""

from __future__ import annotations

import numpy as np
import pytest

from lrscout.lesson.engines import ENGINES, make_engine
from lrscout.lesson.problem import sample_problem


@pytest.mark.parametrize("engine", ENGINES)
def test_the_lesson_has_one_landscape(engine: str) -> None:
    problem = sample_problem()
    loop = make_engine(engine, problem).loop
    for _ in range(3):
        landscape = loop.landscape(8)
        derivatives = landscape.derivatives()
        hessian = np.array([derivatives.product(axis) for axis in np.eye(2)])
        np.testing.assert_allclose(np.linalg.eigvalsh(hessian), problem.eigenvalues, rtol=1e-5)
        w, b = lines = np.random.default_rng(0).normal(size=(2, 9))
        positions = lines if [block.name for block in landscape.blocks] != ["b", "w"] else lines[::-1]
        np.testing.assert_allclose(landscape.losses(positions.T), problem.loss(w, b), rtol=1e-5)
        np.testing.assert_allclose(landscape.updates(np.ones((2, 2)), 0.5), -0.5 * np.ones((2, 2)))
        loop.step(0.5)
