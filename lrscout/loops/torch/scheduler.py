"""A schedule as PyTorch's own object."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from lrscout.core.errors import InvalidValueError
from lrscout.loops.torch.rates import Rates

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float


def torch_scheduler(
    optimizer: Any, lr: float, factors: Float[np.ndarray, " step"], group: int | str | None = None
) -> torch.optim.lr_scheduler.LambdaLR:
    """Give an optimizer a peak learning rate and return the schedule that leads over it.

    Args:
        optimizer: the optimizer. Its first group's rate becomes that of the first step, and the other groups keep their
            ratio to it.
        lr: the peak of the first group's rate.
        factors: the factor of every step; past the last one it stays.
        group: the one parameter group to move, by its index or its ``"name"``; the others are held where they are.

    Returns:
        The scheduler, to be stepped after each step of the optimizer.

    Raises:
        InvalidValueError: `optimizer` is none, or has no such group.
        UnsupportedLoopError: the lr of the group, or of all groups, is 0.

    >>> weights = torch.nn.Linear(1, 1).parameters()
    >>> optimizer = torch.optim.SGD(weights, lr=0.1)
    >>> scheduler = torch_scheduler(optimizer, 0.5, [1.0, 0.5])
    >>> optimizer.step(), scheduler.step(), scheduler.get_last_lr()
    (None, None, [0.25])
    """
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise InvalidValueError(f"optimizer must be an optimizer of PyTorch, but it is a {type(optimizer).__name__}.")
    rates = Rates(optimizer, group)
    rates.set(lr)
    for each in optimizer.param_groups:
        each.pop("initial_lr", None)  # A scheduler before this one left it, and this one would start from it.
    moving = partial(_factor_at, tuple(float(factor) for factor in factors))
    lambdas = [moving if index in rates.moving else _held for index in range(len(optimizer.param_groups))]
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambdas)


# Not closures, so that the scheduler can be pickled and copied with its optimizer.
def _factor_at(factors: tuple[float, ...], step: int) -> float:
    return factors[min(step, len(factors) - 1)]


def _held(step: int) -> float:
    return 1.0
