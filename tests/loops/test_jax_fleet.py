"""Fleets of JAX loops, lane by lane against the loop itself."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrscout
from lrscout.runners.fleet import LANE_UNIT

RATES = np.geomspace(1e-3, 0.3, 8)
OPTIMIZERS = {
    "sgd": optax.sgd,
    "momentum": lambda lr: optax.sgd(lr, momentum=0.9),
    "nesterov": lambda lr: optax.sgd(lr, momentum=0.9, nesterov=True),
    "adam": optax.adam,
    "adamw": optax.adamw,
    "rmsprop": optax.rmsprop,
    "adagrad": optax.adagrad,
    "clipped": lambda lr: optax.chain(optax.clip_by_global_norm(0.5), optax.adam(lr)),
}


def task(dtype=np.float32):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(96, 5)).astype(dtype)
    y = np.sin(x.sum(1)).astype(dtype)
    params = {
        "first": generator.normal(0, 0.5, (5, 7)).astype(dtype),
        "second": generator.normal(0, 0.5, 7).astype(dtype),
    }
    return params, (x, y)


def loss(params, batch):
    x, y = batch
    return jnp.mean((jnp.tanh(x @ params["first"]) @ params["second"] - y) ** 2)


def separate(loop, lrs):
    """The losses of each lane, run by itself from the same start; and where each ends on the evaluation data."""
    losses, evaluations = [], []
    for lane in lrs.T:
        with lrscout.restored(loop):
            losses.append([loop.step(lr) for lr in lane.tolist()])
            evaluations.append(loop.evaluate() if loop._eval_fn is not None else 0.0)
    return np.array(losses).T, np.array(evaluations)


def together(loop, lrs, pieces=1):
    with lrscout.restored(loop):
        fleet = loop.fleet(lrs.shape[1], len(lrs))
        losses = np.concatenate([fleet.advance(piece) for piece in np.array_split(lrs, pieces)])
        return losses, fleet.evaluate() if loop._eval_fn is not None else np.zeros(lrs.shape[1])


def rising_and_falling(steps: int) -> np.ndarray:
    return np.outer(np.sin(np.linspace(0.1, 3, steps)), RATES)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_lane_is_a_run_of_its_own(name: str) -> None:
    params, data = task()
    loop = lrscout.from_jax(params, OPTIMIZERS[name], loss, data, lr=0.1, batch_size=16)
    lrs = rising_and_falling(20)
    expected, evaluation = separate(loop, lrs)
    losses, evaluated = together(loop, lrs, pieces=3)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    np.testing.assert_allclose(evaluated, evaluation, rtol=1e-5)


@pytest.mark.parametrize("name", ["nesterov", "adam", "rmsprop"])
def test_each_lane_is_a_run_of_its_own_in_double_precision(name: str) -> None:
    with jax.enable_x64(True):
        params, data = task(np.float64)
        loop = lrscout.from_jax(params, OPTIMIZERS[name], loss, data, lr=0.1, batch_size=16)
        lrs = rising_and_falling(200) / 10  # Larger rates amplify the rounding beyond any tolerance.
        expected, evaluation = separate(loop, lrs)
        losses, evaluated = together(loop, lrs)
        np.testing.assert_allclose(losses, expected, rtol=1e-9)
        np.testing.assert_allclose(evaluated, evaluation, rtol=1e-9)


def test_state_and_random_keys() -> None:
    params, data = task()

    def with_dropout(params, batch, *, key, state):
        x, y = batch
        mean = 0.9 * state + 0.1 * x.mean(0)
        kept = jax.random.bernoulli(key, 0.7, (x.shape[0], 7))
        hidden = jnp.where(kept, jnp.tanh((x - mean) @ params["first"]), 0.0)
        return jnp.mean((hidden @ params["second"] - y) ** 2), mean

    def evaluate(params, batch, *, state):
        return loss(params, (batch[0] - state, batch[1]))

    loop = lrscout.from_jax(
        params, optax.adam, with_dropout, data, lr=0.1, batch_size=16, eval_fn=evaluate, state=np.zeros(5, np.float32),
        key=jax.random.key(3),
    )  # fmt: skip
    lrs = rising_and_falling(20)
    expected, evaluation = separate(loop, lrs)
    losses, evaluated = together(loop, lrs, pieces=4)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    np.testing.assert_allclose(evaluated, evaluation, rtol=1e-5)
    assert np.ptp(losses[0]) == 0  # Before the first update, with one mask, all lanes are one.


def test_other_ways_to_set_the_rate() -> None:
    params, data = task()
    lrs = rising_and_falling(20)
    for optimizer in (optax.inject_hyperparams(optax.adam)(learning_rate=0.1), optax.adam(0.1)):
        loop = lrscout.from_jax(params, optimizer, loss, data, lr=0.1, batch_size=16)
        np.testing.assert_allclose(together(loop, lrs)[0], separate(loop, lrs)[0], rtol=1e-5)


def test_half_precision_stays_half_precision() -> None:
    params, data = task(np.float16)
    loop = lrscout.from_jax(params, lambda lr: optax.sgd(lr, momentum=0.9), loss, data, lr=0.1, batch_size=16)
    losses, _ = together(loop, rising_and_falling(5))
    np.testing.assert_allclose(losses, separate(loop, rising_and_falling(5))[0], rtol=1e-2)


def test_batches_that_change_their_shape() -> None:
    params, (x, y) = task()
    batches = [(x[:16], y[:16]), (x[16:32], y[16:32]), (x[32:40], y[32:40])]
    loop = lrscout.from_jax(params, optax.sgd, loss, batches, lr=0.1)
    lrs = rising_and_falling(20)
    np.testing.assert_allclose(together(loop, lrs, pieces=4)[0], separate(loop, lrs)[0], rtol=1e-5)


def test_no_batch_is_drawn_that_no_step_needs() -> None:
    params, (x, y) = task()
    drawn = []

    def batches():
        for index in range(1000):
            drawn.append(index)
            yield x[:8], y[:8]

    loop = lrscout.from_jax(params, optax.sgd, loss, batches(), lr=0.1, eval_data=[(x, y)])
    together(loop, rising_and_falling(20), pieces=4)
    assert len(drawn) == 20


def test_a_dead_lane_leaves_the_others_alone() -> None:
    params, data = task()
    loop = lrscout.from_jax(params, optax.sgd, loss, data, lr=0.1, batch_size=16)
    lrs = np.tile(RATES, (30, 1))
    losses, evaluated = together(loop, lrs)
    lrs[:, 3] = 1e30
    beside, evaluated_beside = together(loop, lrs)
    others = [lane for lane in range(8) if lane != 3]
    assert not np.isfinite(beside[-1, 3])
    assert not np.isfinite(evaluated_beside[3])
    np.testing.assert_array_equal(beside[:, others], losses[:, others])
    np.testing.assert_array_equal(evaluated_beside[others], evaluated[others])


@pytest.mark.parametrize("size", [2 * LANE_UNIT, 3 * LANE_UNIT, 5 * LANE_UNIT])
def test_a_lane_does_not_depend_on_how_many_there_are(size: int) -> None:
    params, data = task()
    loop = lrscout.from_jax(params, optax.adam, loss, data, lr=0.1, batch_size=16)
    alone, _ = together(loop, np.tile(RATES, (50, 1)))
    many, _ = together(loop, np.tile(np.resize(RATES, size), (50, 1)))
    np.testing.assert_array_equal(many[:, :8], alone)


def test_the_loop_itself_does_not_move() -> None:
    params, data = task()
    loop = lrscout.from_jax(params, optax.adam, loss, data, lr=0.1, batch_size=16)
    expected = [loop.step(0.1) for _ in range(6)]
    again = lrscout.from_jax(params, optax.adam, loss, data, lr=0.1, batch_size=16)
    losses = [again.step(0.1) for _ in range(3)]
    together(again, rising_and_falling(9))
    assert losses + [again.step(0.1) for _ in range(3)] == expected


def test_the_memory_of_a_lane_grows_with_the_model_and_the_batch() -> None:
    def bytes_of(width: int, batch: int) -> int:
        params = {"first": np.zeros((5, width), np.float32), "second": np.zeros(width, np.float32)}
        data = np.zeros((256, 5), np.float32), np.zeros(256, np.float32)
        return lrscout.from_jax(params, optax.adam, loss, data, lr=0.1, batch_size=batch).lane_bytes()

    # Parameters, two moments, before and after the step; and the activations.
    assert bytes_of(1000, 16) > 6 * 4 * 6000 + 4 * 16 * 1000
    assert bytes_of(1000, 256) > bytes_of(1000, 16) + 4 * 240 * 1000
