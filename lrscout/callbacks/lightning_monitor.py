"""A monitor inside `Trainer.fit` of Lightning."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lrscout.analyse.monitor import Monitor, warn
from lrscout.callbacks.lightning_fit import lightning, loss_of
from lrscout.core.errors import UnsupportedLoopError

_STEPS_OF_ONE_AGREEMENT = 10
"""Processes that train together have to stop together, and asking one another takes time."""


class MonitorCallback(lightning.Callback):
    """Says during a fit that it diverges, is too slow, only oscillates, or that its loss is not finite.

    Each fit has a monitor of its own; in each process it watches the process's own batches, and the first one speaks.

    Args:
        max_stable_lr: the largest stable learning rate, if it is known.
        stop_on_divergence: whether to stop the fit once it diverges or its loss is not finite.
        say: what to call with each sentence; by default the logger ``lrscout`` tells it as a warning. None for silence.
        loss: the name of a logged value to watch, such as ``"critic_loss"``, in place of the loss that `training_step`
            returns.
        eval_loss: the name under which `validation_step` logs its loss.
        optimizer: the number of the optimizer whose lr is watched.

    Raises:
        LossError: (during the fit) there is no such loss.
    """

    def __init__(
        self,
        *,
        max_stable_lr: float | None = None,
        stop_on_divergence: bool = False,
        say: Callable[[str], object] | None = warn,
        loss: str | None = None,
        eval_loss: str = "val_loss",
        optimizer: int = 0,
    ) -> None:
        self._max_stable_lr = max_stable_lr
        self._stop_on_divergence = stop_on_divergence
        self._say = say
        self._loss, self._eval_loss, self._optimizer = loss, eval_loss, optimizer
        self._make_monitor(None)  # So that a wrong argument is told now, and not when the fit begins.
        self._monitor: Monitor | None = None
        self._lr: float | None = None
        self._batches = 0

    @property
    def monitor(self) -> Monitor:
        """The monitor of the fit that goes on, or of the last one.

        Raises:
            UnsupportedLoopError: no fit has begun yet.
        """
        if self._monitor is None:
            raise UnsupportedLoopError("There is no monitor yet. Give this callback to the Trainer first.")
        return self._monitor

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        updates = trainer.estimated_stepping_batches
        left = updates - trainer.global_step if math.isfinite(updates) and updates > 0 else 0
        steps = int(left) * trainer.accumulate_grad_batches if left > 0 else None
        self._monitor = self._make_monitor(steps, speaks=trainer.is_global_zero)
        self._batches = 0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        # Once the batch has ended, a schedule may have moved it on.
        if trainer.optimizers:
            self._lr = float(trainer.optimizers[self._optimizer].param_groups[0]["lr"])

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.monitor.update(self._lr, loss_of(trainer, outputs, self._loss))
        self._batches += 1
        if not self._stop_on_divergence or (trainer.world_size > 1 and self._batches % _STEPS_OF_ONE_AGREEMENT):
            return
        if trainer.strategy.reduce_boolean_decision(self.monitor.should_stop, all=False):
            trainer.should_stop = True

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if self._monitor is not None and not trainer.sanity_checking and self._eval_loss in trainer.callback_metrics:
            self._monitor.evaluated(float(trainer.callback_metrics[self._eval_loss]))

    def _make_monitor(self, steps: int | None, *, speaks: bool = True) -> Monitor:
        return Monitor(
            steps,
            max_stable_lr=self._max_stable_lr,
            stop_on_divergence=self._stop_on_divergence,
            say=self._say if speaks else None,
        )
