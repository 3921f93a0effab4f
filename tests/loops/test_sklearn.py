"""What scikit-learn loops do beyond coming home."""

from __future__ import annotations

import copy
import itertools
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.cluster import MiniBatchKMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Perceptron, SGDClassifier, SGDOneClassSVM, SGDRegressor
from sklearn.metrics import log_loss
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

import lrscout
from lrscout.core.errors import EmptyDataError, InvalidValueError, UnsupportedLoopError
from tests.loops.data_sklearn import BINARY, COUNTS, NUMBERS, THREE, X


def test_a_range_test_of_a_network_is_that_of_the_same_network_in_torch() -> None:
    estimator = MLPClassifier((6,), "tanh", solver="sgd", momentum=0, nesterovs_momentum=False, alpha=0, random_state=0)
    estimator.partial_fit(X, THREE, classes=[0, 1, 2])
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3)).double()
    with torch.no_grad():
        for layer, weights, bias in zip((model[0], model[2]), estimator.coefs_, estimator.intercepts_, strict=True):
            layer.weight.copy_(torch.from_numpy(weights.T))
            layer.bias.copy_(torch.from_numpy(bias))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = [(torch.from_numpy(X), torch.from_numpy(THREE))]
    in_torch = lrscout.range_test(lrscout.from_torch(model, optimizer, torch.nn.CrossEntropyLoss(), batches), steps=60)
    mine = lrscout.range_test(lrscout.from_sklearn(estimator, [(X, THREE)]), steps=60)
    assert len(mine.losses) == len(in_torch.losses)
    np.testing.assert_allclose(mine.losses, in_torch.losses, rtol=1e-4)
    assert mine.losses.min() < 0.6 * mine.losses[0]


RATES = {
    "optimal": SGDClassifier(alpha=0.02),
    "optimal one-class": SGDOneClassSVM(nu=0.1),
    "invscaling": SGDRegressor(power_t=0.4),
    "adaptive": SGDRegressor(learning_rate="adaptive", eta0=0.03),
    "constant": Perceptron(eta0=0.3),
    "network, invscaling": MLPRegressor(hidden_layer_sizes=(5,), solver="sgd", learning_rate="invscaling"),
    "network, adaptive": MLPClassifier((5,), solver="sgd", learning_rate="adaptive"),
    "network, adam": MLPClassifier((5,), learning_rate_init=0.03),
}


@pytest.mark.parametrize("schedule", RATES)
def test_a_step_at_the_loops_own_lr_is_the_estimators_own_step(schedule: str) -> None:
    """So the lr that the loop reads is right, the one that it sets is used, and a schedule goes on undisturbed."""
    mine, own = (clone(RATES[schedule]).set_params(random_state=0) for _ in range(2))
    y = NUMBERS if isinstance(own, (SGDRegressor, MLPRegressor)) else THREE
    classes = {"classes": [0, 1, 2]} if is_classifier(own) else {}
    examples = [(X[row : row + 1], y[row : row + 1]) for row in range(12)]
    loop = lrscout.from_sklearn(mine, examples, classes=classes.get("classes"))
    for x, target in examples:
        own.partial_fit(x, target, **classes)
        loop.step(loop.lr)
    for name in ("coef_", "coefs_"):
        for left, right in zip(getattr(mine, name, ()), getattr(own, name, ()), strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-9)
    assert mine.get_params() == own.get_params()


RANDOM_STATES = {"global": lambda: None, "seed": lambda: 4, "own": lambda: np.random.RandomState(4)}


@pytest.mark.parametrize("state", RANDOM_STATES)
@pytest.mark.parametrize("make", [MLPClassifier, SGDClassifier])
def test_an_estimator_that_was_never_fitted_is_so_again(make, state: str) -> None:
    np.random.seed(0)
    estimator = make(random_state=RANDOM_STATES[state]())
    untouched, generator = copy.deepcopy(estimator), np.random.get_state()[1].copy()
    before = dict(vars(estimator))
    loop = lrscout.from_sklearn(estimator, X, THREE, batch_size=10)
    loop.evaluate()
    lrscout.range_test(loop, steps=9, loss="evaluation")
    assert list(vars(estimator)) == list(before)
    assert all(vars(estimator)[name] is value for name, value in before.items())
    with pytest.raises(NotFittedError):
        check_is_fitted(estimator)
    np.testing.assert_array_equal(np.random.get_state()[1], generator)
    for fresh in (estimator, untouched):
        np.random.seed(1)
        fresh.partial_fit(X, THREE, classes=[0, 1, 2])
    name = "coefs_" if make is MLPClassifier else "coef_"
    for left, right in zip(getattr(estimator, name), getattr(untouched, name), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("state", RANDOM_STATES)
def test_the_evaluation_before_the_first_step_is_that_of_the_first_parameters(state: str) -> None:
    np.random.seed(0)
    estimator = MLPClassifier((5,), alpha=0, random_state=RANDOM_STATES[state]())
    batches = [(X, THREE), (X[:5], THREE[:5])]
    loop = lrscout.from_sklearn(estimator, batches, classes=[0, 1, 2], eval_data=(X, THREE))
    evaluated = loop.evaluate()
    assert evaluated == pytest.approx(loop.step(0.01), rel=1e-12)
    assert evaluated == pytest.approx(estimator.loss_, rel=1e-12)


def test_arrays_and_helpers_come_back_as_the_objects_that_they_were() -> None:
    network = MLPClassifier((5,), random_state=np.random.RandomState(0)).partial_fit(X, THREE, classes=[0, 1, 2])
    linear = SGDRegressor(average=1000).partial_fit(X, NUMBERS)
    held = [*network.coefs_, network.coefs_, network._optimizer, network._optimizer.ms, network._random_state]
    lrscout.range_test(lrscout.from_sklearn(network, X, THREE), steps=9)
    now = [*network.coefs_, network.coefs_, network._optimizer, network._optimizer.ms, network._random_state]
    assert all(left is right for left, right in zip(held, now, strict=True))
    assert network._random_state is network.random_state
    lrscout.range_test(lrscout.from_sklearn(linear, X, NUMBERS), steps=9)
    assert np.shares_memory(linear.coef_, linear._standard_coef)


@pytest.mark.parametrize(
    ("estimator", "y"),
    [
        (SGDRegressor(random_state=0), NUMBERS),
        (SGDRegressor(average=True, random_state=0), NUMBERS),
        (SGDClassifier("squared_error", random_state=0), THREE),
        (SGDOneClassSVM(random_state=0), None),
        (MLPRegressor(hidden_layer_sizes=(5,), solver="sgd", random_state=0), NUMBERS),
        (MLPRegressor("poisson", hidden_layer_sizes=(5,), random_state=0), COUNTS),
        (MLPClassifier((5,), activation="identity", solver="sgd", random_state=0), THREE),
    ],
)
def test_an_update_that_overflows_reads_as_a_loss_that_is_no_number(estimator, y) -> None:
    loop = lrscout.from_sklearn(estimator, X, y)
    home = loop.snapshot()
    losses = [loop.step(1e308) for _ in range(4)]
    assert np.isfinite(losses[0])
    assert not np.isfinite(losses[-1])
    assert not np.isfinite(loop.evaluate())
    loop.restore(home)
    assert loop.step(1e308) == losses[0]
    loop.restore(home)
    test = lrscout.range_test(loop, max_lr=1e20)
    assert test.stopped in {"diverged", "non_finite"}


def test_an_overflow_that_leaves_no_trace_in_the_estimator_is_not_forgotten() -> None:
    """The intercept alone overflows, and scikit-learn keeps the old one."""
    loop = lrscout.from_sklearn(SGDRegressor(), sparse.csr_matrix((5, 2)), np.full(5, 10.0))
    assert loop.step(1e308) == 50
    assert np.isnan(loop.step(1e308))


def test_no_warning_gets_out_and_no_setting_of_numpys_stops_a_step() -> None:
    longer_than_a_batch = MLPRegressor(hidden_layer_sizes=(5,), solver="sgd", batch_size=64, random_state=0)
    loop = lrscout.from_sklearn(longer_than_a_batch, X, NUMBERS[:, None], batch_size=5)
    with np.errstate(all="raise"):
        losses = [loop.step(1e200) for _ in range(4)]
        loop.evaluate()
    assert not np.isfinite(losses[-1])


def test_data_that_an_estimator_refuses_are_not_taken_for_an_overflow() -> None:
    with pytest.raises(ValueError, match="NaN"):
        lrscout.from_sklearn(SGDRegressor(), np.full((4, 2), np.nan), np.ones(4)).step(0.1)
    with pytest.raises(ValueError, match="classes"):
        lrscout.from_sklearn(MLPClassifier(), [(X, THREE)], classes=[0, 1]).step(0.1)


def test_ctrl_c_inside_of_a_networks_update_is_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    estimator = MLPClassifier((5,), random_state=0).partial_fit(X, THREE, classes=[0, 1, 2])
    weights = [coef.copy() for coef in estimator.coefs_]
    calls = itertools.count()
    backprop = MLPClassifier._backprop

    def interrupted(*arguments):
        if next(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return backprop(*arguments)

    monkeypatch.setattr(MLPClassifier, "_backprop", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lrscout.range_test(lrscout.from_sklearn(estimator, X, THREE), steps=9)
    for left, right in zip(estimator.coefs_, weights, strict=True):
        np.testing.assert_array_equal(left, right)


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for estimator in (SGDClassifier(verbose=1), MLPClassifier((5,), verbose=True)):
        lrscout.from_sklearn(estimator, X, THREE).step(0.1)
        assert estimator.verbose
    assert capsys.readouterr().out == ""


def test_a_frame_keeps_its_column_names() -> None:
    frame, labels = pd.DataFrame(X, columns=list("abcd")), pd.Series(BINARY)
    estimator = SGDClassifier("log_loss", random_state=0)
    loop = lrscout.from_sklearn(estimator, frame, labels, eval_data=(frame, labels))
    loop.step(0.1)
    assert list(estimator.feature_names_in_) == list("abcd")
    assert loop.evaluate() == pytest.approx(log_loss(labels, estimator.predict_proba(frame)))


@pytest.mark.parametrize("wrap", [np.ndarray.tolist, sparse.coo_matrix, pd.DataFrame, np.float32])
def test_every_kind_of_inputs_gives_the_same_loss(wrap) -> None:
    losses = []
    for inputs in (X, wrap(X)):
        loop = lrscout.from_sklearn(SGDRegressor(random_state=0), inputs, NUMBERS, batch_size=6)
        losses.append([loop.step(1e-9) for _ in range(7)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)


def test_batches_have_the_size_that_the_estimator_would_give_them() -> None:
    for estimator, size in ((MLPRegressor(batch_size=7), 7), (MLPRegressor(), 200), (SGDRegressor(), 32)):
        loop = lrscout.from_sklearn(estimator, np.ones((300, 2)), np.ones(300))
        loop.step(1e-9)
        assert estimator.t_ - isinstance(estimator, SGDRegressor) == size


def test_one_seed_is_one_course_and_another_seed_another() -> None:
    shuffled_by_itself = SGDRegressor(random_state=np.random.RandomState(0))
    for loop in (
        lrscout.from_sklearn(MLPRegressor(hidden_layer_sizes=(5,)), X, NUMBERS, batch_size=6),
        lrscout.from_sklearn(shuffled_by_itself, [(X, NUMBERS)]),
    ):
        home, courses = loop.snapshot(), []
        for seed in (1, 1, 2):
            loop.restore(home)
            loop.reseed(seed)
            courses.append([loop.step(0.01) for _ in range(7)])
        assert courses[0] == courses[1] != courses[2]


REFUSED = {
    "is the class SGDClassifier": (SGDClassifier, THREE),
    "MLPClassifier because solver=.lbfgs. has no learning rate": (MLPClassifier(solver="lbfgs"), THREE),
    "SGDRegressor because partial_fit does not stop early": (SGDRegressor(early_stopping=True), NUMBERS),
    "Perceptron because partial_fit cannot balance": (Perceptron(class_weight="balanced"), THREE),
    "learning_rate=.pa1. computes": (SGDClassifier(learning_rate="pa1"), THREE),
    "divides by alpha": (SGDClassifier(alpha=0), THREE),
    "Pipeline because it has no partial_fit": (make_pipeline(StandardScaler(), SGDClassifier()), THREE),
    "RandomForestClassifier because it has no partial_fit": (RandomForestClassifier(), THREE),
    "GaussianNB at a chosen learning rate because it has none": (GaussianNB(), THREE),
    "MiniBatchKMeans at a chosen learning rate because it has none": (MiniBatchKMeans(), None),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_stepped_is_refused(message: str) -> None:
    estimator, y = REFUSED[message]
    with pytest.raises(UnsupportedLoopError, match=message):
        lrscout.from_sklearn(estimator, X, y)


@pytest.mark.filterwarnings("ignore:Class PassiveAggressive:FutureWarning")
def test_passive_aggressive_estimators_are_refused() -> None:
    from sklearn.linear_model import PassiveAggressiveRegressor

    with pytest.raises(UnsupportedLoopError, match="PassiveAggressiveRegressor at a chosen"):
        lrscout.from_sklearn(PassiveAggressiveRegressor(), X, NUMBERS)


def test_data_that_do_not_fit_are_refused() -> None:
    batches = [(X, THREE)]
    with pytest.raises(InvalidValueError, match="equally long"):
        lrscout.from_sklearn(SGDClassifier(), X, THREE[:5])
    with pytest.raises(InvalidValueError, match="give y beside X"):
        lrscout.from_sklearn(SGDClassifier(), X)
    with pytest.raises(InvalidValueError, match="are for arrays"):
        lrscout.from_sklearn(SGDClassifier(), batches, batch_size=3)
    with pytest.raises(InvalidValueError, match="between 1 and 30, but it is 0"):
        lrscout.from_sklearn(SGDClassifier(), X, THREE, batch_size=0)
    with pytest.raises(InvalidValueError, match="is a generator"):
        lrscout.from_sklearn(SGDClassifier(), (batch for batch in batches), THREE)
    with pytest.raises(UnsupportedLoopError, match="give classes="):
        lrscout.from_sklearn(SGDClassifier(), batches)
    with pytest.raises(UnsupportedLoopError, match="must be a pair"):
        lrscout.from_sklearn(SGDRegressor(), [{"X": X, "y": NUMBERS}]).step(0.1)
    with pytest.raises(EmptyDataError):
        lrscout.from_sklearn(SGDRegressor(), np.ones((0, 2)), np.ones(0))
    with pytest.raises(EmptyDataError):
        lrscout.from_sklearn(SGDRegressor(), []).step(0.1)
