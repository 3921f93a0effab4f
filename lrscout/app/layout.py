"""Which run of a sweep each kept curve is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lrscout.core.checks import check_count, check_lr
from lrscout.core.errors import InvalidValueError

if TYPE_CHECKING:
    from lrscout.store.records import StudyRecord


@dataclass(frozen=True, order=True)
class Place:
    """A run in a sweep.

    Args:
        seed: the position of its seed.
        length: the position of its length; 0 where one run serves every budget.
        rate: the position of its rate.
    """

    seed: int
    length: int
    rate: int


@dataclass(frozen=True)
class Layout:
    """The runs of a sweep, by seed, then by length, then by rate, in blocks of neighbours.

    Args:
        lrs: the rates, ascending.
        checkpoints: the budgets, ascending.
        seeds: the seeds.
        schedule: the schedule's name.
        watched: which loss the map shows.
        lanes: the most runs in a block.
    """

    lrs: tuple[float, ...]
    checkpoints: tuple[int, ...]
    seeds: tuple[int, ...]
    schedule: str
    watched: str
    lanes: int

    @classmethod
    def of(cls, record: StudyRecord) -> Layout | None:
        """Return the layout of a study, or None if it is no sweep."""
        if record.summary.kind != "sweep":
            return None
        inputs = record.inputs
        try:
            layout = cls(
                tuple(check_lr("lr", lr) for lr in inputs["lrs"]),
                tuple(check_count("checkpoint", checkpoint, at_least=1) for checkpoint in inputs["checkpoints"]),
                tuple(check_count("seed", seed, at_least=0) for seed in inputs["seeds"]),
                str(inputs["schedule"]),
                str(inputs["loss"]),
                check_count("lanes", inputs["lanes"], at_least=1),
            )
        except (KeyError, TypeError, InvalidValueError):  # Anybody may keep anything under this kind.
            return None
        return layout if layout.lrs and layout.checkpoints and layout.seeds else None

    @property
    def shared(self) -> bool:
        """Whether one run serves all budgets."""
        return self.schedule == "constant"

    @property
    def lengths(self) -> int:
        """How many runs of different length each rate and seed has."""
        return 1 if self.shared else len(self.checkpoints)

    @property
    def runs(self) -> int:
        """How many runs there will be."""
        return len(self.seeds) * self.lengths * len(self.lrs)

    def place(self, block: int, position: int) -> Place | None:
        """Return which run a curve is, by the number of its block and its position there; None if it is none."""
        group, part = divmod(block, self._blocks_of_group)
        seed, length = divmod(group, self.lengths)
        rate = part * self.lanes + position
        inside = seed < len(self.seeds) and position < self.lanes and rate < len(self.lrs)
        return Place(seed, length, rate) if inside else None

    def blocks_with(self, rates: Iterable[int]) -> set[int]:
        """Return the blocks that hold runs of some rates."""
        parts = {rate // self.lanes for rate in rates}
        groups = range(len(self.seeds) * self.lengths)
        return {group * self._blocks_of_group + part for group in groups for part in parts}

    @property
    def _blocks_of_group(self) -> int:
        return -(-len(self.lrs) // self.lanes)


@dataclass(frozen=True)
class Rectangle:
    """Seeds, lengths and rates of which every combination is kept.

    Args:
        seeds: the positions of the seeds.
        lengths: how many lengths, from the shortest on.
        rates: the positions of the rates.
    """

    seeds: tuple[int, ...]
    lengths: int
    rates: tuple[int, ...]


def rectangle_of(layout: Layout, kept: Iterable[Place]) -> Rectangle | None:
    """Return the largest part of a sweep that makes a map: the best of one seed, and the seeds that have as much.

    Args:
        layout: the runs of the sweep.
        kept: those that are kept.

    Returns:
        The part, or None where nothing is kept.
    """
    there = np.zeros((len(layout.seeds), layout.lengths, len(layout.lrs)), bool)
    for place in kept:
        there[place.seed, place.length, place.rate] = True
    through = np.logical_and.accumulate(there, axis=1)
    sizes = through.sum(axis=2) * np.arange(1, layout.lengths + 1)
    if not sizes.any():
        return None
    seed, last = np.unravel_index(int(np.argmax(sizes)), sizes.shape)
    rates = through[seed, last]
    as_much = np.flatnonzero((through[:, last] >= rates).all(axis=1))
    return Rectangle(tuple(as_much.tolist()), int(last) + 1, tuple(np.flatnonzero(rates).tolist()))


def nearest(lrs: Iterable[float], lr: float, tolerance: float = 0.01) -> int | None:
    """Return the position of a rate among others, or None if none is within a share of it.

    >>> nearest([0.1, 0.2], 0.2001)
    1
    """
    away = [abs(float(np.log(other / lr))) if other > 0 else np.inf for other in lrs]
    return int(np.argmin(away)) if away and min(away) <= tolerance else None
