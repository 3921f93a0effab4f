"""What a guarded run does with its data: they go on, and no batch is kept."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch

import lrscout
from lrscout.core.loop import KeepsBatches
from lrscout.measure.guard import guard
from tests.battery import bits
from tests.measure.test_guard import CASES, state_of

# What a case draws its batches and its noise with.
GOES_ON = {"place", "order", "seeds", "generator", "numpy generator", "python generator", "torch generator", "calls"}


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("functions")])
def test_with_its_data_let_go_a_snapshot_brings_the_model_back_and_leaves_the_data(name: str) -> None:
    case = CASES[name]()
    for _ in range(3):
        case.loop.step(0.01)
    before = state_of(case)
    snapshot = case.loop.snapshot()
    assert isinstance(snapshot, KeepsBatches)
    snapshot.let_data_go()
    for _ in range(3):
        case.loop.step(0.01)
    there, place = state_of(case), bits(case.parts["place"].read())
    case.loop.restore(snapshot)
    home = state_of(case)
    model = before.keys() - GOES_ON
    assert (
        {part: home[part] for part in model}
        == {part: before[part] for part in model}
        != {part: there[part] for part in model}
    )
    assert bits(case.parts["place"].read()) == place


class Counted:
    """Batches that are told apart, and counted while they live."""

    def __init__(self) -> None:
        self.drawn = 0
        self.alive: list[weakref.ref[torch.Tensor]] = []
        self.most = 0

    def __iter__(self) -> Iterator[torch.Tensor]:
        for _ in range(1000):
            batch = torch.full((4, 1), 1.0 + self.drawn % 2)
            self.drawn += 1
            self.alive = [reference for reference in self.alive if reference() is not None] + [weakref.ref(batch)]
            self.most = max(self.most, len(self.alive))
            yield batch, torch.zeros(4, 1)


def counted_loop(batches: Counted) -> Any:
    """A straight line through zero; two steps, of curvatures 2 and 8, multiply it by (1 - 2 lr) (1 - 8 lr)."""
    model = torch.nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return lrscout.from_torch(model, optimizer, torch.nn.functional.mse_loss, batches)


def test_a_guarded_run_keeps_no_batch_while_a_snapshot_of_the_loop_keeps_them_all() -> None:
    batches = Counted()
    run = guard(counted_loop(batches), lr=0.01, steps=300, schedule="constant", evaluate=False, say=None)
    assert run.curve.steps == batches.drawn == 300
    assert batches.most <= 2
    kept = Counted()
    loop = counted_loop(kept)
    home = loop.snapshot()
    for _ in range(300):
        loop.step(0.01)
    assert kept.most >= 300
    loop.restore(home)


def test_after_a_return_the_data_go_on() -> None:
    batches = Counted()
    run = guard(counted_loop(batches), lr=3.0, steps=100, schedule="constant", evaluate=False, say=None)
    assert run.lr == 0.375  # The first half of 3 for which that product is below 1.
    assert batches.drawn == run.cost.steps > 100
