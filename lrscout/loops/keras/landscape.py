"""The loss of a Keras loop over its variables, on whichever backend Keras runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lrscout.core.errors import LandscapeUnavailableError
from lrscout.core.imports import require
from lrscout.core.landscape import Block, Landscape
from lrscout.loops.data import Data
from lrscout.loops.keras.rate import KerasRate
from lrscout.loops.keras.state import KerasState
from lrscout.loops.keras.training_loss import TrainingLoss
from lrscout.loops.keras.updates import KerasUpdates

keras = require("keras", extra="keras")


class KerasLandscapes:
    """What makes the landscapes of a Keras loop.

    The loss is that of training mode: with sample weights and regularisation, and normalised by the statistics of the
    batch. Dropout and noise of Keras's own layers are off; what else is drawn at random is the same at each call.

    Args:
        model: a built and compiled model.
        optimizer: the optimizer that is scouted.
        rate: its learning rate.
        loss: the name of the loss that is watched.
        state: everything that the model and its optimizers remember.
        data: the batches, and what else the loss may draw from.

    Raises:
        LandscapeUnavailableError: the loss cannot be differentiated; the message says why.
    """

    def __init__(self, model: Any, optimizer: Any, rate: KerasRate, loss: str, state: KerasState, data: Data) -> None:
        self._data = data
        self._state = state
        self._loss_of = TrainingLoss(model, loss)
        self._trained = _trained(model, optimizer)
        self._updates = KerasUpdates(optimizer, rate, self._trained)
        self._blocks = [_block(variable) for variable in self._trained]
        self._make = self._maker(model)

    def landscape(self, most_batches: int) -> Landscape:
        """Return the landscape on some batches."""
        here, before = self._data.place(), self._state.read()
        try:
            return self._make(self._data.ahead(most_batches))
        finally:
            self._state.write(before)
            self._data.return_to(here)

    def _maker(self, model: Any) -> Callable[[Sequence[Any]], Landscape]:
        match keras.backend.backend():
            case "jax":
                from lrscout.loops.keras.jax_landscape import KerasOnJax

                return KerasOnJax(model, self._blocks, self._trained, self._loss_of, self._updates).landscape
            case "tensorflow":
                return self._on_tensorflow
            case "torch":
                return self._on_torch
            case backend:
                raise LandscapeUnavailableError(f"Keras on {backend} computes no derivatives that lrscout knows of.")

    def _on_tensorflow(self, batches: Sequence[Any]) -> Landscape:
        from lrscout.loops.tensorflow.landscape import TensorFlowLandscape

        # As in `fit`, where Python code is traced as it is.
        loss_of = require("tensorflow", extra="tensorflow").autograph.experimental.do_not_convert(
            self._loss_of.__call__
        )
        names, variables = [block.name for block in self._blocks], [variable.value for variable in self._trained]
        return TensorFlowLandscape(names, variables, loss_of, batches, self._updates)

    def _on_torch(self, batches: Sequence[Any]) -> Landscape:
        from lrscout.loops.keras.torch_landscape import KerasOnTorchLandscape

        return KerasOnTorchLandscape(
            self._blocks, self._trained, self._loss_of, self._updates, batches, self._state, self._data
        )


def _trained(model: Any, optimizer: Any) -> list[Any]:
    """Return the variables of a model that an optimizer trains."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if not optimizer.built:
        raise LandscapeUnavailableError(
            f"The {type(optimizer).__name__} has not been told yet which variables it trains. Take a step first."
        )
    known = {id(variable) for variable in optimizer._trainable_variables}
    trained = [variable for variable in model.trainable_variables if id(variable) in known]
    if not trained:
        raise LandscapeUnavailableError("The optimizer trains no variable of the model. Let a layer be trainable.")
    return trained


def _block(variable: Any) -> Block:
    shape = tuple(variable.shape)
    return Block(variable.path, shape, len(shape) - 1 if len(shape) >= 2 else None)
