"""The loss of a longer run, from those of shorter ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscout.analyse.foretell import foretell


def test_halving_goes_on() -> None:
    levels = [(2.0**power, 0.5**power) for power in range(5)]
    for power in (5, 6, 8):
        told = foretell(levels, 2.0**power)
        assert told.value == pytest.approx(0.5**power, abs=0.01)
        assert told.low < 0.5**power < told.high


def test_a_power_law_is_inside_of_the_interval() -> None:
    levels = [(float(length), 1 + length**-0.5) for length in (1, 6, 18, 54)]
    told = foretell(levels, 400)
    assert told.low < 1 + 400**-0.5 < told.high


def test_no_longer_run_stays_where_it_is() -> None:
    told = foretell([(1.0, 2.0), (10.0, 1.0)], 10)
    assert told.value == 1.0


def test_an_expectation_below_the_floor_lies_between_it_and_the_last_level() -> None:
    levels = [(1.0, 2.0), (6.0, 0.5), (18.0, 0.1)]
    assert foretell(levels, 1000).value < 0
    told = foretell(levels, 1000, floor=0.0)
    assert (told.value, told.low) == (0.05, 0.0)


@given(
    st.lists(st.floats(0.01, 10), min_size=2, max_size=5),
    st.floats(1e-3, 1e3),
    st.floats(-10, 10),
)
def test_the_unit_and_the_zero_of_the_loss_do_not_matter(falls: list[float], unit: float, zero: float) -> None:
    levels = [(3.0**place, -sum(falls[:place])) for place in range(len(falls))]
    moved = [(length, unit * loss + zero) for length, loss in levels]
    told, other = foretell(levels, 1000), foretell(moved, 1000)
    scale = unit * (abs(told.low) + 1) + abs(zero)
    for one, two in ((told.value, other.value), (told.low, other.low), (told.high, other.high)):
        assert two == pytest.approx(unit * one + zero, abs=1e-6 * scale)
