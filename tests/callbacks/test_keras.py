"""A range test inside `fit`."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import lrscout
from lrscout.callbacks.keras import RangeTestCallback
from lrscout.core.errors import InvalidValueError, UnsupportedLoopError
from tests.battery import bits
from tests.loops.cases_keras import array_of
from tests.loops.test_keras import LR, Subclassed, X, Y, network

SCHEDULE = keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)


def everything(model) -> list:
    return bits([array_of(v) for v in [*model.variables, *model.optimizer.variables, *model.metrics_variables]])


@pytest.mark.parametrize("lr", [LR, SCHEDULE], ids=["a number", "a schedule"])
def test_the_curve_is_that_of_the_loop_and_the_model_comes_home(lr) -> None:
    model, same = (network(keras.optimizers.SGD(lr, momentum=0.5)) for _ in range(2))
    for either in (model, same):
        either.fit(X, Y, batch_size=8, verbose=0, shuffle=False)
    expected = lrscout.range_test(lrscout.from_keras(same, X, Y, batch_size=8, shuffle=False), steps=30)
    before, function = everything(model), model.train_function
    scout = RangeTestCallback(steps=30)
    model.fit(X, Y, batch_size=8, epochs=20, verbose=0, shuffle=False, callbacks=[scout])
    assert everything(model) == before
    assert model.train_function is function
    steps = min(scout.result.cost.steps, expected.cost.steps) - 2
    assert steps > 20
    np.testing.assert_array_equal(scout.result.lrs[:steps], expected.lrs[:steps])
    np.testing.assert_allclose(scout.result.losses[:steps], expected.losses[:steps], rtol=1e-3)
    for either in (model, same):
        either.fit(X, Y, batch_size=8, verbose=0, shuffle=False)
    assert everything(model) == everything(same)


def test_an_optimizer_that_was_not_built_begins_anew() -> None:
    courses = []
    for scouted in (False, True):
        model = network()
        if scouted:
            model.fit(X, Y, batch_size=8, epochs=4, verbose=0, shuffle=False, callbacks=[RangeTestCallback(max_lr=1.0)])
        model.fit(X, Y, batch_size=8, epochs=2, verbose=0, shuffle=False)
        courses.append(everything(model))
    assert courses[0] == courses[1]


def test_a_short_fit_climbs_the_whole_ladder() -> None:
    scout = RangeTestCallback(max_lr=1e-2)
    network().fit(X, Y, batch_size=8, epochs=4, verbose=0, callbacks=[scout])
    assert scout.result.cost.steps == 12
    assert (scout.result.lrs[0], scout.result.lrs[-1]) == (1e-7, 1e-2)


def test_a_fit_that_begins_later_climbs_the_whole_ladder() -> None:
    scout = RangeTestCallback(max_lr=1e-2)
    network().fit(X, Y, batch_size=8, initial_epoch=4, epochs=8, verbose=0, callbacks=[scout])
    assert (scout.result.cost.steps, scout.result.lrs[-1]) == (12, 1e-2)


def test_a_fit_that_raises_can_be_brought_home() -> None:
    class Breaks(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None) -> None:
            if batch == 2:
                raise RuntimeError("the disk is full")

    model = network()
    model.fit(X, Y, batch_size=8, verbose=0)
    before = everything(model)
    scout = RangeTestCallback(min_lr=0.1)
    with pytest.raises(RuntimeError, match="the disk is full"):
        model.fit(X, Y, batch_size=8, epochs=9, verbose=0, callbacks=[scout, Breaks()])
    scout.restore()
    assert everything(model) == before
    with pytest.raises(UnsupportedLoopError, match="no result yet"):
        _ = scout.result


def test_fits_that_cannot_be_range_tests() -> None:
    with pytest.raises(InvalidValueError, match=r"this fit has 3\. Give it more epochs"):
        network().fit(X, Y, batch_size=8, verbose=0, callbacks=[RangeTestCallback()])
    if keras.backend.backend() != "torch":  # Which refuses it itself.
        with pytest.raises(UnsupportedLoopError, match="steps_per_execution=1"):
            network(steps_per_execution=2).fit(X, Y, batch_size=2, verbose=0, callbacks=[RangeTestCallback()])
    accumulating = keras.optimizers.SGD(gradient_accumulation_steps=2)
    with pytest.raises(UnsupportedLoopError, match=r"several batches\. Use lrscout.from_keras"):
        network(accumulating).fit(X, Y, verbose=0, callbacks=[RangeTestCallback()])
    with pytest.raises(InvalidValueError, match="min_lr must be below max_lr"):
        RangeTestCallback(min_lr=1.0, max_lr=0.1)
    with pytest.raises(InvalidValueError, match="rule"):
        RangeTestCallback(rule="boldest")
    if keras.backend.backend() == "tensorflow":  # Elsewhere `fit` builds the model before its callbacks begin.
        model = Subclassed()
        model.compile("sgd", "mse")
        with pytest.raises(UnsupportedLoopError, match="not built"):
            model.fit({"x": X}, Y, verbose=0, callbacks=[RangeTestCallback()])
