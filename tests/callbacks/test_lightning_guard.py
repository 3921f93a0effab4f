"""A guard inside Lightning's own trainer, under either of Lightning's names."""

from __future__ import annotations

import math

import pytest
import pytorch_lightning
import torch
from lightning import pytorch as lightning

from lrscout.callbacks.lightning_guard import GuardCallback
from lrscout.core.errors import InvalidValueError, LossError, UnsupportedLoopError
from tests.callbacks.test_lightning_monitor import LIMIT, X, Y, fit, line


@pytest.mark.parametrize("package", [lightning, pytorch_lightning], ids=["lightning", "pytorch_lightning"])
@pytest.mark.parametrize("over", [0.9, 1.5, 5.0])
def test_it_ends_at_the_first_stable_half(package, over: float) -> None:
    said: list[str] = []
    guard, module = GuardCallback(say=said.append), line(package, over * LIMIT)
    trainer = fit(module, guard, package, steps=300)
    halvings = max(0, math.ceil(math.log2(over)))
    assert trainer.global_step == 300
    assert guard.factor == 0.5**halvings
    assert len(said) == len(guard.rollbacks) == halvings
    assert module.seen[-1] < 1e-6
    assert trainer.optimizers[0].param_groups[0]["lr"] == over * LIMIT


def test_where_nothing_goes_wrong_nothing_changes() -> None:
    courses = []
    for guarded in (False, True):
        module = line(lr=LIMIT / 2, decays=True)
        callback = GuardCallback(every=8, say=None) if guarded else lightning.Callback()
        fit(module, callback, steps=60, batches=[(X[:12], Y[:12]), (X[12:], Y[12:])], accumulate_grad_batches=2)
        courses.append((module.seen, module.layer.weight.tolist()))
    assert courses[0] == courses[1]


def descent(rates) -> torch.Tensor:
    """Gradient descent on the line, in closed form."""
    weight = torch.zeros(1, 3)
    for rate in rates:
        weight = weight - rate * 2 * (X @ weight.T - Y).T @ X / len(X)
    return weight


def test_a_bad_batch_is_taken_back_and_the_halving_survives_the_scheduler() -> None:
    batches = [(X, Y * torch.nan if step == 3 else Y) for step in range(12)]
    guard, module = GuardCallback(say=None), line(lr=LIMIT / 2, decays=True)
    fit(module, guard, steps=12, batches=batches)
    assert [(rollback.step, rollback.back_to) for rollback in guard.rollbacks] == [(3, 0)]
    rates = [LIMIT / 2 * 0.5**step / 2 for step in range(4, 12)]
    torch.testing.assert_close(module.layer.weight.detach(), descent(rates), rtol=1e-4, atol=1e-6)


def test_a_fit_that_nothing_mends_stops_at_its_snapshot() -> None:
    guard, module = GuardCallback(halvings=2, say=None), line()
    trainer = fit(module, guard, batches=[(X, Y * torch.nan)])
    assert trainer.global_step == 3
    assert module.layer.weight.tolist() == [[0.0, 0.0, 0.0]]
    assert guard.guard.should_stop


def test_what_is_wrong_is_told() -> None:
    guard = GuardCallback(say=None)
    with pytest.raises(UnsupportedLoopError, match="no guard yet"):
        _ = guard.rollbacks
    with pytest.raises(LossError, match="returns no loss"):
        fit(line(automatic=False), GuardCallback(say=None), steps=4)
    with pytest.raises(LossError, match=r"no 'critic_loss', but \['own_loss'\]"):
        fit(line(automatic=False), GuardCallback(say=None, loss="critic_loss"), steps=4)
    for wrong in ({"every": 0}, {"halvings": -1}, {"max_stable_lr": 0.0}):
        with pytest.raises(InvalidValueError, match=next(iter(wrong))):
            GuardCallback(**wrong)
