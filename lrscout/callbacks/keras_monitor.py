"""A monitor inside `fit` of Keras 3."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lrscout.analyse.monitor import Monitor, warn
from lrscout.core.errors import LossError, UnsupportedLoopError
from lrscout.core.imports import require

keras = require("keras", extra="keras")

_BATCHES_OF_ONE_READING = 8
"""Evaluating a schedule may take as long as a small step, and the monitor hardly minds an lr of a few steps ago."""


class MonitorCallback(keras.callbacks.Callback):
    """Says during a `fit` that it diverges, is too slow, only oscillates, or that its loss is not finite.

    Of the running mean that `fit` reports it watches each batch's own share, so the fit and its reports are as they
    would be without it. Each fit has a monitor of its own.

    Args:
        max_stable_lr: the largest stable learning rate, if it is known.
        stop_on_divergence: whether to stop the fit once it diverges or its loss is not finite.
        say: what to call with each sentence; by default the logger ``lrscout`` tells it as a warning. None for silence.
        loss: the name of the loss in the fit's logs; the evaluation loss is ``val_`` and this name.

    Raises:
        LossError: (during the fit) the logs have no such loss.

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(3.0), "mse")
    >>> watch = MonitorCallback(stop_on_divergence=True, say=None)
    >>> history = model.fit(np.ones((64, 2)), np.zeros(64), batch_size=4, epochs=20, verbose=0, callbacks=[watch])
    >>> watch.monitor.verdicts[0].outcome.value, len(history.epoch) < 5
    ('diverging', True)
    """

    def __init__(
        self,
        *,
        max_stable_lr: float | None = None,
        stop_on_divergence: bool = False,
        say: Callable[[str], object] | None = warn,
        loss: str = "loss",
    ) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self._options: dict[str, Any] = {
            "max_stable_lr": max_stable_lr,
            "stop_on_divergence": stop_on_divergence,
            "say": say,
        }
        Monitor(**self._options)  # So that a wrong argument is told now, and not when the fit begins.
        self._name = loss
        self._monitor: Monitor | None = None

    @property
    def monitor(self) -> Monitor:
        """The monitor of the fit that goes on, or of the last one.

        Raises:
            UnsupportedLoopError: no fit has begun yet.
        """
        if self._monitor is None:
            raise UnsupportedLoopError("There is no monitor yet. Give this callback to model.fit first.")
        return self._monitor

    def on_train_begin(self, logs: Any = None) -> None:
        self._monitor, self._batches = None, 0
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        # A number's variable, or a schedule, or a function; nothing public tells which.
        follows_schedule = isinstance(optimizer._learning_rate, keras.optimizers.schedules.LearningRateSchedule)
        self._schedule = optimizer._learning_rate if follows_schedule else None
        self._optimizer = optimizer

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._monitor is None:
            epochs, batches = self.params.get("epochs"), self.params.get("steps")
            steps = (epochs - epoch) * batches if epochs and batches else None
            self._monitor = Monitor(steps, **self._options)
            self._given = int(self._optimizer.iterations)
        self._of_epoch, self._sum = 0, 0.0
        self._lr = self._present_lr()  # Here the variables can be read on every backend.

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._name not in (logs or {}):
            raise LossError(
                f"The model reports no {self._name!r}, but {sorted(logs or {})}. Name its loss: loss='critic_loss'."
            )
        taken = batch + 1 - self._of_epoch
        total = float(logs[self._name]) * (batch + 1)
        loss = (total - self._sum) / taken if math.isfinite(total) else math.nan
        self._of_epoch, self._sum = batch + 1, total
        self._batches += taken
        # On JAX the variables are empty between the batches; a schedule needs none.
        is_readable = self._schedule is not None or keras.backend.backend() != "jax"
        if is_readable and self._batches % _BATCHES_OF_ONE_READING < taken:
            self._lr = self._present_lr()
        self.monitor.update(self._lr, loss, step=self._batches - 1)
        if self.monitor.should_stop:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if f"val_{self._name}" in (logs or {}):
            self.monitor.evaluated(float(logs[f"val_{self._name}"]))

    def _present_lr(self) -> float:
        if self._schedule is not None:
            return float(self._schedule(self._given + self._batches))
        return float(self._optimizer.learning_rate)
