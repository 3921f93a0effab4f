"""What the landscapes of JAX loops do beyond the battery, against JAX's own derivatives and optax's own updates."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

import lrscout
from lrscout.core.errors import InvalidValueError, LandscapeUnavailableError, LossError
from lrscout.loops.jax import landscape as module

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(24, 3))
Y = np.sin(X.sum(1))
PARAMS = {
    "hidden": {"weights": GENERATOR.normal(size=(3, 4)), "bias": GENERATOR.normal(size=4)},
    "out": GENERATOR.normal(size=4),
}


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


def network(params, x):
    return jnp.tanh(x @ params["hidden"]["weights"] + params["hidden"]["bias"]) @ params["out"]


def loss(params, batch):
    x, y = batch
    return jnp.mean((network(params, x) - y) ** 2)


def loop_of(loss_fn=loss, params=PARAMS, optimizer=optax.sgd, data=None, **options):
    return lrscout.from_jax(params, optimizer, loss_fn, (X, Y) if data is None else data, lr=0.05, **options)


def hessian_of(derivatives) -> np.ndarray:
    return np.array([derivatives.product(axis) for axis in np.eye(len(derivatives.gradient))])


def expected_of(loss_of_params, params):
    """The loss, gradient and Hessian, by JAX itself."""
    flat, unravel = ravel_pytree(jax.tree.map(jnp.asarray, params))

    def all_of(position):
        def at(position):
            return loss_of_params(unravel(position))

        return at(position), jax.grad(at)(position), jax.hessian(at)(position)

    value, gradient, hessian = jax.jit(all_of)(flat)
    return float(value), np.asarray(gradient, float), np.asarray(hessian, float)


def check(derivatives, expected, tolerance: float) -> None:
    value, gradient, hessian = expected
    assert derivatives.loss == pytest.approx(value, rel=tolerance)
    np.testing.assert_allclose(derivatives.gradient, gradient, atol=tolerance * np.abs(gradient).max())
    np.testing.assert_allclose(hessian_of(derivatives), hessian, atol=tolerance * np.abs(hessian).max())


@pytest.mark.usefixtures("double")
def test_a_network_in_double_precision() -> None:
    loop = loop_of()
    loop.step(0.05)
    landscape = loop.landscape(1)
    check(landscape.derivatives(), expected_of(partial(loss, batch=(X, Y)), loop.params), 1e-12)
    positions = GENERATOR.normal(size=(11, 20))
    unravel = ravel_pytree(jax.tree.map(jnp.asarray, PARAMS))[1]
    np.testing.assert_allclose(landscape.losses(positions), [loss(unravel(at), (X, Y)) for at in positions], rtol=1e-12)


def test_a_network_in_single_precision() -> None:
    derivatives = loop_of().landscape(1).derivatives()
    check(derivatives, expected_of(partial(loss, batch=(X, Y)), PARAMS), 1e-5)
    assert derivatives.exact


def test_the_blocks_bear_the_names_of_the_tree() -> None:
    class Layers(NamedTuple):
        first: jax.Array
        rest: list

    params = Layers(jnp.ones((2, 3, 4)), [jnp.ones(5), {"deep layer": jnp.ones((6, 7))}])
    blocks = loop_of(lambda params, _: jnp.sum(params.first), params, data=[None]).landscape(1).blocks
    assert [block.name for block in blocks] == ["first", "rest.0", "rest.1.deep layer"]
    assert [block.shape for block in blocks] == [(2, 3, 4), (5,), (6, 7)]
    assert [block.filter_axis for block in blocks] == [2, None, 1]
    (single,) = loop_of(lambda w, _: w**2, 1.0, data=[None]).landscape(1).blocks
    assert (single.name, single.shape, single.size) == ("params", (), 1)


@pytest.mark.parametrize(
    "dtypes",
    [
        ("float32", "float16", "bfloat16"),
        ("bfloat16", "bfloat16", "bfloat16"),
        ("float16", "bfloat16", "float16"),
    ],
)
def test_mixed_precision(dtypes) -> None:
    params = [jnp.asarray([1.5, -0.5], dtype) for dtype in dtypes]

    def of_params(params, _=None):
        return sum(jnp.sum(part**3) for part in params) / 8 + params[0][0].astype(params[1].dtype) * params[1][0]

    loop = loop_of(of_params, params, data=[None])
    landscape = loop.landscape(1)
    assert landscape.position().tolist() == [1.5, -0.5] * 3
    derivatives = landscape.derivatives()
    cubic = 3 / 8 * np.array([2.25, 0.25] * 3)
    expected = cubic + np.array([1.5, 0, 1.5, 0, 0, 0])
    np.testing.assert_allclose(derivatives.gradient, expected, rtol=1e-2)
    hessian = np.diag(np.array([1.5, -0.5] * 3) * 6 / 8)
    hessian[0, 2] = hessian[2, 0] = 1
    np.testing.assert_allclose(hessian_of(derivatives), hessian, atol=1e-2)
    changes = landscape.updates(derivatives.gradient[np.newaxis], 0.5)
    np.testing.assert_allclose(changes[0], -0.5 * derivatives.gradient, rtol=1e-2)
    assert [part.dtype for part in loop.params] == list(map(jnp.dtype, dtypes))


@pytest.mark.usefixtures("double")
def test_double_beside_single_precision() -> None:
    params = {"single": np.float32([0.1, 0.2]), "double": np.array([0.1, 1 / 3])}
    landscape = loop_of(
        lambda p, _: jnp.sum(p["single"] ** 2) + jnp.sum(p["double"] ** 3), params, data=[None]
    ).landscape(1)
    position = landscape.position()
    np.testing.assert_array_equal(position, [0.1, 1 / 3, np.float32(0.1), np.float32(0.2)])
    np.testing.assert_allclose(landscape.derivatives().gradient[:2], 3 * position[:2] ** 2, rtol=1e-15)


def test_the_state_is_that_of_the_loop() -> None:
    def with_statistics(params, batch, *, state):
        x, y = batch
        mean = 0.9 * state + 0.1 * x.mean(0)
        return loss(params, (x - mean, y)), mean

    batches = [(X[:10], Y[:10]), (X[10:], Y[10:])]
    loop = loop_of(with_statistics, state=jnp.ones(3), data=batches)
    landscape = loop.landscape(2)
    for index, (x, y) in enumerate(batches):
        state = loop.state
        seen = x - (0.9 * state + 0.1 * x.mean(0)), y
        check(landscape.derivatives(index), expected_of(partial(loss, batch=seen), loop.params), 1e-5)
        assert loop.state is state
        for _ in range(3):
            loop.step(0.05)


@pytest.mark.parametrize("make_key", [jax.random.key, jax.random.PRNGKey])
def test_without_an_evaluation_mode_a_key_stays_the_same(make_key) -> None:
    def dropped(params, batch, *, key):
        x, y = batch
        return loss(params, (x * jax.random.bernoulli(key, 0.5, x.shape), y))

    loop = loop_of(dropped, key=make_key(1), data=[(X, Y)] * 2)
    landscape = loop.landscape(2)
    first = landscape.derivatives()
    assert landscape.derivatives().loss == first.loss == pytest.approx(landscape.losses(landscape.position()[None])[0])
    np.testing.assert_array_equal(landscape.derivatives().gradient, first.gradient)
    loop.step(1e-30)
    assert landscape.derivatives().loss == first.loss
    assert loop.landscape(2).derivatives().loss == first.loss
    # The two batches are the same, and what is dropped of them is not.
    assert landscape.derivatives(0).loss != landscape.derivatives(1).loss


def test_with_an_evaluation_mode_the_noise_is_off() -> None:
    def dropped(params, batch, *, key, state):
        return jax.random.normal(key) + loss(params, batch), state

    def evaluated(params, batch, *, state):
        return state * loss(params, batch)

    loop = loop_of(dropped, key=jax.random.key(0), state=jnp.float32(3), eval_fn=evaluated)
    check(loop.landscape(1).derivatives(), expected_of(lambda params: 3 * loss(params, (X, Y)), PARAMS), 1e-5)


def test_an_evaluation_mode_does_not_replace_a_training_loss_without_a_key() -> None:
    loop = loop_of(eval_fn=lambda params, batch: 100 * loss(params, batch))
    check(loop.landscape(1).derivatives(), expected_of(partial(loss, batch=(X, Y)), PARAMS), 1e-5)


@jax.custom_vjp
def square(x):
    return x**2


@jax.custom_vjp
def cubes(x):
    return jnp.sum(x**3)


square.defvjp(lambda x: (square(x), x), lambda x, seed: (2 * seed * x,))
cubes.defvjp(lambda x: (cubes(x), x), lambda x, seed: (3 * seed * square(x),))


def test_an_operator_without_a_forward_rule() -> None:
    here = np.array([1.0, 2.0])
    with pytest.raises(TypeError, match="can't apply forward-mode"):
        jax.hessian(cubes)(here)
    derivatives = loop_of(lambda x, _: cubes(x), here, data=[None]).landscape(1).derivatives()
    assert derivatives.exact
    np.testing.assert_allclose(hessian_of(derivatives), np.diag([6.0, 12.0]), rtol=1e-6)


def outside(function, x):
    """Compute outside JAX, which can neither differentiate nor vectorize it."""
    return jax.pure_callback(function, jax.ShapeDtypeStruct(np.shape(function(np.zeros(x.shape))), x.dtype), x)


@jax.custom_vjp
def outer_fourth_powers(x):
    return outside(lambda x: np.sum(np.asarray(x) ** 4, dtype=x.dtype), x)


outer_fourth_powers.defvjp(
    lambda x: (outer_fourth_powers(x), x), lambda x, seed: (seed * outside(lambda x: 4 * np.asarray(x) ** 3, x),)
)


@pytest.mark.parametrize(("precision", "tolerance"), [("double", 1e-9), ("single", 2e-4)])
def test_an_operator_with_a_first_derivative_alone(precision: str, tolerance: float) -> None:
    with jax.enable_x64(precision == "double"):
        here = np.array([1.0, 2.0, -1.0])
        landscape = loop_of(lambda x, _: outer_fourth_powers(x), here, data=[None, None]).landscape(2)
        derivatives = landscape.derivatives()
        assert not derivatives.exact
        expected = np.diag(12 * here**2)
        np.testing.assert_allclose(hessian_of(derivatives), expected, atol=tolerance * expected.max())
        positions = GENERATOR.normal(size=(5, 3))
        np.testing.assert_allclose(landscape.losses(positions), (positions**4).sum(1), rtol=1e-5)


def test_a_program_is_compiled_once_for_each_shape_of_batch() -> None:
    traces = []

    def counted(params, batch):
        traces.append(len(batch[0]))
        return loss(params, batch)

    data = [(X[:8], Y[:8]), (X[8:16], Y[8:16]), (X[16:21], Y[16:21])]
    loop = loop_of(counted, data=data)

    def look() -> None:
        landscape = loop.landscape(3)
        derivatives = landscape.derivatives()
        derivatives.product(derivatives.gradient)
        landscape.derivatives(2).product(derivatives.gradient)
        losses = [float(loss(loop.params, batch)) for batch in data]
        assert derivatives.loss == pytest.approx(np.average(losses, weights=[8, 8, 5]), rel=1e-5)

    look()
    seen = len(traces)
    assert set(traces) == {8, 5}
    loop.step(0.05)
    of_the_step = len(traces) - seen
    look()
    assert len(traces) == seen + of_the_step


def test_losses_do_not_depend_on_how_many_fit_into_memory(monkeypatch) -> None:
    positions = GENERATOR.normal(size=(37, 20))
    loop = loop_of(batch_size=8)
    together = loop.landscape(3).losses(positions)
    monkeypatch.setattr(module, "_LARGEST_CHUNK", 5 * 4 * 24 * 4 * 3)
    few = loop.landscape(3)
    assert 1 <= few._largest_chunk < 37
    np.testing.assert_allclose(few.losses(positions), together, rtol=1e-5)
    monkeypatch.setattr(module, "_LARGEST_CHUNK", 1)
    np.testing.assert_allclose(loop.landscape(3).losses(positions), together, rtol=1e-5)


def test_far_out_the_loss_is_not_finite() -> None:
    landscape = loop_of(lambda x, _: jnp.sum(x**2), np.ones(2), data=[None]).landscape(1)
    assert landscape.losses(np.array([[1e300, 0], [1e30, 0], [np.nan, 0], [1, 2]])).tolist() == pytest.approx(
        [np.inf, np.inf, np.nan, 5], nan_ok=True
    )


OPTIMIZERS = {
    "sgd": optax.sgd,
    "nesterov": lambda lr: optax.sgd(lr, 0.9, nesterov=True),
    "adam": optax.adam,
    "adamw": lambda lr: optax.adamw(lr, weight_decay=0.1),
    "clipped adamw": lambda lr: optax.chain(optax.clip_by_global_norm(0.5), optax.adamw(lr, weight_decay=0.1)),
    "lion": optax.lion,
    "plateau": lambda lr: optax.chain(optax.adam(lr), optax.contrib.reduce_on_plateau(patience=2, accumulation_size=1)),
    "polyak": lambda lr: optax.polyak_sgd(lr),
}


GIVEN = [(name, "function") for name in OPTIMIZERS]
GIVEN += [(name, "injected") for name in ("sgd", "adam", "lion")]
GIVEN += [(name, "ready") for name in OPTIMIZERS if name != "polyak"]  # Its rate is not the last factor of its update.


@pytest.mark.parametrize(("name", "given"), GIVEN)
def test_the_updates_are_those_of_optax(name: str, given: str) -> None:
    make = OPTIMIZERS[name]
    injected = optax.inject_hyperparams(make) if given == "injected" else None
    optimizer = injected(learning_rate=0.05) if injected else make if given == "function" else make(0.05)
    loop = loop_of(optimizer=optimizer)
    for _ in range(3):
        loop.step(0.05)
    landscape = loop.landscape(1)
    _, unravel = ravel_pytree(loop.params)
    gradients = GENERATOR.normal(size=(4, 20))
    before, state = loop.params, loop.opt_state
    update = jax.jit(optax.with_extra_args_support(make(0.02)).update)
    for position in (None, 0.1 * np.ones(20)):
        at = unravel(jnp.zeros(20) if position is None else jnp.asarray(position, jnp.float32))
        here = state.inner_state if injected else state
        expected = []
        for sign, gradient in zip([1, -1, 1, 1, 1, 1], [*[gradients[0]] * 2, *gradients], strict=True):
            gradients_of = unravel(jnp.asarray(sign * gradient, jnp.float32))
            updates, here = update(gradients_of, here, at, value=loss(before, (X, Y)))
            expected.append(np.asarray(ravel_pytree(updates)[0], float))
        changes = landscape.updates(gradients, 0.02, position, warm_up=2)
        np.testing.assert_allclose(changes, expected[2:], rtol=1e-4, atol=1e-6 * np.abs(expected).max())
    assert loop.params is before
    assert loop.opt_state is state


def test_frozen_parameters_do_not_move() -> None:
    def partly(lr):
        return optax.partition(
            {"moved": optax.sgd(lr), "still": optax.set_to_zero()}, {"hidden": "still", "out": "moved"}
        )

    changes = loop_of(optimizer=partly).landscape(1).updates(np.ones((2, 20)), 0.5)
    np.testing.assert_array_equal(changes, np.tile(np.repeat([0, -0.5], [16, 4]), (2, 1)))


def test_complex_parameters_are_refused_by_name() -> None:
    params = {"real": jnp.ones(2), "phase": jnp.ones(2, complex)}
    with pytest.raises(LandscapeUnavailableError, match=r"over phase because its numbers are of type complex64"):
        loop_of(lambda p, _: jnp.sum(jnp.abs(p["phase"])), params, data=[None]).landscape(1)


def test_a_loss_that_is_a_vector() -> None:
    with pytest.raises(LossError, match=r"array of shape \(24,\)"):
        loop_of(lambda params, batch: network(params, batch[0])).landscape(1).derivatives()


def test_no_batches() -> None:
    with pytest.raises(InvalidValueError, match="batches must be at least 1"):
        loop_of().landscape(0)
