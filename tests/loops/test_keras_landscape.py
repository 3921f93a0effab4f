"""The landscapes of Keras loops, the same on every backend, against another framework and the optimizers themselves."""

from __future__ import annotations

from contextlib import nullcontext

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch

import lrscout
from lrscout.core.errors import LandscapeUnavailableError, LossError
from tests.battery import check_comes_home, check_user_goes_on
from tests.loops.cases_keras import CASES, array_of

BACKEND = keras.backend.backend()
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(14, 3)).astype(np.float32)
Y = X.sum(1, keepdims=True) ** 2
WEIGHTS = GENERATOR.uniform(0.5, 2, len(X)).astype(np.float32)
BATCHES = [(X[:6], Y[:6], WEIGHTS[:6]), (X[6:], Y[6:], WEIGHTS[6:])]


class Source:
    """The batches in their order, pass after pass."""

    def __iter__(self):
        return iter(BATCHES)


def network(optimizer=None, dropout: float = 0.5) -> keras.Model:
    """Regularisation of two kinds, batch statistics and dropout."""
    keras.utils.set_random_seed(3)
    first = keras.layers.Dense(4, "tanh", kernel_regularizer=keras.regularizers.L2(0.1))
    layers = [first, keras.layers.BatchNormalization(epsilon=1e-3), keras.layers.Dropout(dropout)]
    layers += [keras.layers.Dense(1, activity_regularizer=keras.regularizers.L2(0.01))]
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile(optimizer or keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    return model


def loss_in_jax(position, batch):
    """The training loss of that network without dropout."""
    kernel, bias, scale, shift, second, last = jnp.split(position, np.cumsum([12, 4, 4, 4, 4]))
    x, y, weights = batch
    hidden = jnp.tanh(x @ kernel.reshape(3, 4) + bias)
    normal = scale * (hidden - hidden.mean(0)) / jnp.sqrt(hidden.var(0) + 1e-3) + shift
    outputs = normal @ second[:, None] + last
    regularisation = 0.1 * (kernel**2).sum() + 0.01 * (outputs**2).sum() / len(x)
    return (weights[:, None] * (outputs - y) ** 2).mean() + regularisation


@jax.jit
def derivatives_in_jax(position, batch):
    return (
        loss_in_jax(position, batch),
        jax.grad(loss_in_jax)(position, batch),
        jax.hessian(loss_in_jax)(position, batch),
    )


def mean_in_jax(position, batches) -> list[np.ndarray]:
    """The mean loss over batches, weighted by their sizes, with its gradient and Hessian."""
    shares = np.array([len(batch[0]) for batch in batches]) / sum(len(batch[0]) for batch in batches)
    found = [derivatives_in_jax(jnp.asarray(position, jnp.float32), batch) for batch in batches]
    return [
        sum(share * np.array(one, float) for share, one in zip(shares, each, strict=True))
        for each in zip(*found, strict=True)
    ]


def hessian_of(derivatives) -> np.ndarray:
    return np.array([derivatives.product(axis) for axis in np.eye(len(derivatives.gradient))])


def check(derivatives, position, batches) -> None:
    loss, gradient, hessian = mean_in_jax(position, batches)
    assert derivatives.exact
    assert derivatives.loss == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(derivatives.gradient, gradient, rtol=0, atol=1e-4 * np.abs(gradient).max())
    np.testing.assert_allclose(hessian_of(derivatives), hessian, rtol=0, atol=1e-4 * np.abs(hessian).max())


def test_the_derivatives_are_those_that_jax_finds_for_the_training_loss() -> None:
    loop = lrscout.from_keras(network(), Source())
    landscape = loop.landscape(8)
    names = [(block.name.rpartition("/")[2], block.shape, block.filter_axis) for block in landscape.blocks]
    assert names == [
        ("kernel", (3, 4), 1),
        ("bias", (4,), None),
        ("gamma", (4,), None),
        ("beta", (4,), None),
        ("kernel", (4, 1), 1),
        ("bias", (1,), None),
    ]
    check(landscape.derivatives(), landscape.position(), BATCHES)
    check(landscape.derivatives(1), landscape.position(), BATCHES[1:])
    for _ in range(3):
        loop.step(0.05)
    check(landscape.derivatives(), landscape.position(), BATCHES)


def test_the_losses_are_those_that_jax_finds() -> None:
    landscape = lrscout.from_keras(network(), Source()).landscape(2)
    positions = landscape.position() + GENERATOR.normal(size=(3, 29))
    expected = [mean_in_jax(position, BATCHES)[0] for position in positions]
    np.testing.assert_allclose(landscape.losses(positions), expected, rtol=1e-5)


def test_the_loss_of_a_batch_is_what_a_step_reports() -> None:
    loop = lrscout.from_keras(network(dropout=0.0), Source())
    landscape = loop.landscape(2)
    for step in range(3):
        loss = landscape.derivatives(step % 2).loss
        assert loop.step(0.05) == pytest.approx(loss, rel=1e-5)


SENTENCES = GENERATOR.normal(size=(6, 4, 3)).astype(np.float32)
WORDS = GENERATOR.integers(0, 5, size=(6, 4))


def model_of(*layers, inputs=(4, 3), dtype="float32", **options) -> keras.Model:
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input(inputs, dtype=dtype), *layers, keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.05), "mse", **options)
    return model


class Attention(keras.layers.Layer):
    """Attention of a sequence to itself, by an inner layer."""

    def __init__(self, inner) -> None:
        super().__init__()
        self.inner = inner

    def call(self, inputs, training=False):
        arguments = ([inputs, inputs],) if isinstance(self.inner, keras.layers.Attention) else (inputs, inputs)
        return self.inner(*arguments, training=training)


NOISY = {
    "dropout": lambda rate: keras.layers.Dropout(rate),
    "spatial": lambda rate: keras.layers.SpatialDropout1D(rate),
    "alpha": lambda rate: keras.layers.AlphaDropout(rate),
    "multiplied": lambda rate: keras.layers.GaussianDropout(rate),
    "added": lambda rate: keras.layers.GaussianNoise(rate),
    "attention": lambda rate: Attention(keras.layers.Attention(dropout=rate)),
    "many heads": lambda rate: Attention(keras.layers.MultiHeadAttention(2, 2, dropout=rate)),
    "recurrent": lambda rate: keras.layers.LSTM(2, dropout=rate, recurrent_dropout=rate, return_sequences=True),
}


@pytest.mark.parametrize("name", NOISY)
def test_layers_that_draw_noise_draw_none_and_go_on_drawing_afterwards(name: str) -> None:
    model = model_of(NOISY[name](0.5))
    landscape = lrscout.from_keras(model, SENTENCES, Y[:6], batch_size=6, shuffle=False).landscape(1)
    (loss,) = landscape.losses(landscape.position()[np.newaxis])
    assert loss == pytest.approx(np.mean((outputs_of(model, training=False) - Y[:6]) ** 2), rel=1e-5)
    drawn = {outputs_of(model, training=True).tobytes() for _ in range(3)}
    assert len(drawn) == 3


def outputs_of(model, *, training: bool) -> np.ndarray:
    outputs = model(keras.ops.convert_to_tensor(SENTENCES), training=training)
    outputs = outputs.detach() if hasattr(outputs, "detach") else outputs
    return np.array(outputs.numpy() if hasattr(outputs, "numpy") else outputs)


def test_products_are_differences_of_gradients_where_words_are_looked_up_and_read_in_turn() -> None:
    model = model_of(keras.layers.Embedding(5, 2), keras.layers.GRU(3), inputs=(4,), dtype="int32")
    loop = lrscout.from_keras(model, WORDS, Y[:6], batch_size=6, shuffle=False)
    landscape = loop.landscape(1)
    derivatives = landscape.derivatives()
    assert derivatives.exact
    direction = GENERATOR.normal(size=len(derivatives.gradient))
    direction /= np.linalg.norm(direction)
    product, start, gradients = derivatives.product(direction), landscape.position(), []
    for sign in (1, -1):
        set_to(model.trainable_variables, start + sign * 0.01 * direction)
        gradients.append(landscape.derivatives().gradient)
    expected = (gradients[0] - gradients[1]) / 0.02
    np.testing.assert_allclose(product, expected, rtol=0, atol=1e-2 * np.abs(expected).max())


def set_to(variables, position: np.ndarray) -> None:
    for variable, part in zip(variables, parts_of(position, variables), strict=True):
        variable.assign(part)


class Jitter(keras.layers.Layer):
    """Noise that the user draws, from a generator of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.seeds = keras.random.SeedGenerator(5)

    def call(self, inputs):
        return inputs + keras.random.normal(keras.ops.shape(inputs), seed=self.seeds)


def test_what_else_is_drawn_is_drawn_the_same_however_far_the_loop_has_gone() -> None:
    loop = lrscout.from_keras(model_of(Jitter()), SENTENCES, Y[:6], batch_size=3, shuffle=False)
    landscape = loop.landscape(2)
    place = landscape.position()
    first = landscape.losses(place[np.newaxis])
    derivatives = landscape.derivatives()
    assert derivatives.loss == pytest.approx(first[0], rel=1e-6)
    assert first[0] == pytest.approx(np.mean([landscape.derivatives(batch).loss for batch in range(2)]), rel=1e-6)
    assert {loop.step(1e-12) for _ in range(4)} != {first[0]}
    np.testing.assert_allclose(landscape.losses(np.stack([place] * 3)), np.repeat(first, 3), rtol=1e-6)


def test_half_precision_is_told_as_well_as_it_can_hold() -> None:
    quadratic = np.array([[1.0, 0.5, 0.25], [0.5, -1.0, 1.0]], np.float32)
    keras.utils.set_random_seed(3)
    half = keras.dtype_policies.DTypePolicy("mixed_float16")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False, dtype=half)])
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.25), initial_scale=1024.0)
    model.compile(scaled, "mse")
    landscape = lrscout.from_keras(model, quadratic, np.ones((2, 1)), batch_size=2, shuffle=False).landscape(1)
    derivatives, curvatures = landscape.derivatives(), quadratic.T @ quadratic
    residuals = quadratic @ landscape.position() - 1
    np.testing.assert_allclose(hessian_of(derivatives), curvatures, atol=5e-3)
    np.testing.assert_allclose(derivatives.gradient, quadratic.T @ residuals, atol=5e-3)
    # Larger than the scaled loss may be: of its own accord the optimizer would leave out this step.
    np.testing.assert_allclose(landscape.updates(1e36 * np.eye(3), 0.25), -0.25e36 * np.eye(3), rtol=1e-6)


SCHEDULE = keras.optimizers.schedules.ExponentialDecay(0.3, 2, 0.9)
OPTIMIZERS = {
    "SGD": lambda: keras.optimizers.SGD(0.05),
    "momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
    "Nesterov": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "Adam": lambda: keras.optimizers.Adam(0.05),
    "AdamW": lambda: keras.optimizers.AdamW(0.05, weight_decay=0.1, use_ema=True),
    "accumulated": lambda: keras.optimizers.SGD(0.05, momentum=0.9, gradient_accumulation_steps=2),
    "scheduled": lambda: keras.optimizers.RMSprop(SCHEDULE),
    "told of a scale": lambda: keras.optimizers.SGD(0.05, loss_scale_factor=8.0),
}


def parts_of(vector: np.ndarray, variables) -> list:
    parts = np.split(vector, np.cumsum([np.prod(variable.shape, dtype=int) for variable in variables])[:-1])
    pairs = zip(parts, variables, strict=True)
    return [keras.ops.convert_to_tensor(part.reshape(v.shape).astype(np.float32)) for part, v in pairs]


def line(optimizer) -> keras.Model:
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    return model


def apply(optimizer, gradient: np.ndarray, variables) -> None:
    with torch.no_grad() if BACKEND == "torch" else nullcontext():
        optimizer.apply(parts_of(gradient, variables), variables)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_are_those_of_the_optimizer(name: str) -> None:
    model, twin = (line(OPTIMIZERS[name]()) for _ in range(2))
    loop = lrscout.from_keras(model, X, Y, batch_size=14)
    twin.optimizer.build(twin.trainable_variables)
    for gradient in GENERATOR.normal(size=(4, 4)):
        for each in (model, twin):
            apply(each.optimizer, gradient, each.trainable_variables)
    gradients = GENERATOR.normal(size=(3, 4)).astype(np.float32)
    position = GENERATOR.normal(size=4).astype(np.float32)
    found = loop.landscape(1).updates(gradients, 0.3, position)
    optimizer, variables = twin.optimizer, twin.trainable_variables
    if name == "scheduled":  # The rate that is asked for, wherever the schedule is.
        optimizer._learning_rate = keras.Variable(0.3)
    else:
        optimizer.learning_rate = 0.3
    scale = optimizer.loss_scale_factor or 1.0
    for gradient, change in zip(gradients, found, strict=True):
        set_to(variables, position)
        for _ in range(2 if name == "accumulated" else 1):
            apply(optimizer, scale * gradient, variables)
        expected = np.concatenate([array_of(variable).ravel() for variable in variables]) - position
        np.testing.assert_allclose(change, expected, rtol=1e-4, atol=1e-6)


def test_what_bounds_a_step_is_left_out_of_updates_and_stays_with_the_optimizer() -> None:
    layer = keras.layers.Dense(1, use_bias=False, kernel_constraint=keras.constraints.MaxNorm(0.5))
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile(keras.optimizers.SGD(0.1, clipnorm=1e-3), "mse")
    loop = lrscout.from_keras(model, X, Y, batch_size=14)
    np.testing.assert_allclose(loop.landscape(1).updates(10 * np.eye(3), 0.5), -5 * np.eye(3))
    assert model.optimizer.clipnorm == 1e-3
    layer.kernel.assign(np.ones((3, 1)))
    loop.step(0.1)
    assert np.linalg.norm(array_of(layer.kernel)) == pytest.approx(0.5, rel=1e-3)


class OwnStep(keras.Model):
    """A model whose step is its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = keras.layers.Dense(1)

    def call(self, inputs):
        return self.layer(inputs)

    def train_step(self, *arguments):
        return super().train_step(*arguments)


class OwnLoss(OwnStep):
    """A model whose loss is its own, too."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(keras.ops.abs(y - y_pred) ** 4)


class Vector(OwnStep):
    """A model that has forgotten to reduce its loss."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return y - y_pred


def landscape_of(model, compiled_loss=None, **options):
    model(X)
    model.compile("sgd", compiled_loss)
    return lrscout.from_keras(model, X, Y, batch_size=14, **options).landscape(1)


def test_a_model_with_a_step_of_its_own() -> None:
    position = np.array([[1.0, 0.5, 2.0, 0.25]])
    residuals = Y[:, 0] - X @ position[0, :3] - 0.25
    assert landscape_of(OwnStep(), "mse").losses(position)[0] == pytest.approx(np.mean(residuals**2), rel=1e-5)
    assert landscape_of(OwnLoss()).losses(position)[0] == pytest.approx(np.mean(residuals**4), rel=1e-5)
    with pytest.raises(LandscapeUnavailableError, match=r"OwnStep, which is compiled without a loss"):
        landscape_of(OwnStep())


def test_losses_that_cannot_be_differentiated() -> None:
    with pytest.raises(LandscapeUnavailableError, match=r"curvature of 'extra'.*Leave out loss="):
        landscape_of(OwnStep(), "mse", loss="extra")
    with pytest.raises(LossError, match=r"one number, .* of shape \(14, 1\)"):
        landscape_of(Vector()).derivatives()


def test_the_variables_are_those_that_the_optimizer_trains() -> None:
    model = network()
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    blocks = lrscout.from_keras(model, Source()).landscape(2).blocks
    assert [block.shape for block in blocks] == [(4,), (4,), (4, 1), (1,)]
    other = keras.optimizers.SGD(0.1)
    loop = lrscout.from_keras(model, Source(), optimizer=other)
    with pytest.raises(LandscapeUnavailableError, match="Take a step first"):
        loop.landscape(2)
    other.build(model.layers[-1].trainable_variables)
    landscape = loop.landscape(2)
    assert [block.shape for block in landscape.blocks] == [(4, 1), (1,)]
    variables = [variable for layer in model.layers for variable in layer.variables]
    weights = [v for v in variables if v.path.rpartition("/")[2] in ("kernel", "bias", "gamma", "beta")]
    position = np.concatenate([array_of(variable).ravel() for variable in weights])
    gradient = mean_in_jax(position, BATCHES)[1][-5:]
    np.testing.assert_allclose(landscape.derivatives().gradient, gradient, rtol=1e-3)
    np.testing.assert_allclose(landscape.updates(np.eye(5), 0.5), -np.eye(5) / 2)


def visit(case) -> None:
    """Ask for everything once."""
    landscape = case.loop.landscape(2)
    here = landscape.position()
    landscape.losses(np.stack([here, np.zeros_like(here)]))
    derivatives = landscape.derivatives()
    derivatives.product(derivatives.gradient)
    landscape.updates(derivatives.gradient[np.newaxis], 0.1, warm_up=1)


@pytest.mark.parametrize("name", ["everything", "scaled"])
def test_the_loop_comes_home(name: str) -> None:
    check_comes_home(CASES[name], visit)


def test_the_users_own_code_goes_on() -> None:
    check_user_goes_on(CASES["everything"], visit)
