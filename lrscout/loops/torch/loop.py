"""The loop that PyTorch computes: made by `from_torch`, `from_lightning` and `from_trainer`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from lrscout.core.checks import check_count
from lrscout.core.errors import (
    EmptyDataError,
    FleetUnavailableError,
    LandscapeUnavailableError,
    UnsupportedLoopError,
)
from lrscout.core.loop import Snapshot
from lrscout.loops.data import NO_EVALUATION, AtPlace, Data
from lrscout.loops.loaders import begin_epoch
from lrscout.loops.torch.batches import moved
from lrscout.loops.torch.fleet import TorchFleet, VectorizableLoop
from lrscout.loops.torch.landscape import TorchLandscape
from lrscout.loops.torch.memory import Memory
from lrscout.loops.torch.processes import Processes, evaluating
from lrscout.loops.torch.rates import Moving
from lrscout.loops.torch.steady import DifferentiableLoop
from lrscout.loops.torch.steps import LossOf, Step, one_number


@dataclass
class _Snapshot(AtPlace):
    memory: Memory


class TorchLoop:
    """A loop of PyTorch modules and optimizers.

    Args:
        roots: the objects whose state a step changes.
        modules: every module among them.
        step: takes one step.
        rates: the learning rates that are moved.
        train_loss_of: the loss of a training batch, attached to the graph, or None where only a step can tell.
        eval_loss_of: the loss of an evaluation batch, or None where there is no way to tell.
        data: the batches.
        source: what the training batches come from, such as a loader, which may want to know the epoch.
        device: where batches are moved to.
        visit: opened around each step, evaluation, snapshot and restore; puts the user's objects in place for them, and
            back afterwards.
        left_out: objects under the roots that no step changes and that may be large, such as data sets.
    """

    def __init__(
        self,
        *,
        roots: Sequence[object],
        modules: Sequence[nn.Module],
        step: Step,
        rates: Moving,
        train_loss_of: LossOf | None,
        eval_loss_of: LossOf | None,
        data: Data,
        source: object,
        device: torch.device,
        visit: Callable[[], AbstractContextManager[Any]] = nullcontext,
        left_out: Sequence[object] = (),
    ) -> None:
        self._roots = roots
        self._modules = modules
        self._take_step = step
        self._rates = rates
        self._train_loss_of = train_loss_of
        self._eval_loss_of = eval_loss_of
        self._data = data
        self._source = source
        self._device = device
        self._visit = visit
        self._left_out = left_out
        self._processes = Processes(modules)

    @property
    def lr(self) -> float:
        return self._rates.lr

    def step(self, lr: float) -> float:
        with self._visit():
            self._rates.set(lr)
            return self._processes.mean(self._take_step(self._draw))

    def evaluate(self) -> float:
        if self._eval_loss_of is None:
            raise UnsupportedLoopError("Cannot evaluate this loop because update_fn also trains. Give eval_fn as well.")
        with self._visit(), self._kept(), evaluating(self._modules):
            total, examples = self._data.sum_over_evaluation(self._evaluation_loss)
        total, examples = self._processes.sums(total, examples)
        if not examples:
            raise EmptyDataError(NO_EVALUATION)
        return total / examples

    def fleet(self, size: int, steps: int) -> TorchFleet:
        return TorchFleet(self._vectorizable(), size, steps)

    def lane_bytes(self) -> int:
        return self._vectorizable().lane_bytes()

    def landscape(self, batches: int) -> TorchLandscape:
        return self.landscape_on(self.batches_ahead(batches))

    def batches_ahead(self, most: int) -> list[Any]:
        """Return training batches of a new pass, at most so many and at most all of it; the loop stays where it is."""
        check_count("batches", most, at_least=1)
        with self._visit():
            return self._data.ahead(most)

    def landscape_on(
        self, batches: Sequence[Any], beforehand: Callable[[], AbstractContextManager[Any]] = nullcontext
    ) -> TorchLandscape:
        """Return the landscape on given batches.

        Args:
            batches: the batches.
            beforehand: opened around each visit of the landscape's.

        Raises:
            LandscapeUnavailableError: the loss cannot be differentiated; the message says why.
        """
        if self._processes.together:
            raise LandscapeUnavailableError(
                "Its model is trained by several processes together. Make a loop of the model in one of them."
            )
        loss_of = self._train_loss_of or self._eval_loss_of
        if loss_of is None:
            raise LandscapeUnavailableError(
                "update_fn makes the whole update itself. Give loss_fn or step_fn instead, or eval_fn as well."
            )

        @contextmanager
        def visit() -> Generator[None]:
            with beforehand(), self._visit():
                yield

        loop = DifferentiableLoop(loss_of, self._rates, self._roots, self._modules, self._data, visit, self._left_out)
        landscape = TorchLandscape(loop, [moved(batch, self._device) for batch in batches])
        if self._train_loss_of is None:
            landscape.check_differentiable()
        return landscape

    def evaluation_steps(self) -> float:
        return self._data.evaluation_steps()

    def snapshot(self) -> Snapshot:
        with self._visit():
            return _Snapshot(self._data.place(), Memory(self._roots, self._left_out))

    def restore(self, snapshot: Snapshot) -> None:
        assert isinstance(snapshot, _Snapshot)
        with self._visit():
            try:
                snapshot.memory.bring_back()
            finally:
                self._data.return_to(snapshot.place)

    def reseed(self, seed: int) -> None:
        # Processes that train together share the parameters, not the examples.
        self._data.reseed(seed, self._processes.rank)
        begin_epoch(self._source, seed)

    def _vectorizable(self) -> VectorizableLoop:
        if self._processes.together:
            raise FleetUnavailableError("several processes train its model together.")
        return VectorizableLoop(
            step=self._take_step,
            rates=self._rates,
            eval_loss_of=self._eval_loss_of,
            roots=[*self._modules, *self._roots],
            modules=self._modules,
            data=self._data,
            moved=lambda batch: moved(batch, self._device),
            kept=self._kept,
        )

    @contextmanager
    def _kept(self) -> Generator[None]:
        """Bring back, after the block, whatever a loss function changes; in evaluation mode, too, it may."""
        before = Memory([root for root in self._roots if not isinstance(root, Optimizer)], self._left_out)
        try:
            yield
        finally:
            before.bring_back()

    def _draw(self) -> Any:
        return moved(self._data.draw(), self._device)

    def _evaluation_loss(self, batch: Any) -> float:
        assert self._eval_loss_of is not None
        return one_number(self._eval_loss_of(moved(batch, self._device))).item()


def modules_of(roots: Iterable[object]) -> list[nn.Module]:
    """Return every module under the roots, each once."""
    found: dict[int, nn.Module] = {}
    for root in roots:
        held = [root] if isinstance(root, nn.Module) else list(getattr(root, "__dict__", {}).values())
        for module in (module for holder in held if isinstance(holder, nn.Module) for module in holder.modules()):
            found[id(module)] = module
    return list(found.values())
