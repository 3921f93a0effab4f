"""PyTorch loops."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import Dataset, IterableDataset

from lrscout.core.checks import check_count
from lrscout.core.errors import InvalidValueError, UnsupportedLoopError
from lrscout.loops.data import Data
from lrscout.loops.loaders import generators_of
from lrscout.loops.torch.loop import TorchLoop, modules_of
from lrscout.loops.torch.rates import Rates, check_steppable
from lrscout.loops.torch.reach import reached_by
from lrscout.loops.torch.steps import Backward, OwnUpdate, Supervised


def from_torch(
    model: nn.Module | Sequence[nn.Module],
    optimizer: Optimizer,
    loss_fn: Callable[..., torch.Tensor] | None = None,
    data: Iterable[Any] | None = None,
    *,
    step_fn: Callable[[Any], torch.Tensor] | None = None,
    update_fn: Callable[[Any], torch.Tensor | float] | None = None,
    group: int | str | None = None,
    accumulate: int = 1,
    clip_norm: float | None = None,
    scaler: torch.amp.GradScaler | None = None,
    eval_data: Iterable[Any] | None = None,
    eval_fn: Callable[[Any], torch.Tensor] | None = None,
    stateful: Iterable[object] = (),
) -> TorchLoop:
    """Make a loop out of a PyTorch model, its optimizer, a loss and data.

    Give one of `loss_fn`, `step_fn` and `update_fn`, by how much of the step is your own. Modules stay in the train or
    eval mode that they are in. Batches are moved to the model's device.

    Under `DistributedDataParallel` or another wrapper for several processes, build the loop and call the verbs in each
    of them: all see the mean of their losses, and so stop together.

    Args:
        model: the model, or several, as in a generative adversarial network.
        optimizer: the optimizer whose lr is scouted. Other optimizers that `update_fn` steps keep their own. A
            scheduler that is attached to it is not stepped while scouting.
        loss_fn: takes the model's output and the targets and returns the loss. The batches must then be pairs
            ``(inputs, targets)``, and the output is ``model(inputs)``.
        data: a `DataLoader` or any other iterable of batches. An iterator works too; what was drawn from it while
            scouting comes again through the loop, but a loop of your own could not see it any more.
        step_fn: takes a batch of any structure and returns its loss, still attached to the graph. Backward pass and
            update are done here.
        update_fn: takes a batch, makes the whole update (backward passes, clipping, every optimizer that takes part)
            and returns the loss before it. The lr is set before each call; leave a scheduler's step out.
        group: the optimizer's parameter group whose lr is scouted while the others are held, by its index or its
            ``"name"``. By default all move, each keeping its ratio to the first.
        accumulate: batches whose gradients are averaged for one update.
        clip_norm: the norm to which the gradients of all parameters together are clipped, if they are.
        scaler: the gradient scaler, if the step uses one.
        eval_data: batches for `evaluate`; by default four training batches. Of an iterator, the first 64 are kept.
        eval_fn: the loss in evaluation mode, a function of a batch; by default the same as in the step.
        stateful: further objects whose state a step changes and that it does not reach by name, such as an averaged
            copy of the model: objects, tensors, or lists and dictionaries of them.

    Returns:
        The loop.

    Raises:
        UnsupportedLoopError: the optimizer needs a closure (LBFGS) or has a step size of its own (Rprop, ASGD), has no
            parameters or a learning rate of 0 throughout, or the arguments do not make up a step.
        InvalidValueError: there is no such group, or `accumulate` or `clip_norm` is not above zero.

    >>> model = nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> loop = from_torch(model, optimizer, nn.MSELoss(), [(torch.ones(4, 2), torch.zeros(4, 1))])
    >>> loop.lr
    0.1
    """
    _check_step(loss_fn, step_fn, update_fn, accumulate, clip_norm, scaler)
    if data is None:
        raise UnsupportedLoopError("Give data: a DataLoader or another iterable of batches.")
    _check_given(optimizer, data, eval_data)
    models = [model] if isinstance(model, nn.Module) else list(model)
    changed, used = reached_by([loss_fn, step_fn, update_fn, eval_fn], data=[data, eval_data])
    roots = [*models, optimizer, *changed, *([scaler] if scaler is not None else []), *stateful]
    modules = modules_of(roots)
    check_steppable(optimizer, modules)

    if update_fn is not None:
        step, loss_of = OwnUpdate(update_fn), None
    else:
        loss_of = step_fn if step_fn is not None else _supervised(models, loss_fn)
        step = Backward(loss_of, optimizer, scaler, accumulate, clip_norm)
    return TorchLoop(
        roots=roots,
        modules=modules,
        step=step,
        rates=Rates(optimizer, group),
        train_loss_of=loss_of,
        eval_loss_of=eval_fn or loss_of,
        data=Data(data, eval_data, generators_of([data, eval_data], *used, *modules)),
        source=data,
        device=next(parameter.device for group in optimizer.param_groups for parameter in group["params"]),
    )


def _check_step(
    loss_fn: Any, step_fn: Any, update_fn: Any, accumulate: int, clip_norm: float | None, scaler: Any
) -> None:
    """Refuse arguments that do not make up one step."""
    if sum(function is not None for function in (loss_fn, step_fn, update_fn)) != 1:
        raise UnsupportedLoopError(
            "Give one of loss_fn(output, targets), step_fn(batch) and update_fn(batch), and no more than one."
        )
    if update_fn is not None and (accumulate != 1 or clip_norm is not None or scaler is not None):
        raise UnsupportedLoopError(
            "accumulate, clip_norm and scaler are for loss_fn and step_fn; update_fn does it all."
        )
    check_count("accumulate", accumulate, at_least=1)
    if clip_norm is not None and not clip_norm > 0:
        raise InvalidValueError(f"clip_norm must be above zero, but it is {clip_norm:g}.")


def _check_given(optimizer: Any, data: Any, eval_data: Any) -> None:
    """Refuse what is no optimizer and what yields no batches."""
    if not isinstance(optimizer, Optimizer):
        raise UnsupportedLoopError(
            f"optimizer must be a torch.optim.Optimizer, but it is a {type(optimizer).__name__}. Give the one to scout."
        )
    for name, batches in (("data", data), ("eval_data", eval_data)):
        if isinstance(batches, Dataset) and not isinstance(batches, IterableDataset):
            raise UnsupportedLoopError(f"{name} is a Dataset of single examples. Wrap it in a DataLoader.")


def _supervised(models: Sequence[nn.Module], loss_fn: Any) -> Supervised:
    if len(models) != 1:
        raise UnsupportedLoopError(f"loss_fn is for one model, but there are {len(models)}. Give update_fn instead.")
    return Supervised(models[0], loss_fn)
