"""A schedule in Keras: every step of a real run goes at the rate that was planned, on every backend."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from lrscout.core.errors import InvalidValueError
from lrscout.core.schedules import NAMED, exponential_ramp
from lrscout.loops.keras.scheduler import KerasSchedule, keras_schedule
from lrscout.measure.planned_schedule import PlannedSchedule
from tests.loops.cases_keras import array_of
from tests.measure.recommended import planned, recommendation

STEPS, LR = 40, 0.25


def expected(name: str) -> np.ndarray:
    return LR * NAMED[name]()(np.arange(STEPS), STEPS)


class Places(keras.callbacks.Callback):
    """Where the weight stands after every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = [0.0]

    def on_train_batch_end(self, batch, logs=None) -> None:
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        self.seen.append(array_of(self.model.weights[0]).item())


def slope() -> keras.Model:
    """A loss whose gradient is 1 everywhere, so that the weight tells the rate of each step by how far it moved."""
    return keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="slope")]
    )


def loss(targets, outputs):
    return outputs


def rates_of(model: keras.Model, steps: int = STEPS) -> np.ndarray:
    places = Places()
    data = np.ones((2 * steps, 1), np.float32)
    model.fit(data, data, batch_size=2, shuffle=False, verbose=0, callbacks=[places])
    return -np.diff(places.seen)


@pytest.mark.parametrize("name", NAMED)
def test_every_step_goes_at_the_planned_rate(name: str) -> None:
    model = slope()
    model.compile(keras.optimizers.SGD(recommendation(name, steps=STEPS, framework="keras").scheduler()), loss)
    np.testing.assert_allclose(rates_of(model), expected(name), rtol=0, atol=2e-6)


def test_it_counts_from_where_the_optimizer_stands() -> None:
    model, optimizer = slope(), keras.optimizers.SGD(0.5)
    model.compile(optimizer, loss)
    np.testing.assert_allclose(rates_of(model, 7), 0.5)
    optimizer.learning_rate = recommendation("linear", steps=STEPS, framework="tensorflow").scheduler(optimizer)
    model.compile(optimizer, loss)
    before = array_of(model.weights[0]).item()
    rates = rates_of(model)
    rates[0] += before
    np.testing.assert_allclose(rates, expected("linear"), rtol=0, atol=2e-6)


def test_an_update_of_several_batches_is_one_step() -> None:
    model, optimizer = slope(), keras.optimizers.SGD(0.5, gradient_accumulation_steps=2)
    model.compile(optimizer, loss)
    optimizer.learning_rate = recommendation("cosine", steps=STEPS).scheduler(optimizer)
    rates = rates_of(model, 2 * STEPS)
    np.testing.assert_array_equal(rates[::2], 0)
    np.testing.assert_allclose(rates[1::2], expected("cosine"), rtol=0, atol=2e-6)


def test_an_optimizer_that_scales_the_loss_counts_by_the_one_inside() -> None:
    inner = keras.optimizers.SGD(0.5, gradient_accumulation_steps=3)
    schedule = keras_schedule(LR, planned("linear", 4).table, "linear", keras.optimizers.LossScaleOptimizer(inner))
    assert schedule.get_config()["batches_for_an_update"] == 3


@pytest.mark.filterwarnings("ignore:__array__")  # Keras' own, when it saves weights.
@pytest.mark.parametrize("name", [*NAMED, "mine"])
def test_it_is_saved_and_loaded(name: str, tmp_path: Path) -> None:
    schedule = PlannedSchedule("mine", exponential_ramp(0.01), 30) if name == "mine" else planned(name, 30)
    made = keras_schedule(LR, schedule.table, name)
    assert isinstance(made.get_config()["schedule"], list if name == "mine" else str)
    model = slope()
    model.compile(keras.optimizers.Adam(made), "mse")
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras").optimizer._learning_rate
    assert isinstance(loaded, KerasSchedule)
    rates = [float(loaded(step)) for step in range(32)]
    np.testing.assert_allclose(rates, LR * schedule(np.arange(32)), rtol=1e-6)


def test_a_schedule_that_only_bears_the_name_is_saved_by_its_factors() -> None:
    factors = [1.0, 0.2, 0.1]
    assert keras_schedule(LR, np.array(factors), "linear").get_config()["schedule"] == factors


def test_what_it_cannot_schedule() -> None:
    with pytest.raises(InvalidValueError, match="must be an optimizer of Keras, but it is a Dense"):
        recommendation().scheduler(keras.layers.Dense(1))
    with pytest.raises(InvalidValueError, match="group is for an optimizer of PyTorch"):
        recommendation().scheduler("keras", group=0)
