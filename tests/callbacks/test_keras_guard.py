"""A guard inside `fit`."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest

from lrscout.callbacks.keras_guard import GuardCallback
from lrscout.core.errors import InvalidValueError, LossError, UnsupportedLoopError
from tests.battery import bits
from tests.loops.test_keras import X, Y, line, network

LIMIT = float(1 / np.linalg.eigvalsh(X.T @ X / len(X))[-1])
"""The loss of `line` is the mean of squares, whose Hessian is 2 X'X / n: gradient descent is stable below this."""

WHOLE = {"batch_size": len(X), "verbose": 0, "shuffle": False}


def numbers(model) -> list[np.ndarray]:
    if keras.backend.backend() == "torch":
        return [weight.value.detach().numpy().copy() for weight in model.weights]
    if keras.backend.backend() == "tensorflow":
        return [weight.value.numpy() for weight in model.weights]
    return [keras.ops.convert_to_numpy(weight.value) for weight in model.weights]


def weights(model) -> list:
    return bits(numbers(model))


def test_where_nothing_goes_wrong_nothing_changes() -> None:
    courses = []
    for callbacks in ([], [GuardCallback(every=8, say=None)]):
        model = network()
        history = model.fit(
            X, Y, batch_size=8, epochs=8, verbose=0, validation_data=(X, Y), shuffle=False, callbacks=callbacks
        )
        courses.append((history.history, weights(model)))
    assert courses[0] == courses[1]


@pytest.mark.parametrize("over", [1.5, 5.0])
def test_it_ends_at_the_first_stable_half(over: float) -> None:
    said: list[str] = []
    guard = GuardCallback(say=said.append)
    model = line(keras.optimizers.SGD(over * LIMIT))
    steps = 150
    many = np.tile(X, (steps, 1)), np.tile(Y, (steps, 1))
    history = model.fit(*many, epochs=2, callbacks=[guard], **WHOLE)
    halvings = math.ceil(math.log2(over))
    assert guard.factor == 0.5**halvings
    assert len(said) == len(guard.rollbacks) == halvings
    assert history.history["loss"][-1] < 1e-3
    assert float(model.optimizer.learning_rate) == pytest.approx(over * LIMIT)
    assert "_get_current_learning_rate" not in vars(model.optimizer)


def poisoned(rate, callbacks, *, at: int, steps: int = 24):
    """Take steps of gradient descent on `line`, of which one has a target that is no number."""
    model = line(keras.optimizers.SGD(rate))

    def batches():
        for step in range(steps):
            yield X, (Y * np.nan if step == at else Y)

    model.fit(batches(), steps_per_epoch=steps, epochs=1, verbose=0, shuffle=False, callbacks=callbacks)
    return model


def descent(rates) -> np.ndarray:
    """Gradient descent on `line`, in closed form."""
    model = line(keras.optimizers.SGD(1.0))
    weight, *rest = (one.astype(float) for one in numbers(model))
    assert rest == []
    target = Y.reshape(-1, 1)
    for rate in rates:
        weight = weight - rate * 2 * X.T @ (X @ weight - target) / len(X)
    return weight


@pytest.mark.parametrize("kind", ["number", "schedule"])
def test_a_bad_batch_is_taken_back_and_the_halving_survives_the_schedule(kind: str) -> None:
    rates = np.full(24, LIMIT / 4) if kind == "number" else LIMIT / 4 * 0.9 ** np.arange(24.0)
    own = LIMIT / 4 if kind == "number" else keras.optimizers.schedules.ExponentialDecay(LIMIT / 4, 1, 0.9)
    guard = GuardCallback(every=1000, say=None)
    model = poisoned(own, [guard], at=10)
    assert [(rollback.step, rollback.back_to) for rollback in guard.rollbacks] == [(10, 0)]
    np.testing.assert_allclose(numbers(model)[0], descent(rates[11:] / 2), rtol=1e-4)


def test_the_halving_survives_another_callback_that_writes_the_rate() -> None:
    class Sets(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None) -> None:
            self.model.optimizer.learning_rate = LIMIT / (4 + epoch)

    guard = GuardCallback(every=1000, say=None)
    model = line(keras.optimizers.SGD(1.0))
    seen = {"step": 0}

    def batches():
        while True:
            seen["step"] += 1
            yield X, (Y * np.nan if seen["step"] == 4 else Y)

    model.fit(batches(), steps_per_epoch=2, epochs=6, verbose=0, shuffle=False, callbacks=[guard, Sets()])
    assert len(guard.rollbacks) == 1
    rates = [LIMIT / (4 + epoch) for epoch in (2, 2, 3, 3, 4, 4, 5, 5)]
    np.testing.assert_allclose(numbers(model)[0], descent(np.array(rates) / 2), rtol=1e-4)


def test_a_fit_that_nothing_mends_stops_at_its_snapshot() -> None:
    guard = GuardCallback(halvings=2, say=None)
    model = line(keras.optimizers.SGD(LIMIT / 4))
    begins = weights(model)
    history = model.fit(X, Y * np.nan, epochs=20, callbacks=[guard], **WHOLE)
    assert len(history.epoch) == 3
    assert guard.rollbacks[-1].new_lr is None
    assert weights(model) == begins


def test_what_is_wrong_is_told() -> None:
    for wrong in ({"every": 0}, {"halvings": -1}, {"max_stable_lr": 0.0}):
        with pytest.raises(InvalidValueError, match=next(iter(wrong))):
            GuardCallback(**wrong)
    with pytest.raises(LossError, match=r"no 'critic_loss', but \['loss'\]"):
        network().fit(X, Y, verbose=0, callbacks=[GuardCallback(loss="critic_loss")])


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="Elsewhere a fit builds the model before it begins."
)
def test_a_model_that_is_not_built_is_refused() -> None:
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(UnsupportedLoopError, match="not built"):
        model.fit(X, Y, verbose=0, callbacks=[GuardCallback()])
