"""What JAX loops do beyond coming home."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrscout
from lrscout.core.errors import EmptyDataError, InvalidValueError, LossError, UnsupportedLoopError

X = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
Y = X.sum(1)


def loss(w, batch):
    x, y = batch
    return jnp.mean((x @ w - y) ** 2)


def course(optimizer, **arguments):
    loop = lrscout.from_jax(jnp.ones(3) / 2, optimizer, loss, (X, Y), **arguments)
    return [loop.step(rate) for rate in (0.01, 0.02, 0.04, 0.08)] + loop.params.tolist()


@pytest.mark.parametrize("make", [optax.sgd, optax.adam, optax.adamw, optax.lion])
def test_the_three_ways_to_give_an_optimizer_take_the_same_steps(make) -> None:
    from_function = course(make, lr=0.05)
    np.testing.assert_allclose(course(optax.inject_hyperparams(make)(learning_rate=0.05)), from_function, rtol=1e-5)
    np.testing.assert_allclose(course(make(0.05), lr=0.05), from_function, rtol=1e-5)


def test_the_steps_are_optax_steps() -> None:
    import jax

    w, optimizer = jnp.ones(3) / 2, optax.adam(0.03)
    state = optimizer.init(w)
    for _ in range(5):
        updates, state = optimizer.update(jax.grad(loss)(w, (X, Y)), state, w)
        w = optax.apply_updates(w, updates)
    loop = lrscout.from_jax(jnp.ones(3) / 2, optax.adam, loss, (X, Y), lr=0.03)
    for _ in range(5):
        loop.step(0.03)
    np.testing.assert_allclose(loop.params, w, rtol=1e-5)
    continued = lrscout.from_jax(w, optax.adam, loss, (X, Y), lr=0.03, opt_state=state)
    assert continued.step(0.03) == pytest.approx(loop.step(0.03), rel=1e-4)


def test_the_rate_is_read_where_it_can_be() -> None:
    def make(optimizer, **arguments):
        return lrscout.from_jax(jnp.ones(3), optimizer, loss, (X, Y), **arguments).lr

    assert make(optax.sgd, lr=0.1) == 0.1
    assert make(optax.inject_hyperparams(optax.sgd)(learning_rate=0.2)) == pytest.approx(0.2)
    assert make(optax.sgd(0.3), lr=0.3) == 0.3


@pytest.mark.parametrize(
    ("optimizer", "arguments", "sentence"),
    [
        (optax.sgd, {}, "give lr="),
        (optax.sgd(0.1), {}, "Give the lr that it was made with"),
        (optax.sgd(optax.linear_schedule(0.1, 0.0, 10)), {"lr": 0.1}, "a schedule of its own"),
        (
            optax.inject_hyperparams(optax.sgd)(learning_rate=optax.linear_schedule(0.1, 0.0, 10)),
            {},
            "because it is a schedule",
        ),
        ("adam", {"lr": 0.1}, "but it is a str"),
    ],
)
def test_optimizers_whose_rate_cannot_be_set(optimizer, arguments, sentence: str) -> None:
    with pytest.raises(UnsupportedLoopError, match=sentence):
        lrscout.from_jax(jnp.ones(3), optimizer, loss, (X, Y), **arguments)


@pytest.mark.parametrize(
    "make",
    [
        lambda lr: optax.inject_hyperparams(optax.sgd)(learning_rate=lr),
        lambda lr: optax.sgd(optax.linear_schedule(0.0, lr, 1000)),
    ],
)
def test_functions_of_the_rate_that_would_not_use_it_are_refused(make) -> None:
    with pytest.raises(UnsupportedLoopError, match="would not use the rate"):
        lrscout.from_jax(jnp.ones(3), make, loss, (X, Y), lr=0.1)


def test_a_torch_loader_comes_home_and_follows_the_seed() -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(
        TensorDataset(torch.arange(16)), 4, shuffle=True, collate_fn=lambda items: np.array([int(i) for (i,) in items])
    )
    loop = lrscout.from_jax(
        jnp.zeros(3), optax.sgd, lambda w, i: jnp.mean((jnp.asarray(X)[i] @ w - jnp.asarray(Y)[i]) ** 2), loader, lr=0.1
    )
    before = torch.get_rng_state()
    tests = [lrscout.range_test(loop, steps=20, seed=seed).losses.tolist() for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    assert tests[0] == tests[1] != tests[2]


def test_an_impossible_rate() -> None:
    with pytest.raises(InvalidValueError, match="lr must be"):
        lrscout.from_jax(jnp.ones(3), optax.sgd, loss, (X, Y), lr=-1)


def test_the_batches_of_arrays_cover_them() -> None:
    seen = []

    def watch(w, batch):
        return jnp.sum(w) + jnp.sum(batch["i"])

    loop = lrscout.from_jax(jnp.ones(1), optax.sgd, watch, {"i": np.arange(16.0)}, lr=1e-9, batch_size=4)
    for _ in range(4):
        seen.extend(loop._data.peek()["i"].tolist())
        loop.step(1e-9)
    assert sorted(seen) == list(range(16))
    assert seen != sorted(seen)


@pytest.mark.parametrize(
    ("data", "batch_size", "sentence"),
    [
        ((X, Y[:3]), None, "equally long"),
        ((X, Y), 17, "between 1 and 16, but it is 17"),
        ((X, Y), 0, "between 1 and 16"),
        ([(X, Y)], 4, "taken as batches already"),
    ],
)
def test_data_that_do_not_fit_together(data, batch_size, sentence: str) -> None:
    with pytest.raises(InvalidValueError, match=sentence):
        lrscout.from_jax(jnp.ones(3), optax.sgd, loss, data, lr=0.1, batch_size=batch_size)


def test_empty_arrays() -> None:
    loop = lrscout.from_jax(jnp.ones(3), optax.sgd, loss, (X[:0], Y[:0]), lr=0.1)
    with pytest.raises(EmptyDataError):
        lrscout.range_test(loop)


def test_a_loss_that_is_a_vector() -> None:
    loop = lrscout.from_jax(jnp.ones(3), optax.sgd, lambda w, b: (b[0] @ w - b[1]) ** 2, (X, Y), lr=0.1)
    with pytest.raises(LossError, match=r"array of shape \(16,\)"):
        lrscout.range_test(loop)


def test_a_loss_with_a_training_mode_needs_an_evaluation_mode() -> None:
    import jax

    loop = lrscout.from_jax(
        jnp.zeros(3), optax.sgd, lambda w, b, key: loss(w, b), (X, Y), lr=0.1, key=jax.random.key(0)
    )
    assert loop.step(0.1) > 0
    with pytest.raises(UnsupportedLoopError, match="Give eval_fn"):
        loop.evaluate()
