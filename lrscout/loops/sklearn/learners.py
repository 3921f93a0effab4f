"""How each family of scikit-learn estimators keeps its lr, and which loss it descends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from typing import Any

import numpy as np

from lrscout.core.imports import require
from lrscout.loops.sklearn import losses
from lrscout.loops.sklearn.batches import Batch, len_of

sklearn = require("sklearn", extra="sklearn")
linear_model = require("sklearn.linear_model", extra="sklearn")
utils = require("sklearn.utils", extra="sklearn")

# Before 1.9 the one-class SVM shrinks its coefficients half as much as its documented loss would have it.
_ALPHA_PER_NU = 1.0 if tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 9) else 0.5


class Learner(ABC):
    """An estimator with `partial_fit`, behind the interface that the loop needs.

    Args:
        estimator: the estimator.
        classes: what to tell a classifier at its first `partial_fit`; None for others.
    """

    def __init__(self, estimator: Any, classes: Any) -> None:
        self.estimator = estimator
        self._classes = classes

    @property
    @abstractmethod
    def lr(self) -> float:
        """The lr of the estimator's next update on its own."""

    @property
    @abstractmethod
    def own_batch_size(self) -> int:
        """The examples in a batch where the user does not say."""

    @property
    @abstractmethod
    def parameters(self) -> list[Any]:
        """The arrays that training changes; empty before the first update."""

    @abstractmethod
    def training_loss(self, batch: Batch) -> float:
        """Return the loss that the next update descends, penalty included, on a batch."""

    @abstractmethod
    def evaluation_loss(self, batch: Batch) -> float:
        """Return the loss of the estimator's predictions on a batch, without a penalty."""

    def update(self, batch: Batch, lr: float) -> None:
        """Call `partial_fit` on a batch at an lr, and leave the estimator's own lr and schedule as they are."""
        arguments: dict[str, Any] = {}
        if batch.weights is not None:
            arguments["sample_weight"] = batch.weights
        if self._classes is not None and not hasattr(self.estimator, "classes_"):
            arguments["classes"] = self._classes
        try:
            with self._at(lr):
                self.estimator.partial_fit(batch.inputs, batch.targets, **arguments)
        except ValueError as error:
            if "overflow occurred" not in str(error) and self._is_finite():
                raise
            # The estimator has given up in the middle of its update. Whatever it left, its next loss is no number.
            for parameter in self.parameters:
                parameter.fill(np.nan)

    def copy(self) -> Learner:
        """Return a learner of a copy of the estimator, generators included."""
        return type(self)(deepcopy(self.estimator), self._classes)

    @abstractmethod
    def _at(self, lr: float) -> AbstractContextManager[None]:
        """Let the estimator update at an lr while the block lasts."""

    def _is_finite(self) -> bool:
        return all(np.isfinite(parameter).all() for parameter in self.parameters)


class Linear(Learner):
    """The SGD estimators, one-class SVM and perceptron among them: `eta0`, `coef_`, one update for each example."""

    @property
    def lr(self) -> float:
        estimator = self.estimator
        updates = getattr(estimator, "t_", 1.0)
        match estimator.learning_rate:
            case "invscaling":
                return float(estimator.eta0 / updates**estimator.power_t)
            case "optimal":
                return float(1 / (self._alpha**0.25 + self._alpha * (updates - 1)))
            case _:  # "adaptive" is constant in partial_fit, which sees a single pass.
                return float(estimator.eta0)

    @property
    def own_batch_size(self) -> int:
        return 32

    @property
    def parameters(self) -> list[Any]:
        names = ("coef_", "intercept_", "offset_", "_standard_coef", "_standard_intercept")
        values = [getattr(self.estimator, name, None) for name in names]
        return [value for value in values if value is not None]

    def training_loss(self, batch: Batch) -> float:
        estimator = self.estimator
        # With average=, the updates move other coefficients than those that predict.
        names = ("_standard_coef", "_standard_intercept") if estimator.average else ("coef_", "intercept_")
        coef = getattr(estimator, names[0])
        intercept = getattr(estimator, names[1]) if hasattr(estimator, names[1]) else 1 - estimator.offset_
        penalty = losses.elastic_net(coef, estimator.penalty, self._alpha, estimator.l1_ratio)
        return self._loss(batch, coef, intercept) + penalty

    def evaluation_loss(self, batch: Batch) -> float:
        estimator = self.estimator
        intercept = 1 - estimator.offset_ if self._is_one_class else estimator.intercept_
        return self._loss(batch, estimator.coef_, intercept)

    def _loss(self, batch: Batch, coef: Any, intercept: Any) -> float:
        estimator = self.estimator
        inputs = utils.check_array(batch.inputs, accept_sparse=("csr", "csc"), dtype=(np.float64, np.float32))
        outputs = inputs @ np.atleast_2d(coef).T.astype(float) + intercept
        targets, class_weights = self._encoded(batch.targets, outputs.shape)
        values = losses.MARGIN_LOSSES[estimator.loss](targets, outputs, estimator.epsilon) * class_weights
        if batch.weights is not None:
            values = values * np.asarray(batch.weights)[:, None]
        loss = float(values.sum(axis=1).mean())
        return loss + estimator.nu * float(intercept[0]) if self._is_one_class else loss

    def _encoded(self, targets: Any, shape: tuple[int, int]) -> tuple[Any, Any]:
        """Return the targets of the linear outputs, and the weights of their classes, both of the outputs' shape."""
        if self._is_one_class:
            return np.ones(shape), 1.0
        column = np.asarray(targets).reshape(-1, 1)
        classes = getattr(self.estimator, "classes_", None)
        if classes is None:
            return column.astype(float), 1.0
        weights: Any = utils.compute_class_weight(self.estimator.class_weight, classes=classes, y=classes)
        others: Any = 1.0
        if len(classes) == 2:  # One problem, where the second class is the positive one; else one for each class.
            classes, weights, others = classes[1:], weights[1:], weights[0]
        belongs: Any = (column == classes).astype(float)
        return 2 * belongs - 1, belongs * weights + (1 - belongs) * others

    @property
    def _is_one_class(self) -> bool:
        return isinstance(self.estimator, linear_model.SGDOneClassSVM)

    @property
    def _alpha(self) -> float:
        return _ALPHA_PER_NU * self.estimator.nu if self._is_one_class else self.estimator.alpha

    def _at(self, lr: float) -> Any:
        return _replaced(self.estimator, learning_rate="constant", eta0=lr, verbose=0)


class Network(Learner):
    """The multi-layer perceptrons: `learning_rate_init` and an optimizer, `coefs_`, one update for a batch."""

    @property
    def lr(self) -> float:
        optimizer = self._optimizer
        if optimizer is None:
            return float(self.estimator.learning_rate_init)
        # Adam keeps its lr as it was given, and a corrected one beside it; SGD's schedule moves the second.
        return float(optimizer.learning_rate if hasattr(optimizer, "momentum") else optimizer.learning_rate_init)

    @property
    def own_batch_size(self) -> int:
        own: Any = self.estimator.batch_size
        return 200 if own == "auto" else own

    @property
    def parameters(self) -> list[Any]:
        return [*getattr(self.estimator, "coefs_", []), *getattr(self.estimator, "intercepts_", [])]

    def training_loss(self, batch: Batch) -> float:
        estimator, examples = self.estimator, len_of(batch.inputs)
        norm = sum(float(np.sum(np.square(coef, dtype=float))) for coef in estimator.coefs_)
        weight = examples if batch.weights is None else float(np.sum(batch.weights))
        # Each update adds the whole penalty, and a batch longer than the estimator's batch_size gets several updates.
        updates = -(-examples // self.own_batch_size)
        return self.evaluation_loss(batch) + updates * estimator.alpha * norm / (2 * weight)

    def evaluation_loss(self, batch: Batch) -> float:
        estimator = self.estimator
        targets = np.asarray(batch.targets)
        if not hasattr(estimator, "classes_"):
            loss = losses.poisson if estimator.loss == "poisson" else losses.squared_error
            outputs = estimator.predict(batch.inputs)
            return loss(targets.reshape(len(targets), -1), outputs.reshape(len(outputs), -1), batch.weights)
        probabilities = estimator.predict_proba(batch.inputs)
        if targets.ndim == 2 and targets.shape[1] > 1:
            return losses.binary_cross_entropy(targets, probabilities, batch.weights)
        belongs = targets.reshape(-1, 1) == estimator.classes_
        return losses.cross_entropy(belongs, probabilities, batch.weights)

    @property
    def _optimizer(self) -> Any:
        return getattr(self.estimator, "_optimizer", None)

    @contextmanager
    def _at(self, lr: float) -> Generator[None]:
        estimator, optimizer = self.estimator, self._optimizer
        initial = current = estimator.learning_rate_init
        if optimizer is not None:
            initial, current = optimizer.learning_rate_init, optimizer.learning_rate
            optimizer.learning_rate_init = optimizer.learning_rate = lr
        try:
            with _replaced(estimator, learning_rate_init=lr, verbose=False):
                yield
        finally:
            optimizer = self._optimizer  # The first update makes one.
            if optimizer is not None:
                optimizer.learning_rate_init, optimizer.learning_rate = initial, float(current)
                optimizer.iteration_ends(estimator.t_)  # Where "invscaling" stands after this update.


@contextmanager
def _replaced(estimator: Any, **values: Any) -> Generator[None]:
    """Set attributes of an estimator, and put them back when the block ends."""
    before = {name: getattr(estimator, name) for name in values}
    for name, value in values.items():
        setattr(estimator, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(estimator, name, value)
