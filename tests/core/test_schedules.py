from __future__ import annotations

import numpy as np
import optax
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lrscout.core import schedules
from lrscout.core.errors import InvalidValueError

ALL = {
    "constant": schedules.constant(),
    "linear": schedules.linear(),
    "cosine": schedules.cosine(),
    "warmup": schedules.warmup(0.2, schedules.cosine()),
    "wsd": schedules.warmup_stable_decay(0.1, 0.3),
    "one-cycle": schedules.one_cycle(),
    "exponential": schedules.exponential_ramp(1e-8),
    "linear ramp": schedules.linear_ramp(1e-3),
}


@pytest.mark.parametrize("name", ALL)
@given(total=st.integers(2, 3000))
def test_factors_stay_between_0_and_1_and_come_near_the_peak(name: str, total: int) -> None:
    factors = ALL[name](np.arange(total), total)
    assert factors.shape == (total,)
    assert np.all((factors >= 0) & (factors <= 1 + 1e-12))
    assert factors.max() > 1 - 4 / total


@pytest.mark.parametrize("name", ALL)
def test_a_number_and_an_array_give_the_same(name: str) -> None:
    factors = ALL[name](np.arange(50), 50)
    assert [float(ALL[name](np.array(step), 50)) for step in range(50)] == factors.tolist()


def test_linear_agrees_with_optax() -> None:
    theirs = optax.linear_schedule(1.0, 0.0, 100)
    np.testing.assert_allclose(schedules.linear()(np.arange(100), 100), [theirs(s) for s in range(100)], atol=1e-6)


def test_cosine_agrees_with_torch() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40)
    theirs = []
    for _ in range(40):
        theirs.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(schedules.cosine()(np.arange(40), 40), theirs, atol=1e-9)


def test_one_cycle_agrees_with_optax() -> None:
    theirs = optax.cosine_onecycle_schedule(1000, 1.0, pct_start=0.25, div_factor=25, final_div_factor=1e4)
    # optax divides the start by final_div_factor, so the ends differ; the rise and the fall do not.
    ours = schedules.one_cycle(0.25, 1 / 25, 1 / 25e4)(np.arange(1000), 1000)
    np.testing.assert_allclose(ours, [theirs(step) for step in range(1000)], atol=1e-5)


def test_warmup_stable_decay_has_its_three_parts() -> None:
    factors = schedules.warmup_stable_decay(0.1, 0.2)(np.arange(100), 100)
    np.testing.assert_allclose(factors[:10], np.arange(1, 11) / 10)
    np.testing.assert_allclose(factors[10:80], 1)
    np.testing.assert_allclose(factors[80:], 1 - np.arange(20) / 20)


@given(start=st.floats(1e-12, 0.99), total=st.integers(3, 500))
def test_the_exponential_ramp_has_even_ratios(start: float, total: int) -> None:
    factors = schedules.exponential_ramp(start)(np.arange(total), total)
    np.testing.assert_allclose(factors[1:] / factors[:-1], (1 / start) ** (1 / (total - 1)), rtol=1e-9)


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_impossible_shares_are_refused(share: float) -> None:
    with pytest.raises(InvalidValueError, match="share"):
        schedules.warmup(share, schedules.constant())


def test_a_plateau_needs_room() -> None:
    with pytest.raises(InvalidValueError, match="together"):
        schedules.warmup_stable_decay(0.6, 0.6)
