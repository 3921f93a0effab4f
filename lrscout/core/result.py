"""What every result can do: say itself in sentences, as JSON, and as a picture."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STEPS_OF_A_PRODUCT = 2
_COUNTED = ("steps", "evaluations", "seconds", "products")
"""What of a cost was counted; the rest follows."""


@dataclass(frozen=True)
class Cost:
    """What a result cost.

    Args:
        steps: optimizer updates taken.
        evaluations: passes over the evaluation data.
        seconds: wall time.
        products: products with the Hessian.
        evaluation_steps: how many steps an evaluation takes as much work as; by default a third of one, as for
            evaluation data of the size of a batch, since a step goes forward and backward and the way back takes twice
            the work of the way there.
    """

    steps: int
    evaluations: int
    seconds: float
    products: int = 0
    evaluation_steps: float = 1 / 3

    @property
    def step_equivalents(self) -> float:
        """All that was computed, in steps; a product with the Hessian, the gradient of a gradient, counts as two."""
        return self.steps + self.evaluations * self.evaluation_steps + self.products * _STEPS_OF_A_PRODUCT

    def __str__(self) -> str:
        counted = [(self.steps, "step"), (self.evaluations, "evaluation"), (self.products, "Hessian product")]
        told = [f"{count} {what}{'s' * (count != 1)}" for count, what in counted if count or what == "step"]
        return f"{', '.join(told)}, {self.seconds:.2g} s"


class Result(ABC):
    """A frozen answer of a verb."""

    @abstractmethod
    def __str__(self) -> str:
        """Return the answer in sentences."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the answer as plain lists, numbers and strings; a number that is not finite is None."""

    def to_json(self) -> str:
        """Return `to_dict` as one JSON object."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the result with Matplotlib.

        Args:
            ax: the axes to draw on; new ones by default. Nothing is shown and no file is written.

        Returns:
            The axes.
        """
        # The one door that leads upstairs: a result offers its picture, but Matplotlib, and the room that knows
        # it, load only when somebody asks for one.
        return import_module("lrscout.pictures").draw(self, ax)

    def _repr_html_(self) -> str:
        """Return the answer as a notebook shows it: a small picture, where there is one, and the sentences."""
        sentences = f'<p style="max-width: 60em">{escape(str(self))}</p>'
        # An answer is shown whatever becomes of its picture, and no picture is made before.
        with suppress(Exception):
            return import_module("lrscout.pictures.inline").image_of(self) + sentences
        return sentences


def jsonable(value: Any) -> Any:
    """Return a value as plain lists, numbers and strings, with None for a number that is not finite."""
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers.
        value = value.tolist()
    if isinstance(value, Cost):
        value = {name: getattr(value, name) for name in _COUNTED}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}  # pyright: ignore
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]  # pyright: ignore
    return value
