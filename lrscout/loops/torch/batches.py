"""Batches of any structure, and loaders that leave the user's own pass alone."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable
from typing import Any, cast

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
