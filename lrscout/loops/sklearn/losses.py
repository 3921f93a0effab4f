"""The losses of scikit-learn's SGD estimators and of its networks, each number as the estimator itself defines it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lrscout.core.imports import require

special = require("scipy.special", extra="sklearn")

MARGIN_LOSSES: dict[str, Callable[[Any, Any, float], Any]] = {
    "hinge": lambda y, p, epsilon: np.maximum(0, 1 - y * p),
    "squared_hinge": lambda y, p, epsilon: np.maximum(0, 1 - y * p) ** 2,
    "perceptron": lambda y, p, epsilon: np.maximum(0, -y * p),
    "log_loss": lambda y, p, epsilon: np.logaddexp(0, -y * p),
    "modified_huber": lambda y, p, epsilon: _modified_huber(y * p),
    "squared_error": lambda y, p, epsilon: (y - p) ** 2 / 2,
    "huber": lambda y, p, epsilon: _huber(np.abs(y - p), epsilon),
    "epsilon_insensitive": lambda y, p, epsilon: np.maximum(0, np.abs(y - p) - epsilon),
    "squared_epsilon_insensitive": lambda y, p, epsilon: np.maximum(0, np.abs(y - p) - epsilon) ** 2,
}
"""The loss of a linear output `p` on a target `y`, a number or a class as -1 or 1; `epsilon` is the estimator's."""


def _modified_huber(margin: Any) -> Any:
    """Return the squared hinge loss, which goes on as its tangent where the margin is below -1."""
    return np.maximum(0, 1 - np.maximum(margin, -1)) ** 2 + 4 * np.maximum(0, -1 - margin)


def _huber(error: Any, epsilon: float) -> Any:
    """Return half the squared error, which goes on as its tangent where the error is above epsilon."""
    small = np.minimum(error, epsilon)
    return small * (error - small / 2)


def elastic_net(coef: Any, penalty: str | None, alpha: float, l1_ratio: float | None) -> float:
    """Return the penalty that an SGD estimator puts on its coefficients."""
    l1_share = {"l1": 1.0, "l2": 0.0, "elasticnet": l1_ratio}.get(str(penalty).lower())
    if l1_share is None:
        return 0.0
    return float(alpha * ((1 - l1_share) * np.sum(coef**2) / 2 + l1_share * np.sum(np.abs(coef))))


def cross_entropy(targets: Any, probabilities: Any, weights: Any) -> float:
    """Return the log loss of classes that exclude each other.

    Args:
        targets: 1 at each example's class and 0 elsewhere, of shape (examples, classes).
        probabilities: the predicted ones, of the same shape.
        weights: of the examples, or None.
    """
    return -float(np.average(targets * np.log(_inside(probabilities)), weights=weights, axis=0).sum())


def binary_cross_entropy(targets: Any, probabilities: Any, weights: Any) -> float:
    """Return the log loss, summed over labels that do not exclude each other; arguments as in `cross_entropy`."""
    likely = _inside(probabilities)
    losses = targets * np.log(likely) + (1 - targets) * np.log(1 - likely)
    return -float(np.average(losses, weights=weights, axis=0).sum())


def squared_error(targets: Any, outputs: Any, weights: Any) -> float:
    """Return half the squared error, averaged over outputs of shape (examples, outputs)."""
    return float(np.average((targets - outputs) ** 2, weights=weights, axis=0).mean()) / 2


def poisson(targets: Any, outputs: Any, weights: Any) -> float:
    """Return half the Poisson deviance, summed over outputs of shape (examples, outputs)."""
    losses = special.xlogy(targets, targets / outputs) - targets + outputs
    return float(np.average(losses, weights=weights, axis=0).sum())


def _inside(probabilities: Any) -> Any:
    """Keep probabilities away from 0 and 1, by as much as the networks do."""
    smallest = np.finfo(probabilities.dtype).eps
    return np.clip(probabilities, smallest, 1 - smallest)
