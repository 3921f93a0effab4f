"""Copies of a PyTorch loop that step together: one loss over all lanes, one optimizer over stacked parameters."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from lrscout.core.errors import EmptyDataError, FleetUnavailableError
from lrscout.loops.data import NO_EVALUATION, Data
from lrscout.loops.torch.lanes import Lanes, bytes_of, check_optimizer, stacked
from lrscout.loops.torch.processes import evaluating
from lrscout.loops.torch.rates import Moving, Rates
from lrscout.loops.torch.steps import Backward, LossOf, OwnUpdate, Step
from lrscout.loops.torch.traced import STEPS_WORTH_TRACING, EagerGradients, Gradients, TracedGradients, is_pure
from lrscout.loops.torch.trial import Trial, difference, slow_operators_allowed, try_alone, try_evaluation
from lrscout.loops.torch.vectorized import Held, Tensors, Vectorized, held_by

if TYPE_CHECKING:
    from jaxtyping import Float


_SCATTERED = 4
"""How many times the memory of what it holds a fleet was measured to take, since freed pieces lie scattered."""


@dataclass(frozen=True)
class VectorizableLoop:
    """The parts of a loop from which fleets are made.

    Args:
        step: takes one step.
        rates: the learning rates that are moved.
        eval_loss_of: the loss of an evaluation batch, if there is a way to tell.
        roots: the objects whose state a step changes, every module among them.
        modules: the modules.
        data: the batches.
        moved: returns a batch on the device.
        kept: opened around what may change the roots, and brings them back afterwards.

    Raises:
        FleetUnavailableError: the loop cannot be vectorized; the message says why.
    """

    step: Step
    rates: Moving
    eval_loss_of: LossOf | None
    roots: Sequence[object]
    modules: Sequence[nn.Module]
    data: Data
    moved: Callable[[Any], Any]
    kept: Callable[[], AbstractContextManager[None]]

    def __post_init__(self) -> None:
        if isinstance(self.step, OwnUpdate):
            raise FleetUnavailableError("update_fn makes the whole update itself. Give loss_fn or step_fn instead.")
        if not isinstance(self.step, Backward) or not isinstance(self.rates, Rates):
            raise FleetUnavailableError("the library that it was made for takes its steps.")
        if self.step.scaler is not None and self.step.scaler.is_enabled():
            raise FleetUnavailableError("its gradient scaler has one scale, and each lane would need its own.")
        if not self.trained:
            raise FleetUnavailableError("its optimizer trains no parameter.")
        if any(isinstance(module, nn.DataParallel) for module in self.modules):
            raise FleetUnavailableError("DataParallel spreads its model over several devices.")

    @property
    def backward(self) -> Backward:
        """The step."""
        assert isinstance(self.step, Backward)
        return self.step

    @cached_property
    def trained(self) -> list[Held]:
        """The parameters that are trained."""
        optimizer = self.backward.optimizer
        held = {id(held.tensor): held for held in held_by(self.roots)}
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
        if any(id(parameter) not in held for parameter in parameters):
            raise FleetUnavailableError("its optimizer trains a tensor that does not belong to the model.")
        return [held[id(parameter)] for parameter in parameters]

    @cached_property
    def trial(self) -> Trial:
        """What a step alone does, after a proof that two lanes do the same."""
        assert isinstance(self.rates, Rates)
        check_optimizer(self.backward.optimizer, self.rates, [held.tensor for held in self.trained])
        try:
            return self._try()
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise FleetUnavailableError("two copies of its model do not fit into memory.") from error

    def lanes(self, size: int) -> Lanes:
        """Return the parameters of every lane with the optimizer that moves them."""
        assert isinstance(self.rates, Rates)
        optimizer: Optimizer = self.backward.optimizer
        return Lanes(optimizer, self.rates, [held.tensor for held in self.trained], size)

    def lane_bytes(self) -> int:
        """Return an estimate of the memory, in bytes, that a lane takes while it steps."""
        trial = self.trial
        lane = self.lanes(1)
        for parameter in lane.parameters:
            parameter.grad = torch.zeros_like(parameter)
        (weights,) = lane.weights(np.zeros((1, 1)))
        lane.step(weights)
        # Of each parameter there are the value, the gradient and the value before the step.
        parameters = 3 * sum(map(bytes_of, lane.parameters))
        held = parameters + lane.slot_bytes + sum(map(bytes_of, trial.after)) + trial.saved_bytes
        return _SCATTERED * held

    def _try(self) -> Trial:
        trial, differing = self._compare()
        if differing and trial.is_random:
            # A mask may be drawn in another order of its entries; what is not drawn must be the same.
            with self.kept():
                for module in self.modules:
                    module.training = False
                _, differing = self._compare()
        if differing:
            raise FleetUnavailableError(
                f"computed for several lanes at once, its {differing} comes out different. "
                "The loss may depend on tensors that do not belong to the model."
            )
        if self.eval_loss_of is not None:
            batch = self.moved(self.data.peek_evaluation())
            with self._unmoved(), evaluating(self.modules):
                try_evaluation(self.eval_loss_of, self.trained, trial.state, batch)
        return trial

    def _compare(self) -> tuple[Trial, str | None]:
        """Return what a step alone does, and what is different about it in several lanes, if anything is."""
        loss_of = self.backward.loss_of
        with self._unmoved():
            trial = try_alone(loss_of, self.roots, self.trained, self.moved(self.data.draw()))
        with self._unmoved():
            return trial, difference(trial, loss_of, self.trained, self.moved(self.data.draw()))

    @contextmanager
    def _unmoved(self) -> Generator[None]:
        """Bring the roots, the position in the data and the generators back after the block."""
        here = self.data.place()
        try:
            with self.kept():
                yield
        finally:
            self.data.return_to(here)


class TorchFleet:
    """A fleet of a PyTorch loop, which starts where the loop stands and draws its batches from it.

    Args:
        loop: the parts of the loop.
        size: the number of lanes.
        steps: how many steps they will take at most.
    """

    def __init__(self, loop: VectorizableLoop, size: int, steps: int) -> None:
        self._loop = loop
        self._size = size
        self._state: Tensors = [stacked(held.tensor, size) for held in loop.trial.state]
        self._lanes = loop.lanes(size)
        loss_of = loop.backward.loss_of
        eager = EagerGradients(Vectorized(loss_of, loop.trained, loop.trial.state))
        self._gradients_of: Gradients = eager
        if steps >= STEPS_WORTH_TRACING and is_pure(loss_of):
            self._gradients_of = TracedGradients(eager, loop.modules)

    @property
    def size(self) -> int:
        return self._size

    def advance(self, lrs: Float[np.ndarray, "step lane"]) -> Float[np.ndarray, "step lane"]:
        losses = [self._step(weights) for weights in self._lanes.weights(lrs)]
        # Only now does the device have to be waited for.
        return torch.stack(losses).double().cpu().numpy() if losses else np.zeros((0, self._size))

    def evaluate(self) -> Float[np.ndarray, " lane"]:
        if self._loop.eval_loss_of is None:
            raise FleetUnavailableError("its evaluation mode is not known.")
        losses_of = Vectorized(self._loop.eval_loss_of, self._loop.trained, self._loop.trial.state)

        def evaluation_losses(batch: Any) -> Float[np.ndarray, " lane"]:
            state = [tensor.clone() for tensor in self._state]
            losses, _ = losses_of(self._lanes.parameters, state, self._loop.moved(batch))
            return losses.double().cpu().numpy()

        with self._loop.kept(), evaluating(self._loop.modules), slow_operators_allowed():
            total, examples = self._loop.data.sum_over_evaluation(evaluation_losses)
        if not examples:
            raise EmptyDataError(NO_EVALUATION)
        return total / examples

    def _step(self, weights: Sequence[torch.Tensor]) -> torch.Tensor:
        backward = self._loop.backward
        losses, gradients = self._losses_and_gradients()
        for _ in range(backward.accumulate - 1):
            more_losses, more = self._losses_and_gradients()
            losses = losses + more_losses
            gradients = [_sum(left, right) for left, right in zip(gradients, more, strict=True)]
        if backward.accumulate > 1:
            losses = losses / backward.accumulate
            gradients = [None if g is None else g / backward.accumulate for g in gradients]
        self._lanes.set_gradients(gradients)
        if backward.clip_norm is not None:
            self._lanes.clip(backward.clip_norm)
        self._lanes.step(weights)
        return losses

    def _losses_and_gradients(self) -> tuple[torch.Tensor, Sequence[torch.Tensor | None]]:
        batch = self._loop.moved(self._loop.data.draw())
        losses, gradients, self._state = self._gradients_of(self._lanes.parameters, self._state, batch)
        return losses, gradients


def _sum(left: torch.Tensor | None, right: torch.Tensor | None) -> torch.Tensor | None:
    return right if left is None else left if right is None else left + right
