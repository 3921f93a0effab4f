"""The learning rate of a JAX network that reads handwritten digits.

Run this file, or: lrscout range-test examples/jax_digits.py:loop
"""

import jax
import jax.numpy as jnp
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import lrscout


def loss(params, batch):
    """Return the cross-entropy of a network with one hidden layer."""
    images, labels = batch
    hidden = jax.nn.relu(images @ params["first"])
    return optax.softmax_cross_entropy_with_integer_labels(hidden @ params["second"], labels).mean()


def loop():
    """Return the training loop, by Adam on batches of 64."""
    images, labels = load_digits(return_X_y=True)
    train_images, test_images, train_labels, test_labels = train_test_split(
        (images / 16).astype("float32"), labels, random_state=0
    )
    first, second = jax.random.split(jax.random.key(0))
    params = {
        "first": jax.random.normal(first, (64, 64)) * jnp.sqrt(2 / 64),
        "second": jax.random.normal(second, (64, 10)) * jnp.sqrt(2 / 64),
    }
    return lrscout.from_jax(
        params,
        optax.adam,
        loss,
        (train_images, train_labels),
        lr=1e-3,
        batch_size=64,
        eval_data=(test_images, test_labels),
    )


if __name__ == "__main__":
    print(lrscout.range_test(loop()))
