"""A guard inside the Trainer of Hugging Face."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import TrainerCallback

from lrscout.callbacks.transformers_guard import GuardCallback
from lrscout.core.errors import InvalidValueError, UnsupportedLoopError
from tests.callbacks.test_transformers_monitor import LIMIT, X, Y, train


@pytest.mark.parametrize("over", [0.9, 1.5, 5.0])
def test_it_ends_at_the_first_stable_half(over: float) -> None:
    said: list[str] = []
    guard = GuardCallback(say=said.append)
    model, trainer = train(guard, over * LIMIT, steps=300)
    halvings = max(0, math.ceil(math.log2(over)))
    assert trainer.state.global_step == 300
    assert guard.factor == 0.5**halvings
    assert len(said) == len(guard.rollbacks) == halvings
    assert model.seen[-1] < 1e-6


@pytest.mark.parametrize("kind", ["constant", "linear", "cosine"])
def test_where_nothing_goes_wrong_nothing_changes(kind: str) -> None:
    courses = []
    for callback in (TrainerCallback(), GuardCallback(every=8, say=None)):
        model, _ = train(callback, LIMIT / 2, steps=60, lr_scheduler_type=kind, optim="adamw_torch")
        courses.append((model.seen, model.weight.tolist()))
    assert courses[0] == courses[1]


class Poisons(TrainerCallback):
    """Makes the weight no number before a step."""

    def __init__(self, at: int) -> None:
        self.at = at

    def on_step_begin(self, args, state, control, model=None, **others) -> None:
        if state.global_step == self.at:
            model.weight.data.fill_(torch.nan)


def test_what_is_no_number_is_taken_back_and_the_halving_survives_the_scheduler() -> None:
    guard = GuardCallback(say=None)
    poisons = Poisons(5)
    guard.on_step_begin = poisons.on_step_begin
    model, _ = train(guard, LIMIT / 2, steps=20, lr_scheduler_type="linear")
    assert [(rollback.step, rollback.back_to) for rollback in guard.rollbacks] == [(5, 0)]
    weight = torch.zeros(3)
    for step in range(6, 20):
        weight = weight - LIMIT / 2 * (1 - step / 20) / 2 * 2 * X.T @ (X @ weight - Y) / len(X)
    torch.testing.assert_close(model.weight.detach(), weight, rtol=1e-4, atol=1e-6)


def test_a_training_that_nothing_mends_stops_at_its_snapshot() -> None:
    guard = GuardCallback(halvings=2, say=None)
    model, trainer = train(guard, LIMIT / 2, targets=Y * torch.nan)
    assert trainer.state.global_step == 3
    assert model.weight.tolist() == [0.0, 0.0, 0.0]


def test_what_is_wrong_is_told() -> None:
    with pytest.raises(UnsupportedLoopError, match="no guard yet"):
        _ = GuardCallback().rollbacks
    for wrong in ({"every": 0}, {"halvings": -1}, {"max_stable_lr": 0.0}):
        with pytest.raises(InvalidValueError, match=next(iter(wrong))):
            GuardCallback(**wrong)
