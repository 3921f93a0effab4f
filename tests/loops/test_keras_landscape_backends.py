"""What the landscapes of Keras loops do on one backend alone."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

import lrscout
from lrscout.core.errors import LandscapeUnavailableError

BACKEND = keras.backend.backend()
X = np.random.default_rng(0).normal(size=(14, 3)).astype(np.float32)
Y = X.sum(1, keepdims=True) ** 2


def model_of(*layers, loss="mse", **options) -> keras.Model:
    """Some layers and a linear function after them."""
    model = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.05), loss, **options)
    return model


@pytest.mark.skipif(BACKEND != "tensorflow", reason="Only TensorFlow has counters that it hides.")
def test_a_counter_that_tensorflow_hides_is_refused() -> None:
    class Hidden(keras.layers.Layer):
        def call(self, inputs):
            return inputs + tf.random.uniform(tf.shape(inputs))

    loop = lrscout.from_keras(model_of(Hidden()), X, Y, batch_size=14)
    with pytest.raises(LandscapeUnavailableError, match=r"RandomUniform .*keras.random.SeedGenerator"):
        loop.landscape(1)


@pytest.mark.skipif(BACKEND != "jax", reason="Only JAX must compile.")
def test_a_loss_that_jax_cannot_compile_is_refused() -> None:
    class Branches(keras.layers.Layer):
        def call(self, inputs, training=False):
            return -inputs if training and float(keras.ops.sum(inputs)) > 0 else inputs

    loop = lrscout.from_keras(model_of(Branches(), run_eagerly=True), X, Y, batch_size=14)
    with pytest.raises(LandscapeUnavailableError, match="cannot compile the loss"):
        loop.landscape(1)


@pytest.mark.skipif(BACKEND != "torch", reason="Only Keras on PyTorch holds modules.")
def test_modules_of_pytorch_inside_train_without_dropout() -> None:
    torch.manual_seed(0)
    inner = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5))
    model = keras.Sequential([keras.Input((3,)), keras.layers.TorchModuleWrapper(inner, output_shape=(None, 4))])
    model.compile(keras.optimizers.SGD(0.05), lambda y, outputs: keras.ops.mean((outputs - y) ** 2))
    landscape = lrscout.from_keras(model, X, Y, batch_size=14).landscape(1)
    inner.eval()
    before = [buffer.clone() for buffer in inner.buffers()]
    loss = landscape.derivatives().loss
    hidden = inner[0](torch.from_numpy(X))
    normal = (hidden - hidden.mean(0)) / torch.sqrt(hidden.var(0, unbiased=False) + 1e-5)
    assert loss == pytest.approx(((normal - torch.from_numpy(Y)) ** 2).mean().item(), rel=1e-5)
    assert inner[2].p == 0.5
    assert not inner[1].training
    for buffer, value in zip(inner.buffers(), before, strict=True):
        assert torch.equal(buffer, value)


@pytest.mark.skipif(BACKEND != "torch", reason="This operator is one of PyTorch.")
def test_an_operator_without_a_second_derivative() -> None:
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, upstream):
            return 2 * upstream * ctx.saved_tensors[0]

    model = model_of(loss=lambda y, outputs: keras.ops.mean(Once.apply(outputs)))
    derivatives = lrscout.from_keras(model, X, Y, batch_size=14).landscape(1).derivatives()
    assert not derivatives.exact
    np.testing.assert_allclose(np.array([derivatives.product(axis) for axis in np.eye(3)]), 2 * X.T @ X / 14, atol=1e-2)
