"""The learning rate of a scikit-learn network that reads handwritten digits.

Run this file, or: lrscout range-test examples/sklearn_digits.py:loop
"""

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import lrscout


def loop():
    """Return the training loop of a network with one hidden layer, trained by SGD with momentum."""
    images, labels = load_digits(return_X_y=True)
    train_images, test_images, train_labels, test_labels = train_test_split(images / 16, labels, random_state=0)
    network = MLPClassifier(hidden_layer_sizes=(64,), solver="sgd", batch_size=64, random_state=0)
    return lrscout.from_sklearn(network, train_images, train_labels, eval_data=(test_images, test_labels))


if __name__ == "__main__":
    print(lrscout.range_test(loop()))
