"""The optimizer of a fleet: the user's own, made anew over stacked parameters, each lane moving at its own lr."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch.optim import Optimizer

from lrscout.core.errors import FleetUnavailableError
from lrscout.loops.torch.rates import Rates

if TYPE_CHECKING:
    from jaxtyping import Float

_REFERENCE_LR = 2.0**20
"""The lr at which all lanes are stepped before each displacement is scaled to its lane's own. The larger it is, the
less rounding a displacement suffers beside its parameter; since it is fixed, no lane's numbers depend on the others."""

_LARGEST = 1e30
"""A parameter of a type that holds no larger numbers, such as half precision, is stepped at an lr of 1."""

_PROBE_LANES, _PROBE_STEPS, _PROBE_CORNER = 3, 12, 3
_PROBE_LR = 0.1
_PROBE_TOLERANCE = 1e-11

Slot: TypeAlias = Callable[[torch.Tensor, str, Any], Any]
"""Makes the slot of a copied optimizer out of a parameter, the slot's name, and its value."""


class Lanes:
    """Parameters of every lane in one tensor each, and an optimizer that moves each lane at its own lr.

    All lanes are stepped at one lr, and each displacement is then scaled. That is right where an update is proportional
    to the lr and treats every number by itself, which `check_optimizer` finds out.

    Args:
        optimizer: the user's optimizer, which stays as it is. The lanes start with copies of its slots.
        rates: its learning rates.
        trained: those of its parameters that are trained.
        size: the number of lanes.
    """

    def __init__(self, optimizer: Optimizer, rates: Rates, trained: Sequence[torch.Tensor], size: int) -> None:
        self.size = size
        self.parameters = [stacked(parameter, size).requires_grad_() for parameter in trained]
        stacks = dict(zip(trained, self.parameters, strict=True))
        self._optimizer = made_anew(optimizer, stacks, partial(_stacked_slot, size=size))
        self._choose_fused()
        finest = all(torch.finfo(parameter.dtype).max > _LARGEST for parameter in trained)
        self._reference = _REFERENCE_LR if finest else 1.0
        own_rates = rates.of_copy(self._optimizer)
        own_rates.set(self._reference)
        moving = {parameter for index in own_rates.moving for parameter in self._group(index)}
        self._moving = [parameter for parameter in self.parameters if parameter in moving]
        self._before = [torch.empty_like(parameter, requires_grad=False) for parameter in self._moving]

    @property
    def slot_bytes(self) -> int:
        """The size of the optimizer's slots."""
        slots = [slot for slots in self._optimizer.state.values() for slot in slots.values()]
        return sum(bytes_of(slot) for slot in slots if isinstance(slot, torch.Tensor))

    def weights(self, lrs: Float[np.ndarray, "step lane"]) -> list[list[torch.Tensor]]:
        """Return what `step` needs for each step, on the device: what share of the displacement each lane takes."""
        shares = torch.as_tensor(np.asarray(lrs, float) / self._reference)
        alike = {(p.dtype, p.device): shares.to(p.device, p.dtype) for p in self._moving}
        shaped = [alike[p.dtype, p.device].view(-1, self.size, *[1] * (p.ndim - 1)) for p in self._moving]
        return [[shares[step] for shares in shaped] for step in range(len(lrs))]

    def set_gradients(self, gradients: Sequence[torch.Tensor | None]) -> None:
        """Set the gradients of the parameters; those without one are left as they are by a step."""
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            # An optimizer in one pass takes the numbers as they lie in memory.
            parameter.grad = None if gradient is None else gradient.contiguous()

    def clip(self, largest_norm: float) -> None:
        """Clip the gradients of each lane to a norm."""
        gradients: list[Any] = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        norms: Any = torch.stack([gradient.view(self.size, -1).norm(dim=1) for gradient in gradients])
        factors = (largest_norm / (norms.norm(dim=0) + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(factors.view(-1, *[1] * (gradient.ndim - 1)).to(gradient.dtype))

    @torch.no_grad()
    def step(self, weights: Sequence[torch.Tensor]) -> None:
        """Make the update, each lane's by its own share."""
        for before, parameter in zip(self._before, self._moving, strict=True):
            before.copy_(parameter)
        self._optimizer.step()
        for before, parameter, weight in zip(self._before, self._moving, weights, strict=True):
            torch.lerp(before, parameter, weight, out=parameter)

    def _group(self, index: int) -> list[torch.Tensor]:
        return self._optimizer.param_groups[index]["params"]

    def _choose_fused(self) -> None:
        """Where the choice is PyTorch's, take one pass over memory, which matters more the more lanes there are."""
        for group in self._optimizer.param_groups:
            on_cpu = all(parameter.device.type == "cpu" for parameter in group["params"])
            undecided = group.get("fused", False) is None and group.get("foreach") is None
            if on_cpu and undecided and not group.get("differentiable"):
                group["fused"] = True


def check_optimizer(optimizer: Optimizer, rates: Rates, trained: Sequence[torch.Tensor]) -> None:
    """Find out on small tensors, in double precision, whether lanes of an optimizer move as separate ones would.

    Raises:
        FleetUnavailableError: they do not; the message says in what.
    """
    name = type(optimizer).__name__
    hooks = vars(optimizer).get("_optimizer_step_pre_hooks"), vars(optimizer).get("_optimizer_step_post_hooks")
    own_step = vars(optimizer).get("step")
    if any(hooks) or not (own_step is None or hasattr(own_step, "_wrapped_by_lr_sched")):
        raise FleetUnavailableError(f"a hook on the step of {name} would see the parameters of all lanes at once.")
    try:
        probe = _Probe(optimizer, rates, trained)
        same, own = np.full((_PROBE_STEPS, _PROBE_LANES), _PROBE_LR), probe.lrs
        mixes = not _equal(probe.together(_PROBE_LR), probe.apart(same))
        is_proportional = mixes or _equal(probe.as_lanes(own), probe.apart(own))
    except Exception as error:
        raise FleetUnavailableError(
            f"{name} cannot be made anew for the parameters of many lanes: {first_sentence(error)}."
        ) from error
    if mixes:
        raise FleetUnavailableError(f"in {name}, the update of one lane would depend on the others.")
    if not is_proportional:
        raise FleetUnavailableError(f"in {name}, the update is not proportional to the lr.")


class _Probe:
    """An optimizer on a corner of its parameters: one of each number of dimensions in each group."""

    def __init__(self, optimizer: Optimizer, rates: Rates, trained: Sequence[torch.Tensor]) -> None:
        self._optimizer = optimizer
        self._rates = rates
        wanted = set(trained)
        samples = {
            (index, parameter.ndim): parameter
            for index, group in enumerate(optimizer.param_groups)
            for parameter in group["params"]
            if parameter in wanted
        }
        generator = np.random.default_rng(0)
        self._originals = list(samples.values())
        self._starts = [_like_corner(parameter, generator.normal, ()) for parameter in self._originals]
        lanes = (_PROBE_STEPS, _PROBE_LANES)
        self._gradients = [_like_corner(parameter, generator.normal, lanes) for parameter in self._originals]
        self.lrs = _PROBE_LR * 10 ** generator.uniform(-1, 1, lanes)

    def apart(self, lrs: Float[np.ndarray, "step lane"]) -> list[torch.Tensor]:
        """Return the parameters after the steps, each lane by itself."""
        lanes = [self._course(lrs[:, lane], lambda g, lane=lane: g[lane], self._starts) for lane in range(lrs.shape[1])]
        return [torch.stack(parts) for parts in zip(*lanes, strict=True)]

    def together(self, lr: float) -> list[torch.Tensor]:
        """Return the parameters after the steps, all lanes in one tensor, at one lr."""
        starts = [stacked(start, _PROBE_LANES) for start in self._starts]
        return self._course(np.full(_PROBE_STEPS, lr), lambda gradient: gradient, starts)

    def as_lanes(self, lrs: Float[np.ndarray, "step lane"]) -> list[torch.Tensor]:
        """Return the parameters after the steps, as `Lanes` moves them."""
        starts = [start.clone() for start in self._starts]
        optimizer = self._anew(starts, _PROBE_LANES, is_stacked=False)
        lanes = Lanes(optimizer, self._rates.of_copy(optimizer), starts, _PROBE_LANES)
        for step, weights in enumerate(lanes.weights(lrs)):
            for parameter, gradient in zip(lanes.parameters, self._gradients, strict=True):
                parameter.grad = gradient[step].clone()
            lanes.step(weights)
        return [parameter.detach() for parameter in lanes.parameters]

    @torch.no_grad()
    def _course(
        self,
        lrs: Float[np.ndarray, " step"],
        part_of: Callable[[torch.Tensor], torch.Tensor],
        starts: Sequence[torch.Tensor],
    ) -> list[torch.Tensor]:
        parameters = [start.clone() for start in starts]
        is_stacked = parameters[0].ndim > self._originals[0].ndim
        optimizer = self._anew(parameters, _PROBE_LANES, is_stacked=is_stacked)
        rates = self._rates.of_copy(optimizer)
        for step, lr in enumerate(lrs.tolist()):
            for parameter, gradient in zip(parameters, self._gradients, strict=True):
                parameter.grad = part_of(gradient[step]).clone()
            rates.set(lr)
            optimizer.step()
        return parameters

    def _anew(self, parameters: Sequence[torch.Tensor], size: int, *, is_stacked: bool) -> Optimizer:
        def slot(parameter: torch.Tensor, name: str, value: Any) -> Any:
            if isinstance(value, torch.Tensor):
                value = _corner(value) if name == "step" else _in_double(_corner(value))
            return _stacked_slot(parameter, name, value, size) if is_stacked else copy.deepcopy(value)

        optimizer = made_anew(self._optimizer, dict(zip(self._originals, parameters, strict=True)), slot)
        for group in optimizer.param_groups:
            group["lr"] = float(group["lr"])  # A tensor may be in single precision.
        return optimizer


def stacked(tensor: torch.Tensor, size: int) -> torch.Tensor:
    """Return as many copies of a tensor as there are lanes, in one tensor."""
    return tensor.detach().expand(size, *tensor.shape).clone(memory_format=torch.contiguous_format)


def bytes_of(tensor: torch.Tensor) -> int:
    """Return the size of a tensor's numbers."""
    return tensor.numel() * tensor.element_size()


def first_sentence(error: BaseException) -> str:
    """Return the first sentence of an error's message, without its full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].split(". ")[0].rstrip(".:") if lines else type(error).__name__


def made_anew(optimizer: Optimizer, replaced: Mapping[torch.Tensor, torch.Tensor], slot: Slot) -> Optimizer:
    """Return a copy of an optimizer over other parameters; those that nothing replaces are left out of it."""
    state: defaultdict[Any, Any] = defaultdict(dict)
    memo: dict[int, Any] = {id(optimizer.state): state}
    memo |= {id(parameter): parameter for group in optimizer.param_groups for parameter in group["params"]}
    memo |= {id(old): new for old, new in replaced.items()}
    anew = copy.deepcopy(optimizer, memo)
    # A copy is made of what PyTorch knows of; hooks and a scheduler's mark on the step stay behind.
    for name, value in vars(optimizer).items():
        if name != "step" and name not in vars(anew):
            vars(anew)[name] = copy.deepcopy(value, memo)
    kept = set(replaced.values())
    for group in anew.param_groups:
        group["params"] = [parameter for parameter in group["params"] if parameter in kept]
    for old, new in replaced.items():
        if old in optimizer.state:
            state[new] = {name: slot(old, name, value) for name, value in optimizer.state[old].items()}
    return anew


def _stacked_slot(parameter: torch.Tensor, name: str, value: Any, size: int) -> Any:
    if not isinstance(value, torch.Tensor):
        return copy.deepcopy(value)
    # One number beside a parameter of many, such as the count of steps, is the same in every lane.
    is_shared = value.ndim == 0 and (parameter.ndim > 0 or name == "step")
    return value.detach().clone() if is_shared else stacked(value, size)


def _corner(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach()[tuple(slice(0, _PROBE_CORNER) for _ in tensor.shape)]


def _in_double(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.cpu() if tensor.device.type == "mps" else tensor
    return tensor.double() if tensor.is_floating_point() and tensor.dtype != torch.float64 else tensor.clone()


def _like_corner(tensor: torch.Tensor, sample: Callable[..., Any], lanes: tuple[int, ...]) -> torch.Tensor:
    shape = _corner(tensor).shape
    device = "cpu" if tensor.device.type == "mps" else tensor.device
    return torch.as_tensor(sample(size=(*lanes, *shape)), dtype=torch.float64, device=device)


def _equal(left: Sequence[torch.Tensor], right: Sequence[torch.Tensor]) -> bool:
    return all(
        torch.allclose(a, b, rtol=_PROBE_TOLERANCE, atol=_PROBE_TOLERANCE * float(b.abs().max()))
        for a, b in zip(left, right, strict=True)
    )
