"""A Lightning trainer that makes no noise and writes no file, for the user's module to run under."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import is_dataclass
from importlib import import_module
from typing import Any

import torch

from lrscout.core.errors import UnsupportedLoopError

_SEVERAL_PROCESSES = ("FSDPStrategy", "DeepSpeedStrategy", "ModelParallelStrategy", "XLAStrategy", "XLAFSDPStrategy")
_ANOTHER_KIND_OF_DEVICE = ("SingleDeviceXLAStrategy",)
# Whichever of them was imported last speaks for all.
_LOGS = ("lightning.pytorch", "lightning.fabric", "pytorch_lightning", "lightning_fabric")
_EPOCHS = 1000  # What Lightning takes where the user sets no end.


class Package:
    """Lightning under the name that the user imports it by: `lightning.pytorch` or `pytorch_lightning`.

    Args:
        name: the name.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, path: str) -> Any:
        return import_module(f"{self._name}.{path}")

    @contextmanager
    def silence(self) -> Generator[None]:
        """Keep what Lightning says about its setting up to itself."""
        logs = [logging.getLogger(name) for name in _LOGS]
        levels = [log.level for log in logs]
        try:
            for log in logs:
                log.setLevel(logging.ERROR)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            for log, level in zip(logs, levels, strict=True):
                log.setLevel(level)


def package_of(thing: object, kind: str) -> Package | None:
    """Return the package that a thing's class comes from if it is of a kind, such as ``"LightningModule"``."""
    for ancestor in type(thing).__mro__:
        name, is_core, _ = ancestor.__module__.rpartition(".core.")
        if ancestor.__name__ == kind and is_core:
            return Package(name)
    return None


class Logged(dict[str, Any]):
    """What a module logged in its last step, by name, in place of Lightning's running means over the epoch."""

    batch: Any = None
    batch_size: int | None = None
    dataloader_idx: int | None = None

    def log(self, _: str, name: str, value: Any, **options: Any) -> None:
        """Take one value; of a metric, what it made of the step's batch."""
        del options
        self[name] = getattr(value, "_forward_cache", value)

    def metrics(self, on_step: bool) -> dict[str, dict[str, Any]]:
        """Return the values as Lightning sorts them for its logs, its progress bar and its callbacks."""
        del on_step
        tensors = {name: value for name, value in self.items() if isinstance(value, torch.Tensor)}
        return {"callback": tensors, "log": tensors, "pbar": tensors}

    def reset(self, *_: Any, **__: Any) -> None:
        """Keep all: every step begins with nothing."""


def silent_trainer(package: Package, like: Any, device: torch.device) -> Any:
    """Return a trainer with nothing attached to it.

    Args:
        package: the user's Lightning.
        like: the user's trainer, whose device, precision, clipping, accumulation and limits are taken, or None.
        device: where to train if there is no such trainer.

    Raises:
        UnsupportedLoopError: the user's trainer spreads a model over several processes, or runs on a TPU.
    """
    strategy = package("strategies").SingleDeviceStrategy(**_place(package, like, device))
    options: dict[str, Any] = {"max_epochs": _EPOCHS}
    if like is not None:
        _refuse_what_cannot_run_here(like)
        endless = -1 if like.max_steps >= 0 else _EPOCHS
        clipping = like.gradient_clip_algorithm
        options = {
            "max_epochs": like.max_epochs if like.max_epochs is not None else endless,
            "max_steps": like.max_steps,
            "gradient_clip_val": like.gradient_clip_val,
            "gradient_clip_algorithm": None if clipping is None else clipping.value,
            "accumulate_grad_batches": like.accumulate_grad_batches * _processes_left_out(like),
            "limit_train_batches": like.limit_train_batches,
            "limit_val_batches": like.limit_val_batches,
            "log_every_n_steps": like.log_every_n_steps,
            "default_root_dir": like.default_root_dir,
        }
    with package.silence():
        trainer = package("trainer").Trainer(
            strategy=strategy,
            logger=package("loggers.logger").DummyLogger(),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            **options,
        )
    trainer.callbacks = []  # Other packages may bring some by themselves.
    states = package("trainer.states")
    trainer.state.fn, trainer.state.status = states.TrainerFn.FITTING, states.TrainerStatus.RUNNING
    trainer.training = True
    trainer.fit_loop.epoch_loop._results = Logged()
    trainer.fit_loop.epoch_loop.val_loop._results = Logged()
    return trainer


def _place(package: Package, like: Any, device: torch.device) -> dict[str, Any]:
    if like is not None:
        strategy = like.strategy
        return {
            "device": strategy.root_device,
            "accelerator": like.accelerator,
            "precision_plugin": strategy.precision_plugin,
        }
    accelerators = package("accelerators")
    kinds = {"cuda": accelerators.CUDAAccelerator, "mps": accelerators.MPSAccelerator}
    return {"device": device, "accelerator": kinds.get(device.type, accelerators.CPUAccelerator)()}


def _refuse_what_cannot_run_here(trainer: Any) -> None:
    kinds = [ancestor.__name__ for ancestor in type(trainer.strategy).__mro__]
    name = kinds[0]
    if any(kind in _SEVERAL_PROCESSES for kind in kinds):
        raise UnsupportedLoopError(
            f"Cannot scout under {name}, which spreads the model over several processes. Give a trainer with "
            "devices=1 and strategy='auto', and a smaller module of the same shape if one device cannot hold it."
        )
    if any(kind in _ANOTHER_KIND_OF_DEVICE for kind in kinds):
        raise UnsupportedLoopError(
            f"Cannot scout under {name} because its steps run when the device likes. Give a trainer with "
            "accelerator='cpu' or 'gpu'."
        )


def _processes_left_out(trainer: Any) -> int:
    """Return how many processes would share an update, whose batches one process has to take one after another."""
    together = torch.distributed.is_available() and torch.distributed.is_initialized()
    return 1 if together else trainer.world_size


class Counts:
    """The counts of epochs, batches and steps of a trainer.

    Args:
        trainer: the trainer.
    """

    def __init__(self, trainer: Any) -> None:
        fit_loop = trainer.fit_loop
        epoch_loop = fit_loop.epoch_loop
        self._places = [
            (fit_loop, "epoch_progress"),
            (epoch_loop, "batch_progress"),
            (epoch_loop.automatic_optimization, "optim_progress"),
            (epoch_loop.manual_optimization, "optim_step_progress"),
        ]

    def begin_anew(self) -> None:
        """Count from 0."""
        for owner, name in self._places:
            count = deepcopy(getattr(owner, name))
            for part in _parts(count):
                if hasattr(part, "ready"):
                    part.reset()
            setattr(owner, name, count)

    def continue_from(self, other: Counts) -> None:
        """Count on from where another trainer is."""
        for (owner, name), (source, _) in zip(self._places, other._places, strict=True):
            setattr(owner, name, deepcopy(getattr(source, name)))

    def objects(self) -> list[object]:
        """Return the objects that change as the trainer counts."""
        return [part for owner, name in self._places for part in (owner, *_parts(getattr(owner, name)))]


def _parts(count: Any) -> Iterator[Any]:
    yield count
    for part in count.__dict__.values():
        if is_dataclass(part):
            yield from _parts(part)
