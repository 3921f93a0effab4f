"""Batch normalisation in TensorFlow, whose second derivatives its own tapes have wrong, against JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf

import lrscout
from lrscout.loops.tensorflow.moments import differentiable_moments

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(12, 3)).astype(np.float32)
Y = X.sum(1) ** 2


def normalized_in_jax(position, batch):
    x, y = batch
    hidden = x @ position[:6].reshape(3, 2)
    normal = position[6:] * (hidden - hidden.mean(0)) / jnp.sqrt(hidden.var(0) + 1e-3)
    return ((jnp.tanh(normal).sum(1) - y) ** 2).mean()


@pytest.mark.parametrize(("traced_by", "tolerance"), [(lambda loss: loss, 1e-5), (tf.function, 1e-2)])
def test_batch_statistics_are_those_of_training(traced_by, tolerance: float) -> None:
    generator = np.random.default_rng(4)
    weights, scale = tf.Variable(generator.normal(size=(3, 2)), dtype=tf.float32), tf.Variable(tf.ones(2))
    moving_mean = tf.Variable([0.25, 0.5], trainable=False)

    @traced_by
    def loss(batch):
        hidden = batch[0] @ weights
        mean, variance = tf.nn.moments(hidden, [0])
        moving_mean.assign(0.9 * moving_mean + 0.1 * mean)
        normalized = tf.nn.batch_normalization(hidden, mean, variance, None, scale, 1e-3)
        return tf.reduce_mean((tf.reduce_sum(tf.tanh(normalized), 1) - batch[1]) ** 2)

    before = tf.nn.moments
    landscape = lrscout.from_tensorflow([weights, scale], None, loss, [(X, Y)], lr=0.1).landscape(1)
    derivatives, position = landscape.derivatives(), jnp.asarray(landscape.position(), jnp.float32)
    assert derivatives.exact is (traced_by is not tf.function)
    gradient, hessian = (np.array(kind(normalized_in_jax)(position, (X, Y))) for kind in (jax.grad, jax.hessian))
    np.testing.assert_allclose(derivatives.gradient, gradient, rtol=0, atol=1e-5 * np.abs(gradient).max())
    np.testing.assert_allclose(
        [derivatives.product(axis) for axis in np.eye(8)], hessian, rtol=0, atol=tolerance * np.abs(hessian).max()
    )
    landscape.losses(np.stack([landscape.position()] * 3))
    np.testing.assert_array_equal(moving_mean, [0.25, 0.5])
    assert tf.nn.moments is before


@pytest.mark.parametrize("dtype", [tf.float16, tf.float32, tf.float64])
@pytest.mark.parametrize("keepdims", [False, True])
def test_moments_are_those_of_tensorflow_to_the_last_bit(dtype, keepdims: bool) -> None:
    x = tf.constant(GENERATOR.normal(size=(4, 3, 2)), dtype)
    expected = tf.nn.moments(x, [0, 1], keepdims=keepdims)
    with differentiable_moments():
        found = tf.nn.moments(x, [0, 1], keepdims=keepdims)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
