"""What a Keras optimizer makes of given gradients."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from lrscout.loops.keras.rate import KerasRate
from lrscout.loops.keras.training_loss import replaced

_BOUNDS = ("clipnorm", "global_clipnorm", "clipvalue", "ema_overwrite_frequency")


class KerasUpdates:
    """The updates of an optimizer, without what bounds them.

    Clipping, constraints on the variables and a return to their average bound a step or a place; whether the steps in
    between are stable is another question.

    Args:
        optimizer: the optimizer, or one that scales the loss around it; built.
        rate: its learning rate.
        variables: the variables that it trains, Keras's own or those of TensorFlow.
    """

    def __init__(self, optimizer: Any, rate: KerasRate, variables: Sequence[Any]) -> None:
        # Where the loss is scaled the scale goes by the gradients, too, and one that overflows is no step.
        self._optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        self._rate = rate
        self._variables = list(variables)
        self._whole = optimizer

    @property
    def variables(self) -> Sequence[Any]:
        """The variables of the optimizer itself."""
        return self._whole.variables

    def set_lr(self, lr: float) -> None:
        """Make this the lr of the updates from now on."""
        self._rate.set(lr)

    def follow(self, gradients: Sequence[Any]) -> None:
        """Take the step that has these as the mean gradients of its batches."""
        optimizer = self._optimizer
        # An optimizer that is told of a fixed scale divides by it.
        scaled = [optimizer.scale_loss(gradient) for gradient in gradients]
        with self._rate.taken_over(), self._unbounded():
            for _ in range(self._rate.batches_for_an_update):
                optimizer.apply(scaled, self._variables)

    @contextmanager
    def _unbounded(self) -> Generator[None]:
        with ExitStack() as stack:
            for name in _BOUNDS:
                stack.enter_context(replaced(self._optimizer, name, None))
            for variable in self._variables:
                stack.enter_context(replaced(variable, "_constraint", None))
            yield
