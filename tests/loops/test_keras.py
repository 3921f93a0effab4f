"""What Keras loops do beyond coming home, the same on every backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

import lrscout
from lrscout.core.errors import EmptyDataError, InvalidValueError, LossError, UnsupportedLoopError
from tests.loops.cases_keras import Shuffled, Subclassed, array_of

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(24, 3)).astype(np.float32)
Y = X.sum(1, keepdims=True)
LR = 0.05


def network(optimizer=None, **options) -> keras.Model:
    keras.utils.set_random_seed(7)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)])
    model.compile(optimizer or keras.optimizers.SGD(LR, momentum=0.5), "mse", **options)
    return model


def line(optimizer, **options) -> keras.Model:
    """A model whose gradient is known: the mean of squares of `x @ w - y`, from `w = 0`."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(optimizer, "mse", **options)
    return model


def weights(model) -> list[np.ndarray]:
    return [array_of(variable) for variable in model.trainable_variables]


def step_through(model, *data, steps: int = 12, **options) -> list[float]:
    loop = lrscout.from_keras(model, *data, shuffle=False, **options)
    return [loop.step(loop.lr) for _ in range(steps)]


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_the_steps_are_those_of_fit(name: str) -> None:
    make = getattr(keras.optimizers, name)
    expected, mine = network(make(LR)), network(make(LR))
    expected.fit(X, Y, batch_size=8, epochs=4, shuffle=False, verbose=0)
    step_through(mine, X, Y, batch_size=8)
    for left, right in zip(weights(mine), weights(expected), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-7)


def test_each_batch_has_its_own_loss_and_not_the_running_mean() -> None:
    losses = step_through(line(keras.optimizers.SGD(1e-12)), X, Y, batch_size=8, steps=3)
    np.testing.assert_allclose(losses, (Y.reshape(3, 8) ** 2).mean(1), rtol=1e-5)


def test_sample_and_class_weights_weigh_the_loss() -> None:
    by_example = np.linspace(0, 1, 24)
    (weighted,) = step_through(line("sgd"), X, Y, sample_weight=by_example, batch_size=24, steps=1)
    assert weighted == pytest.approx(float((by_example[:, None] * Y**2).mean()), rel=1e-5)
    labels = (Y[:, 0] > 0).astype(int)
    model = line("sgd")
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    (weighted,) = step_through(model, X, labels, class_weight={0: 1.0, 1: 3.0}, batch_size=24, steps=1)
    assert weighted == pytest.approx(np.log(2) * np.where(labels, 3, 1).mean(), rel=1e-5)


class Batches(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int):
        return X[index * 8 : index * 8 + 8], Y[index * 8 : index * 8 + 8]


SOURCES = {
    "tf.data": lambda: tf.data.Dataset.from_tensor_slices((X, Y)).batch(8),
    "DataLoader": lambda: torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), batch_size=8
    ),
    "PyDataset": Batches,
    "generator": lambda: ((X[start : start + 8], Y[start : start + 8]) for _ in range(9) for start in (0, 8, 16)),
    "list": lambda: [(X[start : start + 8], Y[start : start + 8], None) for start in (0, 8, 16)],
}


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_whatever_holds_the_data_the_steps_are_the_same(make) -> None:
    assert step_through(network(), make()) == step_through(network(), X, Y, batch_size=8)


@pytest.mark.usefixtures("forkserver")
def test_a_pass_over_a_loader_with_workers_goes_on_where_it_was() -> None:
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    courses = []
    for scouted in (False, True):
        torch.manual_seed(0)
        loader = torch.utils.data.DataLoader(data, 10, shuffle=True, num_workers=1, persistent_workers=True)
        loop = lrscout.from_keras(network(), loader)
        losses = [loop.step(LR) for _ in range(2)]
        if scouted:
            lrscout.range_test(loop, steps=8)
        courses.append(losses + [loop.step(LR) for _ in range(6)])
    assert courses[0] == courses[1]


def test_many_inputs_and_outputs() -> None:
    left, right = keras.Input((1,), name="left"), keras.Input((2,), name="right")
    joined = keras.layers.Concatenate()([left, right])
    model = keras.Model([left, right], {"sum": keras.layers.Dense(1)(joined), "sign": keras.layers.Dense(1)(joined)})
    model.compile("sgd", {"sum": "mse", "sign": "mae"})
    x, y = {"left": X[:, :1], "right": X[:, 1:]}, {"sum": Y, "sign": np.sign(Y)}
    assert lrscout.range_test(lrscout.from_keras(model, x, y, batch_size=8), steps=10).cost.steps == 10


def test_a_schedule_is_taken_over_and_put_back() -> None:
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    model = line(keras.optimizers.SGD(schedule))
    variables = list(model.optimizer.variables)
    loop = lrscout.from_keras(model, X, Y, batch_size=24, shuffle=False)
    for lr in (0.01, 0.3):
        (before,) = weights(model)
        loop.step(lr)
        np.testing.assert_allclose(weights(model)[0], before - lr * 2 * X.T @ (X @ before - Y) / 24, rtol=1e-4)
    assert model.optimizer._learning_rate is schedule
    assert [id(v) for v in model.optimizer.variables[: len(variables)]] == [id(v) for v in variables]
    model.fit(X, Y, batch_size=24, verbose=0)  # Still follows it: two steps were taken.
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1 * 0.5**3)


def test_the_users_compiled_functions_and_settings_stay() -> None:
    steps_per_execution = 1 if keras.backend.backend() == "torch" else 2  # PyTorch takes no more.
    model = network(steps_per_execution=steps_per_execution)
    model.fit(X, Y, verbose=0)
    train_function, test_function = model.train_function, model.test_function
    lrscout.range_test(lrscout.from_keras(model, X, Y, batch_size=8), steps=10, loss="evaluation")
    assert model.train_function is train_function
    assert model.test_function is test_function
    assert model.steps_per_execution == steps_per_execution


def test_gradients_are_accumulated_over_the_batches_of_one_update() -> None:
    model = line(keras.optimizers.SGD(0.1, gradient_accumulation_steps=3))
    (loss,) = step_through(model, X, Y, batch_size=8, steps=1)
    assert loss == pytest.approx(float((Y**2).mean()), rel=1e-5)
    np.testing.assert_allclose(weights(model)[0], 0.1 * 2 * X.T @ Y / 24, rtol=1e-4)


def test_a_loss_computed_by_the_model_itself() -> None:
    class Own(keras.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return 7 * keras.ops.mean((y_pred - y) ** 2)

    model = Own([keras.Input((3,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile("sgd")
    (loss,) = step_through(model, X, Y, batch_size=24, steps=1)
    assert loss == pytest.approx(7 * float((Y**2).mean()), rel=1e-5)


def test_evaluation_is_that_of_the_model() -> None:
    model = network()
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(10)
    for eval_data in ((X, Y), data):
        loop = lrscout.from_keras(model, X, Y, batch_size=8, eval_data=eval_data)
        assert loop.evaluate() == pytest.approx(float(model.evaluate(X, Y, verbose=0)), rel=1e-5)


def test_a_model_that_is_not_built_is_built_as_fit_would() -> None:
    expected, mine = (_unbuilt() for _ in range(2))
    expected.fit({"x": X}, Y, batch_size=8, epochs=1, shuffle=False, verbose=0)
    lrscout.range_test(lrscout.from_keras(mine, {"x": X}, Y, batch_size=8), steps=10)
    mine.fit({"x": X}, Y, batch_size=8, epochs=1, shuffle=False, verbose=0)
    for left, right in zip(weights(mine), weights(expected), strict=True):
        np.testing.assert_array_equal(left, right)


def _unbuilt() -> keras.Model:
    keras.utils.set_random_seed(3)
    model = Subclassed()
    model.compile("adam", "mse")
    return model


def test_repeats_see_other_orders_of_a_dataset_and_other_noise() -> None:
    test = lrscout.range_test(lrscout.from_keras(network_of_six(), Shuffled()), steps=8, repeats=2, max_lr=1e-3)
    assert not np.allclose(test.curves[0].losses, test.curves[1].losses)


def network_of_six() -> keras.Model:
    keras.utils.set_random_seed(7)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dropout(0.5), keras.layers.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    return model


def test_models_and_data_that_cannot_be_scouted() -> None:
    uncompiled = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    with pytest.raises(UnsupportedLoopError, match=r"not compiled. Call model.compile"):
        lrscout.from_keras(uncompiled, X, Y)
    with pytest.raises(UnsupportedLoopError, match=r"must be a keras.Model, but it is a Dense"):
        lrscout.from_keras(keras.layers.Dense(1), X, Y)
    with pytest.raises(UnsupportedLoopError, match="y is for arrays, but x is a Batches"):
        lrscout.from_keras(network(), Batches(), Y)
    with pytest.raises(UnsupportedLoopError, match="batch_size is for arrays"):
        lrscout.from_keras(network(), SOURCES["list"](), batch_size=4)
    with pytest.raises(UnsupportedLoopError, match="Cannot take batches from a int"):
        lrscout.from_keras(network(), 3)
    with pytest.raises(UnsupportedLoopError, match="class_weight or sample weights"):
        lrscout.from_keras(network(), X, Y, class_weight={0: 1.0}, sample_weight=np.ones(24))
    with pytest.raises(EmptyDataError):
        lrscout.from_keras(network(), [])
    for class_weight in ([1.0, 2.0], {"0": 1.0}):
        with pytest.raises(InvalidValueError, match="class_weight must be a dictionary from the index"):
            lrscout.from_keras(network(), X, Y, class_weight=class_weight)
    with pytest.raises(UnsupportedLoopError, match=r"does not step the optimizer .*: optimizer="):
        lrscout.from_keras(network(), X, Y, optimizer=keras.optimizers.SGD()).step(0.1)
    with pytest.raises(LossError, match=r"reports no 'd_loss', but \['loss'\]"):
        lrscout.from_keras(network(), X, Y, loss="d_loss").step(0.1)


def test_a_model_that_cannot_be_built_says_how_to_build_it() -> None:
    class Homeless(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.layer = keras.layers.Dense(1)

        def call(self, inputs):
            raise TypeError("no forward pass")

    model = Homeless()
    model.compile("sgd", "mse")
    with pytest.raises(UnsupportedLoopError, match="Call it, or each model in it, on one batch"):
        lrscout.from_keras(model, X, Y)


@pytest.mark.parametrize(
    "scout", [lambda loop: None, lambda loop: lrscout.range_test(loop, steps=9)], ids=["made", "used"]
)
def test_the_first_fit_shuffles_as_it_would_have(scout) -> None:
    histories = []
    for scouted in (False, True):
        model = network(metrics=["mae"])
        if scouted:
            scout(lrscout.from_keras(model, X, Y, batch_size=8, eval_data=(X, Y)))
        histories.append(model.fit(X, Y, batch_size=8, epochs=2, verbose=0).history)
    assert histories[0] == histories[1]


class Drawing(keras.layers.Layer):
    """Noise from the generator that Keras keeps for whoever names none."""

    def call(self, x):
        return x + 0.1 * keras.random.normal(keras.ops.shape(x))


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="Keras refuses it on JAX")
@pytest.mark.parametrize("used_before", [False, True])
def test_the_generator_of_keras_itself_comes_home(used_before: bool) -> None:
    losses = []
    for scouted in (False, True):
        keras.utils.set_random_seed(5)
        if used_before:
            keras.random.normal(())
        model = keras.Sequential([keras.Input((3,)), Drawing(), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        if scouted:
            lrscout.range_test(lrscout.from_keras(model, X, Y, batch_size=8), steps=9)
        losses.append(model.fit(X, Y, batch_size=8, verbose=0, shuffle=False).history["loss"])
    assert losses[0] == losses[1]


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="only there can a model hold such modules")
def test_buffers_of_pytorch_modules_within_come_home() -> None:
    norm = torch.nn.BatchNorm1d(3)
    model = keras.Sequential([keras.Input((3,)), keras.layers.TorchModuleWrapper(norm), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    loop = lrscout.from_keras(model, X, Y, batch_size=8)
    before = norm.running_mean.clone()
    lrscout.range_test(loop, steps=9)
    assert torch.equal(norm.running_mean, before)
    loop.step(0.1)
    assert not torch.equal(norm.running_mean, before)


def test_a_scaled_loss_and_accumulated_gradients_together() -> None:
    inner = keras.optimizers.SGD(0.1, gradient_accumulation_steps=3)
    model = line(keras.optimizers.LossScaleOptimizer(inner, initial_scale=4.0))
    loop = lrscout.from_keras(model, X, Y, batch_size=8, shuffle=False)
    loop.step(0.1)
    np.testing.assert_allclose(weights(model)[0], 0.1 * 2 * X.T @ Y / 24, rtol=1e-4)


def test_arrays_in_one_tuple_are_what_fit_takes_one_by_one() -> None:
    assert step_through(network(), (X, Y), batch_size=8) == step_through(network(), X, Y, batch_size=8)


on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a matter of TensorFlow's own")


@on_tensorflow
def test_a_distributed_model_is_refused() -> None:
    with tf.distribute.MirroredStrategy(["cpu:0"]).scope():
        model = network()
    with pytest.raises(UnsupportedLoopError, match="outside the strategy's scope"):
        lrscout.from_keras(model, X, Y)


class Two(keras.Model):
    """Two lines, each with an optimizer of its own, in the way of Keras's adversarial networks: with no `call`."""

    def __init__(self) -> None:
        super().__init__()
        self.flat, self.steep = keras.layers.Dense(1, use_bias=False), keras.layers.Dense(1, use_bias=False)
        for layer in (self.flat, self.steep):
            layer.build((None, 3))
            layer.kernel.assign(np.ones((3, 1)))

    def compile(self) -> None:
        super().compile()
        self.by_name = {"flat": keras.optimizers.SGD(0.01, momentum=0.5), "steep": keras.optimizers.Adam(1e-4)}

    def train_step(self, data):
        x, y = data
        with tf.GradientTape(persistent=True) as tape:
            losses = {
                "flat": tf.reduce_mean((self.flat(x) - y) ** 2) + 1e-3,
                "steep": 100 * tf.reduce_mean((self.steep(x) + y) ** 2) + 1e-3,
            }
        for name, optimizer in self.by_name.items():
            weights = getattr(self, name).trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(losses[name], weights), weights, strict=True))
        return losses


@on_tensorflow
def test_the_optimizers_of_a_model_are_scouted_one_by_one_and_come_home_unbuilt() -> None:
    courses = []
    for scouted in (False, True):
        model = Two()
        model.compile()
        if scouted:
            for name, optimizer in model.by_name.items():
                loop = lrscout.from_keras(model, X, 2 * Y, batch_size=8, optimizer=optimizer, loss=name)
                assert loop.lr == pytest.approx(float(optimizer.learning_rate))
                assert lrscout.range_test(loop, min_lr=1e-6, steps=80, repeats=2).cost.steps > 20
                assert loop.lr == pytest.approx({"flat": 0.01, "steep": 1e-4}[name])
        courses.append(model.fit(X, 2 * Y, batch_size=8, epochs=3, verbose=0, shuffle=False).history)
    assert courses[0] == courses[1]


@on_tensorflow
def test_words_go_in_where_fit_takes_them() -> None:
    lookup = keras.layers.StringLookup(vocabulary=["x", "y"])
    layers = [keras.Input((1,), dtype="string"), lookup, keras.layers.Embedding(3, 1), keras.layers.Flatten()]
    model = keras.Sequential(layers)
    model.compile("sgd", "mse")
    loop = lrscout.from_keras(model, tf.constant([["x"], ["y"]] * 8), np.ones((16, 1)), batch_size=8)
    assert loop.step(0.1) > 0
