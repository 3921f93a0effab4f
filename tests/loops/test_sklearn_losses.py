"""The losses of scikit-learn loops: what the steps descend, what the estimators tell, what the metrics say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import Perceptron, SGDClassifier, SGDOneClassSVM, SGDRegressor
from sklearn.metrics import hinge_loss, log_loss
from sklearn.neural_network import MLPClassifier, MLPRegressor

import lrscout
from tests.loops.data_sklearn import BINARY, COUNTS, NUMBERS, SEVERAL, THREE, X

MARGINS = ("hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron")
ERRORS = ("squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive")
PENALTIES = (None, "l2", "l1", "elasticnet")


def loss_here(loop) -> float:
    """The loss of the next batch, taken without moving."""
    home = loop.snapshot()
    loss = loop.step(1e-30)
    loop.restore(home)
    return loss


def numerical_gradient(loop, parameter: np.ndarray) -> np.ndarray:
    gradient = np.zeros_like(parameter)
    for index in np.ndindex(parameter.shape):
        value, losses = parameter[index], []
        for shift in (1e-6, -1e-6):
            parameter[index] = value + shift
            losses.append(loss_here(loop))
        parameter[index] = value
        gradient[index] = (losses[0] - losses[1]) / 2e-6
    return gradient


def check_a_step_follows_the_gradient(estimator, y, *, weight=None, offset="intercept_") -> None:
    """One example, one update: it must be minus lr times the gradient of the loss that the loop tells."""
    classes = {"classes": np.unique(y)} if y is BINARY or y is THREE else {}
    estimator.partial_fit(X, y, **classes)
    generator = np.random.default_rng(0)
    estimator.coef_[:] = generator.choice([-1, 1], estimator.coef_.shape) * generator.uniform(0.1, 1)
    getattr(estimator, offset)[:] = generator.normal()
    for row in range(2):
        batch = (X[row : row + 1], y[row : row + 1], *([] if weight is None else [[weight]]))
        loop = lrscout.from_sklearn(estimator, [batch])
        gradients = [numerical_gradient(loop, getattr(estimator, name)) for name in ("coef_", offset)]
        before = [getattr(estimator, name).copy() for name in ("coef_", offset)]
        loop.step(0.01)
        for name, value, gradient in zip(("coef_", offset), before, gradients, strict=True):
            np.testing.assert_allclose(getattr(estimator, name), value - 0.01 * gradient, atol=1e-8)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", MARGINS + ERRORS)
def test_the_loss_of_an_sgd_classifier_is_what_its_steps_descend(loss: str, penalty: str | None) -> None:
    for y in (BINARY, THREE):
        estimator = SGDClassifier(loss, penalty=penalty, alpha=0.05, l1_ratio=0.4, epsilon=0.3, random_state=0)
        check_a_step_follows_the_gradient(estimator, y)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", ERRORS)
def test_the_loss_of_an_sgd_regressor_is_what_its_steps_descend(loss: str, penalty: str | None) -> None:
    estimator = SGDRegressor(loss, penalty=penalty, alpha=0.05, l1_ratio=0.4, epsilon=0.3, random_state=0)
    check_a_step_follows_the_gradient(estimator, NUMBERS)


@pytest.mark.parametrize("y", [BINARY, THREE], ids=["two classes", "three classes"])
def test_weights_of_examples_and_of_classes_are_in_the_loss(y) -> None:
    weights = {label: 1.5 + index for index, label in enumerate(np.unique(y))}
    estimator = SGDClassifier("squared_hinge", alpha=0.05, class_weight=weights, random_state=0)
    check_a_step_follows_the_gradient(estimator, y, weight=1.7)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_other_linear_estimators_descend_their_loss_too(fit_intercept: bool) -> None:
    estimator = Perceptron(penalty="l2", alpha=0.05, random_state=0)
    check_a_step_follows_the_gradient(estimator, THREE)
    one_class = SGDOneClassSVM(nu=0.2, random_state=0)
    check_a_step_follows_the_gradient(one_class, NUMBERS, offset="offset_")
    without_intercept = SGDClassifier("log_loss", fit_intercept=False, random_state=0).partial_fit(X, THREE, [0, 1, 2])
    lrscout.from_sklearn(without_intercept, X, THREE).step(0.1)
    assert not without_intercept.intercept_.any()


def test_a_sparse_batch_moves_the_intercept_less() -> None:
    moved = []
    for inputs in (X[:1], sparse.csr_matrix(X[:1])):
        estimator = SGDRegressor(random_state=0)
        lrscout.from_sklearn(estimator, inputs, NUMBERS[:1]).step(0.01)
        moved.append((estimator.coef_, estimator.intercept_))
    np.testing.assert_allclose(moved[1][0], moved[0][0])
    np.testing.assert_allclose(moved[1][1], moved[0][1] / 100)


def test_an_average_is_evaluated_while_what_it_averages_is_trained() -> None:
    plain, averaged = (SGDRegressor(average=average, random_state=0) for average in (False, True))
    loops = [lrscout.from_sklearn(estimator, [(X, NUMBERS)]) for estimator in (plain, averaged)]
    for _ in range(5):
        assert loops[1].step(0.05) == loops[0].step(0.05)
    residuals = X @ averaged.coef_ + averaged.intercept_ - NUMBERS
    assert loops[1].evaluate() == pytest.approx(np.mean(residuals**2) / 2)
    assert loops[1].evaluate() != pytest.approx(loops[0].evaluate(), rel=1e-3)


NETWORKS = {
    "two classes": (MLPClassifier, {}, BINARY),
    "three classes": (MLPClassifier, {}, THREE),
    "labels": (MLPClassifier, {}, SEVERAL),
    "number": (MLPRegressor, {}, NUMBERS),
    "numbers": (MLPRegressor, {}, SEVERAL.astype(float)),
    "counts": (MLPRegressor, {"loss": "poisson"}, COUNTS),
}


@pytest.mark.parametrize("weights", [None, np.linspace(0.2, 2, 30)], ids=["even", "weighted"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_the_loss_of_a_network_is_the_one_that_it_tells_itself(kind: str, solver: str, weights) -> None:
    make, settings, y = NETWORKS[kind]
    estimator = make(hidden_layer_sizes=(5,), solver=solver, alpha=0.3, random_state=0, **settings)
    loop = lrscout.from_sklearn(estimator, X, y, sample_weight=weights)
    for _ in range(4):
        assert loop.step(0.01) == pytest.approx(estimator.loss_, rel=1e-12)


def test_a_batch_may_be_longer_than_a_networks_own() -> None:
    estimator = MLPClassifier((5,), alpha=0.3, batch_size=8, random_state=0)
    loss = lrscout.from_sklearn(estimator, [(X, THREE)], classes=[0, 1, 2]).step(1e-30)
    assert loss == pytest.approx(estimator.loss_, rel=1e-12)


def test_evaluations_are_those_of_scikit_learns_metrics() -> None:
    estimator = SGDClassifier(alpha=0.5, random_state=0).partial_fit(X, BINARY, classes=["no", "yes"])
    loop = lrscout.from_sklearn(estimator, X, BINARY, eval_data=(X.tolist(), BINARY.tolist()))
    assert loop.evaluate() == pytest.approx(hinge_loss(BINARY, estimator.decision_function(X)))
    network = MLPClassifier((5,), alpha=9.0, random_state=0).partial_fit(X, THREE, classes=[0, 1, 2])
    loop = lrscout.from_sklearn(network, X, THREE, eval_data=[(X[:7], THREE[:7]), (X[7:], THREE[7:])])
    assert loop.evaluate() == pytest.approx(log_loss(THREE, network.predict_proba(X)))
    weights = np.linspace(0, 1, 30)
    loop = lrscout.from_sklearn(network, X, THREE, eval_data=(X, THREE, weights))
    assert loop.evaluate() == pytest.approx(log_loss(THREE, network.predict_proba(X), sample_weight=weights))
