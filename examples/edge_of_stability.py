"""Gradient descent on handwritten digits comes to the edge of stability, and stays there.

The sharpness rises while the loss falls, until it is 2 / lr. From then on the loss is no longer falling at every step,
and still it falls, while the sharpness hovers at the limit (Cohen et al. 2021, arXiv 2103.00065).
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import lrscout


def loop(lr=0.4, seed=0):
    """Return full-batch gradient descent on the squared error of a network with two hidden layers."""
    generator = np.random.default_rng(seed)
    images, labels = load_digits(return_X_y=True)
    images = (images - images.mean(axis=0)) / 16
    targets = np.eye(10)[labels]

    def layer(inputs, outputs):
        weights = generator.normal(0, inputs**-0.5, (inputs, outputs))
        return {"weights": weights.astype(np.float32), "biases": np.zeros(outputs, np.float32)}

    def loss(params, batch):
        activations, wanted = batch
        *hidden, last = params
        for weights in hidden:
            activations = jax.nn.tanh(activations @ weights["weights"] + weights["biases"])
        outputs = activations @ last["weights"] + last["biases"]
        return jnp.mean(jnp.sum((outputs - wanted) ** 2, axis=-1)) / 2

    params = [layer(64, 64), layer(64, 64), layer(64, 10)]
    data = jnp.asarray(images, jnp.float32), jnp.asarray(targets, jnp.float32)
    return lrscout.from_jax(params, optax.sgd, loss, data, lr=lr)


if __name__ == "__main__":
    curvature = lrscout.curvature(loop(), track=1200)
    print(curvature)
    curvature.plot().figure.savefig("edge_of_stability.png", dpi=150)
