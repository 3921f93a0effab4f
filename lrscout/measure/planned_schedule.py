"""A schedule with the budget that it is for, and how it becomes a framework's own object."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.core.checks import check_count
from lrscout.core.errors import InvalidValueError
from lrscout.core.schedules import Schedule

if TYPE_CHECKING:
    from jaxtyping import Float, Num

_KINDS = {
    "torch": "torch",
    "lightning": "torch",
    "transformers": "torch",
    "keras": "keras",
    "tensorflow": "keras",
    "jax": "optax",
    "optax": "optax",
}
"""Whose schedulers the loops of a framework use."""


@dataclass(frozen=True, eq=False)
class PlannedSchedule:
    """A schedule for a budget: the factor by which the peak lr is multiplied at each of its steps.

    Args:
        name: what it is called, such as ``"linear"``.
        factors: the schedule itself, a function of the step and of the number of steps.
        steps: the budget; None where it is not known.

    >>> from lrscout.core.schedules import linear
    >>> schedule = PlannedSchedule("linear", linear(), 4)
    >>> schedule(3), schedule(100)
    (0.25, 0.25)
    >>> schedule.over(5).table
    array([1. , 0.8, 0.6, 0.4, 0.2])
    """

    name: str
    factors: Schedule
    steps: int | None

    def __call__(self, step: Num[np.ndarray, " *step"] | int) -> Float[np.ndarray, " *step"] | float:
        """Return the factor at a step, counted from 0, or at each of an array of them.

        Past the budget it stays what it was at the last step.

        Raises:
            InvalidValueError: the number of steps is not known.
        """
        steps = self._known_steps()
        found = np.asarray(self.factors(np.clip(step, 0, steps - 1), steps), float)
        return float(found) if found.ndim == 0 else found

    @property
    def table(self) -> Float[np.ndarray, " step"]:
        """The factor of every step.

        Raises:
            InvalidValueError: the number of steps is not known.
        """
        steps = self._known_steps()
        return np.asarray(self.factors(np.arange(steps), steps), float)

    def over(self, steps: int) -> PlannedSchedule:
        """Return the same schedule for another budget.

        Raises:
            InvalidValueError: `steps` is not a whole number above zero.
        """
        return replace(self, steps=check_count("steps", steps, at_least=1))

    def _known_steps(self) -> int:
        if self.steps is None:
            raise InvalidValueError(
                "The schedule needs a number of steps, and how many there will be is not known. Choose one: "
                "schedule.over(steps)."
            )
        return self.steps


def scheduler_of(
    schedule: PlannedSchedule, lr: float, optimizer: Any, framework: str | None, group: int | str | None
) -> Any:
    """Return a schedule as a framework's own object.

    Args:
        schedule: the schedule.
        lr: its peak.
        optimizer: an optimizer of PyTorch or Keras, or ``"torch"``, ``"keras"`` or ``"optax"``; None for what the
            loops of `framework` use.
        framework: the framework of the loop, such as ``"lightning"``; None where it has none.
        group: of an optimizer of PyTorch, the parameter group that the schedule is for, while the others are held.

    Raises:
        InvalidValueError: there is no such object, or it needs an optimizer and none was given.
        MissingDependencyError: the framework is not installed.
    """
    kind = _kind_of(optimizer, framework)
    is_given = optimizer is not None and not isinstance(optimizer, str)
    if kind != "torch" and group is not None:
        raise InvalidValueError("group is for an optimizer of PyTorch; other optimizers have one learning rate.")
    if kind == "optax":
        from lrscout.loops.jax.scheduler import optax_schedule

        return optax_schedule(lr, schedule.table)
    if kind == "keras":
        from lrscout.loops.keras.scheduler import keras_schedule

        return keras_schedule(lr, schedule.table, schedule.name, optimizer if is_given else None)
    if not is_given:
        raise InvalidValueError(
            "A scheduler of PyTorch belongs to an optimizer. Give the one that you train with: .scheduler(optimizer)."
        )
    from lrscout.loops.torch.scheduler import torch_scheduler

    return torch_scheduler(optimizer, lr, schedule.table, group)


def _kind_of(optimizer: Any, framework: str | None) -> str:
    if optimizer is None:
        if framework in _KINDS:
            return _KINDS[framework]
        whose = "a loop of functions" if framework in (None, "functions") else f"a loop of {framework}"
        raise InvalidValueError(
            f"There is no scheduler for {whose}. Multiply lr at each step by .schedule(step), or give an optimizer: "
            ".scheduler(optimizer)."
        )
    if isinstance(optimizer, str):
        if optimizer in _KINDS:
            return _KINDS[optimizer]
    else:
        for home in _homes_of(optimizer):
            if home in ("torch", "keras", "optax"):
                return home
    told = repr(optimizer) if isinstance(optimizer, str) else f"a {type(optimizer).__name__}"
    raise InvalidValueError(
        f"optimizer must be an optimizer of PyTorch or Keras, or 'torch', 'keras' or 'optax', but it is {told}."
    )


def _homes_of(optimizer: object) -> Iterable[str]:
    """Return the packages of an optimizer's class and its ancestors, which tell a framework without importing it."""
    return (ancestor.__module__.partition(".")[0] for ancestor in type(optimizer).__mro__)
