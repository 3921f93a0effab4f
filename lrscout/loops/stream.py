"""A loop's place in its data, which can be marked and returned to."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from lrscout.core.errors import EmptyDataError
from lrscout.loops.generators import Generators


class Stream:
    """Endless batches from any iterable, pass after pass.

    Places form a linked list that points forward only: a place knows the batch that was drawn from it and the place
    after it. Whoever holds a mark keeps alive what was drawn since; with no mark, what was drawn is forgotten at once.
    So returning costs memory only while somebody may return, and nothing is ever drawn twice from an iterator.

    Drawing may itself use random generators (a loader that shuffles, a data set that augments). While a mark is
    alive, the stream notes what drawing did to them, and does the same when a batch is drawn again.

    Args:
        source: anything that can be iterated over.
        generators: the generators that drawing may use.
        restartable: whether a new pass may be opened while another goes on. An iterator has one pass and one order.
    """

    def __init__(self, source: Iterable[Any], generators: Generators, *, restartable: bool = True) -> None:
        self._source = source
        self._generators = generators
        self._restartable = restartable and not isinstance(source, Iterator)
        self._may_draw = type(source) not in (list, tuple)  # Batches that are there already need no generators.
        self._empty = True
        self._began = False
        self._place = _Place(_Line())

    def draw(self) -> Any:
        """Return the next batch.

        Raises:
            EmptyDataError: there is none, even at the beginning of a pass.
        """
        here = self._place
        following = here.next
        if following is None:
            following = self._draw_anew(here)
        elif here.generators is not None:
            self._generators.load(here.generators)
        self._place = following
        self._began = here.begins_pass
        return here.batch

    @property
    def begins_pass(self) -> bool:
        """Whether the last batch drawn was the first one of a pass; False before the first draw."""
        return self._began

    def mark(self) -> Mark:
        """Return a mark of this place, to be given to `return_to` as often as wanted."""
        mark = Mark(self._place)
        self._place.line.marks.add(mark)
        return mark

    def return_to(self, mark: Mark) -> None:
        """Go back to a mark; the batches drawn since then come again."""
        self._place = mark.place

    def restart(self) -> None:
        """Begin a new pass over the data, where that can be done, leaving the current one to whoever marked it."""
        if self._restartable:
            self._place = _Place(_Line())

    def _draw_anew(self, here: _Place) -> _Place:
        before = self._generators.save() if here.line.marks and self._may_draw else None
        here.batch = self._next_batch(here)
        here.next = following = _Place(here.line)
        if before is not None:
            after = self._generators.save()
            here.generators = None if _same(before, after) else after
        return following

    def _next_batch(self, here: _Place) -> Any:
        line = here.line
        for _ in range(2):
            if line.iterator is None:
                line.iterator = iter(self._source)
                here.begins_pass = True
            try:
                batch = next(line.iterator)
            except StopIteration:
                line.iterator = None
            else:
                self._empty = False
                return batch
        if self._empty:
            raise EmptyDataError("The data has no batches: iterating over it ended at once.")
        raise EmptyDataError(
            "The data has run out: an iterator can be passed over only once. "
            "Give the data as something that can be iterated over again, such as a list or a data loader."
        )


class Mark:
    """A place in a stream, kept alive."""

    def __init__(self, place: _Place) -> None:
        self.place = place


class _Line:
    """One live iterator, with the marks on it."""

    def __init__(self) -> None:
        self.iterator: Iterator[Any] | None = None
        self.marks: weakref.WeakSet[Mark] = weakref.WeakSet()


class _Place:
    __slots__ = ("batch", "begins_pass", "generators", "line", "next")

    def __init__(self, line: _Line) -> None:
        self.line = line
        self.batch: Any = None
        self.begins_pass = False
        self.generators: Any = None
        self.next: _Place | None = None


def _same(left: Any, right: Any) -> bool:
    """Whether two saved generator states are equal, whatever they are made of."""
    if isinstance(left, tuple) and left and isinstance(left[0], int):
        return bool(left == right)  # Python's own state: hundreds of numbers, compared at once.
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(_same, left, right))  # pyright: ignore
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)  # pyright: ignore
    equal = left == right
    return bool(equal.all()) if hasattr(equal, "all") else bool(equal)
