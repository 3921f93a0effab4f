"""Loaders, whatever framework the batches are for: passes that leave others alone, and what counts along with them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FunctionType
from typing import Any, cast

from lrscout.loops.generators import (
    Generator,
    Generators,
    as_generator,
    find_generators,
    global_generators,
    torch_generators,
)

_COUNTLESS = ("lrscout.", "tensorflow.", "torch.utils.data")
"""Where the data sets and samplers come from that keep no count, unless they have a `set_epoch`."""


def apart(loader: Any) -> Any:
    """Return data whose passes do not disturb the user's own pass over it, nor each other."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not isinstance(loader, torch.utils.data.DataLoader):
        return loader
    if hasattr(loader.dataset, "__next__") and isinstance(loader.dataset, torch.utils.data.IterableDataset):
        return iter(loader)  # The data set has one pass only: what is drawn must be kept.
    return without_persistent_workers(loader) if loader.persistent_workers else loader


def without_persistent_workers(loader: Any) -> Any:
    """Return a shallow copy of a loader whose every pass has workers of its own.

    Workers that stay have one iterator, which a new pass would take from the one before.
    """
    # Some loaders cannot be copied by `copy`, refuse new attributes, or say that they are of another class.
    kind = cast("Any", type(loader))
    own: Any = kind.__new__(kind)
    own.__dict__.update(loader.__dict__, persistent_workers=False, _iterator=None)
    return own


def generators_of(sources: Iterable[Any], *holders: Any) -> Generators:
    """Return every random generator that drawing from some sources, or a step, may use, and whatever counts along.

    Args:
        sources: loaders and other data, as the user gave them.
        holders: further objects in which generators may hide.
    """
    sources = [source for source in sources if source is not None]
    found = find_generators([*sources, *holders])
    counted = counters(part for source in sources for part in parts_of(source))
    return Generators([*global_generators(), *found, *torch_generators(), *counted])


def parts_of(loader: Any, depth: int = 4) -> list[Any]:
    """Return a loader with the parts of it that may count, such as a sampler with the number of its epoch."""
    inner: list[Any] = [getattr(loader, name, None) for name in ("sampler", "batch_sampler", "dataset", "collate_fn")]
    for several in (getattr(loader, name, None) for name in ("datasets", "flattened")):
        inner += several if isinstance(several, (list, tuple)) else []
    within = [part for each in inner if each is not None for part in parts_of(each, depth - 1)] if depth else []
    return [loader, *within]


def counters(parts: Iterable[Any]) -> list[Generator]:
    """Return what counts among some objects, each as a generator, which a seed leaves alone.

    So a count follows the batches: when a batch is drawn again, what drawing it did to the count is done again.
    """
    known = {id(part): part for part in parts if hasattr(part, "__dict__") and not _never_counts(part)}
    return [_counter(part) for part in known.values()]


def begin_epoch(loader: Any, epoch: int) -> None:
    """Tell a loader and the parts of it that draw their order from the number of an epoch to take this one."""
    for part in {id(part): part for part in parts_of(loader)}.values():
        if callable(getattr(part, "set_epoch", None)):
            part.set_epoch(epoch)


def _never_counts(part: Any) -> bool:
    """Whether this is a function, a class, or of a kind that is known to keep no count."""
    if isinstance(part, (type, FunctionType)):
        return True
    return type(part).__module__.startswith(_COUNTLESS) and not hasattr(part, "set_epoch")


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
            elif _is_shared_number(value):
                saved[name] = value, value.item()
            elif generator := as_generator(value):
                saved[name] = value, generator.save()
        return saved

    def load(saved: dict[str, tuple[Any, Any]]) -> None:
        for name, (value, state) in saved.items():
            attributes[name] = value
            if _is_shared_number(value):
                value.fill_(state)
            elif state is not None and (generator := as_generator(value)):
                generator.load(state)

    return Generator(save, load, lambda _: None)


def _is_shared_number(value: Any) -> bool:
    """Whether this is a number that processes share, a tensor of PyTorch without dimensions."""
    return getattr(value, "ndim", None) == 0 and hasattr(value, "fill_")
