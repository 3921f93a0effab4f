"""A small network that reads handwritten digits, in JAX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.core.imports import require

if TYPE_CHECKING:
    from lrscout.loops.jax.adapter import JaxLoop


def digits(seed: int = 0, hidden: int = 64, batch_size: int = 64) -> JaxLoop:
    """Return a loop that trains a two-layer network on scikit-learn's handwritten digits.

    The 1797 images of 8 by 8 pixels are split at random, four fifths for training and one fifth for evaluation. The
    optimizer is stochastic gradient descent with momentum 0.9.

    Args:
        seed: the seed of the split and of the initial parameters.
        hidden: the width of the hidden layer.
        batch_size: images in a batch.

    Raises:
        MissingDependencyError: JAX, optax or scikit-learn is not installed.
    """
    jax, optax = require("jax", extra="examples"), require("optax", extra="examples")
    datasets = require("sklearn.datasets", extra="examples")
    from lrscout.loops.jax.adapter import from_jax

    generator = np.random.default_rng(seed)
    images, labels = datasets.load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)
    order = generator.permutation(len(images))
    training, held_out = np.split(order, [len(order) * 4 // 5])

    def layer(inputs: int, outputs: int) -> dict[str, Any]:
        weights = generator.normal(0, np.sqrt(2 / inputs), (inputs, outputs))
        return {"weights": weights.astype(np.float32), "biases": np.zeros(outputs, np.float32)}

    def loss(params: list[dict[str, Any]], batch: tuple[Any, Any]) -> Any:
        inputs, targets = batch
        first, second = params
        activations = jax.nn.relu(inputs @ first["weights"] + first["biases"])
        logits = activations @ second["weights"] + second["biases"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()

    def optimizer(lr: float) -> Any:
        return optax.sgd(lr, momentum=0.9)

    return from_jax(
        [layer(images.shape[1], hidden), layer(hidden, 10)],
        optimizer,
        loss,
        (images[training], labels[training]),
        lr=0.1,
        batch_size=batch_size,
        eval_data=(images[held_out], labels[held_out]),
    )
