"""The landscape of a loop that is told by its functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.core.errors import InvalidValueError, LandscapeUnavailableError, LossError
from lrscout.core.landscape import Block, Derivatives
from lrscout.loops.differences import product_by_differences, unit_and_length
from lrscout.loops.generators import Generators

if TYPE_CHECKING:
    from jaxtyping import Float

_SEED = 0
_BELONG_TOGETHER = ("parameters", "loss_at", "gradient_at")


@dataclass(frozen=True)
class LandscapeFunctions:
    """The functions that tell a landscape; `from_functions` says what each does."""

    parameters: Callable[[], Any]
    loss_at: Callable[[Any], Any]
    gradient_at: Callable[[Any], Any]
    product_at: Callable[[Any, Any], Any] | None
    updates_of: Callable[[Any, float], Any] | None

    @classmethod
    def of(cls, **functions: Callable[..., Any] | None) -> LandscapeFunctions | None:
        """Return the functions that were given, or None where there are none.

        Raises:
            InvalidValueError: some of those that belong together are missing.
        """
        given = [field.name for field in fields(cls) if functions[field.name] is not None]
        missing = [name for name in _BELONG_TOGETHER if name not in given]
        if not given:
            return None
        if missing:
            raise InvalidValueError(
                f"The loss as a function of the parameters is told by {', '.join(_BELONG_TOGETHER)} together, and "
                f"{', '.join(given)} came without {', '.join(missing)}. Give all of these, or none."
            )
        return cls(**functions)  # pyright: ignore[reportArgumentType]


class FunctionLandscape:
    """The landscape of a loop that is told by its functions; all its data are one batch.

    Args:
        functions: the functions.
        generators: the generators that they may draw from.
    """

    def __init__(self, functions: LandscapeFunctions, generators: Generators) -> None:
        self._functions = functions
        self._generators = generators
        self._like = self._parameters()
        if not np.issubdtype(self._like.dtype, np.floating):
            raise InvalidValueError(
                "parameters must return an array of floating-point numbers, but they are of type "
                f"{self._like.dtype}. Give them as a NumPy array, such as np.array([w, b])."
            )

    @property
    def blocks(self) -> Sequence[Block]:
        shape = self._like.shape
        return [Block("parameters", shape, len(shape) - 1 if len(shape) >= 2 else None)]

    @property
    def batches(self) -> int:
        return 1

    def position(self) -> Float[np.ndarray, " parameter"]:
        return self._parameters().astype(float).ravel()

    def losses(self, positions: Float[np.ndarray, "point parameter"]) -> Float[np.ndarray, " point"]:
        return np.array([self._loss_at(position) for position in positions], float)

    def derivatives(self, batch: int | None = None) -> Derivatives:
        if batch not in (None, 0):
            raise IndexError(f"There is no batch {batch}: all data of a loop of functions are one batch, which is 0.")
        here = self.position()
        product_at = self._functions.product_at
        if product_at is None:
            by_differences = product_by_differences(self._gradient_at, here, float(np.finfo(self._like.dtype).eps))
            return Derivatives(self._loss_at(here), self._gradient_at(here), by_differences, exact=False)

        def product(direction: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " parameter"]:
            # Single precision holds a direction of length 1, but not every direction of double precision.
            unit, length = unit_and_length(direction)
            return length * self._flat(self._alike(product_at, self._array(here), self._array(unit)), "product_at")

        return Derivatives(self._loss_at(here), self._gradient_at(here), product)

    def updates(
        self,
        gradients: Float[np.ndarray, "step parameter"],
        lr: float,
        position: Float[np.ndarray, " parameter"] | None = None,
        *,
        warm_up: int = 0,
    ) -> Float[np.ndarray, "step parameter"]:
        updates_of = self._functions.updates_of
        if updates_of is None:
            raise LandscapeUnavailableError(
                "Cannot tell what the optimizer of this loop would do with a gradient because it is code of yours. "
                "Give from_functions updates_of(gradients, lr), which returns the changes of the next steps."
            )
        in_turn = (-1.0) ** np.arange(warm_up)[:, np.newaxis] * gradients[:1]
        given = self._array(np.concatenate([in_turn, gradients]), warm_up + len(gradients))
        changes = np.asarray(self._alike(updates_of, given, float(lr)), float)
        if changes.shape != given.shape:
            raise InvalidValueError(
                f"updates_of must return a change for each gradient, an array of shape {given.shape}, "
                f"but it returned one of shape {changes.shape}."
            )
        return changes[warm_up:].reshape(gradients.shape)

    def _parameters(self) -> Any:
        return np.array(self._functions.parameters())

    def _loss_at(self, position: Float[np.ndarray, " parameter"]) -> float:
        return number_of(self._alike(self._functions.loss_at, self._array(position)), "loss_at")

    def _gradient_at(self, position: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " parameter"]:
        return self._flat(self._alike(self._functions.gradient_at, self._array(position)), "gradient_at")

    def _alike(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function so that it draws the same numbers each time, and leave the generators as they were."""
        before = self._generators.save()
        try:
            self._generators.seed(_SEED)
            with np.errstate(over="ignore", invalid="ignore"):  # Far out, where nobody trains, a loss may overflow.
                return function(*arguments)
        finally:
            self._generators.load(before)

    def _array(self, vector: Float[np.ndarray, "*axes"], *steps: int) -> Any:
        """Return a copy of a vector, or of several, in the form of the parameters."""
        with np.errstate(over="ignore"):
            return vector.astype(self._like.dtype).reshape((*steps, *self._like.shape))

    def _flat(self, returned: Any, function: str) -> Float[np.ndarray, " parameter"]:
        array = np.asarray(returned, float)
        if array.shape != self._like.shape:
            raise InvalidValueError(
                f"{function} must return an array of the parameters' shape {self._like.shape}, "
                f"but it returned one of shape {array.shape}."
            )
        return array.ravel()


def number_of(loss: Any, function: str) -> float:
    """Return a loss that a function returned as a float, or raise if it is not one number."""
    shape = getattr(loss, "shape", ())
    if tuple(shape) not in ((), (1,)):
        raise LossError(f"{function} must return one number, but it returned an array of shape {tuple(shape)}.")
    try:
        return float(loss)
    except (TypeError, ValueError):
        raise LossError(f"{function} must return one number, but it returned {loss!r}.") from None
