"""The data side of a loop, the same for every framework: batches, evaluation batches, generators."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from itertools import islice
from operator import itemgetter
from typing import Any

import numpy as np

from lrscout.core.errors import EmptyDataError, InvalidValueError, UnsupportedLoopError
from lrscout.loops.generators import Generators
from lrscout.loops.loaders import apart
from lrscout.loops.stream import Mark, Stream

_TRAINING_BATCHES_FOR_EVALUATION = 4
LONGEST_EVALUATION_ITERATOR = 64
_EVALUATION_SEED = 0
NO_EVALUATION = "The evaluation data has no batches: iterating over it ended at once."


@dataclass(frozen=True)
class Place:
    """Where a loop stands in its data, with the states of its generators."""

    mark: Mark
    generators: Any


@dataclass
class AtPlace:
    """What the snapshots of all loops with data have in common.

    Args:
        place: where the loop stood in its data, or None where they are to go on from where they are.
    """

    place: Place | None

    def let_data_go(self) -> None:
        """Let the data, and the generators that they are drawn with, go on when the snapshot is restored."""
        self.place = None


class Data:
    """Training batches, evaluation batches, and every random generator that the loop draws from.

    Args:
        training: any iterable of batches.
        evaluation: an iterable of batches, or None for a few training batches, chosen once. Of an iterator, which
            may be endless, the first 64 batches are kept.
        generators: every random generator that the data or the step draws from.
        restartable: whether a new pass may be opened while another goes on.
    """

    def __init__(
        self,
        training: Iterable[Any],
        evaluation: Iterable[Any] | None,
        generators: Generators,
        *,
        restartable: bool = True,
    ) -> None:
        for name, data in (("data", training), ("eval_data", evaluation)):
            if data is not None and not hasattr(data, "__iter__") and not hasattr(data, "__getitem__"):
                raise UnsupportedLoopError(f"{name} must be an iterable of batches, but it is a {type(data).__name__}.")
        self._generators = generators
        self._stream = Stream(apart(training), generators, restartable=restartable)
        self._evaluation: Iterable[Any] | None = apart(evaluation)
        self._kept: list[Any] | None = None

    def draw(self) -> Any:
        """Return the next training batch."""
        return self._stream.draw()

    def peek(self) -> Any:
        """Return the next training batch and leave everything as if it had not been drawn."""
        here = self.place()
        try:
            return self._stream.draw()
        finally:
            self.return_to(here)

    def ahead(self, most: int) -> list[Any]:
        """Return training batches and leave everything as if they had not been drawn.

        They are those of a new pass, and only of an iterator the next ones: what comes next in a pass may depend on the
        random numbers that the steps until then draw.

        Args:
            most: how many at most; where a whole pass over the data is among them, its batches alone are returned, so
                that each example counts once.
        """
        here = self.place()
        batches: list[Any] = []
        beginnings: list[int] = []
        try:
            self._stream.restart()
            # One more than asked for tells whether a pass ended just there.
            for index in range(most + 1):
                batches.append(self._stream.draw())
                if self._stream.begins_pass:
                    beginnings.append(index)
                if len(beginnings) == 2:
                    return batches[beginnings[0] : beginnings[1]]
        except EmptyDataError:
            if not batches:  # An iterator may run out; what it had is all there is.
                raise
        finally:
            self.return_to(here)
        return batches[:most]

    def peek_evaluation(self) -> Any:
        """Return the first evaluation batch and leave the generators as if it had not been drawn."""
        with self.same_draws():  # Batches that are chosen here are kept.
            for batch in self._evaluation_batches():
                return batch
        raise EmptyDataError(NO_EVALUATION)

    def place(self) -> Place:
        """Return a mark of the position in the data and a copy of the generators' states."""
        return Place(self._stream.mark(), self._generators.save())

    def return_to(self, place: Place | None) -> None:
        """Bring the position and the generators back; with None they stay where they are."""
        if place is not None:
            self._stream.return_to(place.mark)
            self._generators.load(place.generators)

    def reseed(self, seed: int, process: int = 0) -> None:
        """Start every generator and the pass over the data anew from a seed, other ones in each process."""
        self._generators.seed(seed, process)
        self._stream.restart()

    def mean_over_evaluation(self, loss_of: Callable[[Any], Any]) -> Any:
        """Return the mean of a loss, or of a fleet's losses, over the evaluation batches, weighted by their sizes.

        The generators draw the same numbers at every evaluation and end where they were.

        Raises:
            EmptyDataError: there are no evaluation batches.
        """
        total, examples = self.sum_over_evaluation(loss_of)
        if not examples:
            raise EmptyDataError(NO_EVALUATION)
        return total / examples

    def evaluation_steps(self) -> float:
        """Return what an evaluation costs in steps: a third of one for each batch's worth of evaluation examples.

        A step goes forward and backward, and the way back takes twice the work of the way there.
        """
        _, examples = self.sum_over_evaluation(lambda batch: 0.0)
        return examples / max(batch_size_of(self.peek()), 1) / 3

    def sum_over_evaluation(self, loss_of: Callable[[Any], Any]) -> tuple[Any, float]:
        """Return the sum of the loss, or of a fleet's losses, over all evaluation examples, and their number."""
        with self.same_draws():
            total: Any = 0.0
            examples = 0.0
            for batch in self._evaluation_batches():
                size = batch_size_of(batch)
                total = total + size * loss_of(batch)
                examples += size
        return total, examples

    @contextmanager
    def same_draws(self) -> Generator[None]:
        """Let the generators draw the same numbers in every such block, and end where they were."""
        before = self._generators.save()
        try:
            self._generators.seed(_EVALUATION_SEED)
            yield
        finally:
            self._generators.load(before)

    def _evaluation_batches(self) -> Iterable[Any]:
        if self._kept is None:
            if self._evaluation is None:
                self._kept = self._choose_training_batches()
            elif isinstance(self._evaluation, Iterator):
                self._kept = list(islice(self._evaluation, LONGEST_EVALUATION_ITERATOR))
            else:
                return self._evaluation
        return self._kept

    def _choose_training_batches(self) -> list[Any]:
        here = self._stream.mark()
        self._stream.restart()
        try:
            return [self._stream.draw() for _ in range(_TRAINING_BATCHES_FOR_EVALUATION)]
        finally:
            self._stream.return_to(here)


class ArrayBatches:
    """Minibatches of arrays, in a new random order at every pass.

    Args:
        arrays: arrays of equal length along their first axis, in tuples, lists and dictionaries; None stays None.
        batch_size: examples in a batch. A pass leaves out the examples that do not fill a batch, other ones each
            time, so that every batch has the same shape. None makes the whole data one batch.
        seed: the seed of the order.
        shuffle: whether the order is a random one.
    """

    def __init__(self, arrays: Any, batch_size: int | None, seed: int = 0, *, shuffle: bool = True) -> None:
        lengths = {len(leaf) for leaf in leaves_of(arrays)}
        if len(lengths) != 1:
            raise InvalidValueError(f"The arrays of the data must be equally long, but their lengths are {lengths}.")
        self._length = lengths.pop()
        if batch_size is not None and not 1 <= batch_size <= self._length:
            raise InvalidValueError(f"batch_size must be between 1 and {self._length}, but it is {batch_size}.")
        # NumPy picks examples faster than a framework does one call at a time.
        self._arrays = arrays if batch_size is None else mapped(np.asarray, arrays)
        self._batch_size = batch_size
        self._shuffle = shuffle
        self._order = np.random.default_rng(seed)

    def __iter__(self) -> Iterator[Any]:
        if self._length == 0:
            return
        if self._batch_size is None:
            yield self._arrays
            return
        order = self._order.permutation(self._length) if self._shuffle else np.arange(self._length)
        for start in range(0, self._length - self._batch_size + 1, self._batch_size):
            yield mapped(itemgetter(order[start : start + self._batch_size]), self._arrays)


def as_batches(data: Any, batch_size: int | None) -> Iterable[Any]:
    """Return data as an iterable of batches.

    Args:
        data: a tuple or dictionary of arrays, or an iterable of batches.
        batch_size: examples in a batch of arrays (None: all of them); batches keep the size that they have.
    """
    if _is_arrays(data):
        return ArrayBatches(data, batch_size)
    if batch_size is not None:
        raise InvalidValueError(
            "batch_size is for arrays in a tuple or a dictionary, such as (inputs, targets); "
            f"a {type(data).__name__} is taken as batches already."
        )
    return data


def batch_size_of(batch: Any) -> int:
    """Return how many examples a batch says that it has, or the length of the first array in it, or 1."""
    if isinstance(examples := getattr(batch, "examples", None), int):
        return examples
    shape = getattr(batch, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) else 1
    if is_dataclass(batch):
        batch = [getattr(batch, field.name) for field in fields(batch)]
    leaves = leaves_of(batch)
    return batch_size_of(leaves[0]) if leaves and leaves[0] is not batch else 1


def _is_arrays(data: Any) -> bool:
    if not isinstance(data, (tuple, Mapping)):
        return False
    leaves = leaves_of(data)
    return bool(leaves) and all(hasattr(leaf, "shape") for leaf in leaves)


def leaves_of(arrays: Any) -> list[Any]:
    """Return the arrays of nested tuples, lists and dictionaries."""
    if isinstance(arrays, Mapping):
        arrays = tuple(arrays.values())  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(arrays, (tuple, list)):
        return [leaf for part in arrays for leaf in leaves_of(part)]  # pyright: ignore[reportUnknownVariableType]
    return [] if arrays is None else [arrays]


def mapped(function: Callable[[Any], Any], arrays: Any) -> Any:
    """Return nested tuples, lists and dictionaries with a function applied to each of their arrays."""
    if isinstance(arrays, Mapping):
        return {name: mapped(function, part) for name, part in arrays.items()}  # pyright: ignore
    if isinstance(arrays, (tuple, list)):
        parts = [mapped(function, part) for part in arrays]  # pyright: ignore[reportUnknownVariableType]
        return parts if isinstance(arrays, list) else tuple(parts)
    return None if arrays is None else function(arrays)
