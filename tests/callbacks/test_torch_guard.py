"""A guard in a training loop of one's own, and what survives a return to its snapshot."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from lrscout.callbacks.torch_guard import TorchGuard
from lrscout.core.errors import InvalidValueError, LossError, UnsupportedLoopError
from tests.battery import bits

X = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)
LIMIT = 1 / float(np.linalg.eigvalsh(X.T.numpy() @ X.numpy() / len(X))[-1])
"""The loss is the mean of squares, whose Hessian is 2 X'X / n: gradient descent is stable below this."""


def line() -> nn.Module:
    model = nn.Linear(3, 1, bias=False)
    nn.init.zeros_(model.weight)
    return model


def dropping() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Tanh(), nn.Linear(8, 1))


def train(model, optimizer, steps: int, *, scheduler=None, guard=None, targets=lambda step: Y) -> tuple[list, list]:
    losses, rates = [], []
    spy = optimizer.register_step_post_hook(lambda *_: rates.append(float(optimizer.param_groups[0]["lr"])))
    for step in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(X), targets(step))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if scheduler is not None:
            scheduler.step()
        if guard is not None:
            guard.update(loss)
            if guard.should_stop:
                break
    spy.remove()
    return losses, rates


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_where_nothing_goes_wrong_nothing_changes(kind) -> None:
    courses = []
    for guarded in (False, True):
        model = dropping()
        optimizer = kind(model.parameters(), lr=0.01)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 60)
        guard = TorchGuard(model, optimizer, scheduler, steps=60, every=8, say=None) if guarded else None
        losses, _ = train(model, optimizer, 60, scheduler=scheduler, guard=guard)
        assert guard is None or guard.rollbacks == ()
        courses.append(
            (bits(losses), bits(dict(model.state_dict())), bits(optimizer.state_dict()), bits(torch.rand(3)))
        )
    assert courses[0] == courses[1]


@pytest.mark.parametrize("over", [1.5, 5.0, 30.0])
def test_it_ends_at_the_first_stable_half(over: float) -> None:
    model = line()
    optimizer = torch.optim.SGD(model.parameters(), lr=over * LIMIT)
    said: list[str] = []
    guard = TorchGuard(model, optimizer, steps=600, say=said.append)
    losses, _ = train(model, optimizer, 600, guard=guard)
    halvings = math.ceil(math.log2(over))
    assert guard.factor == 0.5**halvings
    assert len(said) == len(guard.rollbacks) == halvings
    assert losses[-1] < 1e-6
    assert optimizer.param_groups[0]["lr"] == over * LIMIT
    assert guard.lr == over * LIMIT / 2**halvings


SCHEDULERS = {
    "lambda": lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step)),
    "exponential": lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9),
    "cosine": lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20, eta_min=0.01),
    "one cycle": lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=42),
    "sequence": lambda optimizer: torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=5),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 35),
        ],
        [5],
    ),
}


class Spied(torch.optim.AdamW):
    """Tells the rate that each step is taken with."""

    used: list[float]

    def step(self, closure=None):
        Spied.used.append(float(self.param_groups[0]["lr"]))
        return super().step(closure)


@pytest.mark.parametrize("is_tensor", [False, True], ids=["number", "tensor"])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_halving_survives_every_scheduler(name: str, is_tensor: bool) -> None:
    """The rates that the optimizer uses are, from the return on, half of those that it would have used."""
    bad = lambda step: Y * torch.nan if step == 15 else Y  # noqa: E731
    rates = []
    for guarded in (False, True):
        model = line()
        optimizer = Spied(model.parameters(), lr=torch.tensor(0.1) if is_tensor else 0.1)
        scheduler = SCHEDULERS[name](optimizer)
        Spied.used = []
        guard = TorchGuard(model, optimizer, scheduler, steps=40, every=8, say=None) if guarded else None
        train(model, optimizer, 40, scheduler=scheduler, guard=guard, targets=bad)
        assert guard is None or [rollback.step for rollback in guard.rollbacks] == [15]
        rates.append(Spied.used)
    bare, halved = (np.array(used) for used in rates)
    np.testing.assert_allclose(halved, bare * np.where(np.arange(40) <= 15, 1, 0.5), rtol=1e-6)


def test_everything_that_trains_comes_back_and_the_data_go_on() -> None:
    model = dropping()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    guard = TorchGuard(model, optimizer, scaler=scaler, steps=100, every=8, say=None)
    kept = {}
    own = guard._safeguard._save

    def save():
        kept.update(
            copy.deepcopy({"model": model.state_dict(), "optimizer": optimizer.state_dict()["state"]}),
            random=torch.get_rng_state(),
            scale=scaler.get_scale(),
        )
        return own()

    guard._safeguard._save = save
    train(model, optimizer, 16, guard=guard)
    guard._safeguard.begin(16)
    train(model, optimizer, 14, guard=guard)
    scaler.scale(torch.ones(1))
    scaler.update(5.0)
    before = guard.rollbacks
    rollback = guard.update(torch.tensor(math.nan))
    assert before == ()
    assert rollback is not None
    assert rollback.step == 30
    assert rollback.back_to == 16
    assert bits(dict(model.state_dict())) == bits(dict(kept["model"]))
    assert bits(optimizer.state_dict()["state"]) == bits(kept["optimizer"])
    assert torch.equal(torch.get_rng_state(), kept["random"])
    assert scaler.get_scale() == kept["scale"]


def test_a_training_that_nothing_mends_stops_at_its_snapshot() -> None:
    model = line()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    guard = TorchGuard(model, optimizer, steps=100, halvings=2, say=None)
    losses, _ = train(model, optimizer, 100, guard=guard, targets=lambda step: Y * torch.nan if step >= 10 else Y)
    assert guard.should_stop
    assert len(losses) == 13
    assert [rollback.new_lr for rollback in guard.rollbacks] == [0.005, 0.0025, None]
    assert torch.equal(model.weight, torch.zeros(1, 3))
    assert guard.update(1.0) is None


def test_an_end_that_is_lost_is_taken_back() -> None:
    model = line()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    guard = TorchGuard(model, optimizer, steps=100, every=8, say=None)
    train(model, optimizer, 97, guard=guard)
    weight = model.weight.clone()
    with torch.no_grad():
        model.weight.add_(100)
    for loss in (1e3, 1e4, 1e5):
        assert guard.update(loss) is None
    rollback = guard.finish()
    assert rollback is not None
    assert rollback.new_lr is None
    assert (model.weight - weight).abs().max() < 0.1
    guard.close()
    train(model, optimizer, 1)
    assert guard.evaluated(1.0) is None


def test_an_evaluation_that_is_none_is_taken_back_and_a_finite_one_is_not() -> None:
    model = line()
    guard = TorchGuard(model, torch.optim.SGD(model.parameters(), lr=0.01), say=None)
    assert guard.evaluated(1e9) is None
    rollback = guard.evaluated(math.nan)
    assert rollback is not None
    assert "evaluation" in rollback.reason


def test_what_is_wrong_is_told() -> None:
    model = line()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with pytest.raises(UnsupportedLoopError, match="optimizer must be"):
        TorchGuard(model, [1.0])  # pyright: ignore
    for wrong in ({"every": 0}, {"halvings": -1}, {"steps": 0}, {"max_stable_lr": -1.0}):
        with pytest.raises(InvalidValueError, match=next(iter(wrong))):
            TorchGuard(model, optimizer, **wrong)
    with pytest.raises(LossError, match="one real number"):
        TorchGuard(model, optimizer).update(torch.ones(2))
