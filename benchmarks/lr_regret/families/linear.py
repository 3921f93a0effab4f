"""Linear and logistic models, and a quadratic whose answer is known."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks.lr_regret.families.data import cross_entropy, digits, split, squared_error, table
from benchmarks.lr_regret.task import Problem, Task


def regression_loss(params: Any, batch: Any) -> Any:
    """Return the squared error of a linear model."""
    weights, bias = params
    inputs, targets = batch
    return squared_error(inputs @ weights + bias, targets)


def classification_loss(params: Any, batch: Any) -> Any:
    """Return the cross-entropy of a linear model of the logits."""
    weights, biases = params
    inputs, labels = batch
    return cross_entropy(inputs @ weights + biases, labels)


def diabetes(generator: np.random.Generator) -> Problem:
    """Linear regression of the progress of diabetes."""
    training, held_out = split(generator, table("diabetes"))
    return Problem((np.zeros(10, np.float32), np.zeros((), np.float32)), regression_loss, training, held_out)


def _classes(generator: np.random.Generator, arrays: tuple[np.ndarray, np.ndarray]) -> Problem:
    inputs, labels = arrays
    training, held_out = split(generator, arrays)
    classes = int(labels.max()) + 1
    params = np.zeros((inputs.shape[1], classes), np.float32), np.zeros(classes, np.float32)
    return Problem(params, classification_loss, training, held_out)


def breast_cancer(generator: np.random.Generator) -> Problem:
    """Logistic regression of breast cancer."""
    return _classes(generator, table("breast_cancer"))


def wine(generator: np.random.Generator) -> Problem:
    """Logistic regression of three kinds of wine."""
    return _classes(generator, table("wine"))


def softmax_digits(generator: np.random.Generator) -> Problem:
    """Logistic regression of ten digits."""
    return _classes(generator, digits())


_CURVATURES = np.geomspace(1e-2, 1.0, 50).astype(np.float32)


def quadratic_loss(params: Any, batch: Any) -> Any:
    """Return a quadratic of condition 100 about the mean of the batch's points."""
    (points,) = batch
    return 0.5 * jnp.mean(jnp.sum(_CURVATURES * (params - points) ** 2, axis=-1))


def noisy_quadratic(generator: np.random.Generator) -> Problem:
    """A quadratic whose noise has the quadratic's own covariance (Zhang et al. 2019, arXiv 1907.04164)."""
    points = generator.normal(0, 1, (2048, 50)).astype(np.float32)
    start = generator.normal(0, 5, 50).astype(np.float32)
    return Problem(start, quadratic_loss, (points[:1536],), (points[1536:],))


LINEAR = [
    Task("linear", "diabetes", "SGD", diabetes, 32),
    Task("linear", "diabetes", "momentum", diabetes, None),
    Task("linear", "diabetes", "AdamW", diabetes, 32),
    Task("logistic", "breast cancer", "SGD", breast_cancer, 32),
    Task("logistic", "wine", "momentum", wine, 16),
    Task("logistic", "digits", "AdamW", softmax_digits, 64),
    Task("quadratic", "noisy", "SGD", noisy_quadratic, 16),
    Task("quadratic", "noisy", "momentum", noisy_quadratic, 16),
    Task("quadratic", "noisy", "AdamW", noisy_quadratic, 16),
]
