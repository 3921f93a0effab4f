"""How the best learning rate moves as a run gets longer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

UNDER_CONSTANT_RATE, UNDER_DECAY = -0.35, -0.2
"""Octaves for each doubling of the steps, where nothing else is known. Measured exponents are -0.25 to -0.3 under a
constant rate and about -0.1 under a long decay; they are larger for short runs, which learn what is easy."""

_TRUST = 0.3
"""How much of the drift that was measured is added: between two races it is measured badly."""

TELLING = 16
"""The steps from which on a race tells how the best rate drifts. Before, momentum is still building up, and what is
learned first is not what is learned later."""

_SHORT = 25
"""The steps up to which a race counts as short."""

_STEEPEST, _RISING = -1.0, 0.2
_APART = 1.5
_DOUBT, _DOUBT_OF_A_DOUBLING = 0.3, 0.24


@dataclass(frozen=True)
class Vertex:
    """The best rate of runs of one length.

    Args:
        steps: their length.
        octave: the base-2 logarithm of the best rate.
        known: whether the loss had moved enough to tell it.
    """

    steps: float
    octave: float
    known: bool


@dataclass(frozen=True)
class Drift:
    """Where the best rate will have gone.

    Args:
        shift: in octaves, below zero for a lower rate.
        doubt: the standard deviation of that.
    """

    shift: float
    doubt: float


def drift(
    path: Sequence[Vertex], steps: float, *, since: float | None = None, prior: float = UNDER_CONSTANT_RATE
) -> Drift:
    """Return how far the best rate will have moved when the runs are `steps` long.

    Args:
        path: the best rates of runs of increasing length.
        steps: the length to extrapolate to. Where it is not longer than where it begins, there is no shift.
        since: the length to extrapolate from; by default that of the last vertex.
        prior: the octaves for each doubling that are expected where nothing was measured.

    Source:
        The exponents: Bjorck et al. 2024 (arXiv 2409.19913) and measurements of our own on small tasks. A free fit to
        two lengths is too uncertain to be followed, so it is shrunk towards them.

    >>> drift([Vertex(16, -3.0, True), Vertex(64, -4.0, True)], 128).shift
    -0.5
    """
    doublings = max(float(np.log2(steps / (since or path[-1].steps))), 0.0)
    return Drift(doublings * (prior + _TRUST * _measured(path)), _DOUBT + _DOUBT_OF_A_DOUBLING * doublings)


def of_longer_runs(prior: float, steps: float) -> float:
    """Return what is expected of a doubling from longer races on: less, by the cube root of their length.

    Short runs learn what is easy, and their best rate falls faster. So the -0.2 of races of 25 steps becomes the -0.1
    that is measured under long decays at races of 200.

    Args:
        prior: the octaves for each doubling from short races on.
        steps: the length of the race.

    >>> round(of_longer_runs(UNDER_DECAY, 200), 2)
    -0.1
    """
    return prior * min(1.0, _SHORT / steps) ** (1 / 3)


def _measured(path: Sequence[Vertex]) -> float:
    """Return the octaves for each doubling between the last two vertices; 0 where they tell nothing."""
    known = [vertex for vertex in path if vertex.known and vertex.steps >= TELLING][-2:]
    if len(known) < 2 or known[1].steps < _APART * known[0].steps:
        return 0.0
    first, last = known
    slope = (last.octave - first.octave) / np.log2(last.steps / first.steps)
    return float(np.clip(slope, _STEEPEST, _RISING))
