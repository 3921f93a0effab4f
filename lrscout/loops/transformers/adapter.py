"""Hugging Face loops: a `transformers.Trainer` as it is."""

from __future__ import annotations

import copy
from collections.abc import Generator, Iterable
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch.optim import Optimizer

from lrscout.core.errors import UnsupportedLoopError
from lrscout.core.imports import require
from lrscout.loops.data import Data
from lrscout.loops.generators import Generators, find_generators, global_generators, torch_generators
from lrscout.loops.torch.guise import Guise, places_of
from lrscout.loops.torch.loop import TorchLoop, modules_of
from lrscout.loops.torch.memory import accelerator_generators
from lrscout.loops.torch.rates import Rates, check_steppable
from lrscout.loops.torch.reach import reached_by
from lrscout.loops.torch.steps import Draw, one_number
from lrscout.loops.transformers.data import Chain, Loader, Update, Updates, apart, counters

transformers = require("transformers", extra="transformers")
trainer_utils = require("transformers.trainer_utils", extra="transformers")
AcceleratedOptimizer = require("accelerate.optimizer", extra="transformers").AcceleratedOptimizer


def from_trainer(
    trainer: Any,
    *,
    group: int | str | None = None,
    eval_data: Any = None,
    stateful: Iterable[object] = (),
) -> TorchLoop:
    """Make a loop out of a Hugging Face `Trainer`.

    A step is the trainer's own: its sampler, collator and gradient accumulation, `training_step` and `compute_loss`
    (yours, if you override them), mixed precision, clipping and optimizer. Its scheduler is not stepped, no callback
    is called, nothing is logged and no file is written. A trainer that has trained is scouted with the optimizer that
    it has by then; one with a `model_init`, from the model that `train` would begin with.

    Args:
        trainer: the trainer, in any state. If it had no optimizer, it has none afterwards.
        group: the parameter group whose lr is scouted while the others are held, by its index or its ``"name"``: 0 is
            that with weight decay and 1 that without, unless you make the optimizer. By default all move together.
        eval_data: for `evaluate`: whatever `trainer.evaluate` takes, or a `DataLoader`; by default the trainer's
            `eval_dataset`, or else the batches of four training steps.
        stateful: further objects whose state a step changes, such as an averaged copy of the model.

    Returns:
        The loop.

    Raises:
        UnsupportedLoopError: `trainer` is no `Trainer`, or has no training data; it runs on DeepSpeed, FSDP, a TPU or
            another way of spreading one model; its optimizer updates during the backward pass (LOMO, layer-wise ones),
            needs a closure (LBFGS), has a step size of its own (Rprop, ASGD, Adafactor with `relative_step`), or has a
            learning rate of 0 throughout.
        InvalidValueError: there is no such group.

    >>> from tempfile import mkdtemp
    >>> class Line(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.slope = torch.nn.Parameter(torch.zeros(1))
    ...     def forward(self, x, labels):
    ...         return {"loss": (self.slope * x - labels).square().mean()}
    >>> arguments = transformers.TrainingArguments(mkdtemp(), optim="sgd", learning_rate=0.25, max_grad_norm=0)
    >>> trainer = transformers.Trainer(Line(), arguments, train_dataset=[{"x": 1.0, "labels": 2.0}] * 16)
    >>> loop = from_trainer(trainer)
    >>> loop.step(loop.lr), loop.step(loop.lr)
    (4.0, 1.0)
    """
    _check_trainer(trainer)
    training = _Training(trainer, eval_data)
    changed, used = reached_by([trainer.compute_loss_func, *_overridden(trainer)])
    with training.visit():
        scaler = trainer.accelerator.scaler
        # A model may write into its settings at its first step, such as the kind of problem that the labels pose.
        parts = [trainer, trainer.state, *_settings(trainer.model), *([] if scaler is None else [scaler])]
        roots = [*parts, *changed, *stateful]
        modules = modules_of(roots)
        check_steppable(training.optimizer, modules)
        _check_optimizer(training.optimizer)
    found = [
        *find_generators([*training.loaders, *used, trainer, *modules]),
        *counters(training.updates, training.loaders),
    ]
    generators = Generators([*global_generators(), *found, *torch_generators(), *accelerator_generators()])
    return TorchLoop(
        roots=roots,
        modules=modules,
        step=_TrainerStep(trainer),
        rates=_TrainerRates(training, group),
        eval_loss_of=_EvaluationLoss(trainer),
        data=Data(training.updates, training.evaluation, generators, restartable=training.restartable),
        source=training.updates,
        device=trainer.args.device,
        visit=training.visit,
        left_out=[trainer.train_dataset, trainer.eval_dataset],
    )


class _Training:
    """A trainer that is ready to take steps while it is visited, and as the user left it otherwise.

    Args:
        trainer: the trainer.
        eval_data: evaluation data, or None for the trainer's own.
    """

    def __init__(self, trainer: Any, eval_data: Any) -> None:
        self._trainer = trainer
        self._eval_data = trainer.eval_dataset if eval_data is None else eval_data
        generators = Generators([*global_generators(), *torch_generators(), *accelerator_generators()])
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


class _TrainerStep:
    """One update, as the trainer's own training loop makes it."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def __call__(self, draw: Draw) -> torch.Tensor:
        trainer = self._trainer
        update, model = draw(), trainer.model_wrapped
        model.zero_grad()
        loss = self._accumulate(model, update)
        if (trainer.args.max_grad_norm or 0) > 0:
            trainer._clip_grad_norm(model)
        trainer.optimizer.step()
        trainer.state.global_step += 1
        trainer.state.epoch = update.epochs
        return loss

    def _accumulate(self, model: Any, update: Update) -> torch.Tensor:
        trainer, gradients = self._trainer, self._trainer.accelerator.gradient_state
        trainer.current_gradient_accumulation_steps = len(update.batches)
        loss: Any = 0
        for left, batch in zip(reversed(range(len(update.batches))), update.batches, strict=True):
            gradients._set_sync_gradients(left == 0)
            at_once = left == 0 or gradients.plugin_kwargs.get("sync_each_batch", False)
            # A batch may be drawn again, so the step gets a copy to take apart.
            with nullcontext() if at_once else trainer.accelerator.no_sync(model=model):
                loss = loss + one_number(trainer.training_step(model, copy.copy(batch), update.items))
        return loss


class _TrainerRates(Rates):
    """The learning rates of the optimizer that the trainer has by then."""

    def __init__(self, training: _Training, group: int | str | None) -> None:
        self._training = training
        self._group = group
        self._optimizer = training.optimizer
        super().__init__(self._optimizer, group)

    @property
    def lr(self) -> float:
        self._follow()
        return super().lr

    def set(self, lr: float) -> None:
        self._follow()
        super().set(lr)

    def _follow(self) -> None:
        if self._training.optimizer is not self._optimizer:
            self.__init__(self._training, self._group)


class _EvaluationLoss:
    """The loss that the trainer's evaluation takes of a batch; of a training update, the mean over its batches."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def __call__(self, batch: Any) -> torch.Tensor:
        batches = batch.batches if isinstance(batch, Update) else [batch]
        self._trainer.optimizer.eval()  # Some optimizers keep other parameters for evaluation.
        return torch.stack([self._loss_of(batch) for batch in batches]).mean()

    def _loss_of(self, batch: Any) -> torch.Tensor:
        trainer = self._trainer
        loss, *_ = trainer.prediction_step(trainer.model, copy.copy(batch), prediction_loss_only=True)
        if loss is None:  # The batch has no labels by the names that the trainer knows.
            with trainer.compute_loss_context_manager():
                loss = trainer.compute_loss(trainer.model, trainer._prepare_inputs(copy.copy(batch)))
        return one_number(loss)


def _places(trainer: Any) -> list[dict[Any, Any]]:
    """Return the attributes that change when a trainer begins to train."""
    return [vars(trainer), *places_of(trainer.model), *map(vars, _settings(trainer.model))]


def _settings(model: Any) -> list[Any]:
    settings = [getattr(model, name, None) for name in ("config", "generation_config")]
    return [each for each in settings if hasattr(each, "__dict__")]


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


def _overridden(trainer: Any) -> list[Any]:
    """Return what the user wrote in the place of the trainer's own methods."""
    methods = [getattr(method, "__func__", method) for method in (trainer.compute_loss, trainer.training_step)]
    return [method for method in methods if _is_users(method)]


def _is_users(method: Any) -> bool:
    return not method.__module__.startswith("transformers.")


def _check_trainer(trainer: Any) -> None:
    if not isinstance(trainer, transformers.Trainer):
        raise UnsupportedLoopError(
            f"trainer must be a transformers.Trainer, but it is a {type(trainer).__name__}. "
            "For a loop of your own, use lrscout.from_torch."
        )
    if not hasattr(trainer, "_prepare_for_training"):
        raise UnsupportedLoopError(
            f"This needs transformers 5.3 or later, but {transformers.__version__} is installed. "
            "Install it with: pip install 'lrscout[transformers]'"
        )
    if trainer.train_dataset is None and not _is_users(trainer.get_train_dataloader):
        raise UnsupportedLoopError("The trainer has no training data. Give it a train_dataset.")
    if spread := _how_spread(trainer):
        raise UnsupportedLoopError(
            f"Cannot bring a model home that is spread by {spread}. Scout on one device, or with one whole copy of the "
            "model in each process."
        )
    optim = str(getattr(trainer.args.optim, "value", trainer.args.optim))
    if "lomo" in optim or "layerwise" in optim:
        raise UnsupportedLoopError(
            f'Cannot scout optim="{optim}" because it updates the parameters during the backward '
            "pass, before the step. Choose an optimizer that updates afterwards."
        )


def _how_spread(trainer: Any) -> str | None:
    """Return what spreads the trainer's model over devices, or None where each has a copy of it."""
    kind = trainer.accelerator.distributed_type.value
    if trainer.is_deepspeed_enabled:
        return "DeepSpeed"
    if trainer.is_fsdp_enabled or trainer.is_fsdp_xla_enabled:
        return "FSDP"
    if transformers.utils.is_sagemaker_mp_enabled():
        return "SageMaker"
    if kind != "NO" and not kind.startswith("MULTI_"):
        return kind
    if trainer.accelerator.parallelism_config is not None or getattr(
        trainer, "is_distributed_loading_by_transformers", False
    ):
        return "tensor, context or sequence parallelism"
    return None


def _check_optimizer(optimizer: Optimizer) -> None:
    if any(group.get("relative_step") for group in optimizer.param_groups):
        raise UnsupportedLoopError(
            "Cannot step Adafactor at a chosen learning rate because relative_step gives it a step size of its own. "
            "Set relative_step=False and an lr."
        )
