"""JAX loops: a key, batch statistics, every way to give an optimizer, arrays and iterators."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax

import lrscout
from tests.battery import Case, Part, stream_place

GENERATOR = np.random.default_rng(3)
X = GENERATOR.normal(size=(32, 6)).astype(np.float32)
Y = X.sum(1)


def attribute(loop, name: str) -> Part:
    """A pytree of the loop; what is read is immutable and can be written back as it is."""
    return Part(
        lambda: [
            np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)
            for leaf in jax.tree.leaves(getattr(loop, name))
        ],
        lambda leaves: setattr(loop, name, _like(getattr(loop, name), leaves)),
    )


def _like(tree, leaves):
    if hasattr(tree, "dtype") and jnp.issubdtype(tree.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jnp.asarray(leaves[0]))
    return jax.tree.unflatten(jax.tree.structure(tree), [jnp.asarray(leaf) for leaf in leaves])


def parts_of(loop, *names: str) -> dict[str, Part]:
    parts = {name: attribute(loop, name) for name in ("params", "opt_state", *names)}
    return parts | {"place": stream_place(loop)}


def dropout_and_statistics() -> Case:
    """Shuffled minibatches, a key for dropout, running statistics, Adam from a function of the lr."""

    def loss(params, batch, *, key, state):
        x, y = batch
        mean = 0.9 * state + 0.1 * x.mean(0)
        kept = jax.random.bernoulli(key, 0.8, x.shape)
        prediction = jnp.tanh((x - mean) * kept) @ params["w"] + params["b"]
        return jnp.mean((prediction - y) ** 2), mean

    def eval_loss(params, batch, *, state):
        x, y = batch
        return jnp.mean((jnp.tanh(x - state) @ params["w"] + params["b"] - y) ** 2)

    loop = lrscout.from_jax(
        {"w": jnp.ones(6), "b": jnp.zeros(())},
        optax.adam,
        loss,
        (X, Y),
        lr=0.01,
        batch_size=5,
        state=jnp.zeros(6),
        key=jax.random.key(1),
        eval_fn=eval_loss,
    )
    order = loop._data._stream._source._order.bit_generator
    parts = parts_of(loop, "state", "_key")
    parts["order"] = Part(lambda: order.state, lambda state: setattr(order, "state", state))
    return Case(loop, parts)


def injected() -> Case:
    """An injected learning rate inside a chain, an endless iterator, batches of one."""
    optimizer = optax.chain(optax.clip(1.0), optax.inject_hyperparams(optax.rmsprop)(learning_rate=0.01, momentum=0.5))

    def loss(w, batch):
        x, y = batch
        return jnp.mean((x @ w - y) ** 2)

    batches = ((X[index % 32 : index % 32 + 1], Y[index % 32 : index % 32 + 1]) for index in itertools.count())
    loop = lrscout.from_jax(jnp.zeros(6), optimizer, loss, batches)
    return Case(loop, parts_of(loop))


def ready() -> Case:
    """A ready optimizer with momentum, batches in a list shorter than the test, a raw key."""

    def loss(w, batch, *, key):
        return jnp.mean((batch["x"] @ w - batch["y"] + 0.1 * jax.random.normal(key)) ** 2)

    batches = [{"x": X[start : start + 8], "y": Y[start : start + 8]} for start in (0, 8, 16)]
    loop = lrscout.from_jax(
        jnp.ones(6),
        optax.sgd(0.01, momentum=0.9),
        loss,
        batches,
        lr=0.01,
        key=jax.random.PRNGKey(0),
        eval_fn=lambda w, batch: jnp.mean((batch["x"] @ w - batch["y"]) ** 2),
    )
    return Case(loop, parts_of(loop, "_key"))


CASES = {case.__name__: case for case in (dropout_and_statistics, injected, ready)}
