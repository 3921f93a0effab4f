"""The judgement of a guarded run: nothing to say of healthy ones, whatever their noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrscout.analyse.guarding import Guarding
from tests.analyse import healthy


@pytest.mark.parametrize("family", healthy.FAMILIES, ids=lambda family: family.__name__)
def test_healthy_runs_are_left_alone(family: Callable) -> None:
    for run in family():
        guarding = Guarding(len(run.losses))
        guarding.keep()
        for lr, loss in zip(run.lrs.tolist(), run.losses.tolist(), strict=True):
            assert guarding.update(lr, loss) is None, run.name
            if guarding.is_due:
                guarding.keep()
        assert guarding.ended() is None, run.name


@given(st.integers(0, 10**6), st.integers(1, 300), st.sampled_from([-1e3, 0.0, 1e6]))
@settings(max_examples=25, deadline=None)
def test_noise_alone_is_never_lost(seed: int, steps: int, zero: float) -> None:
    guarding = Guarding(steps)
    guarding.keep()
    for loss in (zero + np.random.default_rng(seed).normal(size=steps)).tolist():
        assert guarding.update(0.1, loss) is None


def test_no_snapshot_is_taken_of_a_run_that_is_getting_worse() -> None:
    guarding = Guarding(2000, every=8)
    guarding.keep()
    kept = []
    losses = np.concatenate([0.99 ** np.arange(400), 0.99**400 * 1.004 ** np.arange(300)])
    for step, loss in enumerate(losses.tolist()):
        if guarding.update(0.1, loss):
            break
        if guarding.is_due:
            guarding.keep()
            kept.append(step)
    assert max(kept) < 410
    assert len(kept) > 40


@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e9])
@pytest.mark.parametrize("zero", [0.0, -50.0])
def test_a_dead_network_is_told_by_its_silence(unit: float, zero: float) -> None:
    """Below its first loss, and flat; only the leaps of its first steps and the noise that is gone give it away."""
    generator = np.random.default_rng(0)
    losses = np.concatenate(
        [[2.68], 2.4 + 0.6 * np.abs(generator.normal(size=31)), 2.31 + 0.02 * generator.normal(size=300)]
    )
    losses[7], losses[12] = 4.5, 4.7
    guarding = Guarding(1000)
    guarding.keep()
    reasons = [guarding.update(0.5, loss) for loss in (zero + unit * losses).tolist()]
    assert any(reasons)
    assert not any(reasons[:64])


def test_a_run_of_unknown_length_is_given_more_time() -> None:
    losses = np.concatenate([0.99 ** np.arange(320), np.full(600, 0.9)]).tolist()

    def told_at(steps: int | None) -> int:
        guarding = Guarding(steps)
        guarding.keep()
        return next(step for step, loss in enumerate(losses) if guarding.update(0.1, loss))

    assert 320 + 64 <= told_at(600) < 320 + 200 < 320 + 250 <= told_at(None)
