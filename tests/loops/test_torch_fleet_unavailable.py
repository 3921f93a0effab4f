"""PyTorch loops that cannot be vectorized, and what they say."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

import lrscout
from lrscout.core.errors import FleetUnavailableError, UnsupportedLoopError
from tests.battery import bits
from tests.loops.cases_torch import CASES, seed_everything
from tests.loops.fleets_torch import (
    LANES,
    OPTIMIZERS,
    check_lanes,
    entropy,
    from_step_fn,
    loader,
    perceptron,
    schedules,
    supervised,
)


class Scaled(torch.optim.Optimizer):
    """An optimizer whose update is made by a function of the parameter, its gradient, its state and the lr."""

    def __init__(self, parameters, update, lr: float = 0.1) -> None:
        super().__init__(parameters, {"lr": lr})
        self.update = update

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.add_(self.update(p, p.grad, self.state[p], group["lr"]))


def in_velocity(p, grad, state, lr):
    """Momentum as other frameworks have it: the lr of a step stays in the velocity, and so in the steps after it."""
    state["velocity"] = 0.9 * state.get("velocity", torch.zeros_like(p)) - lr * grad
    return state["velocity"]


def lookahead(p, grad, state, lr):
    """Every fifth step goes back half of the way."""
    state.setdefault("slow", p.clone())
    state["count"] = state.get("count", 0) + 1
    if state["count"] % 5:
        return -lr * grad
    state["slow"] += 0.5 * (p - lr * grad - state["slow"])
    return state["slow"] - p


def test_an_optimizer_of_the_users_own() -> None:
    loop = supervised(
        lambda m: Scaled(m.parameters(), lambda p, g, state, lr: -lr * (g.sign() + 0.1 * p)), dtype=torch.float64
    )
    check_lanes(loop, schedules(20), rel=1e-9)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (lambda m: torch.optim.Adafactor(m.parameters()), "in Adafactor, the update of one lane would depend"),
        (lambda m: torch.optim.Muon([m[0].weight]), "Muon cannot be made anew .*: .*2D"),
        (
            lambda m: Scaled(m.parameters(), lambda p, g, state, lr: -lr * g / g.norm()),
            "in Scaled, the update of one lane would depend on the others",
        ),
        (
            lambda m: Scaled(m.parameters(), lambda p, g, state, lr: (-lr * g).clamp(-0.01, 0.01)),
            "in Scaled, the update is not proportional to the lr",
        ),
        (lambda m: Scaled(m.parameters(), in_velocity), "in Scaled, the update is not proportional to the lr"),
        (lambda m: Scaled(m.parameters(), lookahead), "in Scaled, the update is not proportional to the lr"),
    ],
)
def test_optimizers_whose_lanes_are_no_runs(optimizer, message) -> None:
    loop = supervised(optimizer)
    with pytest.raises(FleetUnavailableError, match=message):
        loop.fleet(LANES, 10)
    with pytest.raises(FleetUnavailableError, match=message):
        loop.lane_bytes()


def test_hooks_on_the_optimizer() -> None:
    def with_hook(model):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        optimizer.register_step_post_hook(lambda *_: None)
        return optimizer

    with pytest.raises(FleetUnavailableError, match="hook on the step of SGD"):
        supervised(with_hook).fleet(LANES, 10)


class Remembers:
    """A loss that keeps something of each step."""

    def __init__(self) -> None:
        self.model = perceptron()
        self.last = None
        self.losses: list[torch.Tensor] = []

    def __call__(self, batch):
        loss = entropy(self.model, *batch)
        self.last = loss.detach()
        return loss

    def listed(self, batch):
        loss = entropy(self.model, *batch)
        self.losses.append(loss.detach())
        return loss


def watched(loss_fn: str):
    seed_everything()
    watcher = Remembers()
    optimizer = torch.optim.SGD(watcher.model.parameters(), lr=0.1)
    step_fn = getattr(watcher, loss_fn)
    return lrscout.from_torch(watcher.model, optimizer, step_fn=step_fn, data=loader())


def with_update_fn():
    model = perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return lrscout.from_torch(model, optimizer, update_fn=lambda batch: 1.0, data=loader())


def without_the_model():
    model = perceptron()
    free = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.SGD([*model.parameters(), free], lr=0.1)
    return lrscout.from_torch(model, optimizer, lambda out, y: nn.functional.cross_entropy(out * free, y), loader())


def held_elsewhere():
    model = perceptron()
    weight = model[0].weight
    penalty = {"of": lambda: weight.square().sum()}
    return from_step_fn(lambda m, x, y: entropy(m, x, y) + penalty["of"](), model)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CASES["scaled"]().loop, "gradient scaler"),
        (with_update_fn, "update_fn makes the whole update"),
        (lambda: from_step_fn(lambda m, x, y: entropy(m, x, y) * (1 + 0 * entropy(m, x, y).item())), r"\.item\(\)"),
        (
            lambda: from_step_fn(lambda m, x, y: entropy(m, x, y) if entropy(m, x, y) > 0 else m(x).sum()),
            "data-dependent control flow",
        ),
        (lambda: from_step_fn(lambda m, x, y: m(x)[m(x) > 0].sum()), "."),
        (
            lambda: from_step_fn(lambda m, x, y: m(torch.nn.functional.embedding_bag(y[:, None], m[0].weight)).sum()),
            "no batching rule for aten::.*embedding_bag",
        ),
        (lambda: watched("__call__"), "keeps a tensor"),
        (lambda: watched("listed"), "keeps a tensor"),
        (without_the_model, "does not belong to the model"),
        (held_elsewhere, "its gradient comes out different"),
        (
            lambda: from_step_fn(entropy, eval_fn=lambda batch: torch.tensor(torch.ones(3).sum().item())),
            None,
        ),
        (lambda: from_step_fn(entropy, nn.DataParallel(perceptron())), "DataParallel"),
    ],
)
def test_loops_that_cannot_be_vectorized(make, message) -> None:
    loop = make()
    if message is None:
        assert np.isfinite(loop.fleet(2, 1).evaluate()).all()
        return
    states = torch.get_rng_state(), random.getstate()
    before = bits([tensor.detach() for module in loop._modules for tensor in module.state_dict().values()])
    place = loop._data._stream._place
    for ask in (loop.lane_bytes, lambda: loop.fleet(2, 10)):
        with pytest.raises(FleetUnavailableError, match=message) as caught:
            ask()
        assert str(caught.value).endswith(".")
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert bits([tensor.detach() for module in loop._modules for tensor in module.state_dict().values()]) == before
    assert loop._data._stream._place is place


def test_an_evaluation_that_cannot_be_vectorized() -> None:
    model = perceptron()
    loop = from_step_fn(entropy, model, eval_fn=lambda batch: torch.tensor(entropy(model, *batch).item()))
    with pytest.raises(FleetUnavailableError, match=r"\.item\(\)"):
        loop.fleet(2, 10)


def test_a_loss_that_is_wrong_by_itself_says_so_as_the_loop_does() -> None:
    with pytest.raises(UnsupportedLoopError, match="does not depend on any parameter"):
        from_step_fn(lambda m, x, y: torch.tensor(1.0)).fleet(2, 10)


def test_steps_that_a_library_takes() -> None:
    loop = supervised(OPTIMIZERS["SGD"])
    loop._take_step = lambda draw: torch.zeros(())
    with pytest.raises(FleetUnavailableError, match="the library that it was made for takes its steps"):
        loop.lane_bytes()
