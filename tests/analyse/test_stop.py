from __future__ import annotations

import numpy as np
import pytest

from lrscout import Stop
from lrscout.analyse.stop import RangeTestRule
from tests.problems import range_test_curve


def stops_at(losses) -> tuple[int, Stop | None]:
    rule = RangeTestRule(len(losses))
    for index, loss in enumerate(losses):
        if stop := rule.update(float(loss)):
            return index, stop
    return len(losses), None


@pytest.mark.parametrize(("level", "unit"), [(2.0, 1.0), (0.0, 1.0), (-3.0, 1.0), (-1e3, 1e3), (1e6, 1.0)])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_it_stops_at_the_same_step_for_positive_zero_and_negative_losses(level, unit, noise) -> None:
    curve = range_test_curve(noise=noise, max_lr=1e3)
    plain, stop = stops_at(curve.losses)
    assert stop is Stop.DIVERGED
    assert curve.lrs[plain] > 3
    assert stops_at(level + unit * (curve.losses - 2)) == (plain, stop)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [0, 7, 99])
def test_a_number_that_is_none_stops_at_once(bad: float, where: int) -> None:
    losses = range_test_curve(rises_at=1e9).losses.copy()
    losses[where] = bad
    assert stops_at(losses) == (where, Stop.NON_FINITE)


def test_a_curve_that_never_rises_is_never_stopped() -> None:
    assert stops_at(range_test_curve(rises_at=1e9, noise=0.1).losses) == (100, None)


def test_noise_alone_does_not_stop_it() -> None:
    for seed in range(200):
        assert stops_at(np.random.default_rng(seed).normal(0.5, 1.0, 100)) == (100, None)


def test_one_outlier_does_not_stop_it() -> None:
    losses = range_test_curve(rises_at=1e9, noise=0.02).losses.copy()
    losses[50] = 1e4
    assert stops_at(losses)[1] is None


def test_a_rise_from_the_start_stops_soon() -> None:
    index, stop = stops_at(2 + np.linspace(0, 3, 100))
    assert stop is Stop.DIVERGED
    assert index < 20
