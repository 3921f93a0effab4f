"""The loss of a PyTorch loop as a function of its parameters alone: the same each time, with nothing left behind."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase as BatchStatistics  # pyright: ignore[reportPrivateUsage]
from torch.optim import Optimizer

from lrscout.core.errors import FleetUnavailableError, LandscapeUnavailableError
from lrscout.loops.data import Data
from lrscout.loops.torch.memory import Memory
from lrscout.loops.torch.parameters import Parameters, trained_by
from lrscout.loops.torch.rates import Moving
from lrscout.loops.torch.steps import LossOf, one_number
from lrscout.loops.torch.traced import is_pure
from lrscout.loops.torch.vectorized import Held, Tensors, Vectorized, held_by, plain_attention

if TYPE_CHECKING:
    from jaxtyping import Float

CANNOT_BE_KEPT = "The graph of this loss cannot be kept."


@dataclass(frozen=True)
class DifferentiableLoop:
    """The parts of a loop from which landscapes are made.

    Args:
        loss_of: the loss of a batch, attached to the graph.
        rates: the learning rates that are moved.
        roots: the objects whose state a loss may change.
        modules: every module among them.
        data: the batches, whose generators the loss may draw from.
        visit: opened around whatever needs the user's objects in place.
        left_out: objects under the roots that no loss changes.
    """

    loss_of: LossOf
    rates: Moving
    roots: Sequence[object]
    modules: Sequence[nn.Module]
    data: Data
    visit: Callable[[], AbstractContextManager[Any]]
    left_out: Sequence[object]


@dataclass(frozen=True)
class _HeldTensors:
    """What holds the parameters, None where that is not to be found, and what holds further tensors."""

    trained: Sequence[Held | None]
    state: Sequence[Held]

    def all_trained(self) -> list[Held]:
        """Return what holds the parameters.

        Raises:
            FleetUnavailableError: a parameter is in no place that is to be found.
        """
        found = [one for one in self.trained if one is not None]
        if len(found) < len(self.trained):
            raise FleetUnavailableError("its optimizer trains a tensor that does not belong to the model.")
        return found


class _Modes:
    """The modes of modules, which are all that a loss changes that does nothing but compute with tensors."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._modes = [(module, module.training) for module in modules]

    def bring_back(self) -> None:
        """Give each module the mode that it had."""
        for module, mode in self._modes:
            module.training = mode


class SteadyLoss:
    """The loss of a batch, from the same state each time.

    Modules are in evaluation mode, those apart that normalize by the statistics of a batch: in training that is part of
    the function whose minimum is sought. Generators draw the same, and whatever a loss changes is brought back.

    Args:
        loop: the parts of the loop.

    Raises:
        LandscapeUnavailableError: there are no parameters, or some are not real numbers; or, later on, the model has
            other ones.
    """

    def __init__(self, loop: DifferentiableLoop) -> None:
        self._loop = loop
        self._roots = [root for root in loop.roots if not isinstance(root, Optimizer)]
        with loop.visit():
            self.parameters = Parameters(trained_by(loop.rates.optimizer))
            self._missing = [one is None for one in self._held().trained]

    @contextmanager
    def at(self, position: Float[np.ndarray, " parameter"]) -> Generator[LossOf]:
        """Have the loss of one batch computed at a position, by the loop's own parameters, while the block lasts."""
        with self._loop.visit(), self.parameters.at(position), self._apart() as held, _replaced(_copies(held.state)):
            yield self._loss

    @contextmanager
    def over(self, leaves: Sequence[torch.Tensor]) -> Generator[LossOf]:
        """Have the loss of one batch computed over other tensors in the places of the parameters, and its graph kept.

        Within the block a loss raises a RuntimeError with `CANNOT_BE_KEPT` in its message if it would have what the
        graph needs computed anew later on, when everything is back in its place.

        Raises:
            FleetUnavailableError: a parameter is in no place that is to be found.
        """
        alone = torch.autograd.graph.disable_saved_tensors_hooks(CANNOT_BE_KEPT)
        with self._loop.visit(), self._apart() as held:
            leaves_in_place = zip(held.all_trained(), leaves, strict=True)
            with _replaced([*leaves_in_place, *_copies(held.state)]), alone:
                yield self._loss

    @contextmanager
    def changes(self, position: Float[np.ndarray, " parameter"]) -> Generator[tuple[LossOf, list[torch.Tensor]]]:
        """Have the loss computed as by `at`, and know after the block which further tensors it changed."""
        changed: list[torch.Tensor] = []
        with self._loop.visit(), self.parameters.at(position), self._apart() as held:
            copies = _copies(held.state)
            with _replaced(copies):
                yield self._loss, changed
                changed += [
                    one.tensor
                    for one, twin in copies
                    if Held(twin, one.places).present() is not twin or not torch.equal(twin, one.tensor)
                ]

    @contextmanager
    def lanes(self, changed: Iterable[torch.Tensor]) -> Generator[tuple[Vectorized, Tensors]]:
        """Have the losses at many positions computed at once while the block lasts, with the state of each lane.

        Args:
            changed: the tensors besides the parameters that the loss changes.

        Raises:
            FleetUnavailableError: a parameter is not to be found, or changes in a place where there was none.
        """
        wanted = set(map(id, changed))
        with self._loop.visit(), self._apart() as held:
            each = [one for one in held.state if id(one.tensor) in wanted]
            others = [one for one in held.state if id(one.tensor) not in wanted]
            with _replaced(_copies(others)):
                yield Vectorized(self._loss, held.all_trained(), each), [one.tensor for one in each]

    @cached_property
    def _is_recurrent(self) -> bool:
        return any(isinstance(module, nn.RNNBase) for module in self._loop.modules)

    def _held(self) -> _HeldTensors:
        held = held_by([*self._loop.modules, *self._roots])
        trained = {id(tensor): None for tensor in self.parameters.tensors}
        found = {id(one.tensor): one for one in held if id(one.tensor) in trained}
        state = [one for one in held if id(one.tensor) not in trained]
        return _HeldTensors([found.get(key) for key in trained], state)

    def _loss(self, batch: Any) -> torch.Tensor:
        return one_number(self._loop.loss_of(_untouched(batch))).reshape(())

    @contextmanager
    def _apart(self) -> Generator[_HeldTensors]:
        """Set the modes and the generators, bring everything back after the block, and give what holds tensors.

        The tensors themselves are not brought back: others are to stand in their places, to which nothing happens
        afterwards that a graph could notice.
        """
        held = self._held()
        if [one is None for one in held.trained] != self._missing:
            raise LandscapeUnavailableError("The model has other parameters by now. Take the landscape anew.")
        before = self._remembered(held.state)
        try:
            with self._loop.data.same_draws(), self._twice_differentiable():
                for module in self._loop.modules:
                    module.training = module.training and isinstance(module, BatchStatistics)
                yield held
        finally:
            before.bring_back()

    def _remembered(self, state: Sequence[Held]) -> Memory | _Modes:
        """Remember what a loss may change besides given tensors."""
        if is_pure(self._loop.loss_of):
            return _Modes(self._loop.modules)
        aside = [*self.parameters.tensors, *(one.tensor for one in state)]
        return Memory(self._roots, [*self._loop.left_out, *aside])

    @contextmanager
    def _twice_differentiable(self) -> Generator[None]:
        """Choose operators that have second derivatives while the block lasts, where PyTorch has the choice."""
        with ExitStack() as choices:
            choices.enter_context(plain_attention())
            if self._is_recurrent and any(tensor.is_cuda for tensor in self.parameters.tensors):
                choices.enter_context(torch.backends.cudnn.flags(enabled=False))
            if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
                choices.enter_context(torch.compiler.set_stance("force_eager"))  # pyright: ignore
            yield


@contextmanager
def _replaced(pairs: Sequence[tuple[Held, torch.Tensor]]) -> Generator[None]:
    """Put other tensors in the places of some while the block lasts."""
    try:
        for held, tensor in pairs:
            held.put(tensor)
        yield
    finally:
        for held, _ in pairs:
            held.put(held.tensor)


def _untouched(batch: Any) -> Any:
    """Return a copy of a batch, which a loss may take apart, since in training it sees each only once."""
    try:
        return copy.deepcopy(batch)
    except Exception:  # What cannot be copied is as it is.
        return batch


def _copies(state: Sequence[Held]) -> list[tuple[Held, torch.Tensor]]:
    return [(held, _copy(held.tensor)) for held in state]


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    twin = tensor.detach().clone()
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(twin, requires_grad=tensor.requires_grad)
    return twin.requires_grad_(tensor.requires_grad and tensor.is_leaf)
