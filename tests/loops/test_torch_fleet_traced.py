"""Fleets of PyTorch loops whose gradients are computed by a program that is traced once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import lrscout.loops.data
from lrscout.loops.torch import traced
from lrscout.loops.torch.steps import Supervised
from tests.battery import bits
from tests.loops.fleets_torch import LANES, OPTIMIZERS, loader, perceptron, schedules, supervised


def convolutional() -> nn.Sequential:
    return nn.Sequential(
        nn.Unflatten(1, (1, 6)),
        nn.Conv1d(1, 4, 3, padding=1),
        nn.BatchNorm1d(4),
        nn.ReLU(inplace=True),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(24, 2),
    )


def test_a_traced_program_computes_the_same_bits() -> None:
    """Batches of two shapes, for a layer's statistics and a mask; and the loop's generators end in the same place."""
    results = []
    for steps in (60, traced.STEPS_WORTH_TRACING):
        loop = supervised(OPTIMIZERS["Adam"], convolutional, accumulate=2)
        loop._data = lrscout.loops.data.Data(loader(batch_size=7), None, loop._data._generators)
        fleet = loop.fleet(LANES, steps)
        losses = [fleet.advance(part) for part in np.split(schedules(60), 3)]
        results.append((bits(losses), bits(fleet.evaluate()), bits(torch.get_rng_state())))
        programs = getattr(fleet._gradients_of, "_programs", {})
    assert len([program for program in programs.values() if program is not None]) == 2
    assert results[0] == results[1]


class Counting(nn.Linear):
    """A layer that does something besides."""

    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().forward(x)


def with_hook() -> nn.Sequential:
    model = perceptron()
    model[1].register_forward_hook(lambda module, args, output: output * 2)
    return model


@pytest.mark.parametrize(
    ("model", "loss_fn", "pure"),
    [
        (convolutional, nn.CrossEntropyLoss(), True),
        (perceptron, nn.functional.cross_entropy, True),
        (perceptron, lambda output, target: nn.functional.cross_entropy(output, target), False),
        (lambda: nn.Sequential(Counting(6, 2)), nn.CrossEntropyLoss(), False),
        (with_hook, nn.CrossEntropyLoss(), False),
    ],
)
def test_only_what_computes_and_does_nothing_else_is_traced(model, loss_fn, pure) -> None:
    assert traced.is_pure(Supervised(model(), loss_fn)) == pure


def test_a_layer_that_does_something_besides_does_it_at_every_step() -> None:
    loop = supervised(OPTIMIZERS["SGD"], lambda: nn.Sequential(Counting(6, 2)))
    fleet = loop.fleet(2, traced.STEPS_WORTH_TRACING)
    before = loop._modules[1].calls
    fleet.advance(np.full((10, 2), 0.1))
    assert loop._modules[1].calls == before + 10
