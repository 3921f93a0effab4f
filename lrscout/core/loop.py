"""What a loop is, and the promise that it comes home."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol, TypeAlias, runtime_checkable

from lrscout.core.errors import UnsupportedLoopError
from lrscout.core.interrupts import Interrupts

Snapshot: TypeAlias = object
"""Everything that a loop's next step depends on; only the loop that took it can read it."""


@runtime_checkable
class Loop(Protocol):
    """The user's training run: it can take one step, evaluate itself, and save and restore its whole state."""

    @property
    def lr(self) -> float:
        """The learning rate that the user set; with several parameter groups, the first group's."""
        ...

    def step(self, lr: float) -> float:
        """Take one optimizer update at `lr` and return the batch's training loss before the update."""
        ...

    def evaluate(self) -> float:
        """Return the loss on fixed evaluation data, in evaluation mode; this changes nothing."""
        ...

    def snapshot(self) -> Snapshot:
        """Return a copy of everything that the next step depends on."""
        ...

    def restore(self, snapshot: Snapshot) -> None:
        """Bring back the state of a snapshot, bit for bit, as often as wanted."""
        ...

    def reseed(self, seed: int) -> None:
        """Start the data order and every random generator anew from `seed`; the parameters stay."""
        ...


@runtime_checkable
class Weighed(Protocol):
    """A loop that knows how much evaluation data it has."""

    def evaluation_steps(self) -> float:
        """Return what an evaluation costs in steps: a third of one for each batch's worth of evaluation examples."""
        ...


@runtime_checkable
class KeepsBatches(Protocol):
    """A snapshot on whose account the loop keeps every batch that it draws, so that the same ones can come again."""

    def let_data_go(self) -> None:
        """Let the data go on from where they are when the snapshot is restored, so that no batch need be kept."""
        ...


def check_loop(loop: object) -> Loop:
    """Return a loop, or raise if it is none.

    Raises:
        UnsupportedLoopError: it is something else.
    """
    if not isinstance(loop, Loop):
        raise UnsupportedLoopError(
            f"loop must be a loop, but it is a {type(loop).__name__}. Make one with one of lrscout.from_*."
        )
    return loop


@contextmanager
def restored(loop: Loop) -> Generator[Snapshot]:
    """Bring the loop home when the block ends, however it ends: normally, with an error, or with Ctrl-C.

    Args:
        loop: the loop that the block may step as it likes.

    Yields:
        The snapshot of home.

    >>> from lrscout.lesson.engines import numpy_engine
    >>> from lrscout.lesson.problem import sample_problem
    >>> engine = numpy_engine(sample_problem())
    >>> with restored(engine.loop):
    ...     far_away = engine.loop.step(1000.0)
    >>> engine.position()
    (0.0, -1.0)
    """
    home = loop.snapshot()
    interrupts = Interrupts()
    # Two nested blocks: an interrupt that arrives while the inner one closes still finds the outer one open.
    try:
        interrupts.install()
        try:
            yield home
        finally:
            interrupts.hold()
    finally:
        try:
            interrupts.hold()
            loop.restore(home)
        finally:
            interrupts.release()
