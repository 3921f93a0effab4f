"""scikit-learn loops: schedules, averages, optimizers, sparse and streamed data, every kind of random_state."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor

import lrscout
from tests.battery import Case, Part, numpy_generator, stream_place

GENERATOR = np.random.default_rng(6)
X = GENERATOR.normal(size=(40, 6))
NUMBERS = X.sum(1) + 0.1 * GENERATOR.normal(size=40)
LABELS = np.array(["low", "middle", "high"])[np.digitize(X[:, 0], [-0.5, 0.5])]


def attribute(owner: Any, name: str) -> Part:
    """An array, or a number, that an estimator or its optimizer keeps."""
    return Part(
        lambda: np.array(getattr(owner(), name)),
        lambda value: setattr(owner(), name, value if value.ndim else value.item()),
    )


def arrays(owner: Any, name: str) -> Part:
    """A list of arrays, or of numbers, that an estimator or its optimizer keeps."""
    return Part(
        lambda: [np.array(item) for item in getattr(owner(), name)],
        lambda values: setattr(owner(), name, values),
    )


def generator(state: np.random.RandomState) -> Part:
    return Part(state.get_state, state.set_state)


def trainer(estimator: Any, x: Any, y: Any, watch: Callable[[], float]) -> Callable[[int], list[float]]:
    """Return the user's own loop: `partial_fit` on minibatches in an order of its own."""
    order = np.random.default_rng(1)
    classes = {"classes": np.unique(y)} if y is LABELS else {}

    def train(steps: int) -> list[float]:
        losses = []
        for _ in range(steps):
            rows = order.choice(len(y), 5, replace=False)
            estimator.partial_fit(x[rows], y[rows], **classes)
            losses.append(watch())
        return losses

    return train


def scheduled_classifier() -> Case:
    """Three classes, the "optimal" schedule, elastic net; shuffled by NumPy's global generator."""
    np.random.seed(0)
    estimator = SGDClassifier(loss="modified_huber", penalty="elasticnet", alpha=0.01, class_weight={"high": 2.0})
    loop = lrscout.from_sklearn(estimator, X, LABELS, batch_size=5)
    parts = {name: attribute(lambda: estimator, name) for name in ("coef_", "intercept_", "t_")}
    parts |= {"numpy generator": numpy_generator(), "place": stream_place(loop)}
    return Case(loop, parts, trainer(estimator, X, LABELS, lambda: float(estimator.coef_.sum())))


def averaged_regressor() -> Case:
    """An average beside the coefficients, a sparse matrix with weights, a generator of the user's own."""
    state = np.random.RandomState(3)
    estimator = SGDRegressor(average=12, learning_rate="invscaling", random_state=state)
    inputs = sparse.csr_matrix(np.where(np.abs(X) > 0.3, X, 0))
    loop = lrscout.from_sklearn(
        estimator,
        inputs,
        NUMBERS,
        batch_size=4,
        sample_weight=np.linspace(0.5, 1.5, 40),
        eval_data=(inputs, NUMBERS),
    )
    names = ("_standard_coef", "_standard_intercept", "_average_coef", "_average_intercept", "t_")
    parts = {name: attribute(lambda: estimator, name) for name in names}
    parts |= {"own generator": generator(state), "place": stream_place(loop)}
    return Case(loop, parts, trainer(estimator, inputs, NUMBERS, lambda: float(estimator.coef_.sum())))


def adam_network() -> Case:
    """A classifier with Adam, whose generator draws the first weights and every order."""
    state = np.random.RandomState(5)
    estimator = MLPClassifier((7,), learning_rate_init=0.01, batch_size=5, random_state=state)
    loop = lrscout.from_sklearn(estimator, X, LABELS)
    parts = {name: arrays(lambda: estimator, name) for name in ("coefs_", "intercepts_", "loss_curve_")}
    parts |= {name: arrays(lambda: estimator._optimizer, name) for name in ("ms", "vs")}
    parts |= {
        "optimizer's step": attribute(lambda: estimator._optimizer, "t"),
        "examples seen": attribute(lambda: estimator, "t_"),
        "best loss": attribute(lambda: estimator, "best_loss_"),
        "own generator": generator(state),
        "place": stream_place(loop),
    }
    return Case(loop, parts, trainer(estimator, X, LABELS, lambda: float(estimator.loss_)))


def streamed_network() -> Case:
    """A regressor with momentum that lowers its lr by itself, on an endless iterator of single examples."""
    estimator = MLPRegressor(
        hidden_layer_sizes=(5,),
        solver="sgd",
        learning_rate="adaptive",
        learning_rate_init=0.01,
        tol=0.5,
        random_state=2,
    )
    rows = (slice(index % 40, index % 40 + 1) for index in itertools.count())
    loop = lrscout.from_sklearn(estimator, ((X[row], NUMBERS[row]) for row in rows))
    parts = {name: arrays(lambda: estimator, name) for name in ("coefs_", "intercepts_")}
    parts |= {
        "velocities": arrays(lambda: estimator._optimizer, "velocities"),
        "patience": attribute(lambda: estimator, "_no_improvement_count"),
        "place": stream_place(loop),
    }
    return Case(loop, parts)


CASES = {case.__name__: case for case in (scheduled_classifier, averaged_regressor, adam_network, streamed_network)}
