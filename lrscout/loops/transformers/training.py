"""A trainer made ready for its first step, and put away again."""

from __future__ import annotations

import copy
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from torch.optim import Optimizer

from lrscout.core.imports import require
from lrscout.loops.generators import Generators, global_generators, torch_generators
from lrscout.loops.torch.guise import Guise, places_of
from lrscout.loops.transformers.data import Chain, Loader, Updates, apart

transformers = require("transformers", extra="transformers")
trainer_utils = require("transformers.trainer_utils", extra="transformers")
AcceleratedOptimizer = require("accelerate.optimizer", extra="transformers").AcceleratedOptimizer


class Training:
    """A trainer that is ready to take steps while it is visited, and as the user left it otherwise.

    Args:
        trainer: the trainer.
        eval_data: evaluation data, or None for the trainer's own.
    """

    def __init__(self, trainer: Any, eval_data: Any) -> None:
        self._trainer = trainer
        self._eval_data = trainer.eval_dataset if eval_data is None else eval_data
        generators = Generators([*global_generators(), *torch_generators()])
        before, verbosity = generators.save(), transformers.logging.get_verbosity()
        transformers.logging.set_verbosity_error()
        try:
            self._guise = Guise(_places(trainer), self._prepare)
        finally:
            generators.load(before)
            transformers.logging.set_verbosity(verbosity)

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer that is scouted: the trainer's own as soon as it has one."""
        live = _inner(self._trainer.optimizer)
        if live is not None and self._trainer.model is self._model:
            self._optimizer = live
        return self._optimizer

    @property
    def loaders(self) -> list[Any]:
        """Every loader, the training loader first."""
        return [self._loader, *([] if self.evaluation is None else self.evaluation.loaders)]

    @property
    def restartable(self) -> bool:
        """Whether the data can be passed over more than once."""
        return not hasattr(self._trainer.train_dataset, "__next__")

    @contextmanager
    def visit(self) -> Generator[None]:
        """Make the trainer ready while the block lasts."""
        optimizer = self.optimizer
        with self._guise.worn():
            if _inner(self._trainer.optimizer) is not optimizer:
                self._trainer.optimizer = self._accelerated(optimizer)
            yield

    def _prepare(self) -> None:
        trainer = self._trainer
        trainer.accelerator = _private(trainer.accelerator)
        trainer.callback_handler = copy.copy(trainer.callback_handler)
        trainer.callback_handler.callbacks = []
        trainer.log = trainer.create_scheduler = _do_nothing
        trainer._memory_tracker = trainer_utils.TrainerMemoryTracker(skip_memory_metrics=True)
        trainer.current_gradient_accumulation_steps = 1
        trainer.__dict__.pop("_eval_dataloaders", None)
        if trainer.optimizer is not None:
            trainer.optimizer = self._accelerated(_inner(trainer.optimizer))
        if trainer.is_in_train:  # A callback of the user's made this loop.
            trainer.state = copy.copy(trainer.state)
            self._begin(anew=False)
        else:
            # The trainer does all that it does before its first step, whatever the version, and is stopped there.
            trainer._inner_training_loop = self._begin
            transformers.Trainer.train(trainer)
        self._model = trainer.model
        trainer.optimizer = self._accelerated(_inner(trainer.optimizer))
        self._optimizer = _inner(trainer.optimizer)

    def _begin(self, batch_size: int = 0, *, anew: bool = True, **_: Any) -> None:
        trainer = self._trainer
        loader = trainer.get_train_dataloader()
        values = trainer.set_initial_training_values(trainer.args, loader)
        epochs, updates_in_epoch, batches_in_epoch, steps = *values[:2], *values[-2:]
        if anew:
            trainer._init_training_state(steps, updates_in_epoch, epochs, None, None)
        trainer._prepare_for_training(steps, loader, None)
        self._loader = apart(loader, trainer.accelerator)
        self.updates = Updates(trainer, self._loader, batches_in_epoch)
        self.evaluation = self._evaluation_batches()

    def _evaluation_batches(self) -> Chain | None:
        if self._eval_data is None:
            return None
        loaders: list[Any] = [
            data if isinstance(data, Loader) else self._trainer.get_eval_dataloader(data)
            for data in _each_of(self._eval_data)
        ]
        return Chain([apart(loader, self._trainer.accelerator) for loader in loaders])

    def _accelerated(self, optimizer: Any) -> Any:
        """Return an optimizer in accelerate's wrapper, of which the user's own accelerator does not know."""
        accelerator = self._trainer.accelerator
        accelerator._optimizers = []
        accelerated = accelerator.prepare_optimizer(optimizer, device_placement=False)
        accelerated.gradient_state = accelerator.gradient_state
        accelerated._is_accelerate_prepared = True
        return accelerated


def settings_of(model: Any) -> list[Any]:
    """Return the objects that hold a model's settings, into which it may write at its first step."""
    settings = [getattr(model, name, None) for name in ("config", "generation_config")]
    return [each for each in settings if hasattr(each, "__dict__")]


def _places(trainer: Any) -> list[dict[Any, Any]]:
    """Return the attributes that change when a trainer begins to train."""
    return [vars(trainer), *places_of(trainer.model), *map(vars, settings_of(trainer.model))]


def _private(accelerator: Any) -> Any:
    """Return an accelerator with the settings and the gradient scaler of the given one that keeps its own books."""
    private = copy.copy(accelerator)
    private._models, private._optimizers, private._schedulers, private._dataloaders = [], [], [], []
    private.gradient_state = copy.copy(accelerator.gradient_state)
    return private


def _inner(optimizer: Any) -> Any:
    return optimizer.optimizer if isinstance(optimizer, AcceleratedOptimizer) else optimizer


def _do_nothing(*_: Any, **__: Any) -> None:
    """Stand in for what would log, or make a scheduler."""


def _each_of(data: Any) -> list[Any]:
    """Return the data sets of a dictionary, or the only one."""
    return list(data.values()) if isinstance(data, dict) else [data]  # pyright: ignore
