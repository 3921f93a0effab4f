"""Keras loops, the same on every backend: schedules, batch statistics, dropout, weights, scaled losses, generators."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import tensorflow as tf

import lrscout
from tests.battery import Case, Part, stream_place

GENERATOR = np.random.default_rng(4)
X = GENERATOR.normal(size=(40, 6)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)
WEIGHTS = GENERATOR.uniform(0.5, 2, len(X))


def array_of(variable) -> np.ndarray:
    value = variable.value.detach() if hasattr(variable.value, "detach") else variable.value
    return np.array(value.numpy() if hasattr(value, "numpy") else value)


def values(variables) -> Part:
    """Of variables that may only come to be when the loop is made."""
    return Part(
        lambda: [array_of(variable) for variable in variables()],
        lambda arrays: [variable.assign(array) for variable, array in zip(variables(), arrays, strict=True)],
    )


def parts_of(loop, model) -> dict[str, Part]:
    everything = {
        "weights": lambda: model.trainable_variables,
        "statistics": lambda: [v for v in model.non_trainable_variables if "seed_generator" not in v.name],
        "seeds": lambda: [v for v in model.variables if "seed_generator" in v.name],
        "slots": lambda: model.optimizer.variables,
        "metrics": lambda: model.metrics_variables,
    }
    parts = {name: values(variables) for name, variables in everything.items() if variables()}
    # Every pass and every batch begins with fresh metrics, so one that is left behind changes nothing afterwards.
    return parts | {"place": stream_place(loop)}


class Losses(keras.callbacks.Callback):
    """The running mean of the loss after each batch, as `fit` reports it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def on_train_batch_end(self, batch, logs=None) -> None:
        self.seen.append(float(logs["loss"]))


def fit(model, *data, **options):
    def train(steps: int) -> list[float]:
        losses = Losses()
        model.fit(*data, steps_per_epoch=steps, verbose=0, callbacks=[losses], **options)
        return losses.seen

    return train


def everything() -> Case:
    """Adam on a schedule, batch statistics, dropout, shuffled tf.data with weights, regularisation, metrics."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="relu", kernel_regularizer="l2"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(2),
        ]
    )
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.9)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(schedule), loss, metrics=["accuracy"])
    data = tf.data.Dataset.from_tensor_slices((X, Y, WEIGHTS)).shuffle(40).batch(6)
    loop = lrscout.from_keras(model, data, eval_data=(X, Y))
    return Case(loop, parts_of(loop, model), fit(model, X, Y, batch_size=4, shuffle=False))


class Subclassed(keras.Model):
    """A model that builds its layers at the first call."""

    def __init__(self) -> None:
        super().__init__()
        self.first = keras.layers.Dense(5, activation="tanh")
        self.noise = keras.layers.GaussianNoise(0.1, seed=3)
        self.second = keras.layers.Dense(1)

    def call(self, inputs, training=False):
        return self.second(self.noise(self.first(inputs["x"]), training=training))


def subclassed() -> Case:
    """A subclassed model, not built; momentum; batches of dictionaries with weights from an endless generator."""
    keras.utils.set_random_seed(1)
    model = Subclassed()
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True), "mse")

    def batches():
        for start in itertools.cycle(range(0, 36, 3)):
            chosen = slice(start, start + 3)
            yield {"x": X[chosen]}, X[chosen].sum(1, keepdims=True), np.array([1.0, 0.5, 2.0], np.float32)

    loop = lrscout.from_keras(model, batches())
    return Case(loop, parts_of(loop, model), fit(model, {"x": X}, X.sum(1), batch_size=4, shuffle=False))


class Shuffled(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int):
        return X[index * 5 : index * 5 + 5], Y[index * 5 : index * 5 + 5]


def accumulated() -> Case:
    """Gradients accumulated over three batches of a `PyDataset`, an averaged copy of the weights, class weights."""
    keras.utils.set_random_seed(2)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1, "sigmoid")])
    optimizer = keras.optimizers.RMSprop(0.01, use_ema=True, gradient_accumulation_steps=3)
    model.compile(optimizer, "binary_crossentropy")
    loop = lrscout.from_keras(model, Shuffled(), class_weight={0: 1.0, 1: 2.0})

    def train(steps: int) -> list[float]:  # On JAX, a second `fit` with averaged weights raises an error of Keras.
        return [model.train_on_batch(X[:4], Y[:4]) for _ in range(steps)]

    return Case(loop, parts_of(loop, model), train)


def scaled() -> Case:
    """Half precision with a scaled loss, on shuffled arrays."""
    keras.utils.set_random_seed(3)
    half = keras.dtype_policies.DTypePolicy("mixed_float16")
    layers = [keras.layers.Dense(4, "relu", dtype=half), keras.layers.Dense(1, dtype=half)]
    model = keras.Sequential([keras.Input((6,)), *layers])
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.01, momentum=0.9), initial_scale=8.0, dynamic_growth_steps=3
    )
    model.compile(optimizer, "mse")
    loop = lrscout.from_keras(model, X, X.sum(1), batch_size=8)
    return Case(loop, parts_of(loop, model), fit(model, X, X.sum(1), batch_size=4, shuffle=False))


CASES = {case.__name__: case for case in (everything, subclassed, accumulated, scaled)}
