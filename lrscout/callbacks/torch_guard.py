"""A guard for a training loop of your own in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from lrscout.analyse.guarding import Guarding
from lrscout.analyse.monitor import warn
from lrscout.core.checks import check_count
from lrscout.core.errors import LossError, UnsupportedLoopError
from lrscout.loops.generators import Generators, global_generators, torch_generators
from lrscout.loops.torch.memory import Memory
from lrscout.measure.safeguard import Rollback, Safeguard

_SCHEDULED = ("lr", "initial_lr", "momentum", "betas", "weight_decay")
"""What schedules move: it stays what it is at the time, since they go on."""


class TorchGuard:
    """Takes a training back to its last good snapshot, at half the rate, when it is lost.

    Tell it each loss after the optimizer's step. It keeps one copy of the model, the optimizer, the scaler and the
    random generators in memory, renewed every so many steps, and brings that back when the training diverges, by the
    rules of `lrscout.guard`. The data and the schedule go on from where they are.

    While the optimizer takes a step, its learning rates are multiplied by `factor`, one half for each return; before
    and after they are what your schedule, or you, made them. So the halving survives whoever writes them. As long as
    nothing goes wrong, nothing is changed, bit for bit.

    Args:
        model: the module that is trained, or several.
        optimizer: its optimizer, or several.
        lr_scheduler: its scheduler, if there is one; it is not brought back.
        scaler: its `GradScaler`, if there is one.
        steps: how many steps the training will take, if that is known. The guard is slower to call a loss lost for
            good where it is not.
        every: after how many steps to take a snapshot; by default 64, or a 32nd of the run, and more where a snapshot
            takes more than 1 % of the time between two.
        halvings: how often the rate may be halved. Then the training is brought to its last snapshot once more, and
            `should_stop` becomes true.
        max_stable_lr: the largest stable learning rate, if it is known.
        say: what to call with each sentence; by default the logger ``lrscout`` tells it as a warning. None for silence.
        others: further objects that a step changes, such as an averaged copy of the model.
        may_put_off: whether the time that snapshots take may make them rarer.

    Raises:
        InvalidValueError: an argument is out of its range.
        UnsupportedLoopError: an optimizer is none.

    >>> model = torch.nn.Linear(1, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=3.0)
    >>> guard = TorchGuard(model, optimizer, steps=300, say=None)
    >>> for _ in range(300):
    ...     optimizer.zero_grad()
    ...     loss = (model(torch.ones(4, 1)) - 2).square().mean()
    ...     loss.backward()
    ...     _ = optimizer.step()
    ...     _ = guard.update(loss)
    >>> bool(loss < 1e-6), guard.factor, guard.rollbacks[0].reason
    (True, 0.125, 'the loss diverged')
    """

    def __init__(
        self,
        model: nn.Module | Iterable[nn.Module],
        optimizer: Optimizer | Iterable[Optimizer],
        lr_scheduler: object = None,
        scaler: Any = None,
        *,
        steps: int | None = None,
        every: int | None = None,
        halvings: int = 8,
        max_stable_lr: float | None = None,
        say: Callable[[str], object] | None = warn,
        others: Iterable[object] = (),
        may_put_off: bool = True,
    ) -> None:
        models = [model] if isinstance(model, nn.Module) else list(model)
        self._optimizers = [optimizer] if isinstance(optimizer, Optimizer) else list(optimizer)
        for one in self._optimizers:
            if not isinstance(one, Optimizer):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise UnsupportedLoopError(
                    f"optimizer must be an optimizer of torch.optim, but it is a {type(one).__name__}."
                )
        self._roots: list[object] = [*models, *self._optimizers, *([] if scaler is None else [scaler]), *others]
        self._left_out = [] if lr_scheduler is None else [lr_scheduler]
        self._generators = Generators([*global_generators(), *torch_generators()])
        # Registered now, since a snapshot remembers what hooks there are.
        self._hooks = [_Scaled(one, lambda: self.factor) for one in self._optimizers]
        self._guarding = Guarding(steps, every=every, max_stable_lr=max_stable_lr)
        self._safeguard = Safeguard(
            self._guarding,
            self._save,
            self._bring_back,
            halvings=check_count("halvings", halvings, at_least=0),
            say=say,
            may_put_off=may_put_off and every is None,
        )
        self._step = 0
        self._safeguard.begin()

    @property
    def factor(self) -> float:
        """What the learning rates are multiplied by: one half for each return."""
        return self._safeguard.factor if hasattr(self, "_safeguard") else 1.0

    @property
    def rollbacks(self) -> tuple[Rollback, ...]:
        """The returns to a snapshot, in order."""
        return tuple(self._safeguard.rollbacks)

    @property
    def should_stop(self) -> bool:
        """Whether no halving was left; the model is then as it was at the last snapshot."""
        return self._safeguard.has_given_up

    @property
    def lr(self) -> float:
        """The learning rate of the first parameter group in the next step, with the guard's factor."""
        return self.factor * float(self._optimizers[0].param_groups[0]["lr"])

    def update(self, loss: Any, *, lr: float | None = None, step: int | None = None) -> Rollback | None:
        """Take the loss of the step that the optimizer has just taken.

        Args:
            loss: the loss, a tensor or a number.
            lr: the learning rate of that step, with the guard's factor, where a scheduler has moved it since.
            step: the number of the step, where not every step is told; by default the one after the last.

        Returns:
            The return to the last snapshot, if there was one.

        Raises:
            LossError: the loss is no real number.
        """
        self._step = self._step + 1 if step is None else step + 1
        if self.should_stop:
            return None
        return self._safeguard.update(self._step - 1, self.lr if lr is None else lr, _number(loss))

    def evaluated(self, loss: float) -> Rollback | None:
        """Take an evaluation loss, and go back if it is not finite.

        Args:
            loss: the loss.
        """
        if self.should_stop or _number(loss) - _number(loss) == 0:
            return None
        return self._safeguard.go_back(max(self._step - 1, 0), self.lr, "the evaluation loss was not finite")

    def finish(self) -> Rollback | None:
        """Judge the end of the training, and bring the last snapshot back if it ended badly."""
        reason = None if self.should_stop else self._guarding.ended()
        if reason is None:
            return None
        return self._safeguard.go_back(self._step - 1, self.lr, reason, is_last=True)

    def close(self) -> None:
        """Take the guard off the optimizers, whose rates are multiplied no longer, and let the snapshot go."""
        for hook in self._hooks:
            hook.close()
        self._safeguard.close()

    def _save(self) -> tuple[Memory, Sequence[Any]]:
        return Memory(self._roots, self._left_out), self._generators.save()

    def _bring_back(self, snapshot: tuple[Memory, Sequence[Any]]) -> None:
        memory, generators = snapshot
        scheduled = [
            [{key: _copy(group[key]) for key in _SCHEDULED if key in group} for group in optimizer.param_groups]
            for optimizer in self._optimizers
        ]
        memory.bring_back()
        self._generators.load(generators)
        for optimizer, groups in zip(self._optimizers, scheduled, strict=True):
            for group, present in zip(optimizer.param_groups, groups, strict=True):
                for key, value in present.items():
                    _write(group, key, value)


class _Scaled:
    """Multiplies the learning rates of an optimizer while it takes a step."""

    def __init__(self, optimizer: Optimizer, factor: Callable[[], float]) -> None:
        self._optimizer, self._factor = optimizer, factor
        self._own: list[Any] = []
        self._handles = [optimizer.register_step_pre_hook(self._scale), optimizer.register_step_post_hook(self._end)]

    def close(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()

    def _end(self, *_: object) -> None:
        self._give_back()

    def _scale(self, *_: object) -> None:
        self._give_back()  # A step that raised has not done so.
        factor = self._factor()
        if factor == 1:
            return
        self._own = [_copy(group["lr"]) for group in self._optimizer.param_groups]
        for group, lr in zip(self._optimizer.param_groups, self._own, strict=True):
            _write(group, "lr", factor * lr)

    def _give_back(self) -> None:
        for group, lr in zip(self._optimizer.param_groups, self._own, strict=False):
            _write(group, "lr", lr)
        self._own = []


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else value


def _write(group: dict[str, Any], key: str, value: Any) -> None:
    # A compiled or captured step holds on to the tensor itself.
    if isinstance(group.get(key), torch.Tensor):
        group[key].copy_(value) if isinstance(value, torch.Tensor) else group[key].fill_(value)
    else:
        group[key] = value


def _number(loss: Any) -> float:
    try:
        return float(loss.detach() if isinstance(loss, torch.Tensor) else loss)
    except (TypeError, ValueError, RuntimeError):
        raise LossError(f"A loss must be one real number, but it is {loss!r}.") from None
