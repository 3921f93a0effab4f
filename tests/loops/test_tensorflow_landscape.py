"""The landscapes of TensorFlow loops, against dense Hessians and against the optimizers themselves."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import lrscout
from lrscout.core.errors import LandscapeUnavailableError, UnsupportedLoopError
from tests.battery import check_comes_home, check_user_goes_on
from tests.loops.cases_tensorflow import CASES
from tests.loops.landscapes import visit

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(12, 3)).astype(np.float32)
Y = X.sum(1) ** 2
UNEQUAL = [(X[:5], Y[:5]), (X[5:], Y[5:])]


def network() -> tuple[list[tf.Variable], object]:
    """The variables of a small network, and its loss."""
    generator = np.random.default_rng(1)
    shapes = {"first": (3, 4), "bias": (4,), "second": (4,)}
    variables = [tf.Variable(generator.normal(size=shape), dtype=tf.float32, name=n) for n, shape in shapes.items()]

    def loss(batch):
        first, bias, second = variables
        x, y = batch
        return tf.reduce_mean((tf.linalg.matvec(tf.tanh(x @ first + bias), second) - y) ** 2)

    return variables, loss


def dense(variables, loss_of, batches) -> tuple[float, np.ndarray, np.ndarray]:
    """The loss, gradient and Hessian, by TensorFlow's own Jacobians, weighted by the sizes of the batches."""
    examples = sum(len(batch[0]) for batch in batches)
    sums: list = [0.0, 0.0, 0.0]
    for batch in batches:
        with tf.GradientTape(persistent=True) as outer:
            with tf.GradientTape() as inner:
                loss = loss_of(batch)
            gradients = inner.gradient(loss, variables, unconnected_gradients="zero")
            gradient = tf.concat([tf.reshape(tf.convert_to_tensor(g), [-1]) for g in gradients], 0)
        columns = outer.jacobian(gradient, variables, unconnected_gradients="zero", experimental_use_pfor=False)
        hessian = np.concatenate([np.reshape(column, (len(gradient), -1)) for column in columns], 1)
        for index, value in enumerate((loss, gradient, hessian)):
            sums[index] += len(batch[0]) / examples * np.asarray(value, float)
    return sums[0], sums[1], sums[2]


def hessian_of(derivatives) -> np.ndarray:
    return np.array([derivatives.product(axis) for axis in np.eye(len(derivatives.gradient))])


def check_against_dense(variables, loss_of, batches, **options) -> None:
    loop = lrscout.from_tensorflow(variables, None, loss_of, batches, lr=0.1)
    derivatives = loop.landscape(8).derivatives()
    loss, gradient, hessian = dense(variables, loss_of, batches)
    assert derivatives.exact
    assert derivatives.loss == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(derivatives.gradient, gradient, rtol=0, atol=1e-5 * np.abs(gradient).max())
    np.testing.assert_allclose(hessian_of(derivatives), hessian, rtol=0, atol=1e-5 * np.abs(hessian).max())


def test_a_network_with_batches_of_unequal_size() -> None:
    variables, loss = network()
    check_against_dense(variables, loss, UNEQUAL)
    names = [(block.name, block.shape, block.filter_axis) for block in _landscape(variables, loss).blocks]
    assert names == [("first", (3, 4), 1), ("bias", (4,), None), ("second", (4,), None)]


def _landscape(variables, loss, batches=UNEQUAL):
    return lrscout.from_tensorflow(variables, None, loss, batches, lr=0.1).landscape(8)


def test_each_batch_has_its_own_derivatives() -> None:
    variables, loss = network()
    landscape = _landscape(variables, loss)
    for index, batch in enumerate(UNEQUAL):
        expected, gradient, hessian = dense(variables, loss, [batch])
        derivatives = landscape.derivatives(index)
        assert derivatives.loss == pytest.approx(expected, rel=1e-5)
        np.testing.assert_allclose(derivatives.gradient, gradient, rtol=0, atol=1e-5 * np.abs(gradient).max())
        np.testing.assert_allclose(hessian_of(derivatives), hessian, rtol=0, atol=1e-5 * np.abs(hessian).max())


def test_rows_of_an_embedding_and_a_variable_that_the_loss_leaves_out() -> None:
    table = tf.Variable(GENERATOR.normal(size=(5, 3)), dtype=tf.float32)
    weights, unused = tf.Variable(GENERATOR.normal(size=3), dtype=tf.float32), tf.Variable([1.0, 2.0])

    def loss(batch):
        return tf.reduce_mean(tf.tanh(tf.linalg.matvec(tf.nn.embedding_lookup(table, batch[0]), weights)) ** 2)

    check_against_dense([table, unused, weights], loss, [(np.array([0, 2, 2]),), (np.array([3]),)])


def test_a_loss_that_is_linear_has_no_curvature() -> None:
    w = tf.Variable(tf.ones(3))
    derivatives = _landscape([w], lambda batch: tf.reduce_sum(tf.linalg.matvec(batch[0], w))).derivatives()
    assert derivatives.exact
    np.testing.assert_array_equal(derivatives.product(np.ones(3)), np.zeros(3))


def test_loops_and_branches_in_the_graph() -> None:
    kernel = tf.Variable(0.3 * GENERATOR.normal(size=(3, 3)), dtype=tf.float32)

    def loss(batch):
        _, state = tf.while_loop(lambda i, _: i < 3, lambda i, h: (i + 1, tf.tanh(h @ kernel)), (0, batch[0]))
        return tf.cond(tf.reduce_sum(kernel) > 1e6, lambda: 0.0, lambda: tf.reduce_mean(state**2))

    check_against_dense([kernel], loss, UNEQUAL)


@tf.custom_gradient
def square_differentiable_once(x):
    def gradient(upstream):
        return 2 * upstream * tf.raw_ops.PreventGradient(input=x, message="no more")

    return x**2, gradient


def test_an_operator_without_a_second_derivative() -> None:
    curvatures, w = np.array([4.0, 2.0, 0.5], np.float32), tf.Variable([1.0, -2.0, 0.5])
    loop = lrscout.from_tensorflow(
        [w], None, lambda _: tf.reduce_sum(curvatures * square_differentiable_once(w)) / 2, [X], lr=0.1
    )
    derivatives = loop.landscape(1).derivatives()
    assert not derivatives.exact
    np.testing.assert_allclose(derivatives.gradient, curvatures * w.numpy(), rtol=1e-6)
    np.testing.assert_allclose(hessian_of(derivatives), np.diag(curvatures), atol=1e-3)


def test_an_operator_that_only_fails_while_it_runs_has_no_second_derivative_either() -> None:
    kernel = tf.Variable(GENERATOR.normal(size=(3, 4)), dtype=tf.float32)
    speech = GENERATOR.normal(size=(2, 5, 3)).astype(np.float32)
    words, lengths = np.array([[1, 2], [3, 1]], np.int32), (np.array([2, 2], np.int32), np.array([5, 5], np.int32))

    def loss(batch):
        logits = tf.matmul(batch, kernel)
        return tf.reduce_mean(tf.nn.ctc_loss(words, logits, *lengths, logits_time_major=False, blank_index=0))

    derivatives = lrscout.from_tensorflow([kernel], None, loss, [speech], lr=0.1).landscape(1).derivatives()
    assert not derivatives.exact
    hessian = hessian_of(derivatives)
    assert np.linalg.norm(hessian) > 1e-2
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-2 * np.abs(hessian).max())


def test_losses_are_those_of_variables_set_by_hand() -> None:
    variables, loss = network()
    landscape = _landscape(variables, loss)
    positions = landscape.position() + np.random.default_rng(2).normal(size=(4, 20))
    losses = landscape.losses(positions)
    for position, found in zip(positions, losses, strict=True):
        parts = np.split(position, [12, 16])
        for variable, part in zip(variables, parts, strict=True):
            variable.assign(part.reshape(variable.shape))
        assert found == pytest.approx(dense(variables, loss, UNEQUAL)[0], rel=1e-5)


VARIABLES, LOSS = network()
KNOWN = _landscape(VARIABLES, LOSS).derivatives()
DIRECTIONS = st.lists(st.floats(-1, 1, width=32), min_size=20, max_size=20).map(np.array)


@settings(max_examples=25, deadline=None)
@given(DIRECTIONS, DIRECTIONS)
def test_products_are_linear_and_symmetric(first: np.ndarray, second: np.ndarray) -> None:
    left, right = KNOWN.product(first), KNOWN.product(second)
    size = 1e-4 * (np.linalg.norm(first) + np.linalg.norm(second)) * 50
    np.testing.assert_allclose(KNOWN.product(2 * first - second), 2 * left - right, rtol=0, atol=size)
    assert first @ right == pytest.approx(second @ left, abs=size)


def test_what_is_drawn_is_drawn_the_same_however_far_the_loop_has_gone() -> None:
    w, noise, seeds = tf.Variable(tf.ones(3)), tf.random.Generator.from_seed(5), keras.random.SeedGenerator(3)

    def loss(batch):
        x, y = batch
        kept = keras.random.dropout(x + noise.normal(tf.shape(x)), 0.2, seed=seeds)
        return tf.reduce_mean((tf.linalg.matvec(kept, w) - y) ** 2)

    loop = lrscout.from_tensorflow([w], None, loss, UNEQUAL, lr=0.1)
    landscape = loop.landscape(2)
    place, first = np.ones((3, 3)), landscape.losses(np.ones((1, 3)))
    assert len({*landscape.losses(place), *first, landscape.derivatives().loss}) == 1
    each = [landscape.derivatives(batch).loss for batch in range(2)]
    assert first[0] == pytest.approx((5 * each[0] + 7 * each[1]) / 12)
    for _ in range(3):
        loop.step(0.01)
    np.testing.assert_array_equal(landscape.losses(place), np.repeat(first, 3))


def test_derivatives_are_those_of_where_the_loop_stands() -> None:
    variables, loss = network()
    loop = lrscout.from_tensorflow(variables, None, loss, UNEQUAL, lr=0.1)
    landscape = loop.landscape(2)
    landscape.derivatives()
    for _ in range(3):
        loop.step(0.05)
    _, gradient, hessian = dense(variables, loss, UNEQUAL)
    derivatives = landscape.derivatives()
    np.testing.assert_allclose(derivatives.gradient, gradient, rtol=0, atol=1e-5 * np.abs(gradient).max())
    np.testing.assert_allclose(hessian_of(derivatives), hessian, rtol=0, atol=1e-5 * np.abs(hessian).max())


@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float64, 1e-12), (tf.float16, 3e-3), (tf.bfloat16, 3e-2)])
def test_variables_of_other_precision(dtype, tolerance: float) -> None:
    curvatures = np.array([4.0, 2.0, 0.5])
    w = tf.Variable([1.0, -2.0, 0.5], dtype=dtype)
    loss = lambda batch: tf.reduce_sum(tf.cast(curvatures, dtype) * w**2) / 2  # noqa: E731
    landscape = lrscout.from_tensorflow([w], None, loss, [X], lr=0.1).landscape(1)
    derivatives = landscape.derivatives()
    assert derivatives.loss == pytest.approx(6.0625, rel=tolerance)
    np.testing.assert_allclose(derivatives.gradient, [4.0, -4.0, 0.25], rtol=tolerance)
    np.testing.assert_allclose(hessian_of(derivatives), np.diag(curvatures), atol=tolerance)
    np.testing.assert_allclose(landscape.losses(np.eye(3)), curvatures / 2, rtol=tolerance)
    np.testing.assert_allclose(landscape.updates(np.eye(3), 0.25), -np.eye(3) / 4, rtol=tolerance)


def test_complex_variables_are_refused() -> None:
    w = tf.Variable([1.0 + 1.0j])
    loop = lrscout.from_tensorflow([w], None, lambda _: tf.abs(w[0]) ** 2, [X], lr=0.1)
    with pytest.raises(LandscapeUnavailableError, match="of type complex128"):
        loop.landscape(1)


def test_a_counter_that_tensorflow_hides_is_refused() -> None:
    w = tf.Variable(tf.ones(3))
    loop = lrscout.from_tensorflow([w], None, lambda _: tf.reduce_mean(tf.nn.dropout(w, 0.5)), [X], lr=0.1)
    with pytest.raises(UnsupportedLoopError, match="RandomUniform"):
        loop.landscape(1)


def test_plain_descent_follows_the_gradient() -> None:
    variables, loss = network()
    gradients = GENERATOR.normal(size=(2, 20)).astype(np.float32)
    np.testing.assert_allclose(_landscape(variables, loss).updates(gradients, 0.5, np.ones(20)), -gradients / 2, 1e-5)


SCHEDULE = keras.optimizers.schedules.ExponentialDecay(0.3, 2, 0.9)
OPTIMIZERS = {
    "SGD": lambda **kinds: keras.optimizers.SGD(0.05, **kinds),
    "momentum": lambda **kinds: keras.optimizers.SGD(0.05, momentum=0.9, **kinds),
    "Nesterov": lambda **kinds: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True, **kinds),
    "Adam": lambda **kinds: keras.optimizers.Adam(0.05, **kinds),
    "AdamW": lambda **kinds: keras.optimizers.AdamW(0.05, weight_decay=0.1, **kinds),
    "accumulated": lambda **kinds: keras.optimizers.SGD(0.05, momentum=0.9, gradient_accumulation_steps=2, **kinds),
    "scheduled": lambda **kinds: keras.optimizers.RMSprop(SCHEDULE, **kinds),
}


def trained_pair(make) -> tuple[object, list[tf.Variable], object]:
    """A loop that has taken three steps, and other variables with an optimizer that has taken the same."""
    variables, loss = network()
    loop = lrscout.from_tensorflow(variables, make(), loss, UNEQUAL)
    twins, optimizer = [tf.Variable(variable) for variable in variables], make()
    generator = np.random.default_rng(5)
    optimizer.build(twins)
    for _ in range(4):
        gradients = [generator.normal(size=variable.shape).astype(np.float32) for variable in variables]
        loop._update._optimizer.apply(gradients, variables)
        optimizer.apply(gradients, twins)
    return loop, twins, optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_are_those_of_the_optimizer(name: str) -> None:
    loop, twins, optimizer = trained_pair(OPTIMIZERS[name])
    gradients = np.random.default_rng(6).normal(size=(3, 20)).astype(np.float32)
    position = np.random.default_rng(7).normal(size=20).astype(np.float32)
    found = loop.landscape(2).updates(gradients, 0.3, position)
    if name == "scheduled":  # The rate that is asked for, wherever the schedule is.
        optimizer._learning_rate = keras.Variable(0.3)
    else:
        optimizer.learning_rate = 0.3
    for gradient, change in zip(gradients, found, strict=True):
        set_to(twins, position)
        for _ in range(2 if name == "accumulated" else 1):
            optimizer.apply([part.reshape(v.shape) for part, v in zip(split(gradient), twins, strict=True)], twins)
        expected = np.concatenate([variable.numpy().ravel() for variable in twins]) - position
        np.testing.assert_allclose(change, expected, rtol=1e-4, atol=1e-6)


def split(vector: np.ndarray) -> list[np.ndarray]:
    return np.split(vector, [12, 16])


def set_to(variables, position: np.ndarray) -> None:
    for variable, part in zip(variables, split(position), strict=True):
        variable.assign(part.reshape(variable.shape))


def test_what_bounds_a_step_is_left_out_of_updates_and_stays_with_the_optimizer() -> None:
    w = tf.Variable(tf.ones(3), constraint=lambda value: tf.clip_by_norm(value, 1.0))
    for bound in ("clipnorm", "global_clipnorm", "clipvalue"):
        optimizer = keras.optimizers.SGD(0.1, **{bound: 1e-3})
        loop = lrscout.from_tensorflow([w], optimizer, lambda _: tf.reduce_sum(w**2), [X])
        np.testing.assert_allclose(loop.landscape(1).updates(10 * np.eye(3), 0.5), -5 * np.eye(3))
        assert getattr(optimizer, bound) == 1e-3
        w.assign(tf.ones(3))
        loop.step(0.1)
        assert np.linalg.norm(w) == pytest.approx(1.0)


def test_a_scaled_loss_has_the_derivatives_and_updates_of_the_loss() -> None:
    variables, loss = network()
    inner = keras.optimizers.SGD(0.05)
    loop = lrscout.from_tensorflow(
        variables, keras.optimizers.LossScaleOptimizer(inner, initial_scale=64.0), loss, UNEQUAL
    )
    landscape = loop.landscape(2)
    _, gradient, _ = dense(variables, loss, UNEQUAL)
    np.testing.assert_allclose(landscape.derivatives().gradient, gradient, rtol=0, atol=1e-5 * np.abs(gradient).max())
    np.testing.assert_allclose(landscape.updates(gradient[np.newaxis], 0.5), -gradient[np.newaxis] / 2, rtol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_the_loop_comes_home(name: str) -> None:
    check_comes_home(CASES[name], visit)


def test_the_users_own_code_goes_on() -> None:
    check_user_goes_on(CASES["scheduled_adam"], visit)


class Fragile(keras.optimizers.SGD):
    """Breaks at gradients above 100, after the momentum of the first variable has changed."""

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient, variable, learning_rate)
        with tf.control_dependencies([tf.debugging.assert_less(tf.reduce_max(gradient), 100.0)]):
            variable.assign_add(tf.zeros_like(variable))


def test_errors_while_everything_is_elsewhere_leave_the_loop_at_home() -> None:
    variables, loss = network()
    moving = tf.Variable(0.5, trainable=False)

    def fragile_loss(batch):
        moving.assign(0.9 * moving)
        return tf.debugging.check_numerics(loss(batch), "a layer broke") * moving

    optimizer = Fragile(0.05, momentum=0.9)
    loop = lrscout.from_tensorflow(variables, optimizer, fragile_loss, UNEQUAL)
    loop.step(0.05)
    everything = [*variables, moving, *optimizer.variables]
    before = [np.array(variable.numpy()) for variable in everything]
    landscape = loop.landscape(2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="a layer broke"):
        landscape.losses(np.full((2, 20), np.inf))
    with pytest.raises(tf.errors.InvalidArgumentError):
        landscape.updates(np.array([np.zeros(20), np.full(20, 200.0)]), 0.1, np.ones(20))
    for variable, value in zip(everything, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
