"""A guard inside `Trainer.fit` of Lightning."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from lrscout.analyse.monitor import warn
from lrscout.callbacks.lightning_fit import lightning, loss_of
from lrscout.callbacks.trainer_guard import TrainerGuard


class GuardCallback(TrainerGuard, lightning.Callback):
    """Takes a fit back to its last good snapshot, at half the rate, when it is lost.

    What `TorchGuard` does for a loop of your own, it does for the fit: the module, its optimizers, the scaler and the
    generators come back; the data, the epochs and the schedulers go on. It is told the loss of every update, the mean
    over its batches, and where several processes train together, over all of theirs. Each fit is guarded anew.

    Args:
        every: after how many updates to take a snapshot; by default 64, or a 32nd of the fit, and more where, in a
            single process, a snapshot takes more than 1 % of the time between two.
        halvings: how often the rate may be halved. Then the module is brought to its last snapshot once more, and the
            fit stops.
        max_stable_lr: the largest stable learning rate, if it is known.
        say: what to call with each sentence; by default the logger ``lrscout`` tells it as a warning. None for silence.
        loss: the name of a logged value to judge by, in place of the loss that `training_step` returns.
        eval_loss: the name under which `validation_step` logs its loss.

    Raises:
        InvalidValueError: an argument is out of its range.
        LossError: (during the fit) there is no such loss.
    """

    def __init__(
        self,
        *,
        every: int | None = None,
        halvings: int = 8,
        max_stable_lr: float | None = None,
        say: Callable[[str], object] | None = warn,
        loss: str | None = None,
        eval_loss: str = "val_loss",
    ) -> None:
        super().__init__(every, halvings, max_stable_lr, say)
        self._loss, self._eval_loss = loss, eval_loss

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        updates = trainer.estimated_stepping_batches
        left = int(updates - trainer.global_step) if math.isfinite(updates) else 0
        self._begin(
            pl_module,
            trainer.optimizers,
            losses=left,
            speaks=trainer.is_global_zero,
            alone=trainer.world_size == 1,
            scaler=getattr(trainer.precision_plugin, "scaler", None),
        )
        self._updates, self._losses = trainer.global_step, list[float]()
        self._lr = self.guard.lr

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        # Once the batch has ended, a schedule may have moved it on.
        self._lr = self.guard.lr

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._losses.append(loss_of(trainer, outputs, self._loss))
        if trainer.global_step == self._updates:
            return
        self._updates = trainer.global_step
        loss, self._losses = math.fsum(self._losses) / len(self._losses), []
        if trainer.world_size > 1:
            # All must come to the same, so they judge by the same.
            shared = torch.tensor(loss, dtype=torch.float64, device=trainer.strategy.root_device)
            loss = float(trainer.strategy.reduce(shared, reduce_op="mean"))
        self.guard.update(loss, lr=self._lr)
        if self.guard.should_stop:
            trainer.should_stop = True

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if self._guard is not None and not trainer.sanity_checking and self._eval_loss in trainer.callback_metrics:
            self._guard.evaluated(float(trainer.callback_metrics[self._eval_loss]))
            if self._guard.should_stop:
                trainer.should_stop = True

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self.guard.finish()
        self.guard.close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        if self._guard is not None:
            self._guard.close()
