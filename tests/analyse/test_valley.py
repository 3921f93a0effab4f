"""The valley between rates: what it says must not depend on where it lies, how deep it is, or how it is measured."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscout.analyse.valley import Valley, highest_harmless, valley_of

SHARES = st.lists(st.integers(0, 1000).map(lambda thousandths: thousandths / 1000), max_size=5)
SHIFTS, DOUBTS = st.floats(-3, 0), st.floats(0, 2)
GRAIN = 1 / 16
"""How finely rates are told apart, in octaves."""


@st.composite
def scores(draw: st.DrawFn) -> dict[float, float]:
    """Losses of rates an octave apart that fall to 0 and rise again, from a standing loss of 1, some diverging."""
    left = sorted(draw(SHARES), reverse=True)
    right = sorted(draw(SHARES))
    lost = draw(st.integers(0, 2))
    losses = [*left, 0.0, *right, *[math.inf] * lost]
    first = draw(st.integers(-20, 5))
    return {float(first + place): loss for place, loss in enumerate(losses)}


def found(scores: dict[float, float], noise: float = 0.0, standing: float = 1.0) -> Valley:
    valley = valley_of(scores, standing, noise)
    assert valley is not None
    return valley


@given(scores())
def test_shares_lie_between_the_best_and_standing_still(scores: dict[float, float]) -> None:
    valley = found(scores)
    assert valley.octaves.tolist() == sorted(scores)
    assert valley.shares.min() == 0
    assert valley.shares.max() <= 1
    expected = [min(scores[octave], 1.0) for octave in sorted(scores)]
    np.testing.assert_allclose(valley.shares, expected, atol=1e-12)


@given(scores())
def test_the_vertex_is_within_half_an_octave_of_the_best_rate(scores: dict[float, float]) -> None:
    best = min(sorted(scores), key=lambda octave: scores[octave])
    assert abs(found(scores).vertex - best) <= 0.5


@given(scores(), st.integers(-30, 30), SHIFTS, DOUBTS)
def test_the_choice_moves_with_the_rates(scores: dict[float, float], octaves: int, shift: float, doubt: float) -> None:
    moved = {octave + octaves: loss for octave, loss in scores.items()}
    one, other = (found(each, 1e-6).least_risk(shift, doubt) for each in (scores, moved))
    assert found(moved).vertex == pytest.approx(found(scores).vertex + octaves, abs=1e-9)
    assert other.expected == pytest.approx(one.expected, abs=1e-9)
    # Where two rates are expected to do as well, rounding may choose; both are then in the range.
    assert one.low <= other.octave - octaves <= one.high


@given(scores(), st.integers(-60, 60), SHIFTS, DOUBTS, st.sampled_from([0.0, 0.01]))
def test_the_unit_of_the_loss_changes_nothing(
    scores: dict[float, float], power: int, shift: float, doubt: float, noise: float
) -> None:
    unit = 2.0**power
    scaled = {octave: loss * unit for octave, loss in scores.items()}
    assert found(scaled, noise * unit, unit).least_risk(shift, doubt) == found(scores, noise).least_risk(shift, doubt)


@given(scores(), st.sampled_from([-8.0, 3.0, 1024.0]))
def test_the_level_of_the_loss_changes_nothing(scores: dict[float, float], level: float) -> None:
    raised = {octave: loss + level for octave, loss in scores.items()}
    np.testing.assert_allclose(found(raised, standing=1 + level).shares, found(scores).shares, atol=1e-9)


@given(scores(), SHIFTS, DOUBTS, st.floats(0, 0.3))
def test_the_range_holds_the_choice_and_grows_with_the_noise(
    scores: dict[float, float], shift: float, doubt: float, noise: float
) -> None:
    quiet, noisy = (found(scores, each).least_risk(shift, doubt) for each in (0.0, noise))
    assert quiet.low <= quiet.octave <= quiet.high
    assert noisy.octave == quiet.octave
    assert noisy.low <= quiet.low
    assert noisy.high >= quiet.high
    assert 0 <= quiet.expected <= 1 + 1e-9


@given(st.floats(0.02, 0.2), st.floats(0.5, 1.0), st.integers(2, 5))
def test_more_doubt_takes_a_lower_rate_where_too_high_costs_more(slow: float, steep: float, rates: int) -> None:
    scores = {float(-place): slow * place for place in range(rates + 1)} | {1.0: steep, 2.0: math.inf}
    valley = found(scores)
    chosen = [valley.least_risk(0.0, doubt) for doubt in (0.0, 0.25, 0.5, 1.0, 2.0)]
    octaves = [choice.octave for choice in chosen]
    assert octaves == sorted(octaves, reverse=True)
    assert octaves[-1] < octaves[0] == 0
    assert all(later.expected >= earlier.expected for earlier, later in itertools.pairwise(chosen))


@given(st.floats(-3, 0), st.floats(0.3, 1.0))
def test_a_symmetric_valley_is_followed_where_it_goes(shift: float, rise: float) -> None:
    scores = {-1.0: rise, 0.0: 0.0, 1.0: rise}
    assert abs(found(scores).least_risk(shift, 0.0).octave - shift) <= GRAIN


@given(scores(), SHIFTS, DOUBTS)
def test_what_is_expected_is_no_less_than_without_doubt(scores: dict[float, float], shift: float, doubt: float) -> None:
    valley = found(scores)
    assert valley.least_risk(shift, 0.0).expected <= valley.least_risk(shift, doubt).expected + GRAIN


@given(scores(), st.floats(0, 0.6))
def test_no_rate_that_diverged_is_chosen(scores: dict[float, float], doubt: float) -> None:
    lost = [octave for octave, loss in scores.items() if math.isinf(loss)]
    assert found(scores).least_risk(0.0, doubt).octave < min(lost, default=math.inf)


@pytest.mark.parametrize(
    ("losses", "standing", "noise"),
    [
        ([2.0, 1.5, 3.0], 1.0, 0.0),  # All above the start.
        ([1.0, 1.0, 1.0], 1.0, 0.0),  # None has moved.
        ([0.99, 0.98, 1.2], 1.0, 0.1),  # None by more than the noise.
        ([math.inf, math.inf, math.inf], 1.0, 0.0),
        ([-5.0, -5.0, -4.0], -5.0, 0.0),
    ],
)
def test_no_valley_where_no_rate_came_down(losses: list[float], standing: float, noise: float) -> None:
    assert valley_of(dict(enumerate(losses)), standing, noise) is None


def test_the_highest_rate_that_does_no_harm() -> None:
    scores = {-2.0: 1.0, -1.0: 1.0, 0.0: 1.04, 1.0: 3.0, 2.0: math.inf}
    assert highest_harmless(scores, 1.0, 0.0) == -1.0
    assert highest_harmless(scores, 1.0, 0.1) == 0.0
    assert highest_harmless({0.0: math.inf, 1.0: 2.0}, 1.0, 0.0) is None
