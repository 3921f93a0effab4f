"""Any loop at all, told by its functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lrscout.core.checks import check_lr
from lrscout.core.errors import LossError, UnsupportedLoopError
from lrscout.core.loop import Snapshot
from lrscout.loops.generators import Generators, global_generators, torch_generators


def from_functions(
    step: Callable[[float], Any],
    snapshot: Callable[[], Any],
    restore: Callable[[Any], Any],
    evaluate: Callable[[], Any] | None = None,
    *,
    reseed: Callable[[int], Any] | None = None,
    lr: float,
) -> FunctionLoop:
    """Make a loop out of functions of your own.

    Args:
        step: takes a learning rate, makes one update with it, and returns the loss before the update.
        snapshot: returns a copy of everything that the next step depends on, which later steps do not change.
        restore: takes such a copy and brings that state back; it may be called several times with the same copy.
            Python's and NumPy's global generators are brought back for you.
        evaluate: returns the loss on fixed evaluation data and changes nothing.
        reseed: starts the data order, and generators of your own, anew from a seed; without it, the repeats of a
            test see one order.
        lr: the learning rate that you would use.

    Returns:
        The loop.

    Raises:
        InvalidValueError: `lr` is not a finite number above zero.

    >>> position = [1.0]
    >>> def step(lr):
    ...     loss = position[0] ** 2
    ...     position[0] -= lr * 2 * position[0]
    ...     return loss
    >>> loop = from_functions(step, position.copy, lambda copy: position.__setitem__(0, copy[0]), lr=0.25)
    >>> loop.step(0.25), loop.step(0.25)
    (1.0, 0.25)
    """
    return FunctionLoop(step, snapshot, restore, evaluate, reseed, check_lr("lr", lr))


@dataclass(frozen=True)
class _Copy:
    state: Any
    generators: Any


class FunctionLoop:
    """A loop told by its functions; made by `from_functions`."""

    def __init__(
        self,
        step: Callable[[float], Any],
        snapshot: Callable[[], Any],
        restore: Callable[[Any], Any],
        evaluate: Callable[[], Any] | None,
        reseed: Callable[[int], Any] | None,
        lr: float,
    ) -> None:
        self._step = step
        self._snapshot = snapshot
        self._restore = restore
        self._evaluate = evaluate
        self._reseed = reseed
        self._lr = lr
        self._generators = Generators([*global_generators(), *torch_generators()])

    @property
    def lr(self) -> float:
        return self._lr

    def step(self, lr: float) -> float:
        return _number(self._step(lr), "step")

    def evaluate(self) -> float:
        if self._evaluate is None:
            raise UnsupportedLoopError("Cannot evaluate this loop because it has no evaluate function; give it one.")
        before = self._generators.save()
        try:
            return _number(self._evaluate(), "evaluate")
        finally:
            self._generators.load(before)

    def snapshot(self) -> Snapshot:
        return _Copy(self._snapshot(), self._generators.save())

    def restore(self, snapshot: Snapshot) -> None:
        assert isinstance(snapshot, _Copy)
        self._restore(snapshot.state)
        self._generators.load(snapshot.generators)

    def reseed(self, seed: int) -> None:
        self._generators.seed(seed)
        if self._reseed is not None:
            self._reseed(seed)


def _number(loss: Any, function: str) -> float:
    shape = getattr(loss, "shape", ())
    if tuple(shape) not in ((), (1,)):
        raise LossError(f"{function} must return one number, but it returned an array of shape {tuple(shape)}.")
    try:
        return float(loss)
    except (TypeError, ValueError):
        raise LossError(f"{function} must return one number, but it returned {loss!r}.") from None
