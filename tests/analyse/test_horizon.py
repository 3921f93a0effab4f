"""How far the best rate moves as runs get longer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscout.analyse.horizon import UNDER_DECAY, Vertex, drift, of_longer_runs

LENGTHS = st.integers(3, 10_000)


@st.composite
def paths(draw: st.DrawFn) -> list[Vertex]:
    """The best rates of runs that get longer."""
    first, count = draw(st.integers(3, 50)), draw(st.integers(1, 5))
    octaves = draw(st.lists(st.floats(-20, 5), min_size=count, max_size=count))
    known = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    return [Vertex(first * 3**place, octave, told) for place, (octave, told) in enumerate(zip(octaves, known))]  # noqa: B905


@given(paths(), LENGTHS)
def test_nothing_moves_where_the_runs_are_as_long_already(path: list[Vertex], steps: int) -> None:
    assert drift(path, min(steps, path[-1].steps)).shift == 0


@given(paths(), st.floats(1, 1000))
def test_the_rate_never_rises_and_doubt_grows_with_the_length(path: list[Vertex], times: float) -> None:
    near, far = drift(path, path[-1].steps * times), drift(path, path[-1].steps * times * 2)
    assert far.shift <= near.shift <= 0
    assert far.doubt >= near.doubt > 0


@given(paths(), st.floats(1, 1000), st.integers(1, 6))
def test_the_shift_is_the_same_for_each_doubling(path: list[Vertex], times: float, doublings: int) -> None:
    last = path[-1].steps
    one = drift(path, 2 * last)
    assert drift(path, last * 2**doublings).shift == pytest.approx(doublings * one.shift)
    assert drift(path, last * times * 2, since=last * times).shift == pytest.approx(one.shift)


@given(paths(), st.floats(-30, 30), st.floats(1, 1000))
def test_where_the_rates_lie_does_not_matter(path: list[Vertex], octaves: float, times: float) -> None:
    moved = [Vertex(vertex.steps, vertex.octave + octaves, vertex.known) for vertex in path]
    steps = path[-1].steps * times
    assert drift(moved, steps).shift == pytest.approx(drift(path, steps).shift, abs=1e-6)


@given(st.floats(0.1, 0.9), st.floats(0, 0.9))
def test_a_rate_that_falls_faster_is_expected_to_fall_further(one: float, other: float) -> None:
    shifts = [
        drift([Vertex(8, -3.0, True), Vertex(16, -3.0 - fall, True), Vertex(32, -3.0 - 2 * fall, True)], 256).shift
        for fall in sorted((one, other))
    ]
    assert shifts[1] <= shifts[0]


@given(st.floats(1, 1e6), st.floats(1, 100))
def test_less_is_expected_of_a_doubling_the_longer_the_race_was(steps: float, times: float) -> None:
    shorter, longer = of_longer_runs(UNDER_DECAY, steps), of_longer_runs(UNDER_DECAY, steps * times)
    assert UNDER_DECAY <= shorter <= longer < 0
    if steps >= 25:
        assert longer * times ** (1 / 3) == pytest.approx(shorter)


def test_a_length_at_which_nothing_had_moved_tells_nothing() -> None:
    unknown = [Vertex(8, 3.0, False), Vertex(32, -4.0, True)]
    assert drift(unknown, 256) == drift(unknown[1:], 256)
