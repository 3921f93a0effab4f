"""The loss that a Keras model trains on, with nothing drawn at random that can be left out."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

from lrscout.core.errors import LandscapeUnavailableError, LossError
from lrscout.core.imports import require
from lrscout.loops.keras.steps import built, in_mode, modules_in

keras = require("keras", extra="keras")
_dropout_rnn_cell = require("keras.src.layers.rnn.dropout_rnn_cell", extra="keras")

_NOISE = (
    ((keras.layers.Dropout, keras.layers.AlphaDropout, keras.layers.GaussianDropout), ("rate",)),
    ((keras.layers.GaussianNoise,), ("stddev",)),
    ((keras.layers.Attention,), ("dropout",)),
    ((_dropout_rnn_cell.DropoutRNNCell,), ("dropout", "recurrent_dropout")),
)
"""Layers that draw noise, with the attributes that tell how much of it. Others, such as attention with several heads,
have one of these inside."""


class TrainingLoss:
    """The loss of a batch as training computes it: in training mode, with weights and regularisation.

    Args:
        model: a built and compiled model.
        loss: the name of the loss that is watched.

    Raises:
        LandscapeUnavailableError: the loss that the model trains on cannot be computed apart from its steps.
    """

    def __init__(self, model: Any, loss: str) -> None:
        if loss != "loss":
            raise LandscapeUnavailableError(
                f"Cannot tell the curvature of {loss!r}, which train_step computes beside its updates. Leave out "
                "loss=, and it is that of the loss which the model is compiled with."
            )
        if model._compile_loss is None and _overrides(model, "train_step") and not _overrides(model, "compute_loss"):
            raise LandscapeUnavailableError(
                f"Cannot tell the curvature of {type(model).__name__}, which is compiled without a loss and computes "
                "one in its train_step, beside its updates. Compile it with the loss, or override compute_loss."
            )
        self._model = model

    def __call__(self, batch: Any) -> Any:
        """Return the loss of a batch as a tensor of the backend; what the model remembers may change."""
        x, y, sample_weight = batch
        model = self._model
        mode = {"training": True} if model._call_has_training_arg else {}
        with silenced(model), in_mode(model, training=True), built(model._compile_loss):
            y_pred = model(x, **mode)
            return model._compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True)


def one_number(loss: Any) -> Any:
    """Return a loss as it is.

    Raises:
        LossError: it is not one number.
    """
    if shape := tuple(loss.shape):
        raise LossError(f"The loss must be one number, but compute_loss returns an array of shape {shape}.")
    return loss


def _overrides(model: Any, method: str) -> bool:
    kind = cast("Any", type(model))
    return getattr(kind, method) is not getattr(keras.Model, method)


@contextmanager
def silenced(model: Any) -> Generator[None]:
    """Let the layers of a model that draw noise draw none during the block, and train otherwise as ever."""
    with ExitStack() as stack:
        for layer in model._flatten_layers():
            for kinds, names in _NOISE:
                if isinstance(layer, kinds):
                    for name in names:
                        stack.enter_context(replaced(layer, name, 0.0))
        if keras.backend.backend() == "torch":
            dropout = require("torch.nn.modules.dropout", extra="torch")._DropoutNd
            for module in modules_in(model):
                if isinstance(module, dropout):
                    stack.enter_context(replaced(module, "p", 0.0))
        yield


@contextmanager
def replaced(holder: Any, name: str, value: Any) -> Generator[None]:
    """Give an attribute another value during the block, where it has one."""
    before = getattr(holder, name, None)
    if before is None:
        yield
        return
    setattr(holder, name, value)
    try:
        yield
    finally:
        setattr(holder, name, before)
