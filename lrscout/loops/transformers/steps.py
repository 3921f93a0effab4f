"""One update and one evaluation, as the trainer makes them, and the rates of its optimizer."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import Any

import torch
from torch.optim import Optimizer

from lrscout.loops.data import batch_size_of
from lrscout.loops.torch.rates import Rates
from lrscout.loops.torch.steps import Draw, one_number
from lrscout.loops.transformers.data import Update
from lrscout.loops.transformers.training import Training


class TrainerStep:
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


class UpdateLoss:
    """The loss whose gradient an update takes, as the trainer's own `training_step` computes it."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def __call__(self, update: Update) -> torch.Tensor:
        losses = [self._loss_of(batch, update.items) for batch in update.batches]
        total = torch.stack([loss.reshape(()) for loss in losses]).sum()
        return total if self._is_shared(update.items) else total / len(losses)

    def _loss_of(self, batch: Any, items: Any) -> torch.Tensor:
        trainer = self._trainer
        inputs = trainer._prepare_inputs(copy.copy(batch))
        with trainer.compute_loss_context_manager():
            loss = trainer.compute_loss(trainer.model_wrapped, inputs, num_items_in_batch=items)
        return one_number(loss.mean() if trainer.args.n_gpu > 1 else loss)

    def _is_shared(self, items: Any) -> bool:
        """Whether the loss of each batch is its share in the mean over all that is counted in the update."""
        trainer = self._trainer
        told = getattr(trainer, "loss_is_scaled_for_ga", None)  # Older versions do not ask.
        if told is not None:
            return told
        return trainer.compute_loss_func is not None or (trainer.model_accepts_loss_kwargs and items is not None)


class TrainerRates:
    """The learning rates of the optimizer that the trainer has by then."""

    def __init__(self, training: Training, group: int | str | None) -> None:
        self._training = training
        self._group = group
        self._optimizer = training.optimizer
        self._rates = Rates(self._optimizer, group)

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer that the trainer has by then."""
        return self._present().optimizer

    @property
    def lr(self) -> float:
        """The lr of the first group that moves."""
        return self._present().lr

    def of_copy(self, optimizer: Optimizer) -> Rates:
        """Return the same rates of a copy of the optimizer."""
        return self._present().of_copy(optimizer)

    def set(self, lr: float) -> None:
        """Give the groups that move this lr, or their shares of it."""
        self._present().set(lr)

    def _present(self) -> Rates:
        if self._training.optimizer is not self._optimizer:
            self._optimizer = self._training.optimizer
            self._rates = Rates(self._optimizer, self._group)
        return self._rates


class EvaluationLoss:
    """The loss that the trainer's evaluation takes of a batch; of a training update, the mean over its examples."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def __call__(self, batch: Any) -> torch.Tensor:
        batches = batch.batches if isinstance(batch, Update) else [batch]
        self._trainer.optimizer.eval()  # Some optimizers keep other parameters for evaluation.
        sizes = torch.tensor([batch_size_of(batch) for batch in batches], dtype=torch.float64)
        losses = torch.stack([self._loss_of(batch).cpu().double() for batch in batches])
        return (sizes * losses).sum() / sizes.sum()

    def _loss_of(self, batch: Any) -> torch.Tensor:
        trainer = self._trainer
        loss, *_ = trainer.prediction_step(trainer.model, copy.copy(batch), prediction_loss_only=True)
        if loss is None:  # The batch has no labels by the names that the trainer knows.
            with trainer.compute_loss_context_manager():
                loss = trainer.compute_loss(trainer.model, trainer._prepare_inputs(copy.copy(batch)))
        return one_number(loss)
