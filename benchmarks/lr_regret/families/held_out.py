"""Families that nothing was tuned to: they were set aside before, and are reported apart."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.lr_regret.families.data import cross_entropy, digits, layers, normal, split, squared_error
from benchmarks.lr_regret.families.networks import outputs_of
from benchmarks.lr_regret.task import Problem, Task


def autoencoder_loss(params: Any, batch: Any) -> Any:
    """Return the squared error of images that went through a narrow layer."""
    (images,) = batch
    return squared_error(jax.nn.sigmoid(outputs_of(params, images, jnp.tanh)), images)


def autoencoder(generator: np.random.Generator) -> Problem:
    """Digits through eight numbers and back."""
    training, held_out = split(generator, digits()[:1])
    return Problem(layers(generator, [64, 32, 8, 32, 64], gain=1.0), autoencoder_loss, training, held_out)


def recurrent_loss(params: Any, batch: Any) -> Any:
    """Return the cross-entropy of a label after the rows of an image were read, one after another."""
    images, labels = batch
    rows = images.reshape(-1, 8, 8).transpose(1, 0, 2)

    def read(hidden: Any, row: Any) -> Any:
        update = jax.nn.sigmoid(row @ params["row to gate"] + hidden @ params["hidden to gate"])
        new = jnp.tanh(row @ params["row to hidden"] + hidden @ params["hidden to hidden"])
        return update * hidden + (1 - update) * new, None

    hidden, _ = jax.lax.scan(read, jnp.zeros((rows.shape[1], 24)), rows)
    return cross_entropy(hidden @ params["logits"], labels)


def recurrent(generator: np.random.Generator) -> Problem:
    """A gated recurrent network that reads the digits row by row."""
    training, held_out = split(generator, digits())
    shapes = {
        "row to gate": (8, 24),
        "hidden to gate": (24, 24),
        "row to hidden": (8, 24),
        "hidden to hidden": (24, 24),
        "logits": (24, 10),
    }
    params = {name: normal(generator, shape, 1 / shape[0]) for name, shape in shapes.items()}
    return Problem(params, recurrent_loss, training, held_out)


def counts_loss(params: Any, batch: Any) -> Any:
    """Return the negative log-likelihood of counts whose log rate is linear."""
    weights, bias = params
    inputs, counts = batch
    logarithm = inputs @ weights + bias
    return jnp.mean(jnp.exp(logarithm) - counts * logarithm)


def counts(generator: np.random.Generator) -> Problem:
    """Poisson regression, whose curvature grows with the rate that is learned."""
    inputs = generator.normal(0, 1, (1536, 12)).astype(np.float32)
    weights = generator.normal(0, 0.35, 12)
    training, held_out = split(generator, (inputs, generator.poisson(np.exp(inputs @ weights + 1)).astype(np.float32)))
    return Problem((np.zeros(12, np.float32), np.zeros((), np.float32)), counts_loss, training, held_out)


_WAVES = 32


def waves_loss(params: Any, batch: Any) -> Any:
    """Return the squared error of a network on sines and cosines of the place."""
    places, heights = batch
    phases = places @ params["waves"]
    features = jnp.concatenate([jnp.sin(phases), jnp.cos(phases)], axis=-1)
    return squared_error(outputs_of(params["layers"], features, jax.nn.gelu)[..., 0], heights)


def waves(generator: np.random.Generator) -> Problem:
    """A rough height field over the plane, through learned waves (as in Tancik et al. 2020, arXiv 2006.10739)."""
    places = generator.uniform(-1, 1, (2048, 2)).astype(np.float32)
    heights = np.sin(7 * places[:, 0] + 3 * places[:, 1]) + 0.5 * np.sign(places[:, 0] * places[:, 1])
    training, held_out = split(generator, (places, heights.astype(np.float32)))
    params = {"waves": normal(generator, (2, _WAVES), 9.0), "layers": layers(generator, [2 * _WAVES, 32, 1])}
    return Problem(params, waves_loss, training, held_out)


HELD_OUT = [
    Task("autoencoder", "digits", "SGD", autoencoder, 64),
    Task("autoencoder", "digits", "AdamW", autoencoder, 64),
    Task("recurrent", "digits", "momentum", recurrent, 32),
    Task("recurrent", "digits", "AdamW", recurrent, 32),
    Task("counts", "poisson", "SGD", counts, 32),
    Task("counts", "poisson", "momentum", counts, None),
    Task("waves", "plane", "momentum", waves, 64),
    Task("waves", "plane", "AdamW", waves, 64),
]
