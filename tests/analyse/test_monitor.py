"""A monitor: silent on healthy runs, quick on runs whose divergence is known, and in the end what diagnose says."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrscout.analyse.diagnose import diagnose
from lrscout.analyse.monitor import Monitor
from lrscout.analyse.rolling import Thinned
from lrscout.core.curve import Outcome
from lrscout.core.errors import InvalidValueError, LossError
from tests.analyse import healthy

SOON = 50
STABLE = 0.05


@cache
def runs(family: Callable) -> tuple[healthy.Run, ...]:
    return tuple(family())


def watch(lrs, losses, **options) -> Monitor:
    monitor = Monitor(**{"steps": len(losses), "say": None} | options)
    for lr, loss in zip(np.broadcast_to(lrs, len(losses)).tolist(), np.asarray(losses, float).tolist(), strict=True):
        monitor.update(lr, loss)
    return monitor


def outcomes(monitor: Monitor) -> list[Outcome]:
    return [verdict.outcome for verdict in monitor.verdicts]


def spoken_at(lrs, losses) -> int:
    """Return the step of the first verdict, which must be that the run diverges."""
    verdict = watch(lrs, losses).verdicts[0]
    assert verdict.outcome is Outcome.DIVERGING
    return verdict.step


def descent(curvatures, lrs: np.ndarray) -> np.ndarray:
    """Gradient descent on `sum(curvature * x**2) / 2` from ones, up to where it overflows."""
    curvatures = np.asarray(curvatures, float)
    with np.errstate(over="ignore"):
        places = np.cumprod(1 - lrs[:-1, np.newaxis] * curvatures, axis=0)
        losses = np.concatenate([np.ones((1, len(curvatures))), places]) ** 2 @ curvatures / 2
    return losses[: np.flatnonzero(losses < 1e300)[-1] + 1]


def raised(growth: float, sharpness: float, begin: int, after: int = 2500) -> np.ndarray:
    """Rates that are stable at first and then let the loss grow by a factor: it is `(lr * sharpness - 1)**2`."""
    return np.where(np.arange(begin + after) < begin, STABLE, (1 + math.sqrt(growth)) / sharpness)


@pytest.mark.parametrize("family", healthy.FAMILIES, ids=lambda family: family.__name__)
def test_it_is_silent_on_healthy_runs(family: Callable) -> None:
    for run in runs(family):
        first, last = run.losses[:10], run.losses[-len(run.losses) // 10 :]
        assert np.isfinite(run.losses).all(), run.name
        assert np.median(last) < np.median(first) + np.ptp(first), run.name
        assert watch(run.lrs, run.losses).verdicts == (), run.name


def test_the_healthy_runs_are_a_hundred_and_what_they_are_called() -> None:
    assert sum(len(runs(family)) for family in healthy.FAMILIES) >= 100
    for run in runs(healthy.catapults):
        assert run.losses.max() > 1.5 * run.losses[0], run.name
    rises = [np.mean(np.diff(run.losses[50:]) > 0) for run in runs(healthy.edge_of_stability)]
    assert sum(share > 0.05 for share in rises) >= 4


@pytest.mark.parametrize("begin", [0, 10, 100, 300])
@pytest.mark.parametrize("growth", [1.05, 1.1, 1.3, 2.0, 10.0, 1e3])
def test_it_speaks_within_fifty_steps_of_a_divergence_without_noise(growth: float, begin: int) -> None:
    lrs = raised(growth, 4.0, begin)
    losses = descent([4.0, 0.5], lrs)
    began = begin + int(np.argmin(losses[begin:]))
    assert began <= spoken_at(lrs[: len(losses)], losses) <= began + SOON


@pytest.mark.parametrize("growth", [1.01, 1.02, 1.03])
def test_a_slow_divergence_from_the_start_is_soon_told_too(growth: float) -> None:
    lrs = raised(growth, 4.0, 0, 400)
    assert spoken_at(lrs, descent([4.0], lrs)) <= SOON


@pytest.mark.parametrize("begin", [1000, 30_000])
@pytest.mark.parametrize("growth", [1.01, 1.02, 1.05, 1.1, 1.3, 2.0])
def test_it_speaks_within_fifty_steps_of_a_divergence_that_rises_out_of_noise(growth: float, begin: int) -> None:
    """What grows began when it stood above the noise, at ten times its standard deviation."""
    steps = np.arange(begin + 200)
    rise = 0.1 * 10 * growth ** np.clip(steps - begin, -3000, 900)
    for seed in range(4):
        noise = np.random.default_rng(seed).normal(0, 0.1, len(steps))
        assert spoken_at(0.1, 1 + 5 * np.exp(-steps / 60) + noise + rise) <= begin + SOON


@given(st.floats(1.06, 1e3), st.floats(1e-3, 1e3), st.floats(1e-9, 1e9), st.integers(0, 60))
@settings(max_examples=40, deadline=None)
def test_no_unit_hides_a_divergence(growth: float, sharpness: float, unit: float, healthy_steps: int) -> None:
    lrs = np.where(np.arange(healthy_steps + 90) < healthy_steps, 1.2, 1 + math.sqrt(growth)) / sharpness
    losses = unit * descent([sharpness], lrs)
    assert healthy_steps <= spoken_at(lrs[: len(losses)], losses) <= healthy_steps + SOON


@given(st.sampled_from([-1e3, -1.0, 1.0, 1e3]), st.sampled_from([0.5, 1.0, 1024.0]))
@settings(max_examples=12, deadline=None)
def test_neither_the_zero_nor_the_unit_of_the_loss_matters(zero: float, unit: float) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 1100)
    losses = noise + 1.1 ** np.clip(np.arange(1100) - 1000.0, -500, None)
    assert spoken_at(0.1, zero + unit * losses) == spoken_at(0.1, losses)


def test_it_says_each_thing_once() -> None:
    said: list[str] = []
    monitor = Monitor(say=said.append)
    found = [monitor.update(0.9, 1.5**step if step < 90 else math.nan) for step in range(300)]
    assert [verdict for verdict in found if verdict] == list(monitor.verdicts)
    assert outcomes(monitor) == [Outcome.DIVERGING, Outcome.NON_FINITE]
    assert said == [verdict.sentence for verdict in monitor.verdicts] == list(map(str, monitor.verdicts))
    assert monitor.verdicts[1].step == 90


def test_its_words_are_those_of_the_diagnosis(caplog: pytest.LogCaptureFixture) -> None:
    monitor = Monitor(max_stable_lr=0.775)
    for loss in descent([2 / 0.775], np.full(60, 0.9)).tolist():
        monitor.update(0.9, loss)
    (verdict,) = monitor.verdicts
    assert verdict.sentence == (
        f"Step {verdict.step}: diverging: 0.9 is above the limit 0.775: every step lands farther away; "
        "no number of steps will help. Try 0.388, half of the limit."
    )
    assert caplog.messages == [verdict.sentence]
    assert verdict.diagnosis.suggested_lr == 0.775 / 2
    growth = verdict.diagnosis.evidence.growth
    assert growth == pytest.approx((0.9 * 2 / 0.775 - 1) ** 2, rel=1e-6)


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("last", [1e9, math.nan, math.inf])
def test_it_stops_the_run_if_it_is_asked_to(last: float, asked: bool) -> None:
    losses = [*np.linspace(2, 1, 100), last] if not math.isfinite(last) else 1.3 ** np.arange(100)
    monitor = watch(0.1, losses, stop_on_divergence=asked)
    assert len(monitor.verdicts) == 1
    assert monitor.should_stop is asked
    assert not watch(0.1, np.linspace(2, 1, 100), stop_on_divergence=True).should_stop


def test_a_loss_that_is_none_is_told_at_once_and_the_very_first_with_the_second() -> None:
    monitor = watch(0.1, [2.0, 1.9, math.nan])
    assert [(verdict.step, verdict.outcome) for verdict in monitor.verdicts] == [(2, Outcome.NON_FINITE)]
    first = Monitor(say=None)
    assert first.update(0.1, math.nan) is None
    verdict = first.update(0.1, math.nan)
    assert verdict is not None
    assert verdict.outcome is Outcome.NON_FINITE
    assert "not the rate" in verdict.sentence


def test_one_skipped_batch_before_the_first_update_is_no_verdict() -> None:
    assert watch(0.1, [math.inf, *(1 + np.exp(-np.arange(200) / 50))]).verdicts == ()


@pytest.mark.parametrize("steps", [300, 3000])
def test_too_slow_is_told_where_the_run_will_not_get_there(steps: int) -> None:
    noise = np.random.default_rng(0).normal(0, 1e-5, steps)
    losses = descent([4.0], np.full(steps, 1e-2 / steps)) + noise
    monitor = watch(1e-2 / steps, losses)
    assert outcomes(monitor) == [Outcome.TOO_SLOW]
    assert monitor.verdicts[0].step < steps / 2
    assert watch(1e-2 / steps, losses, steps=None).verdicts == ()
    assert watch(1e-2 / steps, losses, steps=1000 * steps).verdicts == ()


def test_what_starts_slowly_in_a_warmup_is_not_called_too_slow() -> None:
    lrs = healthy.warmup_cosine(0.02, 1000)
    assert watch(lrs, descent([4.0, 0.5], lrs)).verdicts == ()


def test_an_oscillation_is_told_and_one_that_dies_away_is_not() -> None:
    steps = np.arange(600)
    noise = np.random.default_rng(0).normal(0, 0.02, 600)
    assert outcomes(watch(0.1, 1 + 0.3 * (-1.0) ** steps + noise)) == [Outcome.OSCILLATING]
    assert watch(0.1, 1 + 0.3 * (-0.99) ** steps + noise).verdicts == ()


def test_at_the_limit_it_oscillates_where_the_limit_is_known() -> None:
    losses = descent([4.0, 2.0], np.full(300, 0.5))
    assert outcomes(watch(0.5, losses, max_stable_lr=0.5)) == [Outcome.OSCILLATING]
    assert watch(0.5, losses).verdicts == ()


def test_a_rise_to_a_higher_level_that_takes_its_time_is_told() -> None:
    steps = np.arange(3000)
    noise = np.random.default_rng(0).normal(0, 0.05, 3000)
    assert outcomes(watch(0.1, 1 + steps / 1000 + noise)) == [Outcome.DIVERGING]


def test_above_a_known_limit_it_need_not_climb_back_first() -> None:
    lrs = raised(1.02, 4.0, 40, 400)
    losses = descent([4.0, 0.5], lrs)
    steps = [watch(lrs, losses, max_stable_lr=limit).verdicts[0].step for limit in (None, 0.5)]
    assert steps[1] <= 40 + int(np.argmin(losses[40:])) + SOON < steps[0]


@pytest.mark.parametrize("family", healthy.FAMILIES, ids=lambda family: family.__name__)
def test_in_the_end_it_says_what_diagnose_says(family: Callable) -> None:
    for run in runs(family)[::3]:
        if len(run.losses) <= 3000:
            monitor = watch(run.lrs, run.losses, steps=None)
            assert monitor.diagnosis().to_dict() == diagnose(run.losses, run.lrs).to_dict(), run.name


def test_of_long_runs_too() -> None:
    """But where noise that wanders leaves it open whether the loss has come to rest."""
    for run in runs(healthy.written):
        said = watch(run.lrs, run.losses).diagnosis().outcome
        either = {said, diagnose(run.losses, run.lrs).outcome}
        assert len(either) == 1 or (run.name.startswith("noise that wanders") and Outcome.PLATEAUED in either), run.name


def test_memory_is_bounded() -> None:
    generator = np.random.default_rng(0)
    monitor = Monitor(say=None)
    sizes = []
    for _ in range(4):
        for loss in generator.normal(size=25_000).tolist():
            monitor.update(0.1, loss)
            monitor.evaluated(loss)
        sizes.append(len(pickle.dumps(monitor)))
    assert max(sizes) < 1.6 * sizes[0]
    assert len(monitor.diagnosis().losses) < 4000
    assert len(monitor.diagnosis().evaluations) < 4000


@given(st.integers(3, 30), st.integers(1, 2000))
def test_what_is_thinned_stays_even_and_alternates_on(most: int, count: int) -> None:
    thinned = Thinned(most)
    for step in range(count):
        thinned.append((step, (-1.0) ** step))
    steps = [step for step, _ in thinned.rows]
    assert steps == [thinned.stride // 2 + place * thinned.stride for place in range(count // thinned.stride)]
    assert len(steps) < most
    losses = [loss for _, loss in thinned.rows]
    assert all(later == -earlier for earlier, later in pairwise(losses))


def test_what_is_thinned_keeps_the_level_and_drops_bad_batches_and_gaps() -> None:
    generator = np.random.default_rng(0)
    thinned = Thinned(100)
    for step, loss in enumerate(generator.normal(5, 0.1, 10_000)):
        thinned.append((step, {7: math.nan, 8: 1e9}.get(step % 100, loss)))
    losses = np.array([loss for _, loss in thinned.rows])
    assert np.abs(losses - 5).max() < 0.1


def test_evaluations_tell_overfitting() -> None:
    monitor = Monitor(say=None)
    for step in range(2000):
        monitor.update(0.1, 1 / (1 + step / 50))
        if step % 50 == 0:
            monitor.evaluated(1 / (1 + step / 50) + step / 3000)
    found = monitor.diagnosis()
    assert found.evidence.overfitting is not None
    assert found.evidence.overfitting.best_step == pytest.approx(math.sqrt(50 * 3000), abs=100)
    assert monitor.verdicts == ()


def test_steps_may_be_told_now_and_then() -> None:
    monitor = Monitor(say=None)
    for step in range(9, 1000, 10):
        monitor.update(None, 1.05**step, step=step)
    assert [verdict.outcome for verdict in monitor.verdicts] == [Outcome.DIVERGING]
    assert monitor.diagnosis().evidence.growth == pytest.approx(1.05, rel=1e-6)
    assert monitor.diagnosis().lr is None


def test_what_is_wrong_is_told() -> None:
    with pytest.raises(InvalidValueError, match="steps must be at least 1"):
        Monitor(0)
    with pytest.raises(InvalidValueError, match="max_stable_lr"):
        Monitor(max_stable_lr=-1.0)
    monitor = Monitor()
    with pytest.raises(InvalidValueError, match=r"lr must be a finite number that is not below zero, but it is -0\.1"):
        monitor.update(-0.1, 1.0)
    with pytest.raises(LossError, match="one real number, but it is None"):
        monitor.update(0.1, None)  # type: ignore[arg-type]
    monitor.update(0.1, 1.0, step=7)
    with pytest.raises(InvalidValueError, match="after the last one, 7, but it is 7"):
        monitor.update(0.1, 1.0, step=7)
