"""Setting a Lightning module up for its first batch, as `Trainer.fit` does, under a trainer that makes no noise."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch

from lrscout.core.errors import UnsupportedLoopError
from lrscout.loops.lightning.data import Passes, twin_of
from lrscout.loops.lightning.trainer import Counts, Package, package_of, silent_trainer


class Attached:
    """Attaches a module to a trainer for a while.

    Args:
        module: the module, with the modules in it that a trainer would be told to as well.
        trainer: the trainer.
    """

    def __init__(self, module: Any, trainer: Any) -> None:
        # Setting an attribute of a module itself is slow.
        self._parts: list[dict[str, Any]] = [vars(part) for part in module.modules() if "_trainer" in vars(part)]
        self._trainer = trainer

    @contextmanager
    def __call__(self) -> Generator[None]:
        links = [(part["_trainer"], part["_fabric"]) for part in self._parts]
        for part in self._parts:
            part["_trainer"], part["_fabric"] = self._trainer, None
        try:
            yield
        finally:
            for part, (trainer, fabric) in zip(self._parts, links, strict=True):
                part["_trainer"], part["_fabric"] = trainer, fabric


class Fitting:
    """Begins fits of a module, each from what the module is at that moment.

    Args:
        package: the user's Lightning.
        module: the module.
        data: a data module, loaders, or None for those of the user's trainer or of the module itself.
        eval_data: loaders, or None likewise.
        trainer: the user's trainer, or None for the one that the module is attached to.
    """

    def __init__(self, package: Package, module: Any, data: Any, eval_data: Any, trainer: Any) -> None:
        self._package = package
        self._call = package("trainer.call")
        self._is_overridden = package("utilities.model_helpers").is_overridden
        self._module = module
        self._data, self._eval_data = data, eval_data
        self._datamodule: Any = None
        self._given_trainer = trainer
        self._silent: tuple[Any, Any] | None = None
        self._passes: Passes | None = None
        self.eval_passes: Passes | None = None

    @property
    def passes(self) -> Passes:
        """The passes over the training data, known once a fit has begun."""
        assert self._passes is not None
        return self._passes

    def begin(self) -> Any:
        """Set the module up, make its optimizers or take over those of a fit, and return the trainer that did it."""
        like = self._users_trainer()
        trainer = self._trainer_like(like)
        with self._package.silence(), Attached(self._module, trainer)():
            trainer.strategy.connect(self._module)
            trainer.strategy.setup_environment()
            if self._has_fitted(like):
                self._take_over(trainer, like)
            else:
                self._set_up(trainer)
            trainer.fit_loop.epoch_loop.batch_progress.reset_on_run()  # The loop opens a pass of its own.
        return trainer

    @property
    def holders(self) -> list[object]:
        """What may hold random generators, before a fit has begun."""
        return [self._module, self._data, self._eval_data]

    def state_at_home(self) -> list[object]:
        """Return what a fit would change of what the user has, the data apart."""
        like = self._users_trainer()
        state: list[object] = [self._module]
        if like is not None:
            state += _scaler_of(like)
        if like is not None and self._has_fitted(like):
            state += [*like.optimizers, *_schedulers_of(like)]
        return state

    def state_of(self, trainer: Any) -> list[object]:
        """Return what the steps under a trainer change, the data apart."""
        counted = Counts(trainer).objects()
        optimizers = [*trainer.optimizers, *_schedulers_of(trainer)]
        return [self._module, *optimizers, *_scaler_of(trainer), trainer.strategy, *counted]

    def _users_trainer(self) -> Any:
        return self._given_trainer if self._given_trainer is not None else self._module._trainer

    def _trainer_like(self, like: Any) -> Any:
        if self._silent is None or self._silent[0] is not like:
            device = next((parameter.device for parameter in self._module.parameters()), torch.device("cpu"))
            self._silent = like, silent_trainer(self._package, like, device)
        return self._silent[1]

    def _has_fitted(self, trainer: Any) -> bool:
        """Whether a trainer holds optimizers of the module as it is."""
        if trainer is None or trainer.lightning_module is not self._module or not trainer.optimizers:
            return False
        present = {id(parameter) for parameter in self._module.parameters()}
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        return all(id(parameter) in present for group in groups for parameter in group["params"])

    def _take_over(self, trainer: Any, like: Any) -> None:
        Counts(trainer).continue_from(Counts(like))
        is_set_up = self._data is None or like.datamodule is self._data
        self._attach_datamodule(trainer, like.datamodule if self._data is None else self._data, is_set_up)
        if self._data is None and like.train_dataloader is not None:
            evaluation = like.val_dataloaders if self._eval_data is None else self._eval_data
            self._attach_loaders(trainer, like.train_dataloader, evaluation)
        else:
            self._request_loaders(trainer)
        strategy = trainer.strategy
        strategy.model_to_device()  # A fit that has ended leaves all of it on the CPU.
        strategy.optimizers, strategy.lr_scheduler_configs = like.optimizers, like.lr_scheduler_configs
        strategy.setup_precision_plugin()
        self._package("strategies.strategy")._optimizers_to_device(strategy.optimizers, strategy.root_device)

    def _set_up(self, trainer: Any) -> None:
        Counts(trainer).begin_anew()
        for part in self._module.modules():
            if hasattr(part, "_device"):  # Hooks may ask where the module is going to be.
                part._device = trainer.strategy.root_device
        self._attach_datamodule(trainer, self._data, is_set_up=False)
        self._hook(trainer, "setup", stage="fit")
        self._call._call_configure_model(trainer)
        self._request_loaders(trainer)
        trainer.strategy.setup(trainer)
        if type(trainer.optimizers[0]).__name__ == "_MockOptimizer":
            raise UnsupportedLoopError("configure_optimizers returned None. Let it return the optimizer to scout.")
        self._hook(trainer, "on_fit_start")
        self._module.zero_grad()
        self._hook(trainer, "on_train_start")
        epochs = trainer.fit_loop.epoch_progress
        epochs.increment_ready()
        self._hook(trainer, "on_train_epoch_start")
        epochs.increment_started()

    def _attach_datamodule(self, trainer: Any, data: Any, is_set_up: bool) -> None:
        is_first = self._passes is None
        if is_first and package_of(data, "LightningDataModule"):
            self._datamodule = twin_of(data)
        trainer._data_connector.attach_data(self._module, datamodule=self._datamodule)
        if is_first and not is_set_up:
            trainer._data_connector.prepare_data()
            if self._datamodule is not None:
                self._call._call_lightning_datamodule_hook(trainer, "setup", stage="fit")

    def _request_loaders(self, trainer: Any) -> None:
        given = None if self._datamodule is not None else self._data
        training = given if given is not None else self._requested(trainer, "train_dataloader")
        evaluation = self._eval_data if self._eval_data is not None else self._requested(trainer, "val_dataloader")
        self._attach_loaders(trainer, training, evaluation)

    def _requested(self, trainer: Any, name: str) -> Any:
        loaders: Any = None
        if self._passes is not None:
            return None
        if self._datamodule is not None and self._is_overridden(name, self._datamodule):
            loaders = self._call._call_lightning_datamodule_hook(trainer, name)
        elif self._is_overridden(name, self._module):
            loaders = self._hook(trainer, name)
        return None if loaders == [] else loaders

    def _attach_loaders(self, trainer: Any, training: Any, evaluation: Any) -> None:
        if self._passes is None:
            if training is None:
                raise UnsupportedLoopError(
                    "There are no training batches. Give data: a DataLoader, or a data module with a train_dataloader."
                )
            self._passes = Passes(self._package, training, "max_size_cycle", trainer.limit_train_batches)
            if evaluation is not None and trainer.limit_val_batches:
                self.eval_passes = Passes(self._package, evaluation, "sequential", trainer.limit_val_batches)
        combined_loader = self._package("utilities.combined_loader").CombinedLoader
        fit_loop = trainer.fit_loop
        fit_loop.max_batches = self._passes.batches
        fit_loop._combined_loader = combined_loader(self._passes.source, "max_size_cycle")
        if self.eval_passes is not None:
            fit_loop.epoch_loop.val_loop._combined_loader = combined_loader(self.eval_passes.source, "sequential")

    def _hook(self, trainer: Any, name: str, **arguments: Any) -> Any:
        return self._call._call_lightning_module_hook(trainer, name, **arguments)


def _schedulers_of(trainer: Any) -> list[object]:
    return [config.scheduler for config in trainer.lr_scheduler_configs]


def _scaler_of(trainer: Any) -> list[object]:
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    return [] if scaler is None else [scaler]
