"""What is to be run: the runs, and the blocks of them that start together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from lrscout.analyse.stop import StoppingRule
from lrscout.core.curve import Curve
from lrscout.core.progress import Bar
from lrscout.core.source import Source

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Run:
    """One run of a plan.

    Args:
        lrs: the learning rate of each step.
        seed: the seed of its data order and generators: runs of one seed see the same batches in the same order.
        evaluate_at: the steps before which to evaluate, in order; the number of steps itself is the end of the run.
        rule: what ends the run early. A number that is not finite ends every run.
        judged: ``"training"`` or ``"evaluation"``: which loss the rule is given.
    """

    lrs: Float[np.ndarray, " step"]
    seed: int = 0
    evaluate_at: Int[np.ndarray, " evaluation"] = field(default_factory=lambda: np.zeros(0, int))
    rule: type[StoppingRule] = StoppingRule
    judged: str = "training"


@dataclass(frozen=True, eq=False)
class Block:
    """Runs of one seed and one length, which can step together.

    Args:
        index: the place of the block in its plan.
        runs: the runs.
    """

    index: int
    runs: tuple[Run, ...]

    @property
    def seed(self) -> int:
        """The seed of its runs."""
        return self.runs[0].seed

    @property
    def steps(self) -> int:
        """The number of steps of each of its runs."""
        return len(self.runs[0].lrs)

    @property
    def evaluate_at(self) -> Int[np.ndarray, " evaluation"]:
        """The steps before which its runs are evaluated."""
        return self.runs[0].evaluate_at


Finished: TypeAlias = tuple[Block, tuple[Curve, ...]]
"""A block with the curves of its runs."""


class Runner(Protocol):
    """Takes the steps of a plan."""

    @property
    def name(self) -> str:
        """The runner's name, as in a result."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say about how the runs were made, in sentences."""
        ...

    def lanes(self, source: Source, plan: Sequence[Run]) -> int:
        """Return how many runs of one seed and one length to put into a block."""
        ...

    def run(self, source: Source, blocks: Sequence[Block], bar: Bar) -> Iterator[Finished]:
        """Yield each block as soon as its runs are done, in any order; the loop is home whenever this pauses."""
        ...


def blocks_of(plan: Sequence[Run], lanes: int) -> list[Block]:
    """Part a plan into blocks of at most `lanes` neighbouring runs of one seed and one length."""
    blocks: list[Block] = []
    for _, group in groupby(plan, key=lambda run: (run.seed, len(run.lrs), run.evaluate_at.tobytes())):
        runs = list(group)
        for first in range(0, len(runs), lanes):
            blocks.append(Block(len(blocks), tuple(runs[first : first + lanes])))
    return blocks
