"""The loss surface that a run descends, and the path that it takes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lrscout.analyse.directions import are_parallel
from lrscout.analyse.window import window_around
from lrscout.core.checks import check_choice, check_count, check_lr
from lrscout.core.errors import InvalidValueError
from lrscout.core.landscape import Landscape
from lrscout.core.loop import Loop, Snapshot, restored
from lrscout.core.progress import progress
from lrscout.core.result import Cost
from lrscout.measure.ground import Ground, check_differentiable, check_position, quadratic_minimum
from lrscout.measure.loss_surface import Surface
from lrscout.measure.plane import (
    Plane,
    Trail,
    given_plane,
    plane_of_parameters,
    principal_plane,
    random_plane,
    trails_of,
)
from lrscout.measure.recording import record, room_for_positions
from lrscout.measure.stability import Inquiry

if TYPE_CHECKING:
    from jaxtyping import Float

    Parameters = Float[np.ndarray, " parameter"]
    Axes = tuple[Float[np.ndarray, " coordinate"], ...]

CHOICES = ("auto", "parameters", "path", "random")

_STEPS, _FEWEST_STEPS = 100, 2


def surface(
    loop: Loop,
    *,
    directions: str | Sequence[Parameters] = "auto",
    lr: float | Iterable[float] | None = None,
    steps: int | None = None,
    batches: int = 8,
    resolution: int = 41,
    span: float | None = None,
    max_stable_lr: float | None = None,
    seed: int = 0,
) -> Surface:
    """Show the loss around a loop over two directions, with the path that its runs take, and bring the loop home.

    Args:
        loop: the training loop, one that has a landscape; afterwards it stands exactly where it stood.
        directions: ``"parameters"``, for a loop that has one or two in all; ``"path"``, the two principal directions of
            its runs as seen from the end of the lowest; ``"random"``, two random directions through where the loop
            stands, each filter of them as large as that of the parameters; or one or two directions of your own. By
            default the parameters where there are but two, else the path, or without steps random directions.
        lr: the learning rate of the run to show, or several; by default the loop's own.
        steps: the number of steps of each run, or 0 for no run. By default 100; none on random directions or on your
            own unless `lr` is given.
        batches: the number of batches whose mean loss is shown.
        resolution: the number of points along each direction, at least 5.
        span: how far to look to each side, in the units of the directions. By default as far as the runs are seen, of
            one that diverges the first leaps; without a run, 1, which for parameters is multiplied by their norm.
        max_stable_lr: the limit of stability to tell; by default that of `curvature`, where the loop stands.
        seed: the seed of random directions and of the order of the runs' data.

    Returns:
        The surface with its paths.

    Raises:
        InvalidValueError: an argument is out of range, or none of its choices, or the directions do not fit the loop.
        UnsupportedLoopError: `loop` is not a loop.
        LandscapeUnavailableError: the loop cannot tell its loss as a function of its parameters.

    Source:
        Li et al. 2018, "Visualizing the loss landscape of neural nets" (arXiv 1712.09913).

    >>> from lrscout.lesson.engines import numpy_engine
    >>> from lrscout.lesson.problem import sample_problem
    >>> bowl = surface(numpy_engine(sample_problem()).loop, lr=[0.1, 0.9], steps=50)
    >>> [path.outcome.value for path in bowl.paths], round(bowl.max_stable_lr, 3)
    (['converging', 'diverging'], 0.775)
    """
    differentiable = check_differentiable(loop)
    resolution = check_count("resolution", resolution, at_least=5)
    batches = check_count("batches", batches, at_least=1)
    seed = check_count("seed", seed, at_least=0)
    if span is not None:
        span = _checked_span(span)
    if max_stable_lr is not None:
        max_stable_lr = check_lr("max_stable_lr", max_stable_lr)
    if isinstance(directions, str):
        check_choice("directions", directions, CHOICES)
    if steps is None:
        with_path = lr is not None or (isinstance(directions, str) and directions != "random")
        steps = _STEPS if with_path else 0
    steps = _checked_steps(steps, asked=lr is not None)
    rates = _checked_rates(loop, lr) if steps else []

    began = time.perf_counter()
    with restored(loop) as home, progress("surface", len(rates) * steps + resolution**2) as bar:
        ground = Ground(differentiable.landscape(batches), bar)
        start = ground.start()
        chosen = _chosen(directions, start, steps)
        trails = _trails(loop, home, ground, rates, steps, seed)
        plane = _plane(chosen, ground.landscape, start, trails, np.random.default_rng(seed))
        minimum, products = quadratic_minimum(ground, start) if plane.kind == "parameters" else (None, 0)
        if max_stable_lr is None:
            inquiry = Inquiry(loop, home, ground.landscape, rates[0] if rates else loop.lr)
            max_stable_lr = inquiry.limit()
            products += inquiry.products
        landmarks = start if minimum is None else np.stack([start, minimum])
        axes = _axes(plane, [np.atleast_2d(landmarks), *(trail.seen for trail in trails)], span, resolution)
        losses = ground.over(plane, axes)
    paths = sorted(map(plane.path, trails), key=lambda path: path.lr)
    return Surface(
        kind=plane.kind,
        names=plane.names,
        axes=axes,
        losses=losses,
        home=plane.places(start[np.newaxis])[0],
        paths=tuple(paths),
        max_stable_lr=max_stable_lr,
        minimum=minimum,
        origin=plane.origin,
        directions=plane.directions,
        batches=ground.landscape.batches,
        cost=Cost(
            steps=sum(path.taken for path in paths),
            evaluations=ground.evaluations,
            seconds=time.perf_counter() - began,
            products=products,
        ),
    )


def _trails(loop: Loop, home: Snapshot, ground: Ground, rates: Sequence[float], steps: int, seed: int) -> list[Trail]:
    if not steps:
        return []
    most = room_for_positions(len(ground.here()), len(rates))
    recordings = [
        record(loop, home, ground.landscape, rate, steps, seed=seed, most=most, bar=ground.bar) for rate in rates
    ]
    loop.restore(home)  # Whatever else the loss depends on, such as statistics of batches, is that of home.
    return trails_of(recordings, [ground.losses(recording.positions) for recording in recordings])


def _plane(
    chosen: str | Float[np.ndarray, "direction parameter"],
    landscape: Landscape,
    start: Parameters,
    trails: Sequence[Trail],
    generator: np.random.Generator,
) -> Plane:
    if not isinstance(chosen, str):
        return given_plane(start, chosen)
    if chosen == "parameters":
        return plane_of_parameters(start, landscape.blocks)
    if chosen == "path":
        return principal_plane(trails, start, landscape.blocks, generator)
    return random_plane(start, landscape.blocks, generator)


def _axes(
    plane: Plane,
    positions: Sequence[Float[np.ndarray, "position parameter"]],
    span: float | None,
    resolution: int,
) -> Axes:
    places = np.concatenate([plane.places(some) for some in positions])
    low, high = window_around(places, plane.reach)
    if span is not None:
        middle = low + (high - low) / 2
        low, high = middle - span, middle + span
    return tuple(np.linspace(low, high, resolution).T)


def _chosen(
    directions: str | Sequence[Parameters], start: Parameters, steps: int
) -> str | Float[np.ndarray, "direction parameter"]:
    """Return the name of the directions, or the directions that were given."""
    few = len(start) <= 2
    if not isinstance(directions, str):
        return _checked_directions(directions, len(start))
    if directions == "auto":
        return "parameters" if few else "path" if steps else "random"
    if directions == "parameters" and not few:
        raise InvalidValueError(
            f'directions="parameters" is for a loop of one or two parameters, but this one has {len(start)}. '
            'Choose "path" or "random".'
        )
    if directions != "parameters" and len(start) == 1:
        raise InvalidValueError(f'directions must be "parameters" for a loop of one, but it is {directions!r}.')
    if directions == "path" and not steps:
        raise InvalidValueError('directions="path" needs a run, but steps is 0.')
    return directions


def _checked_directions(directions: Sequence[Parameters], parameters: int) -> Float[np.ndarray, "direction parameter"]:
    try:
        given = np.atleast_2d(np.array(directions, float))
    except (TypeError, ValueError):
        given = np.zeros((0, 0))
    if given.ndim != 2 or len(given) not in (1, 2) or not given.size:
        raise InvalidValueError(
            f"directions must be one of {', '.join(CHOICES)}, or one or two flat arrays of {parameters} numbers."
        )
    for direction in given:
        check_position("Each of directions", direction, parameters)
    if are_parallel(given):
        raise InvalidValueError("directions must not be zero, and two of them not lie in one line.")
    return given


def _checked_rates(loop: Loop, lr: float | Iterable[float] | None) -> list[float]:
    if not isinstance(lr, Iterable):
        return [check_lr("lr", loop.lr if lr is None else lr)]
    checked = sorted({check_lr("Each of lr", rate) for rate in lr})
    if not checked:
        raise InvalidValueError("lr must hold at least one learning rate, but it is empty.")
    return checked


def _checked_steps(steps: int, *, asked: bool) -> int:
    """Return the number of steps of a run, of which there may be none unless its rate was asked for."""
    if check_count("steps", steps, at_least=0) == 0 and not asked:
        return 0
    return check_count("steps", steps, at_least=_FEWEST_STEPS)


def _checked_span(span: float) -> float:
    if not (math.isfinite(span) and span > 0):
        raise InvalidValueError(f"span must be a finite number above zero, but it is {span!r}.")
    return float(span)
