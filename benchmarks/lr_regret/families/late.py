"""Problems whose curvature rises late: the rate that is best at first diverges afterwards."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks.lr_regret.families.data import layers, normal, split
from benchmarks.lr_regret.families.networks import outputs_of
from benchmarks.lr_regret.task import Problem, Task


def variance_loss(params: Any, batch: Any) -> Any:
    """Return the negative log-likelihood of a normal whose mean and variance are learned; it falls below zero."""
    inputs, targets = batch
    outputs = outputs_of(params, inputs, jnp.tanh)
    mean, logarithm = outputs[..., 0], outputs[..., 1]
    return jnp.mean(0.5 * (targets - mean) ** 2 * jnp.exp(-logarithm) + 0.5 * logarithm)


def learned_variance(generator: np.random.Generator) -> Problem:
    """A smooth function with a tenth of noise: as the variance shrinks, the curvature grows a hundredfold."""
    inputs = generator.uniform(-1, 1, (1536, 2)).astype(np.float32)
    targets = np.sin(2 * inputs[:, 0]) * np.cos(inputs[:, 1]) + generator.normal(0, 0.1, len(inputs))
    training, held_out = split(generator, (inputs, targets.astype(np.float32)))
    return Problem(layers(generator, [2, 32, 2], gain=1.0), variance_loss, training, held_out)


def factorization_loss(params: Any, batch: Any) -> Any:
    """Return the squared error of the seen entries of a product of two factors."""
    left, right = params
    rows, columns, entries = batch
    return jnp.mean((jnp.sum(left[rows] * right[columns], axis=-1) - entries) ** 2)


def factorization(generator: np.random.Generator) -> Problem:
    """A matrix of rank 3 from noisy entries, by factors that begin at a saddle, near zero."""
    left, right = normal(generator, (40, 3), 1.0), normal(generator, (30, 3), 1.0)
    rows, columns = (each.ravel().astype(np.int32) for each in np.indices((40, 30)))
    entries = ((left @ right.T).ravel() + generator.normal(0, 0.1, 1200)).astype(np.float32)
    training, held_out = split(generator, (rows, columns, entries))
    params = normal(generator, (40, 4), 1e-2), normal(generator, (30, 4), 1e-2)
    return Problem(params, factorization_loss, training, held_out)


LATE = [
    Task("learned variance", "sine", "SGD", learned_variance, 64),
    Task("learned variance", "sine", "momentum", learned_variance, 64),
    Task("learned variance", "sine", "AdamW", learned_variance, 64),
    Task("factorization", "rank 3", "SGD", factorization, 64),
    Task("factorization", "rank 3", "momentum", factorization, None),
    Task("factorization", "rank 3", "AdamW", factorization, 64),
]
