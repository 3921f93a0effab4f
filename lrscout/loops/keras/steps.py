"""A model's own training and test steps, on one batch at a time."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from lrscout.core.errors import LossError
from lrscout.core.imports import require

keras = require("keras", extra="keras")

NOT_STEPPED = "train_step does not step the optimizer to be scouted. Name the one that it steps: optimizer=..."


class CompiledStep:
    """What `fit` or `evaluate` does with one batch.

    The step is compiled as the model says, for one batch at a time. The user's own compiled function is used where it
    is just that, and otherwise left as it is. `train_on_batch` would not do: it hands a step of the user's own another
    structure than `fit` does.

    Args:
        model: a built and compiled model.
        kind: ``"train"`` or ``"test"``.
        loss: the name of the loss among the logs.
        anew: whether the step must be compiled anew, since it shall read another learning rate than before.
    """

    def __init__(self, model: Any, kind: str, loss: str, *, anew: bool = False) -> None:
        self._model = model
        self._kind = kind
        self._loss = loss
        self._anew = anew
        self._function: Any = None
        self._reset: list[Any] | None = None

    def __call__(self, batch: Any) -> float:
        """Take the step and return the loss of this batch alone.

        Raises:
            LossError: the logs have no loss of that name.
        """
        data = keras.utils.pack_x_y_sample_weight(*batch)
        with in_mode(self._model, training=self._kind == "train"), built(self._model._compile_loss):
            function = self._function or self._make()
            # The logs are means since the last reset of the metrics.
            if keras.backend.backend() == "jax":
                logs = self._call_with_state(function, data)
            else:
                self._model.reset_metrics()
                logs = function([data])
        if self._loss not in logs:
            raise no_such_loss(self._loss, logs)
        return float(logs[self._loss])

    def _make(self) -> Any:
        """Let the model make its function, and leave it the one that it had; or take that one, if it will do."""
        model, name = self._model, f"{self._kind}_function"
        own, steps_per_execution = getattr(model, name), model.steps_per_execution
        if own is not None and steps_per_execution == 1 and not self._anew:
            self._function = own
            return own
        model.steps_per_execution = 1
        try:
            getattr(model, f"make_{name}")(force=True)
            self._function = getattr(model, name)
        finally:
            setattr(model, name, own)
            model.steps_per_execution = steps_per_execution
        return self._function

    def _call_with_state(self, function: Any, data: Any) -> Any:
        """Hand the function the variables and take them back: on JAX it changes nothing in place."""
        model = self._model
        groups: list[Any] = [model.trainable_variables, model.non_trainable_variables]
        if self._kind == "train":
            groups.append(model.optimizer.variables)
        metrics: Any = model.metrics_variables
        if self._reset is None or len(self._reset) != len(metrics):
            self._reset = fresh_metrics(model)
        state = (*([variable.value for variable in group] for group in groups), self._reset)
        logs, state = function(state, iter([data]))
        for group, values in zip([*groups, metrics], state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return logs


def fresh_metrics(model: Any) -> list[Any]:
    """Return the values that a model's metrics have after a reset, and leave the metrics as they are."""
    metrics: Any = model.metrics_variables
    before = [variable.value for variable in metrics]
    model.reset_metrics()
    fresh = [np.array(variable.value) for variable in metrics]
    for variable, value in zip(metrics, before, strict=True):
        variable.assign(value)
    return fresh


def no_such_loss(loss: str, logs: Any) -> LossError:
    """Return the error that the logs have no loss of that name."""
    return LossError(f"The model reports no {loss!r}, but {sorted(logs)}. Name the one to watch: loss='...'.")


def modules_in(model: Any) -> Iterator[Any]:
    """Return every PyTorch module in a model, those too that only one of its layers knows."""
    return (module for layer in model._flatten_layers() for module in layer.modules())


@contextmanager
def in_mode(model: Any, *, training: bool) -> Generator[None]:
    """Put the PyTorch modules that a model may hold in the mode that `fit` or `evaluate` puts them in."""
    if keras.backend.backend() != "torch":
        yield
        return
    before = {module: module.training for module in modules_in(model)}
    model.train(training)
    try:
        yield
    finally:
        for module, mode in before.items():
            module.training = mode


@contextmanager
def built(loss: Any) -> Generator[None]:
    """Say that a loss is built, as it is, where we do not leave that to be seen.

    Of a loss that says so, `fit` concludes that it need not look at a batch beforehand, and shuffles once less.
    """
    before = getattr(loss, "built", None)
    if before is False and loss._flat_losses is not None:
        loss.built = True
    try:
        yield
    finally:
        if before is not None:
            loss.built = before
