"""What the guards inside the trainers of PyTorch have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn
from torch.optim import Optimizer

from lrscout.analyse.guarding import Guarding
from lrscout.callbacks.torch_guard import TorchGuard
from lrscout.core.checks import check_count
from lrscout.core.errors import UnsupportedLoopError
from lrscout.measure.safeguard import Rollback


class TrainerGuard:
    """Guards each training of a trainer anew, with the same options.

    Args:
        every: after how many losses to take a snapshot, or None for the guard's own choice.
        halvings: how often the rate may be halved.
        max_stable_lr: the largest stable learning rate, if it is known.
        say: what to call with each sentence, or None.

    Raises:
        InvalidValueError: an argument is out of its range.
    """

    def __init__(
        self,
        every: int | None,
        halvings: int,
        max_stable_lr: float | None,
        say: Callable[[str], object] | None,
    ) -> None:
        super().__init__()
        self._options: dict[str, Any] = {
            "every": every,
            "halvings": check_count("halvings", halvings, at_least=0),
            "max_stable_lr": max_stable_lr,
        }
        Guarding(every=every, max_stable_lr=max_stable_lr)  # So that a wrong argument is told now.
        self._say = say
        self._guard: TorchGuard | None = None

    @property
    def guard(self) -> TorchGuard:
        """The guard of the training that goes on, or of the last one. It counts the losses that it is told.

        Raises:
            UnsupportedLoopError: no training has begun yet.
        """
        if self._guard is None:
            raise UnsupportedLoopError("There is no guard yet. Give this callback to the Trainer first.")
        return self._guard

    @property
    def factor(self) -> float:
        """What the learning rates are multiplied by: one half for each return."""
        return self.guard.factor

    @property
    def rollbacks(self) -> tuple[Rollback, ...]:
        """The returns to a snapshot, in order; their steps are those of the trainer."""
        return self.guard.rollbacks

    def _begin(
        self,
        model: nn.Module,
        optimizer: Optimizer | Iterable[Optimizer],
        *,
        losses: int,
        speaks: bool,
        alone: bool,
        **others: Any,
    ) -> None:
        """Guard a training.

        Args:
            model: what is trained.
            optimizer: its optimizer, or several.
            losses: how many losses are to come; 0 if that is not known.
            speaks: whether this is the process that says what happens.
            alone: whether no other process trains the same model, and would have to take its snapshots with this one.
            **others: what else `TorchGuard` is to know.
        """
        self._guard = TorchGuard(
            model,
            optimizer,
            steps=losses if losses > 0 else None,
            say=self._say if speaks else None,
            may_put_off=alone,
            **others,
            **self._options,
        )
