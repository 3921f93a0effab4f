"""A schedule in JAX: every step of a real run goes at the rate that was planned."""

from __future__ import annotations

import jax
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrscout.core.schedules import NAMED
from lrscout.loops.jax.scheduler import optax_schedule
from tests.measure.recommended import planned, recommendation

STEPS, LR = 40, 0.25


def expected(name: str, steps: int = STEPS) -> np.ndarray:
    return LR * NAMED[name]()(np.arange(steps), steps)


@pytest.mark.parametrize("name", NAMED)
def test_every_step_goes_at_the_planned_rate(name: str) -> None:
    optimizer = optax.sgd(recommendation(name, steps=STEPS, framework="jax").scheduler())

    def step(carry, _):
        place, state = carry
        updates, state = optimizer.update(jax.grad(lambda w: w)(place), state)
        return (optax.apply_updates(place, updates), state), updates

    start = jax.numpy.zeros(())
    _, updates = jax.jit(lambda carry: jax.lax.scan(step, carry, length=STEPS))((start, optimizer.init(start)))
    np.testing.assert_array_equal(-np.asarray(updates), expected(name).astype(np.float32))


@pytest.mark.parametrize("name", NAMED)
@settings(deadline=None, max_examples=15)
@given(steps=st.integers(1, 60))
def test_it_is_the_table_at_every_step_and_stays_past_the_last(name: str, steps: int) -> None:
    table = planned(name, steps).table
    schedule = optax_schedule(LR, table)
    rates = np.asarray(schedule(np.arange(steps + 3)))
    np.testing.assert_array_equal(rates[:steps], (LR * table).astype(np.float32))
    assert set(rates[steps:]) == {rates[steps - 1]}


def test_it_can_be_compiled_and_vectorized() -> None:
    schedule = recommendation("wsd", steps=STEPS).scheduler("optax")
    counts = jax.numpy.arange(STEPS)
    np.testing.assert_array_equal(jax.jit(jax.vmap(schedule))(counts), expected("wsd").astype(np.float32))


def test_of_a_constant_rate_one_number_is_kept() -> None:
    jaxpr = jax.make_jaxpr(optax_schedule(LR, planned("constant", 10**6).table))(0)
    assert sum(np.size(constant) for constant in jaxpr.consts) <= 1
