"""What a user's function can reach, and so may change."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lrscout.loops.generators import LONGEST_CONTAINER

_CHANGES = (nn.Module, Optimizer, LRScheduler, torch.amp.GradScaler)


def reached_by(functions: Iterable[Callable[..., Any] | None]) -> tuple[list[object], list[object]]:
    """Return the objects that functions change and all that they use.

    Args:
        functions: a loss or a step; what is None is left out.

    Returns:
        The objects whose attributes may change: those whose method a function is, and of the things that it reaches
        by name, modules, optimizers, schedulers, scalers and their owners. And everything that it reaches, in which
        generators may hide.
    """
    used = [thing for function in functions if function is not None for thing in _used_by(function)]
    changed = [thing for thing, is_owner in used if is_owner or _changes(thing)]
    return changed, [thing for thing, is_owner in used if not is_owner]


def _changes(thing: Any) -> bool:
    if isinstance(thing, type):
        return False
    return isinstance(thing, _CHANGES) or any(
        isinstance(held, _CHANGES) for held in getattr(thing, "__dict__", {}).values()
    )


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
        elif isinstance(thing, (list, tuple, dict)):
            waiting += list(thing.values() if isinstance(thing, dict) else thing)[:LONGEST_CONTAINER]  # pyright: ignore
        else:
            used.append((thing, thing is function))
    return used


def _reached_by_name(function: Any) -> list[Any]:
    defaults: list[Any] = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    try:
        names = inspect.getclosurevars(function)
    except ValueError:  # A variable of the enclosing function has no value yet.
        return defaults
    return [*names.nonlocals.values(), *names.globals.values(), *defaults]
