"""The critical learning rate, on parabolas whose critical rate is known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscout.analyse.critical import critical_rate
from lrscout.core.errors import InvalidValueError


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.floats(-1e3, 1e3))
def test_it_is_where_the_parabola_comes_up_again(curvature: float, start_lr: float, level: float) -> None:
    unit = 1e4

    def loss_after(lr: float) -> float:
        return level + unit * (1 - curvature * lr) ** 2

    found = critical_rate(loss_after, level + unit, start_lr)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 2 / curvature * (1 + 1e-3)
    assert found.high >= 2 / curvature * (1 - 1e-3)
    assert found.high / found.low <= 1.2
    assert found.low <= found.lr <= found.high
    assert [lr for lr, _ in found.looks] == sorted(lr for lr, _ in found.looks)


def test_six_looks_are_enough_near_by() -> None:
    assert len(critical_rate(lambda lr: (1 - lr) ** 2, 1.0, 0.5).looks) <= 6


def test_no_rate_raises_or_every_rate_does() -> None:
    falls, rises = critical_rate(lambda lr: -lr, 0.0, 0.1), critical_rate(lambda lr: lr, 0.0, 0.1)
    assert falls.lr is None
    assert falls.high is None
    assert rises.lr is None
    assert rises.low is None


def test_a_loss_that_is_none_is_a_rise() -> None:
    found = critical_rate(lambda lr: -lr if lr < 0.3 else math.nan, 0.0, 0.01)
    assert found.lr == pytest.approx(0.3, rel=0.2)


@given(st.floats(1e-3, 1.0), st.floats(1e-2, 1e2))
def test_near_a_minimum_it_is_right_or_says_that_the_loss_is_flat(distance: float, start_lr: float) -> None:
    """The loss `1 + x**2 / 2` where the next step is along x: its critical rate is 2 however near the minimum is."""
    found = critical_rate(lambda lr: 1 + (distance * (1 - lr)) ** 2 / 2, 1 + distance**2 / 2, start_lr)
    if distance > 0.01:
        assert not found.is_flat
    if found.is_flat:
        assert found.lr is None
    else:
        assert found.low * (1 - 1e-6) <= 2 <= found.high * (1 + 1e-6)


def test_a_loss_that_is_not_finite_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="Start from where it is finite"):
        critical_rate(lambda lr: 1.0, math.nan, 0.1)
