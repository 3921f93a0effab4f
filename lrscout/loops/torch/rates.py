"""The learning rates of an optimizer's parameter groups, moved together or one alone."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from lrscout.core.errors import InvalidValueError, UnsupportedLoopError


class Moving(Protocol):
    """The learning rates that a loop moves."""

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer whose they are."""
        ...

    @property
    def lr(self) -> float:
        """The lr of the first group that moves."""
        ...

    def of_copy(self, optimizer: Optimizer) -> Moving:
        """Return the same rates of a copy of the optimizer."""
        ...

    def set(self, lr: float) -> None:
        """Give the first group that moves this lr, and the others their shares of it."""
        ...


class Rates:
    """One number for the learning rates of an optimizer.

    Args:
        optimizer: the optimizer.
        group: the parameter group whose lr is moved while the others are held, by its index or its ``"name"``; None
            moves all of them, each keeping its ratio to the first that is not 0.

    Raises:
        InvalidValueError: there is no such group.
        UnsupportedLoopError: the lr of the group, or of all groups, is 0.
    """

    def __init__(self, optimizer: Optimizer, group: int | str | None = None) -> None:
        self._optimizer = optimizer
        groups: list[dict[str, Any]] = optimizer.param_groups
        self._moving = list(range(len(groups))) if group is None else [_find(groups, group)]
        self._groups = [groups[index] for index in self._moving]
        if any(group["lr"] is None for group in self._groups):
            raise UnsupportedLoopError("The optimizer chooses its own lr. Give it the lr that you would use.")
        lrs = [float(group["lr"]) for group in self._groups]
        if not any(lrs):
            # A warmup may begin at 0; the schedulers then keep the lr that the user set in `initial_lr`.
            lrs = [float(group.get("initial_lr", 0)) for group in self._groups]
        if not any(lrs):
            raise UnsupportedLoopError(
                "Cannot scale an lr that is 0 in every parameter group to be scouted. Set it to what you would use."
            )
        self._first = next(index for index, lr in enumerate(lrs) if lr)
        self._shares = [lr / lrs[self._first] for lr in lrs]

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer whose they are."""
        return self._optimizer

    @property
    def lr(self) -> float:
        """The lr of the first group that moves."""
        return float(self._groups[self._first]["lr"])

    @property
    def moving(self) -> Sequence[int]:
        """The indices of the groups that move."""
        return self._moving

    def of_copy(self, optimizer: Optimizer) -> Rates:
        """Return the same rates of a copy of the optimizer."""
        rates = copy.copy(self)
        rates._optimizer = optimizer
        rates._groups = [optimizer.param_groups[index] for index in self._moving]
        return rates

    def set(self, lr: float) -> None:
        """Give the first group that moves this lr, and the others their shares of it."""
        for group, share in zip(self._groups, self._shares, strict=True):
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(lr * share)
            else:
                group["lr"] = lr * share


def check_steppable(optimizer: Optimizer, modules: Iterable[nn.Module]) -> None:
    """Refuse what cannot take a step at a chosen learning rate.

    Raises:
        UnsupportedLoopError: the optimizer needs a closure, follows a step size of its own, or has nothing to train; or
            a module has parameters that do not exist yet.
    """
    if isinstance(optimizer, torch.optim.LBFGS):
        raise UnsupportedLoopError(
            "Cannot step LBFGS because each of its steps evaluates the loss several times, through a closure. "
            "Leave its lr at 1, or scout another optimizer."
        )
    if isinstance(optimizer, (torch.optim.Rprop, torch.optim.ASGD)):
        raise UnsupportedLoopError(
            f"Cannot step {type(optimizer).__name__} at a chosen learning rate because it follows a step size of its "
            "own, for which lr is only the beginning. Scout another optimizer."
        )
    if not any(group["params"] for group in optimizer.param_groups):
        raise UnsupportedLoopError("The optimizer has no parameters. Give it those of the model.")
    if any(nn.parameter.is_lazy(parameter) for module in modules for parameter in module.parameters(recurse=False)):
        raise UnsupportedLoopError("The model has lazy parameters, which do not exist yet. Run one batch through it.")


def _find(groups: list[dict[str, Any]], wanted: int | str) -> int:
    if isinstance(wanted, int) and 0 <= wanted < len(groups):
        return wanted
    for index, group in enumerate(groups):
        if isinstance(wanted, str) and group.get("name") == wanted:
            return index
    names = [group["name"] for group in groups if "name" in group]
    raise InvalidValueError(
        f"group must be a number from 0 to {len(groups) - 1}"
        f"{f' or one of {names}' if names else ''}, but it is {wanted!r}."
    )
