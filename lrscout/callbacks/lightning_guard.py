"""A guard inside `Trainer.fit` of Lightning."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import torch

from lrscout.analyse.guarding import Guarding
from lrscout.analyse.monitor import warn
from lrscout.callbacks.torch_guard import TorchGuard
from lrscout.core.checks import check_count
from lrscout.core.errors import LossError, UnsupportedLoopError
from lrscout.core.imports import require
from lrscout.measure.safeguard import Rollback

# Lightning goes by two names, and a trainer of either takes a callback of the other; nobody shall wait for both.
_NAME = "pytorch_lightning" if "pytorch_lightning" in sys.modules else "lightning.pytorch"
lightning = require(_NAME, extra="lightning")


class GuardCallback(lightning.Callback):
    """Takes a fit back to its last good snapshot, at half the rate, when it is lost.

    What `TorchGuard` does for a loop of your own, it does for the fit: the module, its optimizers, the scaler and the
    generators come back; the data, the epochs and the schedulers go on. It is told the loss of every update, the mean
    over its batches, and where several processes train together, over all of theirs. Each fit is guarded anew.

    Args:
        every: after how many updates to take a snapshot; by default 64, or a 32nd of the fit, and more where, in a
            single process, a snapshot takes more than 2 % of the time between two.
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
        self._options: dict[str, Any] = {
            "every": every,
            "halvings": check_count("halvings", halvings, at_least=0),
            "max_stable_lr": max_stable_lr,
        }
        Guarding(every=every, max_stable_lr=max_stable_lr)  # So that a wrong argument is told now.
        self._say = say
        self._loss, self._eval_loss = loss, eval_loss
        self._guard: TorchGuard | None = None

    @property
    def guard(self) -> TorchGuard:
        """The guard of the fit that goes on, or of the last one.

        Raises:
            UnsupportedLoopError: no fit has begun yet.
        """
        if self._guard is None:
            raise UnsupportedLoopError("There is no guard yet. Give this callback to the Trainer first.")
        return self._guard

    @property
    def factor(self) -> float:
        """What the learning rates are multiplied by: one half for each return."""
        return self.guard.factor

    @property
    def rollbacks(self) -> tuple[Rollback, ...]:
        """The returns to a snapshot, in order."""
        return self.guard.rollbacks

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        updates = trainer.estimated_stepping_batches
        left = int(updates - trainer.global_step) if math.isfinite(updates) else 0
        self._guard = TorchGuard(
            pl_module,
            trainer.optimizers,
            scaler=getattr(trainer.precision_plugin, "scaler", None),
            steps=left if left > 0 else None,
            say=self._say if trainer.is_global_zero else None,
            may_put_off=trainer.world_size == 1,
            **self._options,
        )
        self._updates, self._losses = trainer.global_step, list[float]()
        self._lr = self.guard.lr

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        # Once the batch has ended, a schedule may have moved it on.
        self._lr = self.guard.lr

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._losses.append(self._loss_of(trainer, outputs))
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

    def _loss_of(self, trainer: Any, outputs: Any) -> float:
        if self._loss is not None:
            logged = trainer.callback_metrics
            if self._loss not in logged:
                raise LossError(f"training_step logs no {self._loss!r}, but {sorted(logged)}. Log it on every step.")
            return float(logged[self._loss])
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs  # pyright: ignore
        if loss is None:
            raise LossError("training_step returns no loss. Name a value that it logs: loss='critic_loss'.")
        # Lightning has divided it among the batches of the update.
        return float(loss) * trainer.accumulate_grad_batches  # pyright: ignore
