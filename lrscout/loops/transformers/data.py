"""The data side of a Hugging Face trainer: its loaders, update by update."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader

from lrscout.core.imports import require
from lrscout.loops.data import batch_size_of
from lrscout.loops.loaders import begin_epoch, without_persistent_workers

trainer_utils = require("transformers.trainer_utils", extra="transformers")

Loader: Any = DataLoader
"""PyTorch's loader; accelerate's loaders say that they are instances of it."""


@dataclass(frozen=True)
class Update:
    """What one update takes.

    Args:
        batches: the batches whose gradients are accumulated.
        items: what the trainer counts in them to average the loss by, or None.
        epochs: the epochs that have passed after the update.
    """

    batches: Sequence[Any]
    items: Any
    epochs: float

    @property
    def examples(self) -> int:
        """How many examples there are in all the batches."""
        return sum(map(batch_size_of, self.batches))


class Updates:
    """Pass after pass over a trainer's batches, as many at a time as one update takes.

    Args:
        trainer: the trainer.
        loader: its training loader.
        batches_in_epoch: the number of batches in what the trainer takes for an epoch.
    """

    def __init__(self, trainer: Any, loader: Any, batches_in_epoch: int) -> None:
        self._trainer = trainer
        self._loader = loader
        self._batches_in_epoch = batches_in_epoch
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass be that of an epoch."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[Update]:
        arguments = self._trainer.args
        epoch, drawn = self._epoch, 0
        # A loader without a length is passed over to its end.
        length = len(self._loader) if trainer_utils.has_length(self._loader) else None
        begin_epoch(self._loader, epoch)
        batches = iter(self._loader)
        while drawn != length:
            most = arguments.gradient_accumulation_steps
            wanted = most if length is None else min(most, length - drawn)
            taken, items = self._trainer.get_batch_samples(batches, wanted, arguments.device)
            if not taken:
                break
            drawn += len(taken)
            yield Update(taken, items, epoch + drawn / self._batches_in_epoch)
        self._epoch = epoch + 1


class Chain:
    """The batches of several loaders, one loader after another."""

    def __init__(self, loaders: Sequence[Any]) -> None:
        self.loaders = loaders

    def __iter__(self) -> Iterator[Any]:
        for loader in self.loaders:
            yield from loader


def apart(loader: Any, accelerator: Any) -> Any:
    """Return a loader over the same data whose passes disturb no other pass, nor any but the given accelerator."""
    if not isinstance(loader, Loader):
        return loader
    own = base = without_persistent_workers(loader)
    if hasattr(own, "base_dataloader"):
        own.gradient_state = accelerator.gradient_state
        base = own.base_dataloader = without_persistent_workers(own.base_dataloader)
    # PyTorch warns at every pass where memory cannot be pinned.
    base.__dict__.update(pin_memory=base.pin_memory and accelerator.device.type != "cpu")
    return own


def collators_of(loaders: Sequence[Any]) -> list[Any]:
    """Return the data collators that the loaders' own, which leave columns out, stand before."""
    return [getattr(getattr(loader, "collate_fn", None), "data_collator", None) for loader in loaders]
