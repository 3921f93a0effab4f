"""Keras 3 models, on TensorFlow, JAX and PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.core.errors import FleetUnavailableError, UnsupportedLoopError
from lrscout.core.fleet import Fleet
from lrscout.core.imports import require
from lrscout.core.landscape import Landscape
from lrscout.core.loop import Snapshot
from lrscout.loops.data import AtPlace, Data
from lrscout.loops.keras.data import keras_batches
from lrscout.loops.keras.landscape import KerasLandscapes
from lrscout.loops.keras.rate import KerasRate
from lrscout.loops.keras.state import KerasState
from lrscout.loops.keras.steps import NOT_STEPPED, CompiledStep
from lrscout.loops.loaders import generators_of

if TYPE_CHECKING:
    from lrscout.loops.keras.fleet import KerasFleets

keras = require("keras", extra="keras")


def from_keras(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    class_weight: Mapping[int, float] | None = None,
    batch_size: int | None = None,
    shuffle: bool = True,
    eval_data: Any = None,
    optimizer: Any = None,
    loss: str = "loss",
) -> KerasLoop:
    """Make a loop out of a compiled Keras 3 model and data, on whichever backend Keras runs.

    A step is what one batch of `fit` does: the model's own `train_step`, compiled as `compile` says, its sample and
    class weights, regularisation, loss scaling and metrics; with gradient accumulation, as many batches as one update
    takes. A model or an optimizer that is not built yet is built.

    Args:
        model: a compiled model.
        x: arrays (one, or a list, tuple or dictionary of them), or a data set of batches ``inputs``, ``(inputs,
            targets)`` or ``(inputs, targets, weights)``: a `tf.data.Dataset`, a `PyDataset`, a PyTorch `DataLoader`, a
            generator or another iterable. Of a `PyDataset`, `on_epoch_end` is not called.
        y: the targets, if `x` are arrays.
        sample_weight: a weight for each example, if `x` are arrays.
        class_weight: a weight for each class, by its index.
        batch_size: examples in a batch of arrays, 32 by default.
        shuffle: whether arrays, and the batches of a `PyDataset`, come in a new random order at each pass.
        eval_data: what `validation_data` takes: ``(x, y)``, ``(x, y, weights)`` or a data set; by default four training
            batches.
        optimizer: the optimizer whose lr is scouted, by default `model.optimizer`. A model with a `train_step` of its
            own may keep several as attributes; the others keep their lr.
        loss: the name, among the logs of `train_step`, of the loss to watch.

    Returns:
        The loop.

    Raises:
        UnsupportedLoopError: the model is not compiled, is distributed over devices, or cannot be built; or a data set
            comes with arguments that are for arrays.
        LossError: (at a step) `train_step` reports no such loss.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.25), "mse")
    >>> loop = from_keras(model, np.ones((8, 2)), np.zeros((8, 1)))
    >>> loop.lr
    0.25
    """
    check_model(model)
    batches, restartable = keras_batches(
        x, y, sample_weight, class_weight=class_weight, batch_size=batch_size, shuffle=shuffle
    )
    evaluation = None if eval_data is None else _evaluation_batches(eval_data)
    generators = generators_of([x, eval_data], batches, evaluation)
    data = Data(batches, evaluation, generators, restartable=restartable)
    before = generators.save()
    try:
        # An unbuilt model takes its first values from the global generators, as it would in `fit`.
        _build(model, data.peek())
    finally:
        generators.load(before)
    optimizer = model.optimizer if optimizer is None else optimizer
    return KerasLoop(model, optimizer, data, loss)


@dataclass
class _Snapshot(AtPlace):
    values: Any


class KerasLoop:
    """A Keras loop; made by `from_keras`."""

    def __init__(self, model: Any, optimizer: Any, data: Data, loss: str) -> None:
        self._rate = KerasRate(optimizer)
        self._train = CompiledStep(model, "train", loss, anew=self._rate.follows_schedule)
        self._test = CompiledStep(model, "test", loss)
        self._state = KerasState(model, optimizer)
        self._data = data
        self._model = model
        self._optimizer = optimizer
        self._loss = loss
        self._has_stepped = False

    @property
    def lr(self) -> float:
        return self._rate.lr

    def step(self, lr: float) -> float:
        self._rate.set(lr)
        with self._rate.taken_over():
            before = None if self._has_stepped else self._rate.batches
            losses = [self._train(self._data.draw()) for _ in range(self._rate.batches_for_an_update)]
            if before is not None and self._rate.batches == before and not self._rate.may_skip:
                raise UnsupportedLoopError(NOT_STEPPED)
        self._has_stepped = True
        return losses[0] if len(losses) == 1 else float(np.mean(losses))

    def evaluate(self) -> float:
        before = self._state.read(evaluation=True)
        try:
            return self._data.mean_over_evaluation(self._test)
        finally:
            self._state.write(before)

    def fleet(self, size: int, steps: int) -> Fleet:
        return self._fleets.fleet(size, steps)

    def lane_bytes(self) -> int:
        return self._fleets.lane_bytes()

    @cached_property
    def _fleets(self) -> KerasFleets:
        backend = keras.backend.backend()
        if backend != "jax":
            raise FleetUnavailableError(
                f"on the {backend} backend, Keras changes its variables in place. Set KERAS_BACKEND=jax."
            )
        from lrscout.loops.keras.fleet import KerasFleets  # JAX loads only where Keras runs on it.

        return KerasFleets(self._model, self._rate, self._state, self._data, self._loss)

    def landscape(self, batches: int) -> Landscape:
        return self._landscapes.landscape(batches)

    @cached_property
    def _landscapes(self) -> KerasLandscapes:
        return KerasLandscapes(self._model, self._optimizer, self._rate, self._loss, self._state, self._data)

    def evaluation_steps(self) -> float:
        return self._data.evaluation_steps() / self._rate.batches_for_an_update

    def snapshot(self) -> Snapshot:
        return _Snapshot(self._data.place(), self._state.read())

    def restore(self, snapshot: Snapshot) -> None:
        assert isinstance(snapshot, _Snapshot)
        try:
            self._state.write(snapshot.values)
        finally:
            self._data.return_to(snapshot.place)

    def reseed(self, seed: int) -> None:
        self._data.reseed(seed)
        self._state.reseed(seed)


def check_model(model: Any) -> None:
    """Refuse what cannot be scouted.

    Raises:
        UnsupportedLoopError: this is not a compiled Keras model, or it is distributed over devices.
    """
    if not isinstance(model, keras.Model):
        raise UnsupportedLoopError(
            f"model must be a keras.Model, but it is a {type(model).__name__}. Wrap layers in a keras.Sequential."
        )
    if not model.compiled or model.optimizer is None:
        raise UnsupportedLoopError("The model is not compiled. Call model.compile(optimizer=..., loss=...) first.")
    strategy = getattr(model, "_distribute_strategy", None)  # The public property also has one where there is none.
    if strategy is not None or keras.distribution.distribution() is not None:
        raise UnsupportedLoopError(
            "Cannot scout a model that is distributed over devices. Build and compile it outside the strategy's scope."
        )


def _build(model: Any, batch: Any) -> None:
    """Make every variable that the first batch of `fit` would make."""
    loss: Any = model._compile_loss
    loss_is_built = getattr(loss, "built", False)
    try:
        model._symbolic_build(data_batch=batch)
    except (RuntimeError, ValueError) as error:
        # A model without a forward pass of its own may train all the same, once its layers are built.
        if keras.backend.backend() == "jax" or not is_built(model):
            raise UnsupportedLoopError(
                "Cannot tell the model's variables before its first step. Call it, or each model in it, on one batch."
            ) from error
    if loss is not None:
        loss.built = loss_is_built  # Or `fit` would not look at a batch beforehand, and shuffle once less.


def is_built(model: Any) -> bool:
    """Whether every layer of a model has its variables."""
    return all(layer.built for layer in model._flatten_layers(include_self=False))


def _evaluation_batches(eval_data: Any) -> Any:
    if isinstance(eval_data, tuple):
        return keras_batches(*eval_data, shuffle=False)[0]  # pyright: ignore[reportUnknownArgumentType]
    return keras_batches(eval_data, shuffle=False)[0]
