"""The learning rate of a Keras optimizer, taken over and given back."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from lrscout.core.imports import require

keras = require("keras", extra="keras")


class KerasRate:
    """The lr of a Keras optimizer, settable whether it is a number or follows a schedule.

    A schedule is replaced by a variable while steps are traced and taken, and put back afterwards.

    Args:
        optimizer: the optimizer, or one that scales the loss around it.

    Attributes:
        follows_schedule: whether the optimizer reads its lr off a schedule or a function.
        may_skip: whether a batch may pass without an update, as those do whose scaled loss overflows.
    """

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        self.may_skip = self._optimizer is not optimizer
        # A number's variable, or a schedule, or a function; nothing public tells which.
        self._own = self._optimizer._learning_rate
        self.follows_schedule = not isinstance(self._own, keras.Variable)
        self._used = (
            keras.Variable(self.lr, trainable=False, name="learning_rate") if self.follows_schedule else self._own
        )

    @property
    def lr(self) -> float:
        """The lr of the optimizer's next step."""
        return float(self._optimizer.learning_rate)

    def set(self, lr: float) -> None:
        """Make this the lr of the steps taken while it is taken over."""
        self._used.assign(lr)

    @property
    def variable(self) -> Any:
        """The variable that the optimizer reads its lr off while it is taken over."""
        return self._used

    @property
    def count(self) -> Any:
        """The variable that counts the batches that the optimizer has been given."""
        return self._optimizer._iterations

    @property
    def batches(self) -> int:
        """How many batches the optimizer has been given so far."""
        return int(self.count.value)

    @property
    def batches_for_an_update(self) -> int:
        """How many batches' gradients the optimizer accumulates for one update."""
        return self._optimizer.gradient_accumulation_steps or 1

    @contextmanager
    def taken_over(self) -> Generator[None]:
        """Let the optimizer read our variable where it would follow its schedule."""
        if not self.follows_schedule:
            yield
            return
        # The optimizer tracks what it is given: backends that pass the state along find our variable in its list.
        self._optimizer._learning_rate = self._used
        try:
            yield
        finally:
            self._optimizer._untrack_variable(self._used)
            self._optimizer._learning_rate = self._own
