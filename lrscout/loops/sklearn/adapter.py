"""scikit-learn loops: estimators that learn batch by batch, through `partial_fit`."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrscout.core.errors import InvalidValueError, UnsupportedLoopError
from lrscout.core.imports import require
from lrscout.core.loop import Snapshot
from lrscout.loops.data import AtPlace, Data
from lrscout.loops.generators import Generators
from lrscout.loops.loaders import generators_of
from lrscout.loops.sklearn.batches import Batch, ShuffledBatches, as_batch, evaluation_batches, len_of, whole
from lrscout.loops.sklearn.learners import Learner, Linear, Network
from lrscout.loops.sklearn.memory import Memory

base = require("sklearn.base", extra="sklearn")
linear_model = require("sklearn.linear_model", extra="sklearn")
neural_network = require("sklearn.neural_network", extra="sklearn")
multiclass = require("sklearn.utils.multiclass", extra="sklearn")

_LINEAR = (linear_model.SGDClassifier, linear_model.SGDRegressor, linear_model.SGDOneClassSVM, linear_model.Perceptron)
_NETWORKS = (neural_network.MLPClassifier, neural_network.MLPRegressor)
_SMALLEST_LR = sys.float_info.min


def from_sklearn(
    estimator: Any,
    X: Any,  # noqa: N803
    y: Any = None,
    *,
    batch_size: int | None = None,
    eval_data: Any = None,
    classes: Any = None,
    sample_weight: Any = None,
) -> SklearnLoop:
    """Make a loop out of a scikit-learn estimator that has `partial_fit` and a learning rate, and data.

    A step is one call of `partial_fit` on one minibatch, and its loss is the one that the estimator descends, penalty
    included, on that batch before the call. The SGD estimators make one update for each example of the batch, an MLP
    one for each `batch_size` of its own. A schedule (`learning_rate`) is taken over at each step and put back after
    it; the "adaptive" one of an MLP is not lowered meanwhile. As in scikit-learn itself, a sparse batch moves the
    intercept of an SGD estimator at a hundredth of the lr.

    Args:
        estimator: `SGDClassifier`, `SGDRegressor`, `SGDOneClassSVM`, `Perceptron`, `MLPClassifier` or `MLPRegressor`,
            trained or not. One that was never fitted is so again afterwards; its first step draws its first weights
            from its `random_state`, so with None each repeat of a test begins from others.
        X: the inputs, of shape (examples, features): an array, a sparse matrix, a data frame or a list. Without `y`,
            batches: an iterable of ``(X, y)`` or ``(X, y, sample_weight)``.
        y: the targets, of shape (examples,) or (examples, outputs). `SGDOneClassSVM` takes none.
        batch_size: examples in each batch of arrays; by default an MLP's own batch size, and 32 for the others.
        eval_data: ``(X, y)``, ``(X, y, sample_weight)`` or batches for `evaluate`, whose loss leaves the penalty out;
            by default four training batches. `SGDOneClassSVM` takes X alone.
        classes: all the labels that a classifier may meet; by default those in `y`.
        sample_weight: a weight for each example, of shape (examples,).

    Returns:
        The loop.

    Raises:
        UnsupportedLoopError: the estimator has no `partial_fit` or no learning rate, or is set to something that
            `partial_fit` does not do.
        InvalidValueError: the arrays do not fit together.
        EmptyDataError: there are no examples.

    >>> from sklearn.linear_model import SGDRegressor
    >>> estimator = SGDRegressor(penalty=None, learning_rate="constant", eta0=0.25)
    >>> loop = from_sklearn(estimator, [[1.0]], [2.0])
    >>> loop.step(0.25), loop.step(0.25)
    (2.0, 0.5)
    """
    kind = _kind_of(estimator)
    if sample_weight is not None and "sample_weight" not in inspect.signature(estimator.partial_fit).parameters:
        raise UnsupportedLoopError(
            f"partial_fit of this {type(estimator).__name__} takes no sample_weight. Leave the weights out."
        )
    are_batches = _are_batches(estimator, X, y)
    if are_batches and (batch_size is not None or sample_weight is not None):
        raise InvalidValueError(
            "batch_size and sample_weight are for arrays X and y; without y, X is taken as batches already."
        )
    learner = kind(estimator, _labels(estimator, y, classes))
    if are_batches:
        training = X
    else:
        data = whole(X, y, sample_weight)
        own_size = min(len_of(data.inputs), learner.own_batch_size)
        training = ShuffledBatches(data, own_size if batch_size is None else batch_size)
    evaluation = evaluation_batches(eval_data)
    generators = generators_of([training, evaluation], estimator)
    return SklearnLoop(learner, Data(training, evaluation, generators), generators)


@dataclass
class _Snapshot(AtPlace):
    memory: Memory


class SklearnLoop:
    """A scikit-learn loop; made by `from_sklearn`."""

    def __init__(self, learner: Learner, data: Data, generators: Generators) -> None:
        self._learner = learner
        self._data = data
        self._generators = generators

    @property
    def lr(self) -> float:
        return self._learner.lr

    def step(self, lr: float) -> float:
        batch = as_batch(self._data.draw())
        with _quiet():
            loss = self._begun(batch).training_loss(batch)
            self._learner.update(batch, lr)
        return loss

    def evaluate(self) -> float:
        with _quiet():
            learner = self._begun_on_next_batch()
            return self._data.mean_over_evaluation(lambda batch: learner.evaluation_loss(as_batch(batch)))

    def evaluation_steps(self) -> float:
        return self._data.evaluation_steps()

    def snapshot(self) -> Snapshot:
        return _Snapshot(self._data.place(), Memory(self._learner.estimator))

    def restore(self, snapshot: Snapshot) -> None:
        assert isinstance(snapshot, _Snapshot)
        snapshot.memory.bring_back()
        self._data.return_to(snapshot.place)

    def reseed(self, seed: int) -> None:
        self._data.reseed(seed)

    def _begun(self, batch: Batch) -> Learner:
        """Return the learner with its parameters: before its first update, a copy with those that it will draw."""
        if self._learner.parameters:
            return self._learner
        before = self._generators.save()
        try:
            copy = self._learner.copy()
            copy.update(batch, _SMALLEST_LR)  # So small that it changes no parameter.
            return copy
        finally:
            self._generators.load(before)

    def _begun_on_next_batch(self) -> Learner:
        if self._learner.parameters:
            return self._learner
        here = self._data.place()
        try:
            return self._begun(as_batch(self._data.draw()))
        finally:
            self._data.return_to(here)


@contextmanager
def _quiet() -> Generator[None]:
    """Keep back the warnings of scikit-learn and NumPy, and let Ctrl-C through."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        # An MLP answers Ctrl-C with a warning and goes on.
        warnings.filterwarnings("error", "Training interrupted by user", UserWarning)
        try:
            yield
        except UserWarning as warning:
            if isinstance(warning.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise


def _are_batches(estimator: Any, inputs: Any, targets: Any) -> bool:
    if targets is not None:
        return False
    if not hasattr(inputs, "shape"):
        return True
    if isinstance(estimator, linear_model.SGDOneClassSVM):
        return False
    raise InvalidValueError(f"{type(estimator).__name__} learns from targets: give y beside X.")


def _labels(estimator: Any, targets: Any, given: Any) -> Any:
    """Return what a classifier must be told before its first batch; None for others."""
    if not base.is_classifier(estimator) or given is not None:
        return given
    if targets is not None:
        return multiclass.unique_labels(targets)
    if not hasattr(estimator, "classes_"):
        raise UnsupportedLoopError("A classifier that learns from batches must know every label first: give classes=.")
    return None


def _kind_of(estimator: Any) -> type[Learner]:
    """Return the family of an estimator, or refuse it."""
    name = estimator.__name__ if isinstance(estimator, type) else type(estimator).__name__
    if isinstance(estimator, type):
        raise UnsupportedLoopError(f"estimator must be an estimator, but it is the class {name}: call it.")
    if isinstance(estimator, _LINEAR + _NETWORKS):
        for problem in _problems(estimator):
            raise UnsupportedLoopError(f"Cannot step this {name} because {problem}")
        return Linear if isinstance(estimator, _LINEAR) else Network
    if hasattr(estimator, "steps"):
        raise UnsupportedLoopError(
            f"Cannot step a {name} because it has no partial_fit. Transform X with its other steps first, and give "
            "the estimator at its end."
        )
    if not hasattr(estimator, "partial_fit"):
        raise UnsupportedLoopError(
            f"Cannot step a {name} because it has no partial_fit, so it learns only from all of the data at once. "
            "Give an SGD or MLP estimator."
        )
    if name.startswith("PassiveAggressive"):
        raise UnsupportedLoopError(
            f"Cannot step a {name} at a chosen learning rate because it computes each step's size from its loss. "
            'Give an SGD estimator with learning_rate="constant".'
        )
    raise UnsupportedLoopError(
        f"Cannot step a {name} at a chosen learning rate because it has none that lrscout knows. Give an SGD or MLP "
        "estimator itself, or tell the loop by its functions, with lrscout.from_functions."
    )


def _problems(estimator: Any) -> Iterable[str]:
    """Say what keeps an estimator with a learning rate from taking a step at a chosen one."""
    if getattr(estimator, "solver", "sgd") == "lbfgs":
        yield 'solver="lbfgs" has no learning rate. Use solver="adam" or solver="sgd".'
    if getattr(estimator, "early_stopping", False):
        yield "partial_fit does not stop early. Use early_stopping=False."
    if getattr(estimator, "class_weight", None) == "balanced":
        yield (
            'partial_fit cannot balance classes that it has yet to see. Replace class_weight="balanced" by a '
            "dictionary, such as compute_class_weight gives for all of y."
        )
    if estimator.learning_rate in ("pa1", "pa2"):
        yield (
            f'learning_rate="{estimator.learning_rate}" computes each step\'s size from its loss. '
            'Use learning_rate="constant".'
        )
    if estimator.learning_rate == "optimal" and estimator.alpha == 0:
        yield 'learning_rate="optimal" divides by alpha, which is 0. Use learning_rate="constant".'
