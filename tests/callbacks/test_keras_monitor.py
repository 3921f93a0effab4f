"""A monitor inside `fit`."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import lrscout
from lrscout.callbacks.keras_monitor import MonitorCallback
from lrscout.core.curve import Outcome
from lrscout.core.errors import InvalidValueError, LossError, UnsupportedLoopError
from tests.loops.test_keras import X, Y, line, network

LIMIT = 1 / np.linalg.eigvalsh(X.T @ X / len(X))[-1]
"""The loss of `line` is the mean of squares, whose Hessian is 2 X'X / n: gradient descent is stable below this."""

SCHEDULE = keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)


class Watched:
    """In a monitor's place: what it is told."""

    def __init__(self) -> None:
        self.lrs, self.losses, self.steps, self.evaluations = [], [], [], []
        self.should_stop = False

    def update(self, lr, loss, *, step) -> None:
        self.lrs.append(lr)
        self.losses.append(loss)
        self.steps.append(step)

    def evaluated(self, loss) -> None:
        self.evaluations.append(loss)


@pytest.fixture
def watched(monkeypatch) -> Watched:
    watched = Watched()
    monkeypatch.setattr("lrscout.callbacks.keras_monitor.Monitor", lambda *_, **__: watched)
    return watched


@pytest.mark.parametrize("share", [0.95, 1.05])
def test_it_tells_a_rate_above_the_limit_and_none_below(share: float) -> None:
    said: list[str] = []
    watch = MonitorCallback(stop_on_divergence=True, say=said.append)
    model = line(keras.optimizers.SGD(share * float(LIMIT)))
    history = model.fit(X, Y, batch_size=len(X), epochs=150, verbose=0, shuffle=False, callbacks=[watch])
    if share < 1:
        assert len(history.epoch) == 150
        assert said == []
        assert watch.monitor.diagnosis().outcome is not Outcome.DIVERGING
    else:
        assert len(history.epoch) < 110
        assert [verdict.outcome for verdict in watch.monitor.verdicts] == [Outcome.DIVERGING]
        assert said == [watch.monitor.verdicts[0].sentence]


def test_it_sees_each_batchs_own_loss_and_changes_nothing(watched: Watched) -> None:
    courses = []
    for callbacks in ([], [MonitorCallback()]):
        model = network()
        history = model.fit(
            X, Y, batch_size=8, epochs=4, verbose=0, shuffle=False, validation_data=(X, Y), callbacks=callbacks
        )
        courses.append(history.history)
    assert courses[0] == courses[1]
    loop = lrscout.from_keras(network(), X, Y, batch_size=8, shuffle=False)
    np.testing.assert_allclose(watched.losses, [loop.step(loop.lr) for _ in range(12)], rtol=1e-3)
    assert watched.steps == list(range(12))
    assert watched.lrs == pytest.approx([0.05] * 12)
    assert watched.evaluations == courses[0]["val_loss"]


def test_the_rate_follows_a_schedule(watched: Watched) -> None:
    model = network(keras.optimizers.SGD(SCHEDULE))
    model.fit(X, Y, batch_size=8, epochs=8, verbose=0, callbacks=[MonitorCallback()])
    # It is read at the beginning of each epoch of three batches, and at every eighth batch.
    assert watched.lrs[::3] == pytest.approx([0.1 * 0.5**epoch for epoch in range(8)], rel=0.4)
    assert all(later <= earlier for earlier, later in zip(watched.lrs, watched.lrs[1:], strict=False))


def test_the_rate_follows_another_callback(watched: Watched) -> None:
    class Lowers(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None) -> None:
            self.model.optimizer.learning_rate = 0.01 / (epoch + 1)

    network().fit(X, Y, batch_size=8, epochs=4, verbose=0, callbacks=[Lowers(), MonitorCallback()])
    assert watched.lrs[::3] == pytest.approx([0.01, 0.005, 0.01 / 3, 0.0025])


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch takes one step in each execution.")
def test_several_steps_in_one_execution_are_told_by_their_mean(watched: Watched) -> None:
    model = network(steps_per_execution=3)
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0, shuffle=False, callbacks=[MonitorCallback()])
    assert watched.steps == [2, 5, 8, 11]
    loop = lrscout.from_keras(network(), X, Y, batch_size=4, shuffle=False)
    losses = np.array([loop.step(loop.lr) for _ in range(12)])
    np.testing.assert_allclose(watched.losses, losses.reshape(4, 3).mean(1), rtol=1e-3)


def test_a_loss_that_is_none_stops_the_fit_at_once() -> None:
    watch = MonitorCallback(stop_on_divergence=True, say=None)
    bad = Y.copy()
    bad[16:] = np.nan  # The third of three batches.
    history = network().fit(X, bad, batch_size=8, epochs=5, verbose=0, shuffle=False, callbacks=[watch])
    assert [(verdict.step, verdict.outcome) for verdict in watch.monitor.verdicts] == [(2, Outcome.NON_FINITE)]
    assert len(history.epoch) == 1


def test_each_fit_has_a_monitor_of_its_own_that_knows_its_length() -> None:
    watch = MonitorCallback(say=None)
    model = line(keras.optimizers.SGD(1e-4 * float(LIMIT)))
    with pytest.raises(UnsupportedLoopError, match="no monitor yet"):
        _ = watch.monitor
    options = {"batch_size": len(X), "shuffle": False, "verbose": 0, "callbacks": [watch]}
    model.fit(X, Y, epochs=200, **options)
    first = watch.monitor
    assert [verdict.outcome for verdict in first.verdicts] == [Outcome.TOO_SLOW]
    model.fit(X, Y, epochs=2, **options)
    assert watch.monitor is not first
    assert watch.monitor.verdicts == ()


def test_what_is_wrong_is_told() -> None:
    with pytest.raises(InvalidValueError, match="max_stable_lr"):
        MonitorCallback(max_stable_lr=0.0)
    with pytest.raises(LossError, match=r"no 'critic_loss', but \['loss'\]"):
        network().fit(X, Y, verbose=0, callbacks=[MonitorCallback(loss="critic_loss")])
