"""A monitor inside the `Trainer` of Hugging Face."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lrscout.analyse.monitor import Monitor, warn
from lrscout.core.errors import UnsupportedLoopError
from lrscout.core.imports import require

transformers = require("transformers", extra="transformers")


class MonitorCallback(transformers.TrainerCallback):
    """Says during a training that it diverges, is too slow, only oscillates, or that its loss is not finite.

    It watches the losses that the trainer logs, each the mean since the last log: so the fewer the logging steps, the
    sooner it is sure. The trainer leaves losses that are not finite out of its logs unless
    ``TrainingArguments(logging_nan_inf_filter=False)`` tells it not to. Each training has a monitor of its own.

    Args:
        max_stable_lr: the largest stable learning rate, if it is known.
        stop_on_divergence: whether to stop the training once it diverges or its loss is not finite.
        say: what to call with each sentence; by default the logger ``lrscout`` tells it as a warning. None for silence.
    """

    def __init__(
        self,
        *,
        max_stable_lr: float | None = None,
        stop_on_divergence: bool = False,
        say: Callable[[str], object] | None = warn,
    ) -> None:
        self._max_stable_lr = max_stable_lr
        self._stop_on_divergence = stop_on_divergence
        self._say = say
        self._make_monitor(None)  # So that a wrong argument is told now, and not when the training begins.
        self._monitor: Monitor | None = None
        self._last_logged = 0

    @property
    def monitor(self) -> Monitor:
        """The monitor of the training that goes on, or of the last one.

        Raises:
            UnsupportedLoopError: no training has begun yet.
        """
        if self._monitor is None:
            raise UnsupportedLoopError("There is no monitor yet. Give this callback to the Trainer first.")
        return self._monitor

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        steps = state.max_steps if state.max_steps and state.max_steps > 0 else None
        self._monitor = self._make_monitor(steps, speaks=state.is_world_process_zero)
        self._last_logged = state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **others: Any) -> None:
        if "loss" not in (logs or {}) or state.global_step <= self._last_logged:
            return
        self._last_logged = state.global_step
        self.monitor.update(logs.get("learning_rate"), logs["loss"], step=state.global_step - 1)
        if self.monitor.should_stop:
            control.should_training_stop = True

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **others: Any) -> None:
        if self._monitor is not None and "eval_loss" in (metrics or {}):
            self._monitor.evaluated(metrics["eval_loss"])

    def _make_monitor(self, steps: int | None, *, speaks: bool = True) -> Monitor:
        return Monitor(
            steps,
            max_stable_lr=self._max_stable_lr,
            stop_on_divergence=self._stop_on_divergence,
            say=self._say if speaks else None,
        )
