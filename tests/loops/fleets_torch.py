"""Loops and schedules that the tests of PyTorch fleets share."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lrscout
from tests.loops.cases_torch import seed_everything

LANES = 4


def data(examples: int = 40, features: int = 6, dtype: torch.dtype = torch.float32) -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(examples, features, generator=generator, dtype=torch.float64)
    return TensorDataset(x.to(dtype), (x[:, 0] + x[:, 1] ** 2 > 1).long())


def loader(dtype: torch.dtype = torch.float32, batch_size: int = 8) -> DataLoader:
    return DataLoader(data(dtype=dtype), batch_size=batch_size, shuffle=True)


def perceptron() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))


def supervised(make_optimizer, model=None, dtype=torch.float32, **options):
    seed_everything()
    model = perceptron() if model is None else model()
    model.to(dtype)
    return lrscout.from_torch(model, make_optimizer(model), nn.CrossEntropyLoss(), loader(dtype), **options)


def schedules(steps: int, highest: float = 0.1, lanes: int = LANES) -> np.ndarray:
    """A schedule of its own for each lane, with zeros."""
    lrs = highest * 10 ** np.random.default_rng(0).uniform(-2, 0, (steps, lanes))
    lrs[steps // 2, 0] = 0
    return lrs


def apart(loop, lrs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The losses and the evaluations of the loop itself, lane by lane."""
    home = loop.snapshot()
    losses, evaluations = [], []
    for lane in lrs.T.tolist():
        losses.append([loop.step(lr) for lr in lane])
        evaluations.append(loop.evaluate())
        loop.restore(home)
    return np.array(losses).T, np.array(evaluations)


def together(loop, lrs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same as a fleet, which takes its steps in two stretches."""
    home = loop.snapshot()
    fleet = loop.fleet(lrs.shape[1], len(lrs))
    assert fleet.size == lrs.shape[1]
    losses = [fleet.advance(part) for part in np.split(lrs, [len(lrs) // 3])]
    evaluations = fleet.evaluate()
    loop.restore(home)
    return np.concatenate(losses), evaluations


def check_lanes(loop, lrs: np.ndarray, rel: float) -> None:
    for ours, expected in zip(together(loop, lrs), apart(loop, lrs), strict=True):
        assert ours.dtype == np.float64
        assert np.isfinite(expected).all()
        np.testing.assert_allclose(ours, expected, rtol=rel)


OPTIMIZERS = {
    "SGD": lambda m: torch.optim.SGD(m.parameters(), lr=0.1),
    "SGD with weight decay": lambda m: torch.optim.SGD(m.parameters(), lr=0.1, weight_decay=0.1),
    "SGD, maximizing": lambda m: torch.optim.SGD(m.parameters(), lr=0.1, maximize=True),
    "momentum": lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9, dampening=0.1, weight_decay=1e-2),
    "Nesterov": lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda m: torch.optim.Adam(m.parameters(), lr=1e-2),
    "Adam with weight decay": lambda m: torch.optim.Adam(m.parameters(), lr=1e-2, weight_decay=1e-2, amsgrad=True),
    "Adam, fused": lambda m: torch.optim.Adam(m.parameters(), lr=1e-2, fused=True),
    "Adam, foreach": lambda m: torch.optim.Adam(m.parameters(), lr=1e-2, foreach=True),
    "AdamW": lambda m: torch.optim.AdamW(m.parameters(), lr=1e-2, weight_decay=0.3),
    "RMSprop": lambda m: torch.optim.RMSprop(m.parameters(), lr=1e-2, weight_decay=1e-2),
    "RMSprop, centred": lambda m: torch.optim.RMSprop(m.parameters(), lr=1e-2, momentum=0.5, centered=True),
    "Adagrad": lambda m: torch.optim.Adagrad(m.parameters(), lr=1e-2, lr_decay=1e-2, weight_decay=1e-2),
    "NAdam": lambda m: torch.optim.NAdam(m.parameters(), lr=1e-2, weight_decay=1e-2, decoupled_weight_decay=True),
    "RAdam": lambda m: torch.optim.RAdam(m.parameters(), lr=1e-2),
    "Adamax": lambda m: torch.optim.Adamax(m.parameters(), lr=1e-2),
    "Adadelta": lambda m: torch.optim.Adadelta(m.parameters(), lr=1.0),
}
AT_WORK = {"Adadelta": 1.0}


def two_groups(m, kind=torch.optim.AdamW):
    groups = [
        {"params": [m[0].weight], "lr": 1e-2, "weight_decay": 0.1},
        {"params": [m[2].weight, m[0].bias], "lr": 3e-2, "name": "head"},
        {"params": [m[2].bias], "lr": 0.0},
    ]
    return kind(groups)


class Normalized(nn.Module):
    """Batch statistics, dropout, noise, a frozen layer, an average in a buffer set anew and one in an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.norm = nn.BatchNorm1d(8)
        self.frozen = nn.Linear(8, 8).requires_grad_(False)
        self.frozen_norm = nn.BatchNorm1d(8).eval()
        self.dropout = nn.Dropout(0.3)
        self.second = nn.Linear(8, 2)
        self.register_buffer("centre", torch.zeros(8), persistent=False)
        self.average = torch.zeros(8, dtype=torch.float64)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.frozen_norm(self.frozen(torch.relu(self.norm(self.first(x)))))
        if self.training:
            self.calls += 1
            self.centre = 0.9 * self.centre + 0.1 * x.detach().mean(0)
            self.average.mul_(1 + 0.01 * self.calls).add_(x.detach().mean(0), alpha=0.1)
            x = x + 0.1 * torch.randn_like(x) + 0.1 * torch.randn(1, 8, dtype=x.dtype)
        return self.second(self.dropout(x - self.centre - self.average))


class Tied(nn.Module):
    """One weight in two places, a parameter of one number, and one that the loss does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(6, 6, bias=False)
        self.decode = nn.Linear(6, 6)
        self.decode.weight = self.encode.weight
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.unused = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decode(torch.tanh(self.encode(x))) * self.scale


def from_step_fn(loss_of, model=None, **options):
    seed_everything()
    model = perceptron() if model is None else model
    return lrscout.from_torch(
        model,
        torch.optim.SGD(model.parameters(), lr=0.1),
        step_fn=lambda batch: loss_of(model, *batch),
        data=loader(),
        **options,
    )


def entropy(model, x, y):
    return nn.functional.cross_entropy(model(x), y)
