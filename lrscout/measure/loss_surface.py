"""What a surface is: the loss over one or two directions, and the paths on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.core.curve import Outcome
from lrscout.core.result import Cost, Result, jsonable

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_GROUNDS = {
    "parameters": "over {names}",
    "random": "over two random directions, each filter of them as large as the filter of the parameters",
    "path": "over the two principal directions of {whose}",
    "given": "over the given directions",
    "line": "along the line from one state to another",
}


@dataclass(frozen=True, eq=False)
class Path:
    """A run as it is seen on a surface.

    Args:
        lr: its learning rate.
        steps: after how many steps it was at each place; the first is 0.
        places: where that is along the directions, at the point of the surface that is nearest to it.
        losses: the loss there, at the run's own parameters, on the batches of the surface.
        taken: the number of steps taken.
        outcome: how the run ended, judged by its training losses.
        shown: how many of the places tell the story: all, or of a run that diverged those of the first leaps, or up to
            the first that is so far away that it would make another run a dot.
        share: the share of these places' way from the origin of the surface, in squares, that lies in it.
    """

    lr: float
    steps: Int[np.ndarray, " place"]
    places: Float[np.ndarray, "place direction"]
    losses: Float[np.ndarray, " place"]
    taken: int
    outcome: Outcome
    shown: int
    share: float = 1.0

    @property
    def astray(self) -> bool:
        """Whether the run diverged."""
        return self.outcome in (Outcome.DIVERGING, Outcome.NON_FINITE)

    @property
    def seen(self) -> Float[np.ndarray, "place direction"]:
        """The places that tell the story."""
        return self.places[: self.shown]

    def __str__(self) -> str:
        if self.astray:
            return f"At lr {self.lr:g}, from a loss of {self.losses[0]:.3g}, {self.outcome.sentence}."
        ends = f"from a loss of {self.losses[0]:.3g} to {self.losses[-1]:.3g}"
        return f"At lr {self.lr:g}, {self.taken} steps lead {ends}: {self.outcome.sentence}."


@dataclass(frozen=True, eq=False)
class Surface(Result):
    """The loss over two directions, or along one, and the paths on it.

    Args:
        kind: ``"parameters"``, ``"random"``, ``"path"``, ``"given"`` or ``"line"``: what the directions are.
        names: what to call each direction.
        axes: the coordinates along each direction.
        losses: the loss at each of them, the first direction first; where it is not finite, there is no surface.
        home: the coordinates of where the loop stands.
        paths: the runs.
        max_stable_lr: the learning rate below which the optimizer is stable where the loop stands, if it is known.
        minimum: the coordinates of the minimum, if it is known.
        origin: the parameters at the coordinates zero.
        directions: what to add to them for a coordinate of one.
        batches: the number of batches whose mean loss it is.
        cost: what the surface cost; each place where the loss was taken counts as an evaluation.
    """

    kind: str
    names: tuple[str, ...]
    axes: tuple[Float[np.ndarray, " coordinate"], ...]
    losses: Float[np.ndarray, "*grid"]
    home: Float[np.ndarray, " direction"]
    paths: tuple[Path, ...]
    max_stable_lr: float | None
    minimum: Float[np.ndarray, " direction"] | None
    origin: Float[np.ndarray, " parameter"]
    directions: Float[np.ndarray, "direction parameter"]
    batches: int
    cost: Cost

    @property
    def share(self) -> float | None:
        """The smallest share of a path's way that lies in the surface; None without a path."""
        return min((path.share for path in self.paths), default=None)

    def __str__(self) -> str:
        return " ".join([*self._ground(), *map(str, self.paths), *self._limit(), f"Cost: {self.cost}."])

    def to_dict(self) -> dict[str, Any]:
        return jsonable(
            {
                "kind": self.kind,
                "names": self.names,
                "axes": self.axes,
                "losses": self.losses,
                "home": self.home,
                "paths": [asdict(path) | {"outcome": str(path.outcome)} for path in self.paths],
                "max_stable_lr": self.max_stable_lr,
                "minimum": self.minimum,
                "batches": self.batches,
                "cost": self.cost,
            }
        )

    def _ground(self) -> list[str]:
        whose = "the path" if len(self.paths) == 1 else "the paths"
        ground = _GROUNDS[self.kind].format(names=" and ".join(self.names), whose=whose)
        size = " x ".join(str(len(axis)) for axis in self.axes)
        finite = self.losses[np.isfinite(self.losses)]
        if not len(finite):
            return [f"The loss {ground}, at {size} points, is finite at none."]
        sentences = [f"The loss {ground}, at {size} points, goes from {finite.min():.3g} to {finite.max():.3g}."]
        if len(finite) < self.losses.size:
            sentences.append(f"At {self.losses.size - len(finite)} points it is not finite.")
        if self.kind == "line":
            sentences.append(self._barrier())
        if self.share is not None and self.kind not in ("parameters", "line"):
            sentences.append(f"The plane holds {100 * self.share:.3g} % of the way of {whose}.")
        return sentences

    def _barrier(self) -> str:
        (along,) = self.axes
        between = self.losses[(along >= 0) & (along <= 1)]
        start, end = (float(np.interp(place, along, self.losses)) for place in (0, 1))
        highest = float(between.max(initial=-np.inf))
        if not highest > max(start, end):
            return f"Between the states, at {start:.3g} and {end:.3g}, it is nowhere higher than at them."
        return f"Between the states, at {start:.3g} and {end:.3g}, it rises to {highest:.3g}."

    def _limit(self) -> list[str]:
        if self.max_stable_lr is None:
            return []
        where = "" if self.kind == "parameters" else " where the loop stands"
        return [f"The limit of stability{where} is a learning rate of {self.max_stable_lr:.3g}."]
