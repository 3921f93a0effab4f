"""Fleets of Keras loops: on JAX each lane is a loop of its own; the other backends refuse."""

from __future__ import annotations

import itertools

import jax
import jax.experimental
import keras
import numpy as np
import pytest

import lrscout
from lrscout.core.errors import FleetUnavailableError, LossError, UnsupportedLoopError
from lrscout.core.loop import restored
from lrscout.measure.sweep import sweep
from tests.battery import Case, check_comes_home
from tests.loops.cases_keras import CASES, array_of

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(40, 6)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)
WEIGHTS = GENERATOR.uniform(0.5, 2, len(X))
LRS = np.array([1e-3, 1e-2, 0.1])
STEPS = 20

on_jax = pytest.mark.skipif(keras.backend.backend() != "jax", reason="only JAX's steps are pure functions")


def network(optimizer=None, kind=keras.Sequential, layers=(), **options) -> keras.Model:
    """Batch statistics, dropout, regularization and a metric."""
    keras.utils.set_random_seed(0)
    model = kind(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="relu", kernel_regularizer="l2", use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            *layers,
            keras.layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or keras.optimizers.SGD(0.1), loss, metrics=["accuracy"], **options)
    return model


def loop_of(model, *data, **options):
    options = options if data else {"batch_size": 8} | options
    return lrscout.from_keras(model, *(data or (X, Y)), **options)


@pytest.fixture(scope="module")
def plain():
    """One loop for all tests that bring it home, so that its fleet is compiled once."""
    return loop_of(network())


def one_by_one(loop, lrs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The losses, and the evaluation at the end, of a separate run for each lane."""
    losses, evaluations = np.empty(lrs.shape), np.empty(lrs.shape[1])
    for lane in range(lrs.shape[1]):
        with restored(loop):
            losses[:, lane] = [loop.step(lr) for lr in lrs[:, lane].tolist()]
            evaluations[lane] = loop.evaluate()
    return losses, evaluations


def together(loop, lrs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with restored(loop):
        fleet = loop.fleet(lrs.shape[1], len(lrs))
        losses = [fleet.advance(part) for part in np.split(lrs, [1, 7])]
        return np.concatenate(losses), fleet.evaluate()


def constant(lrs=LRS) -> np.ndarray:
    return np.tile(lrs, (STEPS, 1))


def check_lanes(loop, lrs: np.ndarray) -> None:
    expected_losses, expected_evaluations = one_by_one(loop, lrs)
    losses, evaluations = together(loop, lrs)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
    np.testing.assert_allclose(evaluations, expected_evaluations, rtol=1e-5)
    assert len(np.unique(expected_evaluations)) == len(expected_evaluations), "the rates made no difference"


OPTIMIZERS = {
    "momentum": lambda k: k.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda k: k.Adam(0.1),
    "adamw": lambda k: k.AdamW(0.1, weight_decay=0.1),
    "schedule": lambda k: k.Adam(k.schedules.ExponentialDecay(0.1, 5, 0.9)),
    "function": lambda k: k.RMSprop(lambda: 0.1, loss_scale_factor=4.0),
    "clipnorm": lambda k: k.SGD(0.1, momentum=0.9, clipnorm=0.05),
    "accumulated": lambda k: k.Adam(0.1, gradient_accumulation_steps=3),
    "averaged": lambda k: k.SGD(0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=4),
    "scaled": lambda k: k.LossScaleOptimizer(k.SGD(k.schedules.CosineDecay(0.1, 9), momentum=0.5)),
}


@on_jax
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_each_lane_is_a_loop_of_its_own(make) -> None:
    check_lanes(loop_of(network(make(keras.optimizers)), eval_data=(X[:30], Y[:30])), constant())


@on_jax
def test_each_step_has_the_rates_that_it_is_given(plain) -> None:
    ramp = np.geomspace(1e-4, 1, STEPS)
    check_lanes(plain, np.stack([ramp, ramp[::-1], np.full(STEPS, 0.1)], axis=1))


@on_jax
@pytest.mark.parametrize("weights", [{"sample_weight": WEIGHTS}, {"class_weight": {0: 1.0, 1: 5.0}}], ids=" ".join)
def test_weights_of_examples_and_of_classes(plain, weights) -> None:
    loop = loop_of(network(), **weights)
    check_lanes(loop, constant())
    assert not np.allclose(together(loop, constant())[0], together(plain, constant())[0], rtol=1e-2)


def unequal_batches():
    """Batches of eight, and one of four at the end of each pass."""
    for start in itertools.cycle(range(0, 36, 8)):
        yield X[start : min(start + 8, 36)], Y[start : min(start + 8, 36)], WEIGHTS[start : min(start + 8, 36)]


@on_jax
@pytest.mark.parametrize("accumulated", [None, 3])
def test_batches_of_unequal_sizes_from_a_generator(accumulated: int | None) -> None:
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=accumulated)
    check_lanes(loop_of(network(optimizer), unequal_batches()), constant())


@on_jax
def test_half_precision_whose_scaled_loss_overflows_in_some_lanes() -> None:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(4, "relu", dtype="mixed_float16"), keras.layers.Dense(1, dtype="mixed_float16")]
    model = keras.Sequential([keras.Input((6,)), *layers])
    inner = keras.optimizers.SGD(0.1, momentum=0.9)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**15, dynamic_growth_steps=2)
    model.compile(optimizer, "mse")
    loop = loop_of(model, 8 * X, X.sum(1), batch_size=8)
    skipped = []
    for lr in LRS:
        with restored(loop):
            before = int(inner._iterations.value)
            for _ in range(STEPS):
                loop.step(lr)
            skipped.append(STEPS - int(inner._iterations.value) + before)
    assert len(set(skipped)) > 1, "all lanes skip as often"
    check_lanes(loop, constant())


@on_jax
def test_a_recurrent_network_with_two_inputs_and_outputs() -> None:
    keras.utils.set_random_seed(0)
    left, right = keras.Input((3, 1), name="left"), keras.Input((3,), name="right")
    hidden = keras.layers.LSTM(4, dropout=0.2, recurrent_dropout=0.2)(left)
    joined = keras.layers.Concatenate()([hidden, right])
    model = keras.Model([left, right], {"sum": keras.layers.Dense(1)(joined), "sign": keras.layers.Dense(1)(joined)})
    model.compile("adam", {"sum": "mse", "sign": "mae"})
    x = {"left": X[:, :3, None], "right": X[:, 3:]}
    y = {"sum": X.sum(1, keepdims=True), "sign": np.sign(X[:, :1])}
    check_lanes(loop_of(model, x, y, batch_size=8), constant())


@on_jax
def test_a_lane_that_is_lost_stays_lost_and_the_others_do_not_notice(plain) -> None:
    losses, _ = together(plain, constant(np.array([1e-3, 1e30, 0.1])))
    assert np.isnan(losses[5:, 1]).all()
    np.testing.assert_array_equal(losses[:, [0, 2]], together(plain, constant())[0][:, [0, 2]])


@on_jax
def test_equal_lanes_see_equal_masks(plain) -> None:
    losses, evaluations = together(plain, constant(np.full(3, 0.1)))
    assert (losses == losses[:, :1]).all()
    assert (evaluations == evaluations[0]).all()


class AlwaysDropping(keras.layers.Layer):
    """Dropout that is there in evaluation mode as well."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = keras.random.SeedGenerator(1)

    def call(self, x):
        return keras.random.dropout(x, 0.5, seed=self.generator)


@on_jax
def test_an_evaluation_that_draws_numbers_draws_those_of_the_loop_and_leaves_the_lanes_as_they_are() -> None:
    loop = loop_of(network(layers=[AlwaysDropping()]), eval_data=[(X[:16], Y[:16]), (X[:10], Y[:10])])
    check_lanes(loop, constant())
    with restored(loop):
        fleet = loop.fleet(3, STEPS)
        fleet.advance(constant()[:7])
        first, second = fleet.evaluate(), fleet.evaluate()
        np.testing.assert_array_equal(first, second)
        rest = fleet.advance(constant()[7:])
    np.testing.assert_array_equal(rest, together(loop, constant())[0][7:])


class Own(keras.Sequential):
    """Steps of the user's own: the loss has another name, and there are no metrics."""

    def loss_of(self, trainable, state, data, training):
        x, y = data
        logits, non_trainable = self.stateless_call(trainable, state[1], x, training=training)
        return -jax.nn.log_softmax(logits)[jax.numpy.arange(len(y)), y].mean(), non_trainable

    def train_step(self, state, data):
        differentiated = jax.value_and_grad(self.loss_of, has_aux=True)
        (loss, non_trainable), gradients = differentiated(state[0], state, data, True)
        trainable, optimizer = self.optimizer.stateless_apply(state[2], gradients, state[0])
        return {"own": loss}, (trainable, non_trainable, optimizer, state[3])

    def test_step(self, state, data):
        loss, non_trainable = self.loss_of(state[0], state, data, False)
        return {"own": loss}, (state[0], non_trainable, state[2])


class Skipping(Own):
    """A step that is not taken, not even by its generators, where the loss is large."""

    def train_step(self, state, data):
        logs, after = super().train_step(state, data)
        return logs, jax.tree.map(lambda old, new: jax.numpy.where(logs["own"] > 1, old, new), state, after)


@on_jax
@pytest.mark.parametrize("kind", [Own, Skipping])
def test_steps_of_the_users_own(kind) -> None:
    check_lanes(loop_of(network(kind=kind), loss="own"), constant())


def away_as_a_fleet(case: Case) -> None:
    with restored(case.loop):
        case.loop.reseed(3)
        fleet = case.loop.fleet(2, 9)
        assert case.loop.lane_bytes() > 0
        assert np.isfinite(fleet.advance(np.full((8, 2), 1e-3))).all()
        fleet.evaluate()


@on_jax
@pytest.mark.parametrize("name", ["subclassed", "accumulated"])
def test_the_loop_comes_home(name: str) -> None:
    check_comes_home(CASES[name], away_as_a_fleet)


@on_jax
def test_a_fleet_changes_nothing_of_the_model() -> None:
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.9)
    model = network(keras.optimizers.Adam(schedule))
    loop = loop_of(model)
    loop.step(0.1)
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    before = [variable.value for variable in variables]
    fleet = loop.fleet(3, STEPS)
    fleet.advance(constant())
    fleet.evaluate()
    assert all(variable.value is value for variable, value in zip(variables, before, strict=True))
    assert model.optimizer._learning_rate is schedule


@on_jax
def test_the_loop_may_step_on_beside_its_fleet(plain) -> None:
    expected, _ = together(plain, constant())
    with restored(plain) as home:
        fleet = plain.fleet(3, STEPS)
        plain.step(0.1)  # Takes over the memory of the variables that it finds.
        plain.restore(home)
        np.testing.assert_array_equal(fleet.advance(constant()), expected)


@on_jax
def test_a_lane_takes_at_least_its_state_twice_and_more_with_larger_batches() -> None:
    model = network(keras.optimizers.Adam(0.1))
    state = sum(array_of(variable).nbytes for variable in [*model.variables, *model.optimizer.variables])
    small, large = (loop_of(model, batch_size=size).lane_bytes() for size in (4, 40))
    assert 1.9 * state < small
    assert large - small > 36 * 8 * 4, "the hidden layer of the other 36 examples"


@on_jax
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_sweep_as_a_fleet_is_the_sweep_one_by_one(schedule: str) -> None:
    loop = loop_of(network(keras.optimizers.Adam(0.1)), eval_data=(X, Y))
    serial, fleet = (
        sweep(loop, LRS, 16, seeds=2, schedule=schedule, runner=runner).to_dict() for runner in ("serial", "fleet")
    )
    np.testing.assert_allclose(fleet["loss"], serial["loss"], rtol=1e-5)
    assert fleet["outcome"] == serial["outcome"]
    assert (fleet["cost"]["steps"], fleet["runner"]) == (serial["cost"]["steps"], "fleet")


def refusal(loop) -> str:
    with pytest.raises(FleetUnavailableError) as refused:
        loop.fleet(2, 3)
    with pytest.raises(FleetUnavailableError, match=str(refused.value)[:20]):
        loop.lane_bytes()
    return str(refused.value)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="there it works")
def test_other_backends_refuse_and_the_runs_go_one_by_one() -> None:
    loop = loop_of(network())
    backend = keras.backend.backend()
    assert refusal(loop) == f"on the {backend} backend, Keras changes its variables in place. Set KERAS_BACKEND=jax."
    assert "Set KERAS_BACKEND=jax" in sweep(loop, LRS, 4).notes[0]


@on_jax
@pytest.mark.parametrize("options", [{"run_eagerly": True}, {"jit_compile": False}], ids=str)
def test_a_model_that_is_not_compiled_is_refused(options) -> None:
    assert "Use model.compile(..., run_eagerly=False, jit_compile=True)" in refusal(loop_of(network(**options)))


class Counting(Own):
    """A step that counts in a variable which is not in the state."""

    def train_step(self, state, data):
        self.counter.assign_add(1.0)
        return super().train_step(state, data)


class Deciding(Own):
    """An evaluation that depends on its own numbers."""

    def test_step(self, state, data):
        logs, state = super().test_step(state, data)
        return ({"own": logs["own"]} if logs["own"] > 0 else {}), state


class Idle(Own):
    """A step that leaves the optimizer as it is."""

    def train_step(self, state, data):
        return {"own": self.loss_of(state[0], state, data, True)[0]}, state


@on_jax
def test_a_step_that_changes_a_variable_itself_is_refused_and_the_variable_stays() -> None:
    model = network(kind=Counting)
    model.counter = keras.Variable(3.0, trainable=False, name="counter")
    assert "assigns to the variable 'counter' itself" in refusal(loop_of(model, loss="own"))
    assert float(model.counter.value) == 3.0


@on_jax
def test_what_jax_cannot_vectorize_is_named_and_leaves_no_traces_in_the_model() -> None:
    def reported(y, logits):
        jax.experimental.io_callback(lambda logits: None, None, jax.lax.stop_gradient(logits), ordered=True)
        return keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True)

    model = network()
    model.compile("sgd", reported)
    with pytest.raises(FleetUnavailableError, match=r"several lanes at once \(ValueError: Cannot `vmap` ordered IO"):
        loop_of(model).fleet(2, 3)
    assert all(isinstance(float(loss), float) for loss in model.losses), "the regularization can still be read"


@on_jax
def test_an_evaluation_that_cannot_be_vectorized_is_refused_when_it_comes() -> None:
    loop = loop_of(network(kind=Deciding), loss="own", eval_data=(X, Y))
    with restored(loop):
        fleet = loop.fleet(2, 3)
        with pytest.raises(FleetUnavailableError, match=r"cannot compile its test_step .*TracerBoolConversionError"):
            fleet.evaluate()


@on_jax
def test_an_optimizer_that_the_step_does_not_know_is_refused() -> None:
    assert "not the one that the model is compiled with" in refusal(
        loop_of(network(), optimizer=keras.optimizers.SGD())
    )
    with pytest.raises(UnsupportedLoopError, match="does not step the optimizer to be scouted"):
        loop_of(network(kind=Idle), loss="own").fleet(2, 3)


@on_jax
def test_a_loss_that_is_missing_is_named() -> None:
    with pytest.raises(LossError, match=r"reports no 'own', but \['accuracy', 'loss'\]"):
        loop_of(network(), loss="own").fleet(2, 3)


@on_jax
def test_a_refusal_is_told_once_and_the_runs_go_one_by_one() -> None:
    lr_map = sweep(loop_of(network(run_eagerly=True)), LRS, 4)
    assert "not as a fleet: it is not compiled" in lr_map.notes[0]
