"""Hugging Face loops: a `transformers.Trainer` as it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch.optim import Optimizer

from lrscout.core.errors import UnsupportedLoopError
from lrscout.core.imports import require
from lrscout.loops.data import Data
from lrscout.loops.loaders import generators_of
from lrscout.loops.torch.loop import TorchLoop, modules_of
from lrscout.loops.torch.rates import check_steppable
from lrscout.loops.torch.reach import reached_by
from lrscout.loops.transformers.data import collators_of
from lrscout.loops.transformers.steps import EvaluationLoss, TrainerRates, TrainerStep, UpdateLoss
from lrscout.loops.transformers.training import Training, settings_of

transformers = require("transformers", extra="transformers")


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

    >>> import tempfile, torch
    >>> class Line(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.slope = torch.nn.Parameter(torch.zeros(1))
    ...     def forward(self, x, labels):
    ...         return {"loss": (self.slope * x - labels).square().mean()}
    >>> arguments = transformers.TrainingArguments(tempfile.mkdtemp(), optim="sgd", learning_rate=0.25, max_grad_norm=0)
    >>> trainer = transformers.Trainer(Line(), arguments, train_dataset=[{"x": 1.0, "labels": 2.0}] * 16)
    >>> loop = from_trainer(trainer)
    >>> loop.step(loop.lr), loop.step(loop.lr)
    (4.0, 1.0)
    """
    _check_trainer(trainer)
    training = Training(trainer, eval_data)
    changed, used = reached_by([trainer.compute_loss_func, *_overridden(trainer)])
    with training.visit():
        scaler = trainer.accelerator.scaler
        # A model may write into its settings at its first step, such as the kind of problem that the labels pose.
        parts = [trainer, trainer.state, *settings_of(trainer.model), *([] if scaler is None else [scaler])]
        roots = [*parts, *changed, *stateful]
        modules = modules_of(roots)
        check_steppable(training.optimizer, modules)
        _check_optimizer(training.optimizer)
    # Data collators count as well, and the passes themselves.
    counting = [training.updates, *training.loaders, *collators_of(training.loaders)]
    generators = generators_of(counting, *used, trainer, *modules)
    return TorchLoop(
        roots=roots,
        modules=modules,
        step=TrainerStep(trainer),
        rates=TrainerRates(training, group),
        train_loss_of=UpdateLoss(trainer),
        eval_loss_of=EvaluationLoss(trainer),
        data=Data(training.updates, training.evaluation, generators, restartable=training.restartable),
        source=training.updates,
        device=trainer.args.device,
        visit=training.visit,
        left_out=[trainer.train_dataset, trainer.eval_dataset],
    )


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
