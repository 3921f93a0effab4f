"""PyTorch loops."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, IterableDataset

from lrscout.core.errors import LossError, UnsupportedLoopError
from lrscout.core.loop import Snapshot
from lrscout.loops.data import Data, Place
from lrscout.loops.generators import LONGEST_CONTAINER, Generators, find_generators, global_generators, torch_generators
from lrscout.loops.torch_memory import Memory, accelerator_generators


def from_torch(
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: Callable[..., torch.Tensor] | None = None,
    data: Iterable[Any] | None = None,
    *,
    step_fn: Callable[[Any], torch.Tensor] | None = None,
    eval_data: Iterable[Any] | None = None,
    eval_fn: Callable[[Any], torch.Tensor] | None = None,
    scaler: torch.amp.GradScaler | None = None,
    stateful: Iterable[object] = (),
) -> TorchLoop:
    """Make a loop out of a PyTorch model, its optimizer, a loss and data.

    Modules stay in the train or eval mode that they are in. The loss is computed on the model's device; batches are
    moved there.

    Args:
        model: the model.
        optimizer: its optimizer. The lr of each parameter group keeps its ratio to the first group's. A scheduler
            that is attached to it is not stepped while scouting.
        loss_fn: takes the model's output and the targets and returns the loss. The batches must then be pairs
            ``(inputs, targets)``, and the output is ``model(inputs)``.
        data: a `DataLoader` or any other iterable of batches. An iterator works too; what was drawn from it while
            scouting comes again through the loop, but a loop of your own could not see it any more.
        step_fn: instead of `loss_fn`: takes a batch of any structure and returns its loss, still attached to the
            graph. Backward pass and update are done here.
        eval_data: batches for `evaluate`; by default four training batches. Of an iterator, the first 64 are kept.
        eval_fn: the loss in evaluation mode, a function of a batch; by default the same as in the step.
        scaler: the gradient scaler, if the step uses one.
        stateful: further objects whose state a step changes, such as an averaged copy of the model.

    Returns:
        The loop.

    Raises:
        UnsupportedLoopError: the optimizer needs a closure (LBFGS) or has a step size of its own (Rprop, ASGD), has no
            parameters or a learning rate of 0 throughout, or the arguments do not make up a step.

    >>> model = nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> loop = from_torch(model, optimizer, nn.MSELoss(), [(torch.ones(4, 2), torch.zeros(4, 1))])
    >>> loop.lr
    0.1
    """
    if (loss_fn is None) == (step_fn is None):
        raise UnsupportedLoopError("Give either loss_fn(output, targets) or step_fn(batch), and not both.")
    if data is None:
        raise UnsupportedLoopError("Give data: a DataLoader or another iterable of batches.")
    loss_of = step_fn if step_fn is not None else _Supervised(model, loss_fn)  # pyright: ignore[reportArgumentType]
    used = [thing for function in (loss_fn, step_fn, eval_fn) if function for thing in _used_by(function)]
    # Of the things that a function reaches by name, only modules are known to change.
    owners = [thing.itself for thing in used if isinstance(thing, _Owner)]
    owners += [thing for thing in used if isinstance(thing, nn.Module)]
    roots = [model, optimizer, *owners, *([scaler] if scaler is not None else []), *stateful]
    modules = _modules_of(roots)
    _check(modules, optimizer)
    found = find_generators([data, eval_data, *used, *modules])
    generators = Generators([*global_generators(), *found, *torch_generators(), *accelerator_generators()])
    counters = [getattr(data, name, None) for name in ("sampler", "batch_sampler", "dataset")]
    batches = Data(_apart(data), eval_data, generators)
    return TorchLoop(roots, counters, modules, optimizer, loss_of, eval_fn or loss_of, batches, scaler)


@dataclass(frozen=True)
class _Snapshot:
    memory: Memory
    place: Place


class TorchLoop:
    """A PyTorch loop; made by `from_torch`."""

    def __init__(
        self,
        roots: list[object],
        counters: Sequence[object],
        modules: list[nn.Module],
        optimizer: Optimizer,
        loss_of: Callable[[Any], torch.Tensor],
        eval_loss_of: Callable[[Any], torch.Tensor],
        data: Data,
        scaler: torch.amp.GradScaler | None,
    ) -> None:
        self._roots = roots
        self._counters = counters
        self._optimizer = optimizer
        self._loss_of = loss_of
        self._eval_loss_of = eval_loss_of
        self._data = data
        self._scaler = scaler
        self._modules = modules
        self._shares = _shares(optimizer)
        self._device: torch.device = optimizer.param_groups[0]["params"][0].device

    @property
    def lr(self) -> float:
        return float(self._optimizer.param_groups[0]["lr"])

    def step(self, lr: float) -> float:
        self._set_lr(lr)
        loss = self._loss(self._loss_of, self._data.draw())
        if not loss.requires_grad:
            raise UnsupportedLoopError("The loss does not depend on any parameter that requires a gradient.")
        self._optimizer.zero_grad()
        if self._scaler is None:
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            self._optimizer.step()
        else:
            self._scaler.scale(loss).backward()  # pyright: ignore[reportUnknownMemberType]
            self._scaler.step(self._optimizer)
            self._scaler.update()
        return loss.item()

    def evaluate(self) -> float:
        # The loss function may change things even in evaluation mode, such as an average that it keeps.
        before = Memory(root for root in self._roots if root is not self._optimizer)
        try:
            for module in self._modules:
                module.training = False
            with torch.no_grad():
                return self._data.mean_over_evaluation(lambda batch: self._loss(self._eval_loss_of, batch).item())
        finally:
            before.bring_back()

    def snapshot(self) -> Snapshot:
        return _Snapshot(Memory(self._roots, self._counters), self._data.place())

    def restore(self, snapshot: Snapshot) -> None:
        assert isinstance(snapshot, _Snapshot)
        try:
            snapshot.memory.bring_back()
        finally:
            self._data.return_to(snapshot.place)

    def reseed(self, seed: int) -> None:
        self._data.reseed(seed)

    def _set_lr(self, lr: float) -> None:
        for group, share in zip(self._optimizer.param_groups, self._shares, strict=True):
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(lr * share)
            else:
                group["lr"] = lr * share

    def _loss(self, loss_of: Callable[[Any], torch.Tensor], batch: Any) -> torch.Tensor:
        loss: Any = loss_of(_moved(batch, self._device))
        if not isinstance(loss, torch.Tensor):
            raise LossError(f"The loss must be a tensor with one number, but it is a {type(loss).__name__}.")
        if loss.numel() != 1:
            raise LossError(
                f"The loss must be one number, but it is a tensor of shape {tuple(loss.shape)}. "
                "Reduce it, for example with .mean()."
            )
        return loss


class _Supervised:
    """The loss of a batch that is a pair of inputs and targets."""

    def __init__(self, model: nn.Module, loss_fn: Callable[..., torch.Tensor]) -> None:
        self._model = model
        self._loss_fn = loss_fn

    def __call__(self, batch: Any) -> torch.Tensor:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:  # pyright: ignore[reportUnknownArgumentType]
            raise UnsupportedLoopError(
                "With loss_fn a batch must be a pair (inputs, targets), but it is a "
                f"{type(batch).__name__}. Give step_fn(batch) -> loss instead."  # pyright: ignore
            )
        inputs, targets = batch  # pyright: ignore[reportUnknownVariableType]
        return self._loss_fn(self._model(inputs), targets)


def _used_by(function: Any) -> list[object]:
    """Return the objects that a loss function uses: its object, or what it is bound to or reaches by name."""
    used: list[object] = []
    waiting, seen = [function], set[int]()
    while waiting:
        thing: Any = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, functools.partial):
            waiting += [thing.func, *thing.args, *thing.keywords.values()]  # pyright: ignore[reportUnknownMemberType]
        elif inspect.ismethod(thing):
            used.append(_Owner(thing.__self__))
        elif inspect.isfunction(thing):
            # Helpers of the same file are followed; a library's functions are taken to keep nothing.
            if thing.__module__ == getattr(function, "__module__", thing.__module__):
                waiting += _reached_by_name(thing)
        elif isinstance(thing, (list, tuple, dict)):
            waiting += list(thing.values() if isinstance(thing, dict) else thing)[:LONGEST_CONTAINER]  # pyright: ignore
        else:
            used.append(_Owner(thing) if thing is function else thing)
    return used


def _reached_by_name(function: Any) -> list[Any]:
    defaults: list[Any] = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    try:
        names = inspect.getclosurevars(function)
    except ValueError:  # A variable of the enclosing function has no value yet.
        return defaults
    return [*names.nonlocals.values(), *names.globals.values(), *defaults]


@dataclass(frozen=True)
class _Owner:
    """An object whose method is the step: any of its attributes may change."""

    itself: object


def _modules_of(roots: Iterable[object]) -> list[nn.Module]:
    """Return every module under the roots, each once."""
    found: dict[int, nn.Module] = {}
    for root in roots:
        held = [root] if isinstance(root, nn.Module) else list(getattr(root, "__dict__", {}).values())
        for module in (module for holder in held if isinstance(holder, nn.Module) for module in holder.modules()):
            found[id(module)] = module
    return list(found.values())


def _check(modules: list[nn.Module], optimizer: Optimizer) -> None:
    if isinstance(optimizer, torch.optim.LBFGS):
        raise UnsupportedLoopError(
            "Cannot step LBFGS because it evaluates the loss several times in each step, through a closure; "
            "its lr scales a line search and is usually 1."
        )
    if isinstance(optimizer, (torch.optim.Rprop, torch.optim.ASGD)):
        raise UnsupportedLoopError(
            f"Cannot step {type(optimizer).__name__} at a chosen learning rate because it follows a step size of its "
            "own, for which lr is only the beginning."
        )
    if not optimizer.param_groups or not optimizer.param_groups[0]["params"]:
        raise UnsupportedLoopError("The optimizer's first parameter group has no parameters.")
    if any(nn.parameter.is_lazy(parameter) for module in modules for parameter in module.parameters(recurse=False)):
        raise UnsupportedLoopError("The model has lazy parameters, which do not exist yet. Run one batch through it.")


def _shares(optimizer: Optimizer) -> list[float]:
    """Return each parameter group's lr as a multiple of the first group's."""
    lrs = [float(group["lr"]) for group in optimizer.param_groups]
    if lrs[0] == 0:
        # A warmup may begin at 0; the schedulers then keep the lr that the user set in `initial_lr`.
        lrs = [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]
    if lrs[0] == 0:
        raise UnsupportedLoopError("The first parameter group's lr is 0, so the others have no ratio to it.")
    return [lr / lrs[0] for lr in lrs]


def _apart(data: Iterable[Any]) -> Iterable[Any]:
    """Return data whose passes do not disturb the user's own pass over it."""
    if not isinstance(data, DataLoader):
        return data
    loader: Any = data  # pyright: ignore[reportUnknownVariableType]
    dataset: Any = loader.dataset
    if hasattr(dataset, "__next__") and isinstance(dataset, IterableDataset):
        return iter(loader)  # The data set has one pass only: what is drawn must be kept.
    if loader.persistent_workers:
        # Such a loader has one iterator, which every new pass resets.
        loader = copy.copy(loader)
        loader._iterator = None
    return loader


def _moved(batch: Any, device: torch.device) -> Any:
    """Return a batch with its tensors on a device."""
    if device.type == "cpu":
        return batch
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: _moved(item, device) for key, item in batch.items()}  # pyright: ignore
    if hasattr(batch, "_fields"):
        return type(batch)(*(_moved(item, device) for item in batch))  # pyright: ignore
    if isinstance(batch, (list, tuple)):
        return type(batch)(_moved(item, device) for item in batch)  # pyright: ignore
    return batch.to(device) if hasattr(batch, "to") else batch
