"""Convolutional networks on the digits, with and without normalization."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.lr_regret.families.data import cross_entropy, digits, layers, normal, split
from benchmarks.lr_regret.task import Problem, Task


def _convolved(images: Any, weights: Any) -> Any:
    """Return 3 by 3 convolutions; as one product of matrices, which many lanes at once do fast on a processor."""
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = images.shape[1:3]
    patches = [padded[:, row : row + height, column : column + width] for row in range(3) for column in range(3)]
    return jnp.concatenate(patches, axis=-1) @ weights


def _pooled(images: Any) -> Any:
    count, height, width, channels = images.shape
    return images.reshape(count, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


def _over_batch(values: Any) -> Any:
    """Normalize each channel over the batch and the places."""
    mean, variance = values.mean(axis=(0, 1, 2)), values.var(axis=(0, 1, 2))
    return (values - mean) / jnp.sqrt(variance + 1e-5)


def _loss_with(normalized: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def loss(params: Any, batch: Any) -> Any:
        filters, dense = params
        values, labels = batch
        values = values.reshape(-1, 8, 8, 1)
        for weights, scale, shift in filters:
            values = _pooled(jax.nn.relu(normalized(_convolved(values, weights)) * scale + shift))
        weights, biases = dense[0]
        return cross_entropy(values.reshape(len(values), -1) @ weights + biases, labels)

    return loss


plain_loss = _loss_with(lambda values: values)
batch_norm_loss = _loss_with(_over_batch)


def _scale_and_shift(channels: int) -> tuple[np.ndarray, np.ndarray]:
    return np.ones(channels, np.float32), np.zeros(channels, np.float32)


def _network(generator: np.random.Generator, loss: Callable[[Any, Any], Any]) -> Problem:
    training, held_out = split(generator, digits())
    filters = [
        (normal(generator, (9 * before, after), 2 / (9 * before)), *_scale_and_shift(after))
        for before, after in [(1, 8), (8, 16)]
    ]
    return Problem((filters, layers(generator, [64, 10], gain=1.0)), loss, training, held_out)


def plain(generator: np.random.Generator) -> Problem:
    """Two convolutions, each pooled, and a dense layer."""
    return _network(generator, plain_loss)


def batch_norm(generator: np.random.Generator) -> Problem:
    """The same with batch normalization, by the statistics of the batch in evaluation too."""
    return _network(generator, batch_norm_loss)


CONVOLUTIONAL = [
    Task("convolutional", "plain", "SGD", plain, 32),
    Task("convolutional", "plain", "momentum", plain, 32),
    Task("convolutional", "plain", "AdamW", plain, 32),
    Task("normalized", "batch norm", "SGD", batch_norm, 32),
    Task("normalized", "batch norm", "momentum", batch_norm, 32),
    Task("normalized", "batch norm", "AdamW", batch_norm, 32),
]
