"""The loss along the line between two states of a loop."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np

from lrscout.core.checks import check_count
from lrscout.core.errors import InvalidValueError
from lrscout.core.loop import Loop, Snapshot, restored
from lrscout.core.progress import progress
from lrscout.core.result import Cost
from lrscout.measure.ground import Ground, check_differentiable, check_position
from lrscout.measure.loss_surface import Surface
from lrscout.measure.plane import Plane

if TYPE_CHECKING:
    from jaxtyping import Float

    Parameters = Float[np.ndarray, " parameter"]


def line(
    loop: Loop,
    start: Snapshot | Parameters,
    end: Snapshot | Parameters,
    *,
    batches: int = 8,
    resolution: int = 61,
    beyond: float = 0.25,
) -> Surface:
    """Show the loss along the straight line from one state of a loop to another, and bring the loop home.

    Args:
        loop: the training loop, one that has a landscape; afterwards it stands exactly where it stood.
        start: a snapshot of the loop, or the parameters as a flat array.
        end: another. Of both only the parameters count: statistics and the like stay those of where the loop stands.
        batches: the number of batches whose mean loss is shown.
        resolution: the number of points, at least 5.
        beyond: how far to look beyond both ends, as a share of the way between them.

    Returns:
        A surface with one direction, along which the start is at 0 and the end at 1.

    Raises:
        InvalidValueError: an argument is out of range, or the states are none of this loop's, or are the same.
        UnsupportedLoopError: `loop` is not a loop.
        LandscapeUnavailableError: the loop cannot tell its loss as a function of its parameters.

    Source:
        Goodfellow, Vinyals and Saxe 2015 (arXiv 1412.6544).

    >>> from lrscout.lesson.engines import numpy_engine
    >>> from lrscout.lesson.problem import sample_problem
    >>> loop = numpy_engine(sample_problem()).loop
    >>> way = line(loop, [0, -1], [0.0876, 0.4803])
    >>> lowest = way.losses.argmin()
    >>> float(way.axes[0].take(lowest).round(2))
    1.0
    """
    differentiable = check_differentiable(loop)
    resolution = check_count("resolution", resolution, at_least=5)
    batches = check_count("batches", batches, at_least=1)
    if not (math.isfinite(beyond) and beyond >= 0):
        raise InvalidValueError(f"beyond must be a finite number, at least 0, but it is {beyond!r}.")
    began = time.perf_counter()
    with restored(loop) as home, progress("line", resolution) as bar:
        ground = Ground(differentiable.landscape(batches), bar)
        here = ground.start()
        first, last = (_position(name, state, loop, home, ground) for name, state in (("start", start), ("end", end)))
        loop.restore(home)
        if np.array_equal(first, last):
            raise InvalidValueError("start and end must be two states, but their parameters are the same.")
        plane = Plane("line", ("share of the way from start to end",), first, (last - first)[np.newaxis])
        axes = (np.linspace(-beyond, 1 + beyond, resolution),)
        losses = ground.over(plane, axes)
    return Surface(
        kind=plane.kind,
        names=plane.names,
        axes=axes,
        losses=losses,
        home=plane.places(here[np.newaxis])[0],
        paths=(),
        max_stable_lr=None,
        minimum=None,
        origin=plane.origin,
        directions=plane.directions,
        batches=ground.landscape.batches,
        cost=Cost(0, ground.evaluations, time.perf_counter() - began),
    )


def _position(name: str, state: object, loop: Loop, home: Snapshot, ground: Ground) -> Parameters:
    """Return the parameters of a state, which may leave the loop there."""
    if isinstance(state, type(home)):
        loop.restore(state)
        return ground.here()
    try:
        position = np.array(state, float).ravel()
    except (TypeError, ValueError):
        raise InvalidValueError(
            f"{name} must be a snapshot of this loop or its parameters, but it is a {type(state).__name__}."
        ) from None
    return check_position(name, position, len(ground.landscape.position()))
