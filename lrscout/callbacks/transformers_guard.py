"""A guard inside the `Trainer` of Hugging Face."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from lrscout.analyse.monitor import warn
from lrscout.callbacks.trainer_guard import TrainerGuard
from lrscout.core.imports import require

transformers = require("transformers", extra="transformers")


class GuardCallback(TrainerGuard, transformers.TrainerCallback):
    """Takes a training back to its last good snapshot, at half the rate, when it is lost.

    What `TorchGuard` does for a loop of your own, it does for the trainer: the model, its optimizer, the scaler and the
    generators come back; the data and the scheduler go on. It judges by the losses that the trainer logs, each the mean
    since the last log: so let `logging_steps` be small. The trainer leaves losses that are not finite out of its logs,
    so at each log the guard looks whether the weights are finite. Each training is guarded anew.

    It is for training in one process, or for several that hold the whole model each.

    Args:
        every: after how many logs to take a snapshot; by default 64, or a 32nd of the training.
        halvings: how often the rate may be halved. Then the model is brought to its last snapshot once more, and the
            training stops.
        max_stable_lr: the largest stable learning rate, if it is known.
        say: what to call with each sentence; by default the logger ``lrscout`` tells it as a warning. None for silence.

    Raises:
        InvalidValueError: an argument is out of its range.
    """

    def __init__(
        self,
        *,
        every: int | None = None,
        halvings: int = 8,
        max_stable_lr: float | None = None,
        say: Callable[[str], object] | None = warn,
    ) -> None:
        super().__init__(every, halvings, max_stable_lr, say)
        self._last_logged = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        optimizer = others["optimizer"]
        logs = (state.max_steps - state.global_step) // max(1, int(state.logging_steps or 1))
        self._begin(
            others["model"],
            getattr(optimizer, "optimizer", optimizer),  # Accelerate wraps it.
            losses=logs,
            speaks=state.is_world_process_zero,
            alone=args.world_size == 1,
            lr_scheduler=others.get("lr_scheduler"),
            scaler=getattr(optimizer, "scaler", None),
        )
        self._last_logged = state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **others: Any) -> None:
        if "loss" not in (logs or {}) or state.global_step <= self._last_logged:
            return
        self._last_logged = state.global_step
        loss = logs["loss"]
        if not _is_finite(others["model"]):
            loss = math.nan
        elif not math.isfinite(loss):
            return  # A running mean that was not finite once stays so; the weights are back.
        lr = logs.get("learning_rate")
        self.guard.update(loss, lr=None if lr is None else self.guard.factor * lr, step=state.global_step - 1)
        self._stop_if_given_up(control)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **others: Any) -> None:
        if self._guard is not None and "eval_loss" in (metrics or {}):
            self._guard.evaluated(metrics["eval_loss"])
            self._stop_if_given_up(control)

    def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self.guard.finish()
        self.guard.close()

    def _stop_if_given_up(self, control: Any) -> None:
        if self.guard.should_stop:
            control.should_training_stop = True


def _is_finite(model: Any) -> bool:
    """Whether all weights are, asked of the device once."""
    weights: list[torch.Tensor] = [weight.detach() for weight in model.parameters()]
    return not weights or bool(torch.stack([weight.isfinite().all().to(weights[0].device) for weight in weights]).all())
