"""Fleets of PyTorch loops, lane by lane against the loop itself."""

from __future__ import annotations

import functools
import itertools
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lrscout
import lrscout.loops.data
from lrscout.core.errors import FleetUnavailableError, UnsupportedLoopError
from lrscout.core.fleet import Vectorizable
from lrscout.loops.torch import traced
from lrscout.loops.torch.steps import Supervised
from tests.battery import bits
from tests.loops.cases_torch import CASES, seed_everything

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


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_lane_is_a_run_of_its_own(name) -> None:
    highest = AT_WORK.get(name, 0.1)
    check_lanes(supervised(OPTIMIZERS[name]), schedules(20, highest, lanes=3), rel=1e-5)
    check_lanes(supervised(OPTIMIZERS[name], dtype=torch.float64), schedules(200, highest, lanes=2), rel=1e-9)


def test_an_lr_in_a_tensor() -> None:
    check_lanes(
        supervised(lambda m: torch.optim.Adam(m.parameters(), lr=torch.tensor(1e-2), foreach=False)),
        schedules(20),
        rel=1e-5,
    )


@pytest.mark.parametrize("name", ["momentum", "Adam", "Adagrad", "NAdam", "AdamW"])
def test_a_fleet_starts_from_the_middle_of_training(name) -> None:
    loop = supervised(OPTIMIZERS[name], dtype=torch.float64)
    for _ in range(15):
        loop.step(0.05)
    check_lanes(loop, schedules(20), rel=1e-9)


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


def test_batch_statistics_dropout_noise_and_state() -> None:
    loop = supervised(OPTIMIZERS["momentum"], Normalized, torch.float64)
    check_lanes(loop, schedules(30), rel=1e-9)


def test_every_lane_drops_the_same() -> None:
    loop = supervised(OPTIMIZERS["SGD"], lambda: nn.Sequential(nn.Linear(6, 50), nn.Dropout(0.5), nn.Linear(50, 2)))
    losses = loop.fleet(3, 5).advance(np.full((5, 3), 0.1))
    assert (losses == losses[:, :1]).all()


@pytest.mark.parametrize(
    "options", [{"accumulate": 3}, {"clip_norm": 0.1}, {"accumulate": 2, "clip_norm": 0.3}], ids=str
)
def test_accumulated_and_clipped(options) -> None:
    check_lanes(supervised(OPTIMIZERS["momentum"], dtype=torch.float64, **options), schedules(20, 1.0), rel=1e-9)


def two_groups(m, kind=torch.optim.AdamW):
    groups = [
        {"params": [m[0].weight], "lr": 1e-2, "weight_decay": 0.1},
        {"params": [m[2].weight, m[0].bias], "lr": 3e-2, "name": "head"},
        {"params": [m[2].bias], "lr": 0.0},
    ]
    return kind(groups)


@pytest.mark.parametrize("group", [None, 0, "head"])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_groups_keep_their_ratios_or_are_held(group, kind) -> None:
    loop = supervised(functools.partial(two_groups, kind=kind), dtype=torch.float64, group=group)
    check_lanes(loop, schedules(20), rel=1e-9)


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


@pytest.mark.parametrize("name", ["Adam", "momentum"])
@pytest.mark.parametrize("warm_up", [0, 5])
def test_tied_frozen_unused_and_single_parameters(name, warm_up) -> None:
    loop = supervised(OPTIMIZERS[name], Tied, torch.float64)
    for _ in range(warm_up):
        loop.step(0.05)
    check_lanes(loop, schedules(20), rel=1e-9)


def test_a_step_function_over_dictionaries_that_closes_over_two_models() -> None:
    seed_everything()
    model, other = nn.Linear(3, 4).double(), nn.Sequential(nn.Tanh(), nn.Linear(4, 1)).double()
    x = torch.randn(12, 3, dtype=torch.float64)
    batches = [{"x": part, "name": "a batch", "y": [part.sum(1, keepdim=True)]} for part in x.split(4)]
    optimizer = torch.optim.Adam([*model.parameters(), *other.parameters()], lr=1e-2)

    def step_fn(batch):
        return (other[1](other[0](model(batch["x"]))) - batch["y"][0]).square().mean()

    check_lanes(lrscout.from_torch([model, other], optimizer, step_fn=step_fn, data=batches), schedules(20), rel=1e-9)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_convolutions_and_attention(dropout) -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolve = nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.GELU())
            self.attend = nn.TransformerEncoderLayer(4, 2, 8, dropout=dropout, batch_first=True)
            self.embed = nn.Embedding(6, 4)
            self.head = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            features = self.convolve(x[:, None]).transpose(1, 2) + self.embed(torch.arange(6))
            return self.head(self.attend(features).mean(1))

    loop = supervised(OPTIMIZERS["AdamW"], Network, torch.float64)
    if dropout:  # The mask is drawn in another order of its entries, and is the same in every lane.
        losses = loop.fleet(3, 10).advance(np.full((10, 3), 0.01))
        np.testing.assert_allclose(losses, np.repeat(losses[:, :1], 3, axis=1), rtol=1e-12)
    else:
        check_lanes(loop, schedules(10, 0.01), rel=1e-9)


def test_evaluation_data_of_unequal_batches_and_a_loss_of_their_own() -> None:
    x, y = data(dtype=torch.float64).tensors
    seed_everything()
    model = Normalized().double()

    def eval_fn(batch):
        return nn.functional.cross_entropy(model(batch[0]), batch[1], label_smoothing=0.1)

    loop = lrscout.from_torch(
        model,
        OPTIMIZERS["SGD"](model),
        nn.CrossEntropyLoss(),
        loader(torch.float64),
        eval_data=[(x[:30], y[:30]), (x[30:], y[30:])],
        eval_fn=eval_fn,
    )
    check_lanes(loop, schedules(10), rel=1e-9)


def test_an_evaluation_changes_nothing() -> None:
    loop = supervised(OPTIMIZERS["momentum"], Normalized, torch.float64)
    home, lrs = loop.snapshot(), schedules(12)
    plain = loop.fleet(LANES, 12).advance(lrs)
    loop.restore(home)
    fleet = loop.fleet(LANES, 12)
    first = fleet.advance(lrs[:5])
    np.testing.assert_array_equal(fleet.evaluate(), fleet.evaluate())
    np.testing.assert_array_equal(np.concatenate([first, fleet.advance(lrs[5:])]), plain)


def test_dead_lanes_leave_the_others_bits_alone() -> None:
    loop = supervised(OPTIMIZERS["momentum"], Normalized, torch.float64)
    home, lrs = loop.snapshot(), schedules(30, lanes=8)
    unharmed = loop.fleet(8, 30).advance(lrs)
    loop.restore(home)
    lrs[3:, 2], lrs[5:, 5] = 1e30, np.nan
    fleet = loop.fleet(8, 30)
    losses = fleet.advance(lrs)
    others = [0, 1, 3, 4, 6, 7]
    assert bits(losses[:, others]) == bits(unharmed[:, others])
    assert np.isnan(losses[8:, [2, 5]]).all()
    assert np.isnan(fleet.evaluate()).tolist() == [lane not in others for lane in range(8)]


@pytest.mark.parametrize("name", ["everything", "parameter_groups", "endless", "accumulated"])
def test_the_user_goes_on_as_if_there_had_been_no_fleet(name) -> None:
    def go_on(case):
        return [case.loop.step(case.loop.lr) for _ in range(9)], {k: p.read() for k, p in case.parts.items()}

    results = []
    for with_fleet in (False, True):
        case = CASES[name]()
        for _ in range(5):
            case.loop.step(case.loop.lr)
        if with_fleet:
            before = {key: bits(part.read()) for key, part in case.parts.items() if key != "place"}
            case.loop.lane_bytes()
            home = case.loop.snapshot()
            fleet = case.loop.fleet(3, 10)
            assert {k: bits(p.read()) for k, p in case.parts.items() if k != "place"} == before, "to be made, it moved"
            fleet.advance(schedules(10, lanes=3))
            fleet.evaluate()
            slots = bits(case.parts["slots"].read()), bits(case.parts["parameters"].read())
            assert slots == (before["slots"], before["parameters"]), "the fleet moved the user's own model"
            case.loop.restore(home)
        losses, parts = go_on(case)
        parts.pop("place")
        results.append((bits(losses), bits(parts)))
    assert results[0] == results[1]


def test_the_battery_of_odd_models_lane_by_lane() -> None:
    for name in ("everything", "endless", "accumulated"):
        loop = CASES[name]().loop
        for ours, expected in zip(together(loop, schedules(8)), apart(loop, schedules(8)), strict=True):
            np.testing.assert_allclose(ours, expected, rtol=2e-5, err_msg=name)


def test_a_hidden_state_of_a_layer_that_changes_its_mode_on_the_way() -> None:
    """The case `everything`: its counter makes a layer leave training mode at the twelfth call."""
    loop = CASES["everything"]().loop
    np.testing.assert_allclose(together(loop, schedules(16))[0], apart(loop, schedules(16))[0], rtol=2e-5)


# A program that is traced once.


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


# What cannot be.


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


def test_a_scheduler_on_the_optimizer() -> None:
    def scheduled(model):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
        optimizer.schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        return optimizer

    check_lanes(supervised(scheduled), schedules(10), rel=1e-5)


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


def test_a_scaler_that_is_not_enabled_is_none() -> None:
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    check_lanes(supervised(OPTIMIZERS["SGD"], scaler=scaler, clip_norm=0.5), schedules(10), rel=1e-5)


def test_a_loop_can_be_vectorized_by_its_type() -> None:
    assert isinstance(supervised(OPTIMIZERS["SGD"]), Vectorizable)


def test_the_memory_of_a_lane() -> None:
    seed_everything()
    model = nn.Sequential(nn.Linear(100, 200), nn.BatchNorm1d(200), nn.ReLU(), nn.Linear(200, 10))
    batch = torch.randn(64, 100), torch.zeros(64, dtype=torch.long)
    parameters = 4 * sum(parameter.numel() for parameter in model.parameters())
    scattered = 4  # What is held takes so many times the room.
    sizes = {}
    for name in ("SGD", "momentum", "Adam"):
        loop = lrscout.from_torch(model, OPTIMIZERS[name](model), nn.CrossEntropyLoss(), [batch])
        sizes[name] = loop.lane_bytes() / scattered
    assert sizes["momentum"] - sizes["SGD"] == parameters
    assert sizes["Adam"] - sizes["SGD"] == pytest.approx(2 * parameters, rel=1e-3)
    # The inputs, what goes in and out of the batch norm and the ReLU, and the logits are kept for the backward pass.
    kept = 4 * 64 * (100 + 200 + 200 + 10)
    assert kept <= sizes["SGD"] - 3 * parameters <= 2 * kept


def test_no_steps() -> None:
    fleet = supervised(OPTIMIZERS["SGD"]).fleet(3, 0)
    assert fleet.advance(np.zeros((0, 3))).shape == (0, 3)


def test_the_same_through_the_users_own_training() -> None:
    """Each lane against a model of its own, trained without lrscout."""
    loop = supervised(OPTIMIZERS["Adam"])
    lrs = np.array([1e-3, 1e-2, 1e-1])
    losses = loop.fleet(3, 12).advance(np.broadcast_to(lrs, (12, 3)))
    for lane, lr in enumerate(lrs.tolist()):
        seed_everything()
        model = perceptron()
        optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        batches = itertools.chain.from_iterable(itertools.repeat(loader()))
        for step, (x, y) in enumerate(itertools.islice(batches, 12)):
            optimizer.zero_grad()
            loss = entropy(model, x, y)
            loss.backward()
            optimizer.step()
            assert losses[step, lane] == pytest.approx(loss.item(), rel=1e-5)
