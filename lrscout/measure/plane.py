"""The plane of parameters over which a surface is drawn, and what is seen from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lrscout.analyse.directions import (
    are_parallel,
    coordinates_along,
    filter_normalized,
    principal_directions,
    share_along,
)
from lrscout.analyse.window import places_nearby, places_of_leaps
from lrscout.core.landscape import Block
from lrscout.measure.loss_surface import Path
from lrscout.measure.recording import Recording

if TYPE_CHECKING:
    from jaxtyping import Float

    Parameters = Float[np.ndarray, " parameter"]
    Positions = Float[np.ndarray, "position parameter"]
    Directions = Float[np.ndarray, "direction parameter"]
    Places = Float[np.ndarray, "place direction"]

_BOTH = 2


@dataclass(frozen=True, eq=False)
class Trail:
    """A recorded run with what is to be seen of it.

    Args:
        recording: the run.
        losses: the loss at each of its positions, on the batches of the surface.
        shown: how many of the positions tell the story.
        nearby: how many of those must be seen. Of one more, which is too far away, only the way to it is shown.
    """

    recording: Recording
    losses: Float[np.ndarray, " position"]
    shown: int
    nearby: int

    @property
    def seen(self) -> Positions:
        """The positions that must be seen."""
        return self.recording.positions[: self.nearby]


def trails_of(recordings: Sequence[Recording], losses: Sequence[Float[np.ndarray, " position"]]) -> list[Trail]:
    """Return runs as they are to be seen on one surface: the one that ended lowest first, and whole.

    Of one that diverged the first leaps are seen, and of the others what is not so far away that the first would be a
    dot.

    Args:
        recordings: the runs, all from one start.
        losses: the loss at each position of each.
    """
    stories = [
        places_of_leaps(heights, recording.positions) if recording.astray else len(recording.positions)
        for recording, heights in zip(recordings, losses, strict=True)
    ]
    reaches = [
        float(np.abs(recording.positions[:story] - recording.positions[0]).max())
        for recording, story in zip(recordings, stories, strict=True)
    ]
    ranks = [
        (recording.astray, reach if recording.astray else heights[-1])
        for recording, heights, reach in zip(recordings, losses, reaches, strict=True)
    ]
    lowest = min(range(len(recordings)), key=lambda index: ranks[index])
    trails: list[Trail] = []
    for index, (recording, heights, story) in enumerate(zip(recordings, losses, stories, strict=True)):
        nearby = story
        if index != lowest and reaches[lowest] > 0:
            nearby = min(places_nearby(recording.positions, reaches[lowest]), story)
        trails.append(Trail(recording, heights, min(nearby + 1, story), nearby))
    return [trails.pop(lowest), *trails]


@dataclass(frozen=True, eq=False)
class Plane:
    """One direction or two, through a point.

    Args:
        kind: what the directions are, as in `Surface`.
        names: what to call each.
        origin: the parameters at the coordinates zero.
        directions: what to add to them for a coordinate of one.
        reach: how far to look to each side where there is nothing to see but one point.
    """

    kind: str
    names: tuple[str, ...]
    origin: Parameters
    directions: Directions
    reach: float = 1.0

    def positions(self, places: Places) -> Positions:
        """Return the parameters at places of the plane."""
        return self.origin + places @ self.directions

    def places(self, positions: Positions) -> Places:
        """Return the places of the plane that are nearest to positions."""
        return coordinates_along(self.directions, positions - self.origin)

    def path(self, trail: Trail) -> Path:
        """Return a run as it is seen from the plane."""
        recording = trail.recording
        return Path(
            lr=recording.lr,
            steps=recording.steps,
            places=self.places(recording.positions),
            losses=trail.losses,
            taken=recording.taken,
            outcome=recording.outcome,
            shown=trail.shown,
            share=share_along(self.directions, trail.seen - self.origin),
        )


def plane_of_parameters(start: Parameters, blocks: Sequence[Block]) -> Plane:
    """Return the plane of a loop's one or two parameters, whose coordinates they are.

    Args:
        start: the parameters where the loop stands.
        blocks: their arrays.
    """
    names = [
        block.name if block.size == 1 else f"{block.name}[{', '.join(map(str, index))}]"
        for block in blocks
        for index in np.ndindex(block.shape)
    ]
    reach = float(np.linalg.norm(start)) or 1.0
    return Plane("parameters", tuple(names), np.zeros(len(start)), np.eye(len(start)), reach)


def random_plane(start: Parameters, blocks: Sequence[Block], generator: np.random.Generator) -> Plane:
    """Return a plane of two random directions, filter by filter as large as the parameters.

    Args:
        start: the parameters where the loop stands, through which it goes.
        blocks: their arrays.
        generator: draws the directions.
    """
    directions = _with_random(np.zeros((0, len(start))), start, blocks, generator)
    return Plane("random", ("first random direction", "second random direction"), start, directions)


def principal_plane(
    trails: Sequence[Trail], start: Parameters, blocks: Sequence[Block], generator: np.random.Generator
) -> Plane:
    """Return the plane that shows most of the ways of runs, as seen from the end of the first.

    Args:
        trails: the runs, at least one, the one that ended lowest first.
        start: the parameters where they began.
        blocks: their arrays.
        generator: draws the direction that is missing where the runs keep to a line.
    """
    origin = trails[0].seen[-1]
    displacements = np.concatenate([trail.seen for trail in trails])
    displacements -= origin
    directions = principal_directions(displacements)
    number = len(directions)
    if number < _BOTH:
        directions = _with_random(directions, start, blocks, generator)
    names = "first principal direction", "second principal direction", "random direction", "another random direction"
    return Plane("path", (*names[:number], *names[2:])[:_BOTH], origin, directions)


def given_plane(start: Parameters, directions: Directions) -> Plane:
    """Return the plane, or the line, of directions that somebody gave.

    Args:
        start: the parameters where the loop stands, through which it goes.
        directions: one direction or two.
    """
    names = ("first direction", "second direction") if len(directions) == _BOTH else ("direction",)
    return Plane("given", names, start, directions)


def _with_random(
    directions: Directions, start: Parameters, blocks: Sequence[Block], generator: np.random.Generator
) -> Directions:
    """Return directions filled up to two with random ones, which have length one if the others do."""
    found = list(directions)
    while len(found) < _BOTH:
        drawn = generator.standard_normal(len(start))
        # Where all the filters are zero, or one alone is not, there is nothing to be measured by.
        for candidate in (filter_normalized(drawn, start, blocks), drawn):
            if len(directions):
                candidate = candidate - directions.T @ (directions @ candidate)
                candidate /= np.linalg.norm(candidate) or 1.0
            elif candidate is drawn:
                candidate = drawn / np.linalg.norm(drawn)
            if not are_parallel(np.array([*found, candidate])):
                found.append(candidate)
                break
    return np.array(found)
