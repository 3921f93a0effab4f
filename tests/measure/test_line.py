"""The loss along a line between two states: what closed forms say."""

from __future__ import annotations

import numpy as np
import pytest

from lrscout.core.errors import InvalidValueError
from lrscout.measure.line import line
from tests.measure.bowls import STEEP, bowl, descent, quadratic


def test_a_line_between_two_states_goes_through_both() -> None:
    loop = bowl(STEEP, [1.0, -2.0])
    start = loop.snapshot()
    for _ in range(5):
        loop.step(0.3)
    end = loop.snapshot()
    there = descent(STEEP, np.array([1.0, -2.0]), 0.3, 5)[-1]
    way = line(loop, start, end)
    (along,) = way.axes
    positions = [np.array([1.0, -2.0]) + share * (there - [1.0, -2.0]) for share in along]
    np.testing.assert_allclose(way.losses, [quadratic(STEEP, x) for x in positions], rtol=1e-10)
    np.testing.assert_allclose(way.losses, line(loop, [1.0, -2.0], there).losses, rtol=1e-10)
    assert (along[0], along[-1], len(along)) == (-0.25, 1.25, 61)
    np.testing.assert_allclose(way.home, [1])
    np.testing.assert_allclose(loop.snapshot().state["x"], there)


def test_a_line_says_how_high_the_loss_is_between_the_states() -> None:
    def wells(x):
        return float((x[0] ** 2 - 1) ** 2)

    loop = bowl([[1.0]], [0.3], loss_at=wells, gradient_at=lambda x: 4 * x * (x**2 - 1))
    assert "Between the states, at 0 and 0, it rises to 1." in str(line(loop, [-1.0], [1.0]))
    assert "it is nowhere higher than at them" in str(line(loop, [0.0], [1.0]))


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ([0.0, 1.0], [0.0, 1.0], "their parameters are the same"),
        ([0.0], [0.0, 1.0], "start must hold a finite number for each of the loop's 2 parameters"),
        ([0.0, 1.0], [0.0, np.nan], "end must hold a finite number"),
        ("here", [0.0, 1.0], "start must be a snapshot of this loop or its parameters, but it is a str"),
    ],
)
def test_states_between_which_there_is_no_line(start, end, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        line(bowl(STEEP, [1.0, -2.0]), start, end)


def test_a_line_looks_as_far_beyond_as_it_is_told() -> None:
    assert line(bowl(STEEP, [1.0, -2.0]), [0, 0], [1, 1], beyond=0).axes[0][[0, -1]].tolist() == [0, 1]
    with pytest.raises(InvalidValueError, match="beyond must be a finite number, at least 0"):
        line(bowl(STEEP, [1.0, -2.0]), [0, 0], [1, 1], beyond=-1)
