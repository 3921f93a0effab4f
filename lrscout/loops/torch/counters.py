"""Whatever counts along while a loader is passed over: samplers, data sets and collators with a state of their own."""

from __future__ import annotations

from collections.abc import Iterable
from types import FunctionType
from typing import Any

import torch

from lrscout.loops.generators import Generator, as_generator


def parts_of(loader: Any) -> list[Any]:
    """Return the parts of a loader that may count, such as a sampler with the number of its epoch."""
    if hasattr(loader, "flattened"):  # Lightning's loader of several loaders.
        return [part for each in loader.flattened for part in parts_of(each)]
    names = ("sampler", "batch_sampler", "dataset", "collate_fn")
    parts = [getattr(loader, name, None) for name in names]
    return [*parts, getattr(parts[1], "sampler", None)]


def counters(parts: Iterable[Any]) -> list[Generator]:
    """Return what counts among some objects, each as a generator, which a seed leaves alone.

    So a count follows the batches: when a batch is drawn again, what drawing it did to the count is done again.
    """
    known = {id(part): part for part in parts if hasattr(part, "__dict__") and not _never_counts(part)}
    return [_counter(part) for part in known.values()]


def begin_epoch(loader: Any, epoch: int) -> None:
    """Tell a loader and the parts of it that draw their order from the number of an epoch to take this one."""
    for part in {id(part): part for part in [loader, *parts_of(loader)]}.values():
        if callable(getattr(part, "set_epoch", None)):
            part.set_epoch(epoch)


def _never_counts(part: Any) -> bool:
    """Whether this is a function, a class or one of PyTorch's own samplers and data sets, which keep no count."""
    if isinstance(part, (type, FunctionType)):
        return True
    return type(part).__module__.startswith("torch.utils.data") and not hasattr(part, "set_epoch")


def _counter(thing: object) -> Generator:
    """Return an object's numbers, words and generators as one generator.

    A generator that the object makes at its first use is among them, and a number that it shares with workers.
    """
    attributes = vars(thing)

    def save() -> dict[str, tuple[Any, Any]]:
        saved: dict[str, tuple[Any, Any]] = {}
        for name, value in attributes.items():
            if value is None or isinstance(value, (bool, int, float, str)):
                saved[name] = value, None
            elif isinstance(value, torch.Tensor) and value.ndim == 0:
                saved[name] = value, value.item()
            elif generator := as_generator(value):
                saved[name] = value, generator.save()
        return saved

    def load(saved: dict[str, tuple[Any, Any]]) -> None:
        for name, (value, state) in saved.items():
            attributes[name] = value
            if isinstance(value, torch.Tensor):
                value.fill_(state)
            elif state is not None and (generator := as_generator(value)):
                generator.load(state)

    return Generator(save, load, lambda _: None)
