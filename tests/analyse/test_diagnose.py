"""Outcomes, on gradient descent whose stability limit is known: 2 / largest curvature."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscout import Outcome
from lrscout.analyse.diagnose import outcome_of
from lrscout.core.errors import EmptyDataError
from tests.problems import quadratic_loop


def descend(lr: float, steps: int = 200, **problem) -> np.ndarray:
    loop = quadratic_loop(**problem)
    return np.array([loop.step(lr) for _ in range(steps)])


@given(st.floats(1.02, 4.0), st.floats(0.01, 100.0), st.integers(20, 300))
def test_above_the_limit_it_diverges(ratio: float, curvature: float, steps: int) -> None:
    losses = descend(ratio * 2 / curvature, steps, curvatures=(curvature,))
    expected = Outcome.DIVERGING if np.isfinite(losses).all() else Outcome.NON_FINITE
    assert outcome_of(losses) is expected


@given(st.floats(0.05, 0.95), st.floats(0.01, 100.0))
def test_below_the_limit_it_does_not(ratio: float, curvature: float) -> None:
    losses = descend(ratio * 2 / curvature, curvatures=(curvature, curvature / 8))
    assert outcome_of(losses) in (Outcome.CONVERGING, Outcome.PLATEAUED)


@pytest.mark.parametrize("curvature", [0.1, 4.0])
def test_far_below_the_limit_it_is_too_slow(curvature: float) -> None:
    assert outcome_of(descend(1e-4 / curvature, curvatures=(curvature,))) is Outcome.TOO_SLOW


@given(
    st.sampled_from([1e-4, 0.1, 0.45, 0.55, 1.0]),
    st.floats(-1e3, 1e3),
    st.floats(1e-3, 1e3),
)
def test_the_unit_and_the_zero_of_the_loss_do_not_matter(lr: float, zero: float, unit: float) -> None:
    losses = descend(lr, 60)
    assert outcome_of(zero + unit * losses) is outcome_of(losses)


def test_noise_without_a_trend_stands_still() -> None:
    for seed in range(50):
        losses = np.random.default_rng(seed).normal(0.1, 0.02, 300)
        assert outcome_of(losses) is Outcome.PLATEAUED


def test_noise_does_not_hide_a_fall_or_a_rise() -> None:
    steps = np.arange(300)
    noise = np.random.default_rng(0).normal(0, 0.1, 300)
    assert outcome_of(2 * np.exp(-steps / 80) + noise) is Outcome.CONVERGING
    assert outcome_of(2 - steps / 300 + noise) is Outcome.TOO_SLOW
    assert outcome_of(2 + steps / 100 + noise) is Outcome.DIVERGING


def test_a_steady_alternation_oscillates() -> None:
    steps = np.arange(100)
    assert outcome_of(1 + 0.5 * (-1.0) ** steps) is Outcome.OSCILLATING


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", [0, 50, 99])
def test_a_number_that_is_none(bad: float, where: int) -> None:
    losses = descend(0.1, 100)
    losses[where] = bad
    assert outcome_of(losses) is Outcome.NON_FINITE


@pytest.mark.parametrize("losses", [[1.0, 2.0], [1.0, 1.5, 2.3], [1.0, 1e3, 1e6]])
def test_two_losses_are_enough_to_see_a_jump_away(losses: list[float]) -> None:
    assert outcome_of(np.array(losses)) is Outcome.DIVERGING


def test_one_loss_tells_nothing() -> None:
    with pytest.raises(EmptyDataError, match="at least 2 losses, but there are 1"):
        outcome_of(np.array([1.0]))
