"""The ways in which a Lightning module takes one step, and how it evaluates itself."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch.optim import Optimizer

from lrscout.core.errors import LandscapeUnavailableError, LossError, UnsupportedLoopError
from lrscout.loops.lightning.data import Passes
from lrscout.loops.lightning.trainer import Logged, Package
from lrscout.loops.torch.steps import Backward, Draw, one_number

_HOOKS_AROUND_A_STEP = (
    "on_before_batch_transfer",
    "transfer_batch_to_device",
    "on_after_batch_transfer",
    "on_train_batch_start",
    "on_before_zero_grad",
    "optimizer_zero_grad",
    "on_before_backward",
    "backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "configure_gradient_clipping",
    "optimizer_step",
    "on_train_batch_end",
)
_MOST_SKIPPED = 1000
_SKIPPED = f"training_step gave no loss for {_MOST_SKIPPED} batches in a row."


def step_of(package: Package, trainer: Any, optimizer: Optimizer, loss: str | None) -> PlainStep | LightningStep:
    """Return the step of the module that a trainer holds.

    Args:
        package: the user's Lightning.
        trainer: the trainer.
        optimizer: the optimizer whose lr is scouted.
        loss: the name of the logged value that is the loss, or None for what `training_step` returns.
    """
    if takes_plain_steps(package, trainer, optimizer):
        return PlainStep(trainer, optimizer, loss)
    return LightningStep(package, trainer, loss)


def takes_plain_steps(package: Package, trainer: Any, optimizer: Optimizer) -> bool:
    """Whether a step is nothing but loss, backward pass and update, for which Lightning's loop only costs time."""
    is_overridden = package("utilities.model_helpers").is_overridden
    module, datamodule = trainer.lightning_module, trainer.datamodule
    return (
        module.automatic_optimization
        and trainer.accumulate_grad_batches == 1
        and type(trainer.precision_plugin) is package("plugins.precision").Precision
        and (not trainer.gradient_clip_val or trainer.gradient_clip_algorithm in (None, "norm"))
        # Some other optimizers call the closure that Lightning gives them more than once.
        and type(optimizer).__module__.startswith("torch.optim.")
        and not any(is_overridden(hook, module) for hook in _HOOKS_AROUND_A_STEP)
        and not any(datamodule is not None and is_overridden(hook, datamodule) for hook in _HOOKS_AROUND_A_STEP[:3])
    )


class PlainStep:
    """A step in which the module has no hook of its own; what it computes is what Lightning's loop computes.

    Args:
        trainer: the trainer that holds the module.
        optimizer: its optimizer.
        loss: the name of the logged value that is the loss, or None.
    """

    moves_batches = False

    def __init__(self, trainer: Any, optimizer: Optimizer, loss: str | None) -> None:
        self._module = trainer.lightning_module
        self._epoch_loop = trainer.fit_loop.epoch_loop
        self._batches = trainer.num_training_batches
        self._logged: Logged = self._epoch_loop._results
        self._loss = loss
        self._takes_index = "batch_idx" in self._epoch_loop._build_kwargs({}, None, 0)
        self._backward = Backward(self._loss_of, optimizer, clip_norm=trainer.gradient_clip_val or None)
        self._draw: Draw = _no_batch

    def __call__(self, draw: Draw) -> torch.Tensor:
        self._logged.clear()
        self._draw = draw
        try:
            loss = self._backward(draw)
        finally:
            self._draw = _no_batch
        self._count_update()
        return loss if self._loss is None else logged_loss(self._logged, self._loss)

    def _loss_of(self, batch: Any) -> torch.Tensor:
        for _ in range(_MOST_SKIPPED):
            output = self._training_step(batch)
            if output is not None:
                return returned_loss(output)
            # Lightning counts a step that is skipped, too.
            self._count_update()
            batch = self._draw()
        raise LossError(_SKIPPED)

    def _training_step(self, batch: Any) -> Any:
        progress = self._epoch_loop.batch_progress
        begin_pass_if_over(progress, self._batches)
        progress.increment_ready()
        progress.increment_started()
        # Setting an attribute of a module is slow, and every step would do it twice.
        attributes: dict[str, Any] = self._module.__dict__
        attributes["_current_fx_name"] = "training_step"
        try:
            return self._module.training_step(*((batch, progress.current.ready - 1) if self._takes_index else (batch,)))
        finally:
            attributes["_current_fx_name"] = None
            progress.increment_processed()
            progress.increment_completed()

    def _count_update(self) -> None:
        step = self._epoch_loop.automatic_optimization.optim_progress.optimizer.step
        step.increment_ready()
        step.increment_completed()


class LightningStep:
    """A step by Lightning's own loops, with every hook of the module, for as many batches as one update takes.

    Args:
        package: the user's Lightning.
        trainer: the trainer that holds the module.
        loss: the name of the logged value that is the loss, or None.
    """

    moves_batches = True

    def __init__(self, package: Package, trainer: Any, loss: str | None) -> None:
        self._call = package("trainer.call")
        self._trainer = trainer
        self._epoch_loop = trainer.fit_loop.epoch_loop
        self._logged: Logged = self._epoch_loop._results
        self._loss = loss
        self._accumulate = int(min(trainer.accumulate_grad_batches, trainer.num_training_batches))

    def __call__(self, draw: Draw) -> torch.Tensor:
        for _ in range(_MOST_SKIPPED):
            losses = [loss for _ in range(self._accumulate) if (loss := self._loss_of(draw())) is not None]
            if losses:
                return losses[0] if self._accumulate == 1 else torch.stack(losses).mean()
        raise LossError(_SKIPPED)

    def _loss_of(self, batch: Any) -> torch.Tensor | None:
        self._logged.clear()
        output = self._run(batch)
        if output is None:
            return None
        if self._loss is not None:
            return logged_loss(self._logged, self._loss)
        if self._trainer.lightning_module.automatic_optimization:
            # Lightning has divided the loss, so that the gradients of an update are a mean.
            return output["loss"] * self._trainer.accumulate_grad_batches if output else None
        if output.get("loss") is None:
            raise LossError(
                "training_step returns no loss. Return the one to watch, or name a value that it logs: "
                f"loss= one of {sorted(self._logged)}."
            )
        return one_number(output["loss"]).detach()

    def _run(self, batch: Any) -> dict[str, Any] | None:
        """Run one batch through the hooks, as Lightning's loop over an epoch does; None if a hook leaves it out."""
        progress = self._epoch_loop.batch_progress
        begin_pass_if_over(progress, self._trainer.num_training_batches, self._accumulate)
        progress.increment_ready()
        index = progress.current.ready - 1
        batch = to_device(self._call, self._trainer, batch)
        if self._hook("on_train_batch_start", batch, index) == -1:
            return None
        progress.increment_started()
        output = self._optimize(batch, index)
        progress.increment_processed()
        self._hook("on_train_batch_end", output, batch, index)
        progress.increment_completed()
        return output

    def _optimize(self, batch: Any, index: int) -> dict[str, Any]:
        arguments = self._epoch_loop._build_kwargs({}, batch, index)
        if not self._trainer.lightning_module.automatic_optimization:
            return self._epoch_loop.manual_optimization.run(arguments)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r".*`training_step` returned `None`")
            return self._epoch_loop.automatic_optimization.run(self._trainer.optimizers[0], index, arguments)

    def _hook(self, name: str, *arguments: Any) -> Any:
        return self._call._call_lightning_module_hook(self._trainer, name, *arguments)


class TrainingLoss:
    """The loss whose gradient a step of automatic optimization takes.

    Args:
        package: the user's Lightning.
        trainer: the trainer that holds the module.
    """

    def __init__(self, package: Package, trainer: Any) -> None:
        self._call = package("trainer.call")
        self._trainer = trainer

    def __call__(self, batch: Any) -> torch.Tensor:
        loss = _training_loss(self._call, self._trainer, to_device(self._call, self._trainer, batch))
        if loss is None:
            raise LandscapeUnavailableError(
                "training_step gives no loss for a batch of the landscape's. Let it skip no batch where it is measured."
            )
        return loss


class Evaluation:
    """The loss of an evaluation batch.

    Args:
        package: the user's Lightning.
        trainer: the trainer that holds the module.
        passes: the evaluation data, or None where training batches stand in for them.
        loss: the name of the logged value that is the loss, or None.
    """

    def __init__(self, package: Package, trainer: Any, passes: Passes | None, loss: str | None) -> None:
        self._call = package("trainer.call")
        self._trainer = trainer
        self._passes = passes
        self._loss = loss
        module = trainer.lightning_module
        self._validates = package("utilities.model_helpers").is_overridden("validation_step", module)
        if passes is None and module.automatic_optimization:
            self._validates = False  # The batches are those of training_step.

    def __call__(self, batch: Any) -> torch.Tensor:
        batch = to_device(self._call, self._trainer, batch)
        if self._validates:
            return self._validation_loss(batch)
        if not self._trainer.lightning_module.automatic_optimization:
            raise UnsupportedLoopError(
                "Cannot evaluate this module because its training_step also trains. Give it a validation_step."
            )
        loss = _training_loss(self._call, self._trainer, batch)
        if loss is None:
            raise LossError("training_step gave no loss for an evaluation batch. Give the module a validation_step.")
        return loss

    def _validation_loss(self, batch: Any) -> torch.Tensor:
        logged: Logged = self._trainer.fit_loop.epoch_loop.val_loop._results
        logged.clear()
        self._trainer.validating = True
        try:
            output = self._validation_step(batch)
        finally:
            self._trainer.training = True
        if self._loss is not None:
            return logged_loss(logged, self._loss)
        if output is not None:
            return returned_loss(output)
        names = [name for name in logged if "loss" in name]
        if "val_loss" in names or len(names) == 1:
            return logged_loss(logged, "val_loss" if "val_loss" in names else names[0])
        raise LossError(
            "validation_step returns no loss. Return the one to watch, or name a value that it logs: "
            f"eval_loss= one of {sorted(logged)}."
        )

    def _validation_step(self, batch: Any) -> Any:
        numbers = (0, 0) if self._passes is None else self._passes.number
        several = self._passes is not None and self._passes.loaders > 1
        if numbers == (0, 0):
            self._hook("on_validation_start")
            self._hook("on_validation_epoch_start")
        arguments = (batch, *numbers)[: 3 if several else 2]
        self._hook("on_validation_batch_start", *(batch, *numbers))
        takes = _most_arguments(self._trainer.lightning_module.validation_step)
        output = self._call._call_strategy_hook(self._trainer, "validation_step", *arguments[:takes])
        self._hook("on_validation_batch_end", output, batch, *numbers)
        return output

    def _hook(self, name: str, *arguments: Any) -> None:
        self._call._call_lightning_module_hook(self._trainer, name, *arguments)


def _training_loss(call: Any, trainer: Any, batch: Any) -> torch.Tensor | None:
    arguments = trainer.fit_loop.epoch_loop._build_kwargs({}, batch, 0)
    output = call._call_strategy_hook(trainer, "training_step", *arguments.values())
    return None if output is None else returned_loss(output)


def to_device(call: Any, trainer: Any, batch: Any) -> Any:
    """Return a batch as the hooks that move it leave it, in the trainer's precision."""
    batch = trainer.precision_plugin.convert_input(batch)
    batch = trainer.lightning_module._on_before_batch_transfer(batch, dataloader_idx=0)
    return call._call_strategy_hook(trainer, "batch_to_device", batch, dataloader_idx=0)


def begin_pass_if_over(progress: Any, batches: float, needed: int = 1) -> None:
    """Count the batches from 0 again where a pass has too few left for an update.

    At its last batch Lightning updates early, and one step would then be two.
    """
    if progress.current.ready % needed == 0 and progress.current.ready + needed > batches:
        progress.reset_on_run()


def returned_loss(output: Any) -> torch.Tensor:
    """Return the loss in what `training_step` or `validation_step` returned.

    Raises:
        LossError: there is none.
    """
    if isinstance(output, Mapping):
        if "loss" not in output:
            raise LossError(f"The step returned a dictionary without 'loss'; its keys are {list(output)}.")  # pyright: ignore
        return one_number(output["loss"])
    return one_number(output)


def logged_loss(logged: Logged, name: str) -> torch.Tensor:
    """Return the value that a step logged under a name.

    Raises:
        LossError: there is none.
    """
    if name not in logged:
        raise LossError(f"The step logged no {name!r}; it logged {sorted(logged)}.")
    return one_number(logged[name])


def _most_arguments(function: Any) -> int | None:
    """Return how many positional arguments a function takes, or None if there is no limit."""
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return None
    return sum(kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD) for kind in kinds)


def _no_batch() -> Any:
    raise AssertionError("A step draws only while it runs.")
