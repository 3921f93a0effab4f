"""The learning rate of a TensorFlow module that reads handwritten digits, trained with a gradient tape.

Run this file, or: lrscout range-test examples/tensorflow_digits.py:loop
"""

import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import lrscout


class Network(tf.Module):
    """A network with one hidden layer."""

    def __init__(self):
        super().__init__()
        generator = tf.random.Generator.from_seed(0)
        self.first = tf.Variable(generator.normal([64, 64], stddev=(2 / 64) ** 0.5))
        self.second = tf.Variable(generator.normal([64, 10], stddev=(2 / 64) ** 0.5))

    def __call__(self, images):
        return tf.nn.relu(images @ self.first) @ self.second


def loop():
    """Return the training loop, by plain gradient descent on shuffled batches of 64."""
    images, labels = load_digits(return_X_y=True)
    train_images, test_images, train_labels, test_labels = train_test_split(
        (images / 16).astype("float32"), labels, random_state=0
    )
    data = tf.data.Dataset.from_tensor_slices((train_images, train_labels)).shuffle(2000).batch(64, drop_remainder=True)
    network = Network()

    def loss(batch):
        images, labels = batch
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, network(images)))

    return lrscout.from_tensorflow(network, None, loss, data, lr=0.1, eval_data=(test_images, test_labels))


if __name__ == "__main__":
    print(lrscout.range_test(loop()))
