"""The learning rate of a training loop in plain NumPy: a softmax regression that reads handwritten digits.

Run this file, or: lrscout range-test examples/functions_digits.py:loop
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import lrscout


class Training:
    """Gradient descent with momentum on shuffled batches of 64."""

    def __init__(self):
        images, labels = load_digits(return_X_y=True)
        self.images, self.held_out, self.labels, self.held_out_labels = train_test_split(
            images / 16, labels, random_state=0
        )
        self.weights = np.zeros((64, 10))
        self.velocity = np.zeros_like(self.weights)
        self.reseed(0)

    def reseed(self, seed):
        """Begin a new order of the data."""
        self.generator = np.random.default_rng(seed)
        self.order = np.array([], int)

    def probabilities(self, images):
        """Return how likely the weights make each digit for each image."""
        scores = images @ self.weights
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return scores / scores.sum(axis=1, keepdims=True)

    def step(self, lr):
        """Make one update, and return the loss before it."""
        if len(self.order) < 64:
            self.order = self.generator.permutation(len(self.images))
        batch, self.order = self.order[:64], self.order[64:]
        images, labels = self.images[batch], self.labels[batch]
        probabilities = self.probabilities(images)
        gradient = images.T @ (probabilities - np.eye(10)[labels]) / len(batch)
        self.velocity = 0.9 * self.velocity + gradient
        self.weights = self.weights - lr * self.velocity
        return cross_entropy(probabilities, labels)

    def evaluate(self):
        """Return the loss on the held-out images."""
        return cross_entropy(self.probabilities(self.held_out), self.held_out_labels)

    def snapshot(self):
        """Return a copy of everything that the next step depends on."""
        return self.weights, self.velocity, self.order, self.generator.bit_generator.state

    def restore(self, copy):
        """Bring a copy back."""
        self.weights, self.velocity, self.order, self.generator.bit_generator.state = copy


def cross_entropy(probabilities, labels):
    """Return how surprising the labels are, on average."""
    return -np.log(probabilities[np.arange(len(labels)), labels] + 1e-12).mean()


def loop():
    """Return the training loop, which needs to know no framework."""
    training = Training()
    return lrscout.from_functions(
        training.step, training.snapshot, training.restore, training.evaluate, reseed=training.reseed, lr=0.1
    )


if __name__ == "__main__":
    print(lrscout.range_test(loop()))
