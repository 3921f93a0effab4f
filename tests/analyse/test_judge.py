"""The judgement and its evidence, on descents in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscout import Outcome
from lrscout.analyse.judge import judge
from lrscout.analyse.smoothing import smooth
from lrscout.core.errors import EmptyDataError, InvalidValueError
from tests.descents import quadratic
from tests.problems import quadratic_loop


def descend(lr: float, steps: int = 200, **problem) -> np.ndarray:
    loop = quadratic_loop(**problem)
    return np.array([loop.step(lr) for _ in range(steps)])


def outcome_of(losses) -> Outcome:
    return judge(np.asarray(losses)).outcome


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


LRS = st.sampled_from([1e-4, 0.1, 0.45, 0.55, 1.0])


@given(LRS, st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_the_unit_and_the_zero_of_the_loss_do_not_matter(lr: float, zero: float, unit: float) -> None:
    losses = descend(lr, 60)
    assert outcome_of(zero + unit * losses) is outcome_of(losses)


@given(LRS, st.integers(0, 10_000), st.floats(1e-6, 1e6))
def test_nor_do_they_with_noise_for_the_evidence_either(lr: float, seed: int, unit: float) -> None:
    losses = descend(lr, 60) + np.random.default_rng(seed).normal(0, 0.01, 60)
    mine, other = judge(losses), judge(unit * (losses - 3))
    assert mine.outcome is other.outcome
    np.testing.assert_allclose(other.evidence.noise, unit * mine.evidence.noise, rtol=1e-6)
    np.testing.assert_allclose(other.evidence.slope, unit * mine.evidence.slope, rtol=1e-6)
    np.testing.assert_allclose(other.evidence.end, unit * (mine.evidence.end - 3), rtol=1e-6)
    if mine.evidence.growth is not None:
        assert other.evidence.growth == pytest.approx(mine.evidence.growth, rel=1e-6)


@given(st.sampled_from([1e-4, 0.03, 0.3, 0.55]), st.integers(0, 99), st.floats(0.5, 1e6), st.floats(0, 0.01))
def test_one_bad_batch_changes_nothing(lr: float, where: int, size: float, scatter: float) -> None:
    losses = descend(lr, 100) + np.random.default_rng(0).normal(0, 1, 100) * scatter
    spoilt = losses.copy()
    spoilt[where] += size * np.ptp(losses)
    assert outcome_of(spoilt) is outcome_of(losses)


@given(
    st.sampled_from([(1e-5, "too_slow"), (3e-3, "converging"), (0.1, "plateaued"), (0.501, "diverging")]),
    st.integers(2, 20),
)
def test_every_tenth_step_tells_the_same_as_all(case: tuple[float, str], every: int) -> None:
    lr, outcome = case
    losses = descend(lr, 1000)
    assert judge(losses).outcome.value == outcome
    thinned = judge(losses[::every], steps=np.arange(1000)[::every])
    assert thinned.outcome.value == outcome
    if outcome == "diverging":
        assert thinned.evidence.growth == pytest.approx((0.501 * 4 - 1) ** 2, rel=1e-5)


def test_noise_without_a_trend_stands_still() -> None:
    for seed in range(200):
        generator = np.random.default_rng(seed)
        assert outcome_of(generator.normal(0.1, 0.02, 300)) is Outcome.PLATEAUED
        assert outcome_of(generator.lognormal(0, 1, 300)) in (Outcome.PLATEAUED, Outcome.TOO_SLOW)
        assert outcome_of(-generator.exponential(1, 300)) is Outcome.PLATEAUED


def test_noise_does_not_hide_a_fall_or_a_rise() -> None:
    steps = np.arange(300)
    noise = np.random.default_rng(0).normal(0, 0.1, 300)
    assert outcome_of(2 * np.exp(-steps / 80) + noise) is Outcome.CONVERGING
    assert outcome_of(2 - steps / 300 + noise) is Outcome.TOO_SLOW
    assert outcome_of(2 + steps / 100 + noise) is Outcome.DIVERGING


@pytest.mark.parametrize("smoothing", [0.9, 0.98, 0.99])
def test_what_smoothing_makes_of_noise_is_no_divergence(smoothing: float) -> None:
    called = [
        outcome_of(smooth(np.random.default_rng(seed).normal(0, 1, 2000), smoothing)[1000:]) for seed in range(100)
    ]
    assert Outcome.DIVERGING not in called


@given(st.floats(1.02, 3.0), st.floats(-100, 100), st.integers(30, 100))
def test_the_growth_is_that_of_the_theory(ratio: float, zero: float, steps: int) -> None:
    losses = zero + descend(ratio * 2, steps, curvatures=(1.0,))
    evidence = judge(losses).evidence
    assert evidence.growth == pytest.approx((2 * ratio - 1) ** 2, rel=1e-3)
    assert evidence.grows_from is not None


def test_the_growth_comes_with_an_error_that_covers_the_truth() -> None:
    covered = 0
    for seed in range(60):
        noise = np.random.default_rng(seed).normal(0, 1, 200)
        evidence = judge(1.04 ** np.arange(200) + noise).evidence
        assert evidence.growth is not None
        assert evidence.growth_error is not None
        assert evidence.growth == pytest.approx(1.04, abs=0.004)
        covered += abs(evidence.growth - 1.04) < 3 * evidence.growth_error
    assert covered >= 50


@pytest.mark.parametrize("period", [2, 4, 7.5, 20])
def test_the_period_of_an_oscillation(period: float) -> None:
    steps = np.arange(400)
    noise = np.random.default_rng(0).normal(0, 0.05, 400)
    judgement = judge(1 + np.cos(2 * np.pi * steps / period) + noise, steps=3 * steps)
    assert judgement.outcome is Outcome.OSCILLATING
    assert judgement.evidence.period == pytest.approx(3 * period, rel=0.02)


@pytest.mark.parametrize("lr", [2.2, 2.45])
def test_a_cycle_of_two_is_an_oscillation_after_a_descent_as_well(lr: float) -> None:
    position, losses = -4.0, []
    for _ in range(200):
        losses.append(np.exp(position) - position)
        position -= lr * (np.exp(position) - 1)
    judgement = judge(np.array(losses))
    assert judgement.outcome is Outcome.OSCILLATING
    assert judgement.evidence.period == 2


def test_data_in_the_same_order_every_epoch_are_no_oscillation() -> None:
    for seed in range(50):
        generator = np.random.default_rng(seed)
        losses = np.tile(generator.normal(1, 0.3, 20), 30) + generator.normal(0, 0.1, 600)
        assert outcome_of(losses) is Outcome.PLATEAUED


def test_the_slope_and_the_noise_are_those_put_in() -> None:
    for seed in range(20):
        losses = 5 - 0.01 * np.arange(1000) + np.random.default_rng(seed).normal(0, 0.3, 1000)
        evidence = judge(losses, steps=10 * np.arange(1000)).evidence
        assert evidence.slope is not None
        assert evidence.slope_error is not None
        assert abs(evidence.slope + 0.001) < 5 * evidence.slope_error
        assert evidence.slope_error < 2e-5
        assert evidence.noise == pytest.approx(0.3, rel=0.2)


def test_what_is_left_to_gain_of_an_exponential_approach() -> None:
    losses = 3 + np.exp(-np.arange(200) / 60)
    evidence = judge(losses).evidence
    assert evidence.gain_left == pytest.approx(losses[-20:].mean() - 3, rel=0.1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_run_that_ends_in_no_number_is_lost(bad: float) -> None:
    losses = np.append(descend(0.1, 100), [bad] * 3)
    judgement = judge(losses)
    assert judgement.outcome is Outcome.NON_FINITE
    assert judgement.evidence.first_non_finite == 100
    assert judge(np.full(5, bad)).outcome is Outcome.NON_FINITE
    assert judge(np.full(5, bad)).evidence.losses == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", [0, 50])
def test_what_comes_back_from_no_number_was_a_gap(bad: float, where: int) -> None:
    losses = descend(0.1, 100)
    whole = judge(losses).outcome
    losses[where] = bad
    judgement = judge(losses)
    assert judgement.outcome is whole
    assert judgement.evidence.gaps == 1
    assert judgement.evidence.first_non_finite is None


def test_gaps_of_a_kind_do_not_make_the_end_a_loss() -> None:
    losses = descend(0.1, 100)
    losses[1::2] = np.nan
    assert judge(losses).outcome is judge(losses[::2]).outcome
    losses[-4:] = np.nan
    assert judge(losses).outcome is Outcome.NON_FINITE


def test_a_catapult_converges() -> None:
    # Two layers of one unit each, between 2 and 4 over the curvature: the loss jumps up and settles lower.
    output, curvature, width, losses = 1.0, 1.0, 300, []
    for _ in range(120):
        losses.append(output**2 / 2)
        lr = 2.6
        output, curvature = (
            output * (1 - lr * curvature + lr**2 * output**2 / width),
            curvature + lr * output**2 / width * (lr * curvature - 4),
        )
    assert max(losses) > 2 * losses[0]
    assert losses[-1] < losses[0] / 2
    assert outcome_of(losses) in (Outcome.CONVERGING, Outcome.PLATEAUED)


def test_the_edge_of_stability_converges() -> None:
    # A long fall, with the ripple of period two and the bursts of a run whose sharpness hovers at the limit.
    steps = np.arange(2000)
    bursts = 0.05 * np.abs(np.sin(steps / 60)) ** 8
    losses = 2 * (1 + steps / 100) ** -0.7 + bursts * (1 + 0.8 * (-1.0) ** steps)
    assert outcome_of(losses) is Outcome.CONVERGING
    assert np.mean(np.diff(losses) > 0) > 0.2


def test_a_rise_that_comes_to_rest_is_no_divergence() -> None:
    for seed in range(50):
        noise = np.random.default_rng(seed).normal(0, 0.1, 400)
        assert outcome_of(1 - np.exp(-np.arange(400) / 40) + noise) is Outcome.PLATEAUED
    assert outcome_of(1 - np.exp(-np.arange(400) / 40)) is Outcome.PLATEAUED


def test_the_rise_of_a_warmup_is_no_divergence_until_it_exceeds_everything_before() -> None:
    steps = np.arange(100)
    losses = 2 - 0.5 * np.minimum(steps / 50, 1) + 0.02 * np.maximum(steps - 50, 0) * (1 - 0.2)
    losses[:50] += np.random.default_rng(0).normal(0, 0.001, 50)
    assert losses[-1] > losses[0]
    warming, constant = steps / 100, np.ones(100)
    assert judge(losses, lrs=constant).outcome is Outcome.DIVERGING
    assert judge(losses, lrs=warming).outcome is not Outcome.DIVERGING
    assert judge(np.append(losses, 10.0 * 2.0 ** np.arange(20)), lrs=np.arange(120)).outcome is Outcome.DIVERGING


def test_overfitting_is_seen_and_is_no_divergence() -> None:
    steps, at = np.arange(1000), np.arange(0, 1000, 50)
    for seed in range(20):
        generator = np.random.default_rng(seed)
        losses = np.exp(-steps / 200) + generator.normal(0, 0.05, 1000)
        evaluations = np.exp(-at / 150) + at / 1000 + generator.normal(0, 0.01, 20)
        judgement = judge(losses, evaluations, evaluated_at=at)
        assert judgement.outcome is not Outcome.DIVERGING
        turned = judgement.evidence.overfitting
        assert turned is not None
        assert abs(turned.best_step - 150 * np.log(1000 / 150)) <= 100
        assert turned.risen == pytest.approx(0.48, abs=0.1)
        flat = np.exp(-at / 150) + generator.normal(0, 0.01, 20)
        assert judge(losses, flat, evaluated_at=at).evidence.overfitting is None


@given(st.lists(st.floats(), min_size=2, max_size=40))
def test_anything_can_be_judged(losses: list[float]) -> None:
    judgement = judge(np.array(losses))
    assert judgement.outcome in Outcome
    assert judgement.evidence.losses <= len(losses)


def test_the_largest_and_the_smallest_numbers() -> None:
    for unit in (1e-300, 1e300):
        assert outcome_of(unit * descend(0.1, 100)) is outcome_of(descend(0.1, 100))
    assert outcome_of([1e308, -1e308] * 20) is Outcome.OSCILLATING
    assert outcome_of(np.zeros(50)) is Outcome.PLATEAUED


def test_a_log_of_few_digits_does_not_rise_by_its_last_one() -> None:
    losses = np.full(300, 0.6931)
    losses[-20:] = 0.6932
    assert outcome_of(losses) is Outcome.PLATEAUED


def test_a_momentum_that_swings_and_settles_is_healthy() -> None:
    for ratio in (0.2, 0.5, 0.9, 0.98):
        truth = quadratic("", np.array([1.0, 0.01]), np.ones(2), ratio * 3.8, 500, momentum=0.9)
        assert outcome_of(truth.losses) is not Outcome.DIVERGING


@pytest.mark.parametrize("losses", [[1.0, 2.0], [1.0, 1.5, 2.3], [1.0, 1e3, 1e6]])
def test_two_losses_are_enough_to_see_a_jump_away(losses: list[float]) -> None:
    assert outcome_of(losses) is Outcome.DIVERGING


def test_one_loss_tells_nothing() -> None:
    with pytest.raises(EmptyDataError, match="at least 2 losses, but there are 1"):
        judge(np.array([1.0]))


def test_what_does_not_belong_together() -> None:
    with pytest.raises(InvalidValueError, match="steps must be as many as the losses, 3, but they are 2"):
        judge(np.ones(3), steps=np.arange(2))
    with pytest.raises(InvalidValueError, match="evaluated_at must be as many"):
        judge(np.ones(3), np.ones(3), evaluated_at=np.arange(2))
