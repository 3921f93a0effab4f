"""Networks of dense layers, shallow and deep, and networks that learn from a teacher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.lr_regret.families.data import cross_entropy, digits, layers, split, squared_error, table
from benchmarks.lr_regret.task import Problem, Task


def outputs_of(params: Any, inputs: Any, activation: Callable[[Any], Any]) -> Any:
    """Return the last layer's sums."""
    values = inputs
    for weights, biases in params[:-1]:
        values = activation(values @ weights + biases)
    weights, biases = params[-1]
    return values @ weights + biases


def relu_classifier_loss(params: Any, batch: Any) -> Any:
    """Return the cross-entropy of a network of rectified units."""
    inputs, labels = batch
    return cross_entropy(outputs_of(params, inputs, jax.nn.relu), labels)


def tanh_classifier_loss(params: Any, batch: Any) -> Any:
    """Return the cross-entropy of a network of tanh units."""
    inputs, labels = batch
    return cross_entropy(outputs_of(params, inputs, jnp.tanh), labels)


def relu_regression_loss(params: Any, batch: Any) -> Any:
    """Return the squared error of a network of rectified units."""
    inputs, targets = batch
    return squared_error(outputs_of(params, inputs, jax.nn.relu)[..., 0], targets)


def tanh_regression_loss(params: Any, batch: Any) -> Any:
    """Return the squared error of a network of tanh units."""
    inputs, targets = batch
    return squared_error(outputs_of(params, inputs, jnp.tanh)[..., 0], targets)


def shallow_digits(generator: np.random.Generator) -> Problem:
    """One hidden layer on the digits."""
    training, held_out = split(generator, digits())
    return Problem(layers(generator, [64, 64, 10]), relu_classifier_loss, training, held_out)


def shallow_diabetes(generator: np.random.Generator) -> Problem:
    """One hidden layer on the diabetes data."""
    training, held_out = split(generator, table("diabetes"))
    return Problem(layers(generator, [10, 32, 1]), relu_regression_loss, training, held_out)


def deep_relu(generator: np.random.Generator) -> Problem:
    """Six hidden layers of rectified units on the digits."""
    training, held_out = split(generator, digits())
    return Problem(layers(generator, [64, *[48] * 6, 10]), relu_classifier_loss, training, held_out)


def deep_tanh(generator: np.random.Generator) -> Problem:
    """Six hidden layers of tanh units on the digits."""
    training, held_out = split(generator, digits())
    return Problem(layers(generator, [64, *[48] * 6, 10], gain=1.0), tanh_classifier_loss, training, held_out)


def tanh_teacher(generator: np.random.Generator) -> Problem:
    """A wide tanh student of a narrow tanh teacher, on normal inputs, with a little noise."""
    inputs = generator.normal(0, 1, (2048, 16)).astype(np.float32)
    teacher = layers(generator, [16, 6, 1], gain=3.0)
    targets = np.asarray(outputs_of(teacher, inputs, np.tanh))[:, 0]
    targets = (targets / targets.std() + generator.normal(0, 0.1, len(targets))).astype(np.float32)
    training, held_out = split(generator, (inputs, targets))
    return Problem(layers(generator, [16, 48, 1], gain=1.0), tanh_regression_loss, training, held_out)


def relu_teacher(generator: np.random.Generator) -> Problem:
    """A wide student of a narrow teacher, both of rectified units, without noise."""
    inputs = generator.normal(0, 1, (2048, 16)).astype(np.float32)
    teacher = layers(generator, [16, 8, 8, 1])
    targets = np.asarray(outputs_of(teacher, inputs, lambda values: np.maximum(values, 0)))[:, 0]
    targets = ((targets - targets.mean()) / targets.std()).astype(np.float32)
    training, held_out = split(generator, (inputs, targets))
    return Problem(layers(generator, [16, 48, 48, 1]), relu_regression_loss, training, held_out)


NETWORKS = [
    Task("shallow network", "digits", "SGD", shallow_digits, 64),
    Task("shallow network", "digits", "momentum", shallow_digits, 64),
    Task("shallow network", "digits", "AdamW", shallow_digits, 64),
    Task("shallow network", "diabetes", "AdamW", shallow_diabetes, 32),
    Task("deep network", "tanh", "SGD", deep_tanh, 64),
    Task("deep network", "relu", "momentum", deep_relu, 64),
    Task("deep network", "relu", "AdamW", deep_relu, 64),
    Task("teacher", "tanh", "SGD", tanh_teacher, 32),
    Task("teacher", "tanh", "momentum", tanh_teacher, None),
    Task("teacher", "relu", "AdamW", relu_teacher, 32),
]
