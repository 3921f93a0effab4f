"""The loss at many places at once, and what its second derivatives tell where there are few parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lrscout.core.errors import InvalidValueError, LandscapeUnavailableError
from lrscout.core.landscape import Differentiable, Landscape
from lrscout.core.loop import check_loop
from lrscout.core.progress import Bar
from lrscout.measure.plane import Plane

if TYPE_CHECKING:
    from jaxtyping import Float

    Parameters = Float[np.ndarray, " parameter"]
    Positions = Float[np.ndarray, "point parameter"]
    Losses = Float[np.ndarray, " point"]
    Axes = tuple[Float[np.ndarray, " coordinate"], ...]

_CHUNK = 128 * 2**20
"""The bytes of positions to hold at once."""

_NUMBER = 8
"""The bytes of a number in double precision."""

_AS_FORETOLD = 0.01
"""The share by which the fall to the minimum of a quadratic may differ from the one foretold."""

_SINGULAR = 1e-6
"""Up to this ratio of curvatures, rounding in single precision decides where the minimum of a quadratic lies."""


class Ground:
    """Takes the loss at many places, a few at a time, and counts them.

    Args:
        landscape: knows the loss.
        bar: is told of the points of a grid.
    """

    def __init__(self, landscape: Landscape, bar: Bar) -> None:
        self.landscape = landscape
        self.bar = bar
        self.evaluations = 0

    def here(self) -> Parameters:
        """Return a copy of the parameters as they are now."""
        return np.array(self.landscape.position(), float)

    def start(self) -> Parameters:
        """Return the parameters where the loop stands before anything is done.

        Raises:
            InvalidValueError: there are none, or they are not finite.
        """
        start = self.here()
        if not len(start):
            raise InvalidValueError("loop must have parameters to train, but it has none.")
        if not np.isfinite(start).all():
            raise InvalidValueError(
                f"loop must stand at finite parameters, but {np.sum(~np.isfinite(start))} of its {len(start)} are not."
            )
        return start

    def losses(self, positions: Positions) -> Losses:
        """Return the loss at each of some positions."""
        together = _together(positions.shape[1])
        return np.concatenate(
            [self._losses(positions[first : first + together]) for first in range(0, len(positions), together)]
        )

    def over(self, plane: Plane, axes: Axes) -> Float[np.ndarray, "*grid"]:
        """Return the loss on a grid, of whose positions only a few exist at any time.

        Args:
            plane: the directions.
            axes: the coordinates along each of them.
        """
        places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
        # A row at a time where memory allows, so that compiled losses see one shape.
        together = min(_together(len(plane.origin)), len(axes[-1]))
        losses: list[Losses] = []
        for first in range(0, len(places), together):
            losses.append(self._losses(plane.positions(places[first : first + together])))
            self.bar.advance(len(losses[-1]))
        return np.concatenate(losses).reshape([len(axis) for axis in axes])

    def _losses(self, positions: Positions) -> Losses:
        self.evaluations += len(positions)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(self.landscape.losses(positions), float)


def quadratic_minimum(ground: Ground, start: Parameters) -> tuple[Parameters | None, int]:
    """Return where a quadratic of few parameters is lowest, and how many Hessian products it took to know.

    Args:
        ground: the loss.
        start: the parameters where the loop stands.

    Returns:
        The minimum, or None where the loss is no quadratic, or one without a lowest point.
    """
    here = ground.landscape.derivatives()
    hessian = np.stack([here.product(direction) for direction in np.eye(len(start))])
    if not (np.isfinite(hessian).all() and np.isfinite(here.gradient).all()):
        return None, len(start)
    hessian = (hessian + hessian.T) / 2
    curvatures = np.linalg.eigvalsh(hessian)
    if curvatures[0] <= _SINGULAR * abs(curvatures[-1]):
        return None, len(start)
    step = -np.linalg.solve(hessian, here.gradient)
    foretold = -float(here.gradient @ step) / 2
    before, after = ground.losses(np.stack([start, start + step]))
    with np.errstate(invalid="ignore"):
        is_quadratic = abs(before - after - foretold) <= _AS_FORETOLD * foretold
    return (start + step if is_quadratic else None), len(start)


def check_differentiable(loop: object) -> Differentiable:
    """Return a loop that has a landscape.

    Raises:
        UnsupportedLoopError: it is not a loop.
        LandscapeUnavailableError: it is one without a landscape.
    """
    check_loop(loop)
    if not isinstance(loop, Differentiable):
        raise LandscapeUnavailableError(
            f"A {type(loop).__name__} cannot tell its loss at other parameters than its own. Loops made by from_torch, "
            "from_jax, from_tensorflow and from_keras can, and from_functions with parameters, loss_at and gradient_at."
        )
    return loop


def check_position(name: str, values: Parameters, parameters: int) -> Parameters:
    """Return a flat vector of parameters, or raise if there are not as many, or not all of them are finite."""
    if len(values) != parameters or not np.isfinite(values).all():
        raise InvalidValueError(
            f"{name} must hold a finite number for each of the loop's {parameters} parameters, but of its "
            f"{len(values)} numbers {np.isfinite(values).sum()} are finite."
        )
    return values


def _together(parameters: int) -> int:
    """Return how many positions to hold at once."""
    return max(_CHUNK // (_NUMBER * parameters), 1)
