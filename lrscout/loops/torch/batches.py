"""Batches of any structure, and loaders that leave the user's own pass alone."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset


def apart(data: Iterable[Any]) -> Iterable[Any]:
    """Return data whose passes do not disturb the user's own pass over it."""
    if not isinstance(data, DataLoader):
        return data
    loader: Any = data  # pyright: ignore[reportUnknownVariableType]
    dataset: Any = loader.dataset
    if hasattr(dataset, "__next__") and isinstance(dataset, IterableDataset):
        return iter(loader)  # The data set has one pass only: what is drawn must be kept.
    if loader.persistent_workers:
        # Such a loader has one iterator, which every new pass resets.
        loader = copy.copy(loader)
        loader._iterator = None
    return loader


def counters_of(data: Any) -> list[Any]:
    """Return the parts of a loader that may count, such as a sampler with the number of its epoch."""
    if hasattr(data, "flattened"):  # Lightning's loader of several loaders.
        return [part for loader in data.flattened for part in counters_of(loader)]
    parts = [getattr(data, name, None) for name in ("sampler", "batch_sampler", "dataset")]
    return [*parts, getattr(parts[1], "sampler", None)]


def begin_epoch(data: Any, epoch: int) -> None:
    """Tell a loader and the parts of it that draw their order from the number of an epoch to take this one."""
    for part in {id(part): part for part in [data, *counters_of(data)]}.values():
        if callable(getattr(part, "set_epoch", None)):
            part.set_epoch(epoch)


def moved(batch: Any, device: torch.device) -> Any:
    """Return a batch with its tensors on a device."""
    if device.type == "cpu":
        return batch
    if hasattr(batch, "to"):
        return batch.to(device, non_blocking=True) if isinstance(batch, torch.Tensor) else batch.to(device)
    if isinstance(batch, dict):
        return {key: moved(item, device) for key, item in batch.items()}  # pyright: ignore
    if hasattr(batch, "_fields"):
        return type(batch)(*(moved(item, device) for item in batch))  # pyright: ignore
    if isinstance(batch, (list, tuple)):
        return type(batch)(moved(item, device) for item in batch)  # pyright: ignore
    if dataclasses.is_dataclass(batch):
        there = copy.copy(batch)
        for field in dataclasses.fields(batch):
            object.__setattr__(there, field.name, moved(getattr(batch, field.name), device))
        return there
    return batch
