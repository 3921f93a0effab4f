from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscout.analyse.smoothing import noise, smooth, smoothing_for
from tests.problems import range_test_curve


@given(st.floats(-1e6, 1e6), st.floats(0, 0.999), st.integers(1, 200))
def test_a_constant_stays_that_constant(value: float, smoothing: float, steps: int) -> None:
    np.testing.assert_allclose(smooth(np.full(steps, value), smoothing), value, rtol=1e-9, atol=1e-300)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_no_smoothing_returns_the_losses(losses: list[float]) -> None:
    np.testing.assert_allclose(smooth(np.array(losses), 0.0), losses)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0, 0.99))
def test_it_is_the_weighted_mean_of_the_past(losses: list[float], smoothing: float) -> None:
    past = np.array(losses)
    weights = smoothing ** np.arange(len(losses))[::-1]
    assert smooth(past, smoothing)[-1] == pytest.approx(np.average(past, weights=weights), rel=1e-6, abs=1e-6)


def test_a_stack_of_curves_is_smoothed_one_by_one() -> None:
    curves = np.random.default_rng(0).normal(size=(3, 20))
    np.testing.assert_array_equal(smooth(curves, 0.8), [smooth(curve, 0.8) for curve in curves])


@pytest.mark.parametrize("size", [0.001, 0.1, 5.0])
def test_the_noise_is_measured_around_a_trend(size: float) -> None:
    steps = np.arange(2000)
    losses = np.exp(-steps / 500) + np.random.default_rng(0).normal(0, size, 2000)
    assert np.median(noise(losses)) == pytest.approx(size, rel=0.05)


def test_the_noise_of_a_smooth_curve_is_next_to_nothing() -> None:
    assert np.median(noise(np.exp(-np.arange(200) / 30))) < 1e-4


@given(st.lists(st.floats(-1e3, 1e3), max_size=40))
def test_every_step_has_a_noise(losses: list[float]) -> None:
    measured = noise(np.array(losses))
    assert measured.shape == (len(losses),)
    assert np.all(measured >= 0)


def test_a_curve_without_noise_is_not_smoothed_and_a_noisy_one_is() -> None:
    assert smoothing_for(range_test_curve().losses) == 0
    little, much = (smoothing_for(range_test_curve(noise=size).losses) for size in (0.03, 0.3))
    assert 0 < little < much <= 0.95
