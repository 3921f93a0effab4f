"""What every result can do: say itself in sentences, as JSON, and as a picture."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Cost:
    """What a result cost.

    Args:
        steps: optimizer updates taken.
        evaluations: passes over the evaluation data.
        seconds: wall time.
        products: products with the Hessian.
    """

    steps: int
    evaluations: int
    seconds: float
    products: int = 0

    def __str__(self) -> str:
        evaluations = f", {self.evaluations} evaluations" if self.evaluations else ""
        products = f", {self.products} Hessian products" if self.products else ""
        return f"{self.steps} steps{evaluations}{products}, {self.seconds:.2g} s"


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


def jsonable(value: Any) -> Any:
    """Return a value as plain lists, numbers and strings, with None for a number that is not finite."""
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers.
        value = value.tolist()
    if isinstance(value, Cost):
        value = asdict(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}  # pyright: ignore
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]  # pyright: ignore
    return value
