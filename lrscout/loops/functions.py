"""Any loop at all, told by its functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lrscout.core.checks import check_count, check_lr
from lrscout.core.errors import LandscapeUnavailableError, UnsupportedLoopError
from lrscout.core.loop import Snapshot
from lrscout.loops.function_landscape import FunctionLandscape, LandscapeFunctions, number_of
from lrscout.loops.generators import Generators, global_generators, torch_generators


def from_functions(
    step: Callable[[float], Any],
    snapshot: Callable[[], Any],
    restore: Callable[[Any], Any],
    evaluate: Callable[[], Any] | None = None,
    *,
    reseed: Callable[[int], Any] | None = None,
    lr: float,
    parameters: Callable[[], Any] | None = None,
    loss_at: Callable[[Any], Any] | None = None,
    gradient_at: Callable[[Any], Any] | None = None,
    product_at: Callable[[Any, Any], Any] | None = None,
    updates_of: Callable[[Any, float], Any] | None = None,
) -> FunctionLoop:
    """Make a loop out of functions of your own.

    `parameters`, `loss_at` and `gradient_at` together tell the loss as a function of the parameters, for what asks for
    its curvature or draws it.

    Args:
        step: takes a learning rate, makes one update with it, and returns the loss before the update.
        snapshot: returns a copy of everything that the next step depends on, which later steps do not change.
        restore: takes such a copy and brings that state back; it may be called several times with the same copy.
            Python's and NumPy's global generators are brought back for you.
        evaluate: returns the loss on fixed evaluation data and changes nothing.
        reseed: starts the data order, and generators of your own, anew from a seed; without it, the repeats of a
            test see one order.
        lr: the learning rate that you would use.
        parameters: returns the parameters as they are now, as one array of floating-point numbers.
        loss_at: takes an array like that and returns the loss there, on data that stay the same.
        gradient_at: takes an array like that and returns the gradient of the same loss, in the same shape.
        product_at: takes an array of parameters and a direction, both like that, and returns the product of the Hessian
            there with the direction. Without it, products are differences of gradients.
        updates_of: takes the gradients of the next steps, stacked along a first axis, and a learning rate, and returns
            the changes of the parameters that the optimizer, as it stands, would make of them, in the same shape. It
            changes nothing.

    Returns:
        The loop.

    Raises:
        InvalidValueError: `lr` is not a finite number above zero, or one of `parameters`, `loss_at` and `gradient_at`
            is missing.

    >>> position = [1.0]
    >>> def step(lr):
    ...     loss = position[0] ** 2
    ...     position[0] -= lr * 2 * position[0]
    ...     return loss
    >>> loop = from_functions(
    ...     step, position.copy, lambda copy: position.__setitem__(0, copy[0]), lr=0.25,
    ...     parameters=lambda: position, loss_at=lambda x: x[0] ** 2, gradient_at=lambda x: 2 * x,
    ... )
    >>> loop.step(0.25), loop.step(0.25)
    (1.0, 0.25)
    >>> here = loop.landscape(batches=1).derivatives()
    >>> float(here.loss), here.gradient, here.product(here.gradient).round(6)
    (0.0625, array([0.5]), array([1.]))
    """
    landscape = LandscapeFunctions.of(
        parameters=parameters,
        loss_at=loss_at,
        gradient_at=gradient_at,
        product_at=product_at,
        updates_of=updates_of,
    )
    return FunctionLoop(step, snapshot, restore, evaluate, reseed, check_lr("lr", lr), landscape)


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
        landscape: LandscapeFunctions | None,
    ) -> None:
        self._step = step
        self._snapshot = snapshot
        self._restore = restore
        self._evaluate = evaluate
        self._reseed = reseed
        self._lr = lr
        self._landscape = landscape
        self._generators = Generators([*global_generators(), *torch_generators()])

    @property
    def lr(self) -> float:
        return self._lr

    def step(self, lr: float) -> float:
        return number_of(self._step(lr), "step")

    def evaluate(self) -> float:
        if self._evaluate is None:
            raise UnsupportedLoopError("Cannot evaluate this loop because it has no evaluate function; give it one.")
        before = self._generators.save()
        try:
            return number_of(self._evaluate(), "evaluate")
        finally:
            self._generators.load(before)

    def landscape(self, batches: int) -> FunctionLandscape:
        if self._landscape is None:
            raise LandscapeUnavailableError(
                "Cannot differentiate the loss of this loop because its functions do not tell it as a function of the "
                "parameters. Give from_functions parameters, loss_at and gradient_at."
            )
        check_count("batches", batches, at_least=1)
        return FunctionLandscape(self._landscape, self._generators)

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
