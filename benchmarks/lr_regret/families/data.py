"""The data that come with scikit-learn, and losses on them."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from sklearn import datasets

Arrays = tuple[np.ndarray, ...]


@lru_cache
def table(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and targets of a bundled data set, each column with mean 0 and deviation 1."""
    inputs, targets = getattr(datasets, f"load_{name}")(return_X_y=True)
    inputs = (inputs - inputs.mean(axis=0)) / np.maximum(inputs.std(axis=0), 1e-9)
    if name == "diabetes":
        return inputs.astype(np.float32), ((targets - targets.mean()) / targets.std()).astype(np.float32)
    return inputs.astype(np.float32), targets.astype(np.int32)


@lru_cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the images of handwritten digits, 8 by 8 pixels in [0, 1], and their labels."""
    images, labels = datasets.load_digits(return_X_y=True)
    return (images / 16).astype(np.float32), labels.astype(np.int32)


@lru_cache
def text() -> np.ndarray:
    """Return the descriptions of the bundled data sets, a symbol for each character, of which there are 64."""
    folder = files(datasets) / "descr"
    pages = sorted(folder.iterdir(), key=lambda page: page.name)
    characters = "".join(page.read_text(encoding="utf-8") for page in pages if page.name.endswith(".rst")).lower()
    frequent = sorted(set(characters), key=lambda each: (-characters.count(each), each))[:63]
    symbols = {character: index for index, character in enumerate(frequent)}
    return np.array([symbols.get(character, 63) for character in characters], np.int32)


def split(generator: np.random.Generator, arrays: Arrays, held_out: float = 0.2) -> tuple[Arrays, Arrays]:
    """Part arrays at random into those to train on and those to evaluate on."""
    order = generator.permutation(len(arrays[0]))
    training, rest = np.split(order, [round(len(order) * (1 - held_out))])
    return tuple(each[training] for each in arrays), tuple(each[rest] for each in arrays)


def layers(generator: np.random.Generator, widths: list[int], gain: float = 2.0) -> list[Any]:
    """Return weights and biases of dense layers; the weights have variance `gain` over the number of inputs."""
    return [
        (normal(generator, (before, after), gain / before), np.zeros(after, np.float32))
        for before, after in pairwise(widths)
    ]


def normal(generator: np.random.Generator, shape: tuple[int, ...], variance: float) -> np.ndarray:
    """Return normal numbers in single precision."""
    return generator.normal(0, np.sqrt(variance), shape).astype(np.float32)


def cross_entropy(logits: Any, labels: Any) -> Any:
    """Return the mean cross-entropy of integer labels."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def squared_error(outputs: Any, targets: Any) -> Any:
    """Return the mean squared error."""
    return jnp.mean((outputs - targets) ** 2)
