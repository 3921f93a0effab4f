"""The proof, on one batch, that the lanes of a fleet compute what the loop computes by itself."""

from __future__ import annotations

import math
import warnings
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from lrscout.core.errors import FleetUnavailableError
from lrscout.loops.torch.lanes import stacked
from lrscout.loops.torch.steps import LossOf, attached, one_number
from lrscout.loops.torch.vectorized import VARIABLE, Held, Tensors, Vectorized, explained, held_by

_LANES = 2
WITHOUT_A_RULE = ".*batching rule"


@dataclass
class Trial:
    """What one step without an update did, the loop being by itself.

    Args:
        loss: the loss.
        gradients: the gradients of the trained parameters, zero where the loss does not depend on one.
        state: the tensors that the step changed.
        after: what they were after it.
        is_random: whether random numbers were drawn.
        saved_bytes: the size of what the backward pass needed.
        rounding: the relative rounding of the coarsest type that it computed with.
    """

    loss: torch.Tensor
    gradients: Tensors
    state: list[Held]
    after: Tensors
    is_random: bool
    saved_bytes: int
    rounding: float


def try_alone(loss_of: LossOf, roots: Iterable[object], trained: Sequence[Held], batch: Any) -> Trial:
    """Compute the loss and its gradients once, by the user's own code, and see what that changes.

    Args:
        loss_of: the loss of a batch.
        roots: the objects that a step may change. They stay as the step leaves them.
        trained: the parameters.
        batch: the batch.

    Raises:
        FleetUnavailableError: a step leaves a tensor where there was none before.
    """
    parameters = [held.tensor for held in trained]
    taken = set(map(id, parameters))
    others = [held for held in held_by(roots) if id(held.tensor) not in taken]
    before = [held.tensor.detach().clone() for held in others]
    places = {(id(container), key) for held in held_by(roots) for container, key in held.places}
    saved = Saved(parameters)
    generators = _generator_states()
    with torch.autograd.graph.saved_tensors_hooks(saved.note, lambda tensor: tensor):
        loss = attached(one_number(loss_of(batch)))
    gradients = _gradients(loss.reshape(()), parameters)
    is_random = not all(map(torch.equal, generators, _generator_states()))
    for held in held_by(roots):
        for container, key in held.places:
            if (id(container), key) not in places:
                where = f" ({key!r})" if isinstance(key, str) and key != VARIABLE else ""
                raise FleetUnavailableError(
                    f"a step keeps a tensor{where} in a place where there was none. "
                    "Give it a value before, such as zero in a buffer."
                )
    changed = [
        held
        for held, old in zip(others, before, strict=True)
        if held.present() is not held.tensor or not torch.equal(held.tensor, old)
    ]
    after = [held.present().detach().clone() for held in changed]
    return Trial(loss.detach(), gradients, changed, after, is_random, saved.bytes, saved.rounding)


def difference(trial: Trial, loss_of: LossOf, trained: Sequence[Held], batch: Any) -> str | None:
    """Compute the same for two lanes at once, and return what comes out different, if anything does.

    Raises:
        FleetUnavailableError: that cannot be computed.
    """
    parameters = [stacked(held.tensor, _LANES).requires_grad_() for held in trained]
    state = [stacked(held.tensor, _LANES) for held in trial.state]
    with warnings.catch_warnings():
        # Without a rule of its own an operator runs one lane after another, which is no faster than a loop.
        warnings.filterwarnings("error", message=WITHOUT_A_RULE)
        losses, after = Vectorized(loss_of, trained, trial.state)(parameters, state, batch)
        with explained():
            gradients = _gradients(losses.sum(), parameters)
    compared = {
        "loss": ([trial.loss.reshape(())], [losses.detach()]),
        "gradient": (trial.gradients, gradients),
        "state": (trial.after, after),
    }
    tolerance = trial.rounding ** (1 / 3)
    return next((what for what, results in compared.items() if not _close(*results, tolerance)), None)


def try_evaluation(loss_of: LossOf, trained: Sequence[Held], state: Sequence[Held], batch: Any) -> None:
    """Compute the evaluation loss of two lanes.

    Raises:
        FleetUnavailableError: it cannot be vectorized.
    """
    parameters, present = ([stacked(held.tensor, _LANES) for held in kind] for kind in (trained, state))
    with slow_operators_allowed():
        Vectorized(loss_of, trained, state)(parameters, present, batch)


@contextmanager
def slow_operators_allowed() -> Generator[None]:
    """Let operators that have no batching rule run one lane after another, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=WITHOUT_A_RULE)
        yield


def _generator_states() -> Tensors:
    on_devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return [torch.get_rng_state(), *on_devices]


class Saved:
    """What the backward pass keeps: the size of its storages, each counted once, and the coarsest type."""

    def __init__(self, left_out: Sequence[torch.Tensor]) -> None:
        self._left_out = {tensor.untyped_storage().data_ptr() for tensor in left_out}
        self._storages: dict[int, int] = {}
        self.rounding = max(torch.finfo(tensor.dtype).eps for tensor in left_out)

    def note(self, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.is_floating_point():
            self.rounding = max(self.rounding, torch.finfo(tensor.dtype).eps)
        if tensor.layout == torch.strided:
            storage = tensor.untyped_storage()
            self._storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    @property
    def bytes(self) -> int:
        return sum(size for place, size in self._storages.items() if place not in self._left_out)


def _gradients(loss: torch.Tensor, parameters: Tensors) -> Tensors:
    gradients: Any = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g.detach() for p, g in zip(parameters, gradients, strict=True)]


def _close(alone: Tensors, together: Tensors, tolerance: float) -> bool:
    """Whether the same comes out for one and for each of several, up to a relative tolerance."""
    if any(lane.shape[1:] != one.shape for one, lane in zip(alone, together, strict=True)):
        return False
    if not alone:
        return True
    size = _norm(alone)
    apart = _norm([lane.double() - one.double() for one, lane in zip(alone, together, strict=True)])
    # Where a loop stands at NaN there is nothing to compare.
    return not math.isfinite(size) or apart <= tolerance * size


def _norm(tensors: Tensors) -> float:
    squares = [tensor.double().square().sum() for tensor in tensors]
    return float(torch.stack(squares).sum().sqrt())
