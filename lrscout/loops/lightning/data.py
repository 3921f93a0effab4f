"""The batches that Lightning draws from loaders, collections of loaders and data modules."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from torch.utils.data import DataLoader

from lrscout.loops.data import LONGEST_EVALUATION_ITERATOR
from lrscout.loops.lightning.trainer import Package
from lrscout.loops.loaders import apart

_CONTAINERS: Any = (dict, list, set)


class Passes:
    """Passes over a loader, or over a collection of loaders as Lightning combines them.

    Args:
        package: the user's Lightning.
        data: a loader or another iterable of batches, a dictionary or list of loaders, or a `CombinedLoader`.
        mode: how Lightning combines a collection that does not say so itself.
        limit: how many batches of each loader a pass has, or which share of them.
    """

    def __init__(self, package: Package, data: Any, mode: str, limit: float) -> None:
        combined_loader = package("utilities.combined_loader").CombinedLoader
        if isinstance(data, dict) or _is_list_of_loaders(data):
            data = combined_loader(data, mode)
        self.source: Any = data
        self.combines = isinstance(data, combined_loader)
        self._loaders: list[Any] = data.flattened if self.combines else [data]
        self._limits = [_limited(_length(loader), limit) for loader in self._loaders]
        self.number = (0, 0)

    @property
    def loaders(self) -> int:
        """How many loaders there are."""
        return len(self._loaders)

    @property
    def batches(self) -> float:
        """How many batches there are in a pass, or infinity."""
        mode = self.source._mode if self.combines else ""
        return {"min_size": min, "sequential": sum}.get(mode, max)(self._limits)

    def __iter__(self) -> Iterator[Any]:
        for batch, *number in self._numbered():
            self.number = tuple(number)
            yield batch

    def _numbered(self) -> Iterator[tuple[Any, int, int]]:
        if self.combines:
            # Such a loader keeps its one iterator to itself, which another pass would replace.
            combined = copy.copy(self.source)
            combined._flattened = [apart(loader) for loader in self._loaders]
            combined.limits = self._limits
            yield from combined
            return
        data: Any = apart(self.source)
        if _has_one_pass(data):
            data = self.source = _first_of(data)
        limit = self._limits[0]
        most = None if math.isinf(limit) else int(limit)
        batches: Iterator[Any] = iter(data)
        for number, batch in enumerate(islice(batches, most)):
            yield batch, number, 0


def _has_one_pass(data: Any) -> bool:
    return hasattr(data, "__next__")


def _first_of(iterator: Any) -> list[Any]:
    """Return the first batches of what can be passed over only once."""
    return [batch for batch, _ in zip(iterator, range(LONGEST_EVALUATION_ITERATOR), strict=False)]


def _is_list_of_loaders(data: Any) -> bool:
    return isinstance(data, (list, tuple)) and bool(data) and all(isinstance(part, DataLoader) for part in data)  # pyright: ignore


def _length(loader: Any) -> float:
    try:
        return len(loader)
    except (TypeError, NotImplementedError):
        return math.inf


def _limited(length: float, limit: float) -> float:
    if isinstance(limit, int):
        return min(length, limit)
    return length if math.isinf(length) else int(length * limit)


def twin_of(datamodule: Any) -> Any:
    """Return a data module with the same contents, whose hooks leave the attributes of the first one alone."""
    twin = copy.copy(datamodule)
    attributes: dict[str, Any] = twin.__dict__
    attributes.update({name: copy.copy(value) for name, value in attributes.items() if isinstance(value, _CONTAINERS)})
    return twin


def training_source(passes: Passes) -> Iterable[Any]:
    """Return what a loop draws from: the passes, or the iterator itself where there can be one pass only."""
    once = apart(passes.source)
    return once if _has_one_pass(once) and not passes.combines else passes
