"""Batches of any structure, on the model's device."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import torch


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
