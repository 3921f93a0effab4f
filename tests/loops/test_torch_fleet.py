"""Fleets of PyTorch loops, lane by lane against the loop itself."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
import torch
from torch import nn

import lrscout
from lrscout.core.fleet import Vectorizable
from tests.battery import bits
from tests.loops.cases_torch import CASES, seed_everything
from tests.loops.fleets_torch import (
    AT_WORK,
    LANES,
    OPTIMIZERS,
    Normalized,
    Tied,
    apart,
    check_lanes,
    data,
    entropy,
    loader,
    perceptron,
    schedules,
    supervised,
    together,
    two_groups,
)


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


@pytest.mark.parametrize("group", [None, 0, "head"])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_groups_keep_their_ratios_or_are_held(group, kind) -> None:
    loop = supervised(functools.partial(two_groups, kind=kind), dtype=torch.float64, group=group)
    check_lanes(loop, schedules(20), rel=1e-9)


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


def test_a_scheduler_on_the_optimizer() -> None:
    def scheduled(model):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
        optimizer.schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        return optimizer

    check_lanes(supervised(scheduled), schedules(10), rel=1e-5)


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
