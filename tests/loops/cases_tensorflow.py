"""TensorFlow loops: plain descent and Keras optimizers, generators, statistics, tf.data."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import tensorflow as tf

import lrscout
from tests.battery import Case, Part, stream_place

GENERATOR = np.random.default_rng(4)
X = GENERATOR.normal(size=(32, 6)).astype(np.float32)
Y = X.sum(1)


def variable(*variables) -> Part:
    return Part(
        lambda: [np.array(v.numpy() if hasattr(v, "numpy") else v) for v in variables],
        lambda values: [v.assign(value) for v, value in zip(variables, values, strict=True)],
    )


def plain_descent() -> Case:
    """`GradientTape` and subtraction on shuffled arrays; a moving mean; noise from a `tf.random.Generator`."""
    w, moving_mean = tf.Variable(tf.ones(6)), tf.Variable(tf.zeros(6), trainable=False)
    noise = tf.random.Generator.from_seed(5)

    def loss(batch):
        x, y = batch
        moving_mean.assign(0.9 * moving_mean + 0.1 * tf.reduce_mean(x, 0))
        x = x - moving_mean + noise.normal(tf.shape(x), stddev=0.1)
        return tf.reduce_mean((tf.linalg.matvec(x, w) - y) ** 2)

    loop = lrscout.from_tensorflow([w], None, loss, (X, Y), lr=0.01, batch_size=5)
    parts = {
        "w": variable(w),
        "moving mean": variable(moving_mean),
        "generator": variable(noise.state),
        "place": stream_place(loop),
    }
    return Case(loop, parts)


def scheduled_adam() -> Case:
    """A Keras optimizer that follows a schedule, a shuffled tf.data pipeline, dropout from a Keras generator."""
    tf.random.set_seed(0)
    w, b = tf.Variable(tf.ones(6)), tf.Variable(0.0)
    seeds = keras.random.SeedGenerator(7)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.9))
    data = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(32, seed=1).batch(6)

    def loss(batch):
        x, y = batch
        kept = keras.random.dropout(x, 0.2, seed=seeds)
        return tf.reduce_mean((tf.linalg.matvec(kept, w) + b - y) ** 2)

    def train(steps: int) -> list[float]:
        losses = []
        for batch in data.repeat().take(steps):
            with tf.GradientTape() as tape:
                value = loss(batch)
            optimizer.apply(tape.gradient(value, [w, b]), [w, b])
            losses.append(float(value))
        return losses

    loop = lrscout.from_tensorflow([w, b], optimizer, loss, data, eval_data=(X, Y))
    parts = {
        "variables": variable(w, b),
        "slots": variable(*optimizer.variables),
        "seeds": variable(seeds.state),
        "place": stream_place(loop),
    }
    return Case(loop, parts, train)


def momentum() -> Case:
    """Momentum, an endless iterator, batches of one."""
    w = tf.Variable(tf.zeros(6))
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True)
    batches = (
        {"x": X[index % 32 : index % 32 + 1], "y": Y[index % 32 : index % 32 + 1]} for index in itertools.count()
    )

    def loss(batch):
        return tf.reduce_mean((tf.linalg.matvec(batch["x"], w) - batch["y"]) ** 2)

    loop = lrscout.from_tensorflow([w], optimizer, loss, batches)
    parts = {"w": variable(w), "slots": variable(*optimizer.variables), "place": stream_place(loop)}
    return Case(loop, parts)


CASES = {case.__name__: case for case in (plain_descent, scheduled_adam, momentum)}
