"""The learning rate of a Keras model that reads handwritten digits, on whichever backend Keras runs.

Run this file, or: lrscout range-test examples/keras_digits.py:loop
"""

import keras
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import lrscout


def loop():
    """Return the training loop of a model with one hidden layer, trained by Adam."""
    keras.utils.set_random_seed(0)
    images, labels = load_digits(return_X_y=True)
    train_images, test_images, train_labels, test_labels = train_test_split(images / 16, labels, random_state=0)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return lrscout.from_keras(model, train_images, train_labels, batch_size=64, eval_data=(test_images, test_labels))


if __name__ == "__main__":
    print(lrscout.range_test(loop()))
