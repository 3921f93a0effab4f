"""Suggestions: from every kind of curve, with an honest interval, or none with the reason."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lrscout import Curve, Stop, suggest
from lrscout.analyse.smoothing import smoothing_for
from lrscout.analyse.suggest import RULES
from lrscout.core.errors import EmptyDataError, InvalidValueError
from tests.problems import range_test_curve

LRS = np.geomspace(1e-7, 10, 100)


def none(losses, *, stopped: Stop = Stop.COMPLETED, lrs=LRS):
    """Assert that no rule finds a rate on a curve, and return the reason."""
    losses = np.asarray(losses, float)
    curve = Curve(lrs[: len(losses)], losses, stopped)
    found = [suggest(curve, rule) for rule in RULES]
    assert all((s.lr, s.low, s.high) == (None, None, None) for s in found)
    assert str(found[0]).startswith("minimum: none. ")
    return found[0].reason


@pytest.mark.parametrize("rule", RULES)
def test_a_clean_curve_gives_a_rate_within_its_interval(rule: str) -> None:
    suggestion = suggest(range_test_curve(), rule)
    assert suggestion.low < suggestion.lr < suggestion.high
    if rule != "slide":  # Its threshold lets it leap from one stretch to another.
        assert suggestion.high < 2 * suggestion.low, "without noise only the ladder's rungs are uncertain"
    assert 1e-4 < suggestion.lr < 3


@pytest.mark.parametrize(("level", "unit"), [(0.0, 1.0), (-5.0, 1.0), (2.0, 1000.0), (1e3, 1.0), (0.0, 1e-6)])
@pytest.mark.parametrize("rule", RULES)
def test_negative_zero_large_and_small_losses_change_nothing(rule: str, level: float, unit: float) -> None:
    plain = suggest(range_test_curve(noise=0.02), rule)
    curve = range_test_curve(noise=0.02)
    moved = suggest(Curve(curve.lrs, level + unit * (curve.losses - 2)), rule)
    assert moved.lr == pytest.approx(plain.lr)


@pytest.mark.parametrize("rule", ["minimum", "steepest"])
@pytest.mark.parametrize("noise", [0.02, 0.1])
def test_the_interval_holds_the_rules_answer_without_noise_on_most_curves(rule: str, noise: float) -> None:
    """The answer on the curve without noise, equally smoothed, since the interval speaks of noise and not of lag."""
    covered = []
    for seed in range(100):
        noisy = range_test_curve(noise=noise, seed=seed)
        truth = suggest(range_test_curve(), rule, smoothing=smoothing_for(noisy.losses)).lr
        found = suggest(noisy, rule)
        covered.append(found.low <= truth <= found.high)
    assert np.mean(covered) > 0.65


def test_repeats_narrow_the_answer_and_agree() -> None:
    alone = [suggest(range_test_curve(noise=0.1, seed=seed)).lr for seed in range(60)]
    together = [
        suggest([range_test_curve(noise=0.1, seed=1000 + 5 * group + k) for k in range(5)]).lr for group in range(12)
    ]
    assert np.std(np.log(together)) < np.std(np.log(alone))


def test_the_answer_is_the_same_every_time() -> None:
    assert suggest(range_test_curve(noise=0.1)) == suggest(range_test_curve(noise=0.1))


def test_nan_at_the_first_step() -> None:
    assert "not finite from the first step" in none([np.nan], stopped=Stop.NON_FINITE)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_ends_the_curve_and_is_never_beside_the_answer(bad: float) -> None:
    curve = range_test_curve()
    clean = suggest(curve)
    losses = curve.losses.copy()
    end = int(np.argmin(losses)) + 4
    cut = Curve(curve.lrs[: end + 1], np.append(losses[:end], bad), Stop.NON_FINITE)
    assert suggest(cut).lr == clean.lr
    assert "is 3; a curve takes 5" in none([2.0, 1.9, 1.8, bad], stopped=Stop.NON_FINITE)


def test_a_flat_curve() -> None:
    assert "flat" in none(np.full(100, 0.7))


def test_pure_noise_is_flat_all_but_once_in_a_hundred_times() -> None:
    found = [suggest(Curve(LRS, np.random.default_rng(seed).normal(2, 0.3, 100))).lr is not None for seed in range(400)]
    assert np.mean(found) <= 0.01


def test_a_curve_that_rises_from_the_start() -> None:
    assert "rose from the start" in none(2 + np.linspace(0, 3, 100))


def test_a_curve_that_never_rises_again() -> None:
    assert "Raise max_lr" in none(range_test_curve(rises_at=1e9).losses)


def test_noise_does_not_pass_for_the_edge_of_stability() -> None:
    for seed in range(50):
        assert suggest(range_test_curve(rises_at=1e9, noise=0.1, seed=seed)).lr is None


def test_noise_without_a_trend_is_called_flat() -> None:
    flat = [suggest(Curve(LRS, np.random.default_rng(seed).normal(2, 0.3, 100))).reason for seed in range(50)]
    assert sum("flat" in reason for reason in flat) >= 40


def test_no_curve_at_all() -> None:
    with pytest.raises(EmptyDataError, match="no curve"):
        suggest([])


def test_a_model_that_is_trained_already() -> None:
    losses = np.random.default_rng(0).normal(0.1, 0.02, 80)
    losses[70:] += np.geomspace(0.05, 100, 10)
    reason = none(losses, stopped=Stop.DIVERGED)
    assert "fine-tune" in reason
    assert "trained" in reason


@example(steps=14, seed=37027)
@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_short_and_odd_curves_never_crash(steps: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    losses = generator.normal(size=steps) * 10.0 ** generator.integers(-300, 300)
    losses[generator.random(steps) < 0.1] = generator.choice([np.nan, np.inf, -np.inf, 0.0])
    for rule in RULES:
        suggestion = suggest(Curve(np.geomspace(1e-7, 1, steps), losses), rule)
        assert suggestion.reason
        if suggestion.lr is not None:
            assert 0 < suggestion.low <= suggestion.lr <= suggestion.high < np.inf


def test_a_dozen_points_are_enough() -> None:
    losses = np.array([2.0, 2.0, 2.0, 2.0, 1.99, 1.95, 1.8, 1.4, 0.9, 0.6, 0.7, 50.0])
    curve = Curve(np.geomspace(1e-3, 10, 12), losses, Stop.DIVERGED)
    assert suggest(curve).lr == pytest.approx(curve.lrs[9] / 10)


def test_an_unknown_rule_and_an_impossible_smoothing() -> None:
    with pytest.raises(InvalidValueError, match="minimum, steepest, valley, slide"):
        suggest(range_test_curve(), "fastest")
    with pytest.raises(InvalidValueError, match="smoothing"):
        suggest(range_test_curve(), smoothing=1.0)
