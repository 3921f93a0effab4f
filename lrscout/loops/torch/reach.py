"""What a user's function can reach, and so may change."""

from __future__ import annotations

import functools
import inspect
from collections import deque
from collections.abc import Callable, Iterable
from types import CellType
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

_CHANGES = (torch.Tensor, nn.Module, Optimizer, LRScheduler, torch.amp.GradScaler)
_CONTAINERS = (list, tuple, dict, set, deque)
_LARGEST_STATE = 10_000
"""A longer container that a function reaches by name is taken to be data, and left alone."""


def reached_by(
    functions: Iterable[Callable[..., Any] | None], data: Iterable[Any] = ()
) -> tuple[list[object], list[object]]:
    """Return the objects that functions change and all that they use.

    Args:
        functions: a loss or a step; what is None is left out.
        data: what the batches come from, which no step changes.

    Returns:
        The objects that may change: those whose method a function is, and of the things that it reaches by name, its
        variables, containers, modules, optimizers, schedulers, scalers, and whatever holds any of these or tensors.
        And everything that it reaches, in which generators may hide.
    """
    left_out = {id(source) for source in data}
    used = [thing for function in functions if function is not None for thing in _used_by(function)]
    used = [(thing, is_owner) for thing, is_owner in used if id(thing) not in left_out]
    changed = [thing for thing, is_owner in used if is_owner or _changes(thing)]
    return changed, [thing for thing, is_owner in used if not is_owner]


def _changes(thing: Any) -> bool:
    if isinstance(thing, CellType):
        return _is_kept(thing)
    if isinstance(thing, _CONTAINERS):
        return _is_short(thing)
    if isinstance(thing, (type, torch.Tensor)):
        return False  # A tensor by itself is more likely data than state; an average of one hangs on something.
    return isinstance(thing, _CHANGES) or any(map(_holds, getattr(thing, "__dict__", {}).values()))


def _is_kept(cell: CellType) -> bool:
    """Whether a variable of the function around holds a number, a word or nothing, so that it can only be set anew."""
    try:
        return cell.cell_contents is None or isinstance(cell.cell_contents, (bool, int, float, str))
    except ValueError:  # It has no value yet.
        return False


def _holds(value: Any) -> bool:
    """Whether a value is something that training changes, or a short container of such things."""
    if isinstance(value, _CONTAINERS):
        return _is_short(value) and any(isinstance(part, _CHANGES) for part in _parts(value))
    return isinstance(value, _CHANGES)


def _is_short(container: Any) -> bool:
    return len(container) <= _LARGEST_STATE


def _parts(container: Any) -> list[Any]:
    return list(container.values() if isinstance(container, dict) else container)  # pyright: ignore


def _used_by(function: Any) -> list[tuple[object, bool]]:
    """Return what a function uses, each with whether the function is a method of it."""
    used: list[tuple[object, bool]] = []
    waiting, seen = [function], set[int]()
    while waiting:
        thing: Any = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, functools.partial):
            waiting += [thing.func, *thing.args, *thing.keywords.values()]  # pyright: ignore[reportUnknownMemberType]
        elif inspect.ismethod(thing):
            used.append((thing.__self__, True))
        elif inspect.isfunction(thing):
            # Helpers of the same file are followed; a library's functions are taken to keep nothing.
            if thing.__module__ == getattr(function, "__module__", thing.__module__):
                waiting += _reached_by_name(thing)
        else:
            used.append((thing, thing is function))
            if isinstance(thing, _CONTAINERS) and _is_short(thing):
                waiting += _parts(thing)
    return used


def _reached_by_name(function: Any) -> list[Any]:
    reached: list[Any] = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    reached += function.__closure__ or ()
    try:
        names = inspect.getclosurevars(function)
    except ValueError:  # A variable of the enclosing function has no value yet.
        return reached
    return [*reached, *names.nonlocals.values(), *names.globals.values()]
