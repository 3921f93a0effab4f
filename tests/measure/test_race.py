"""The bracket and the race, on losses whose shape over the rates is known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrscout.core.schedules import constant
from lrscout.measure.bracket import bracket
from lrscout.measure.race import Course, Rung, race
from tests.measure.searched import CURVATURES, LIMIT, Descent, bowl, error_of, on_batches, regression
from tests.measure.test_probing import Ledger

STEPS = 20


def bracketed(descent: Descent, allowance: float = math.inf) -> Any:
    prober = Ledger(descent.loop).prober
    return bracket(prober, prober.stand_still(6), allowance)


def raced(
    descent: Descent, centre: float, steps: int = STEPS, allowance: float = math.inf, seeds=(0,), **how: bool
) -> Rung:
    prober = Ledger(descent.loop, seeds=seeds).prober
    start = None
    if descent.loop._evaluate is not None:
        start = descent.loop.evaluate()
    course = Course(steps, constant(), 0, start, prober.stand_still(6))
    return race(prober, centre, course, allowance, **how)


def loss_after(lr: float, steps: int = STEPS) -> float:
    """The mean loss over the second half of a run in the bowl, in closed form."""
    with np.errstate(over="ignore"):
        losses = (1 - lr * CURVATURES) ** (2 * np.arange(steps)[:, None]) @ CURVATURES / 2
    return float(losses[steps // 2 :].mean())


@settings(max_examples=40, deadline=None)
@given(st.floats(-25, 12), st.sampled_from([1.0, 1e-4, 1e5]))
def test_the_bracket_is_an_octave_below_harm_from_wherever_it_begins(octave: float, unit: float) -> None:
    def function(x: np.ndarray, generator: np.random.Generator) -> tuple[Any, np.ndarray]:
        loss, gradient = bowl(x, generator)
        return unit * loss, unit * gradient

    found = bracketed(Descent(function, np.ones(3), lr=2.0**octave / unit)).octave
    # Of the steepest direction alone, no step may end above where it began; the others allow a little more.
    assert LIMIT / 2 <= 2.0**found * unit < 2 * LIMIT


@pytest.mark.parametrize("lr", [1e-3, 0.1, 10.0])
def test_where_huge_rates_gain_all_there_is_the_bracket_stays_near_those_that_do_too(lr: float) -> None:
    """As where a batch can be separated: a step of 5 gains nine tenths, and the first harm is at a million."""

    def separable(x: np.ndarray, generator: np.random.Generator) -> tuple[Any, np.ndarray]:
        return np.logaddexp(0, -x[0]) + 1e-12 * x[0] ** 2, np.array([-1 / (1 + np.exp(x[0])) + 2e-12 * x[0]])

    found = bracketed(Descent(separable, [0.0], lr=lr)).octave
    assert 2**-3 < 2.0**found / 5 < 2 ** (4 + 4)


def test_the_bracket_keeps_to_its_allowance() -> None:
    for allowance in (3, 6, 9, 15, 30):
        descent = Descent(bowl, np.ones(3), lr=1e-4)
        found = bracketed(descent, allowance)
        assert descent.ever <= 6 + allowance
        if found.octave is not None:
            assert 2.0**found.octave < 2 * LIMIT
        else:
            assert found.reason


@pytest.mark.parametrize("centre", [-6.0, -4.0, -2.0, -1.0, 0.0])
def test_a_sparing_race_finds_the_same_rate_with_no_more_runs(centre: float) -> None:
    full, sparing = (raced(Descent(bowl, np.ones(3)), centre, sparing=spare) for spare in (False, True))
    assert sparing.best == full.best
    assert len(sparing.scores) == len(full.scores) - (full.best > centre)
    assert min(sparing.scores) < sparing.best < max(sparing.scores)


@settings(max_examples=30, deadline=None)
@given(st.floats(-12, 3))
def test_the_race_ends_with_the_best_rate_between_two_others(centre: float) -> None:
    rung = raced(Descent(bowl, np.ones(3)), centre)
    rates = sorted(rung.scores)
    assert np.allclose(np.diff(rates), 1)
    for octave, score in rung.scores.items():
        if math.isfinite(score):
            assert score == pytest.approx(loss_after(2.0**octave), rel=1e-9)
    if len(rates) < 10:  # It may be too far for one race.
        assert rates[0] < rung.best < rates[-1]
        around = [loss_after(2.0**octave) for octave in np.arange(-8, 0, 0.25)]
        assert rung.scores[rung.best] <= 20 * min(around)
    assert abs(rung.octave - rung.best) <= 0.5


def test_the_race_is_the_same_on_every_level_and_in_every_unit() -> None:
    plain = raced(on_batches(), -4.0)

    def other(x: np.ndarray, generator: np.random.Generator) -> tuple[Any, np.ndarray]:
        loss, gradient = regression(x, generator)
        return 1024 * loss - 5000, gradient

    moved = raced(Descent(other, np.zeros(6)), -4.0)
    assert sorted(moved.scores) == sorted(plain.scores)
    assert moved.octave == pytest.approx(plain.octave, abs=1e-6)
    assert moved.limit == plain.limit


def test_the_race_keeps_to_its_allowance() -> None:
    for allowance in (3 * STEPS, 4 * STEPS, 5 * STEPS + 3):
        descent = Descent(bowl, np.ones(3))
        rung = raced(descent, -12.0, allowance=allowance)
        assert descent.ever - 6 <= allowance
        assert rung.octave is not None


def test_evaluations_are_part_of_the_price() -> None:
    class Dear:
        """A loop that knows what its evaluation costs."""

        def __init__(self, loop: Any) -> None:
            self._loop = loop

        def __getattr__(self, name: str) -> Any:
            return getattr(self._loop, name)

        def evaluation_steps(self) -> float:
            return 10.0

    prober = Ledger(Dear(on_batches(evaluate=error_of).loop)).prober
    course = Course(100, constant(), 0, error_of(np.zeros(6)), prober.stand_still(6))
    assert course.price(prober) == 110
    rung = race(prober, -12.0, course, 4 * 110 + 50)
    assert rung.evaluated
    assert prober.spent - 6 <= 4 * 110 + 50
    assert len(rung.scores) == 4


def test_a_long_race_goes_by_the_evaluation() -> None:
    rung = raced(on_batches(evaluate=error_of), -4.0, steps=200)
    assert rung.evaluated
    for octave, score in rung.scores.items():
        descent = on_batches()
        descent.loop.reseed(0)
        for _ in range(200):
            descent.loop.step(2.0**octave)
        exact = error_of(descent.state["x"])
        assert score == pytest.approx(exact, rel=1e-9) or not math.isfinite(score) or exact > 1e6


def test_evaluations_that_rise_while_training_falls_are_not_followed() -> None:
    rung = raced(on_batches(evaluate=lambda x, steps: 100.0 + steps), -4.0, steps=200)
    assert not rung.evaluated
    assert rung.valley is not None


def test_a_race_above_the_limit_goes_down_until_a_rate_survives() -> None:
    rung = raced(Descent(bowl, np.ones(3)), 4.0, steps=200)
    assert rung.octave is not None
    assert 2.0**rung.octave < LIMIT
    assert rung.limit is not None
    assert LIMIT < rung.limit < 2.1 * LIMIT
    assert sorted(probe.lr for probe in rung.probes()) == [2.0**octave for octave in sorted(rung.scores)]


def test_every_rate_diverging_is_told_from_a_batch_that_is_broken() -> None:
    far = raced(Descent(bowl, np.ones(3)), 200.0, steps=50)
    assert far.octave is None
    assert far.reason == ""
    broken = Descent(lambda x, generator: bowl(x, generator), np.ones(3))
    exact = broken._function
    broken._function = lambda x, generator: (
        math.nan if broken.state["steps"] >= 30 else exact(x, generator)[0],
        exact(x, generator)[1],
    )
    rung = raced(broken, -3.0, steps=50)
    assert rung.octave is None
    assert "at step 31, even at a rate too small to move anything" in rung.reason


def test_where_no_loss_has_moved_the_highest_harmless_rate_leads() -> None:
    def saddle(x: np.ndarray, generator: np.random.Generator) -> tuple[Any, np.ndarray]:
        product = x[0] * x[1]
        return (product - 1) ** 2 / 2, (product - 1) * np.array([x[1], x[0]])

    rung = raced(Descent(saddle, [1e-30, 1e-30]), -6.0, steps=8)
    assert rung.valley is None
    assert not rung.vertex.known
    assert rung.octave == max(rung.scores)
