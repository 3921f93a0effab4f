"""A schedule as Keras' own object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.core.errors import InvalidValueError
from lrscout.core.imports import require
from lrscout.core.schedules import NAMED

if TYPE_CHECKING:
    from jaxtyping import Float

keras = require("keras", extra="keras")


@keras.saving.register_keras_serializable(package="lrscout")
class KerasSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate for every step of a budget; past the last step it stays.

    Args:
        lr: the peak.
        steps: the budget.
        schedule: the name of a schedule, or the factors of its steps.
        start: the optimizer's updates before the first step.
        batches_for_an_update: the batches whose gradients the optimizer accumulates for one update. A schedule is asked
            once for every batch.

    >>> schedule = KerasSchedule(0.5, 4, "linear")
    >>> [float(schedule(step)) for step in (0, 1, 3, 100)]
    [0.5, 0.375, 0.125, 0.125]
    """

    def __init__(
        self,
        lr: float,
        steps: int,
        schedule: str | Sequence[float],
        start: int = 0,
        batches_for_an_update: int = 1,
    ) -> None:
        self._config: dict[str, Any] = {
            "lr": lr,
            "steps": steps,
            "schedule": schedule,
            "start": start,
            "batches_for_an_update": batches_for_an_update,
        }
        factors = NAMED[schedule]()(np.arange(steps), steps) if isinstance(schedule, str) else np.asarray(schedule)
        self._last = steps - 1
        self._rates = (lr * factors).astype("float64" if keras.config.floatx() == "float64" else "float32")

    def __call__(self, step: Any) -> Any:
        """Return the rate at a step, as the optimizer counts them."""
        update = keras.ops.floor_divide(step, self._config["batches_for_an_update"]) - self._config["start"]
        place = keras.ops.clip(keras.ops.cast(update, "int32"), 0, self._last)
        return keras.ops.take(keras.ops.convert_to_tensor(self._rates), place)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that it was made with."""
        return dict(self._config)


def keras_schedule(
    lr: float, factors: Float[np.ndarray, " step"], name: str, optimizer: Any | None = None
) -> KerasSchedule:
    """Return a schedule for an optimizer of Keras, such as ``keras.optimizers.Adam(schedule)``.

    Args:
        lr: the peak.
        factors: the factor of every step; past the last one it stays.
        name: what the schedule is called. One that Keras can look up by its name is saved by its name.
        optimizer: the optimizer that it is for, from whose present step on it counts; by default a new one.

    Returns:
        The schedule, which Keras can save and load, and compile on every backend.

    Raises:
        InvalidValueError: `optimizer` is none of Keras.
    """
    steps = len(factors)
    is_named = name in NAMED and np.array_equal(NAMED[name]()(np.arange(steps), steps), factors)
    schedule = name if is_named else [float(factor) for factor in factors]
    if optimizer is None:
        return KerasSchedule(lr, steps, schedule)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise InvalidValueError(f"optimizer must be an optimizer of Keras, but it is a {type(optimizer).__name__}.")
    counting: Any = getattr(optimizer, "inner_optimizer", optimizer)  # One that scales the loss asks the one inside.
    accumulated = counting.gradient_accumulation_steps or 1
    return KerasSchedule(lr, steps, schedule, int(counting.iterations), accumulated)
