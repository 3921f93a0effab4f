"""The place in the data: marks, returns, new passes, and what they cost."""

from __future__ import annotations

import gc
import itertools
import random
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule

from lrscout.core.errors import EmptyDataError
from lrscout.loops.generators import Generators, find_generators, global_generators
from lrscout.loops.stream import Stream


def stream(source) -> Stream:
    return Stream(source, Generators(global_generators()))


class AgainstAList(RuleBasedStateMachine):
    """A stream over an endless iterator behaves as an index into a list."""

    marks = Bundle("marks")

    def __init__(self) -> None:
        super().__init__()
        self.stream, self.index = stream(itertools.count()), 0

    @rule()
    def draw(self) -> None:
        assert self.stream.draw() == self.index
        self.index += 1

    @rule(target=marks)
    def mark(self):
        return self.stream.mark(), self.index

    @rule(mark=marks)
    def return_to(self, mark) -> None:
        self.stream.return_to(mark[0])
        self.index = mark[1]

    @rule(mark=consumes(marks))
    def forget(self, mark) -> None:
        pass


TestAgainstAList = AgainstAList.TestCase


@given(st.integers(1, 7), st.integers(0, 30))
def test_passes_follow_each_other(length: int, draws: int) -> None:
    batches = stream(range(length))
    assert [batches.draw() for _ in range(draws)] == [index % length for index in range(draws)]


def test_a_restart_leaves_the_current_pass_to_its_mark() -> None:
    batches = stream([1, 2, 3])
    assert batches.draw() == 1
    here = batches.mark()
    batches.restart()
    assert [batches.draw() for _ in range(4)] == [1, 2, 3, 1]
    batches.return_to(here)
    assert [batches.draw() for _ in range(3)] == [2, 3, 1]


def test_what_drawing_did_to_the_generators_is_done_again() -> None:
    def augmented():
        while True:
            yield random.random() + np.random.random()

    random.seed(0)
    np.random.seed(0)
    batches = stream(augmented())
    mark, state = batches.mark(), random.getstate()
    first = [batches.draw(), random.random(), batches.draw(), random.random()]
    batches.return_to(mark)
    random.setstate(state)
    assert [batches.draw(), random.random(), batches.draw(), random.random()] == first


class Batch:
    """Something that a weak reference can watch."""


def test_without_a_mark_what_was_drawn_is_forgotten() -> None:
    batches = stream(iter(Batch, None))
    drawn = [weakref.ref(batches.draw()) for _ in range(3)]
    batches.draw()
    gc.collect()
    assert [reference() for reference in drawn] == [None] * 3
    mark = batches.mark()
    kept = weakref.ref(batches.draw())
    gc.collect()
    assert kept() is not None
    del mark
    batches.draw()
    gc.collect()
    assert kept() is None


def test_data_that_end() -> None:
    with pytest.raises(EmptyDataError, match="ended at once"):
        stream([]).draw()
    once = stream(iter([1]))
    assert once.draw() == 1
    with pytest.raises(EmptyDataError, match="only once"):
        once.draw()


def test_generators_are_found_where_samplers_keep_them() -> None:
    class Sampler:
        def __init__(self) -> None:
            self.own, self.legacy, self.python = np.random.default_rng(0), np.random.RandomState(0), random.Random(0)

    class Loader:
        def __init__(self) -> None:
            self.sampler = Sampler()
            self.loader = self  # Circles are no trouble.

    loader = Loader()
    generators = Generators(find_generators([loader]))

    def draw() -> list[float]:
        sampler = loader.sampler
        return [sampler.own.random(), sampler.legacy.random_sample(), sampler.python.random()]

    before = generators.save()
    first = draw()
    assert draw() != first
    generators.load(before)
    assert draw() == first
    generators.seed(7)
    seventh = draw()
    generators.seed(7)
    assert draw() == seventh != first
