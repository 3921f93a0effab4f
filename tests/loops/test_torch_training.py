"""What PyTorch users train in earnest: several optimizers, groups, accumulation, workers, compiled models."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, WeightedRandomSampler

import lrscout
from lrscout.core.errors import InvalidValueError, UnsupportedLoopError
from tests.battery import bits
from tests.loops.cases_torch import adversarial_networks, seed_everything

X = torch.randn(48, 6, generator=torch.Generator().manual_seed(1))
Y = X.sum(1, keepdim=True)
DATA = TensorDataset(X, Y)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))


def parameters(model: nn.Module) -> list:
    return bits([parameter.detach().numpy() for parameter in model.parameters()])


def test_accumulated_gradients_are_those_of_one_large_batch() -> None:
    whole, parts = network(), network()
    large = DataLoader(DATA, batch_size=24)
    small = DataLoader(DATA, batch_size=6)
    loops = [
        lrscout.from_torch(whole, torch.optim.SGD(whole.parameters(), 0.1), nn.MSELoss(), large),
        lrscout.from_torch(parts, torch.optim.SGD(parts.parameters(), 0.1), nn.MSELoss(), small, accumulate=4),
    ]
    for _ in range(4):
        first, second = (loop.step(0.1) for loop in loops)
        assert first == pytest.approx(second, rel=1e-5)
    for left, right in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scaled", [False, True], ids=["plain", "scaled"])
def test_clipped_gradients_have_the_norm_that_was_asked_for(scaled: bool) -> None:
    model = network()
    before = copy.deepcopy(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0) if scaled else None
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    loop = lrscout.from_torch(model, optimizer, nn.MSELoss(), DataLoader(DATA, 48), clip_norm=0.01, scaler=scaler)
    loop.step(1.0)
    moved = [left - right for left, right in zip(model.parameters(), before.parameters(), strict=True)]
    assert torch.cat([part.flatten() for part in moved]).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_an_update_of_the_users_own_is_taken_as_it_is() -> None:
    expected, mine = network(), network()
    optimizers = [torch.optim.Adam(model.parameters(), 0.01) for model in (expected, mine)]

    def update(model, optimizer, batch) -> float:
        optimizer.zero_grad()
        loss = nn.functional.l1_loss(model(batch[0]), batch[1])
        loss.backward()
        nn.utils.clip_grad_value_(model.parameters(), 0.1)
        optimizer.step()
        return loss.item()

    batch = (X, Y)
    loop = lrscout.from_torch(mine, optimizers[1], update_fn=lambda b: update(mine, optimizers[1], b), data=[batch])
    losses = [update(expected, optimizers[0], batch) for _ in range(5)]
    assert [loop.step(0.01) for _ in range(5)] == pytest.approx(losses, rel=1e-6)
    assert parameters(mine) == parameters(expected)
    with pytest.raises(UnsupportedLoopError, match="Give eval_fn as well"):
        loop.evaluate()


class Shadow:
    """An averaged copy of a model as a list of tensors, as the libraries keep it."""

    def __init__(self, model: nn.Module) -> None:
        self.shadow = [parameter.detach().clone() for parameter in model.parameters()]
        self.updates = 0

    def update(self, model: nn.Module) -> None:
        self.updates += 1
        for mine, theirs in zip(self.shadow, model.parameters(), strict=True):
            mine.lerp_(theirs.detach(), 0.1)


def test_whatever_a_step_reaches_by_name_comes_home() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    shadow = Shadow(model)
    average = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    pool, history, count = [torch.zeros(3)], [], 0

    def update(batch):
        nonlocal count
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(batch[0]), batch[1])
        loss.backward()
        optimizer.step()
        shadow.update(model)
        for name, parameter in model.named_parameters():
            average[name].mul_(0.9).add_(parameter.detach(), alpha=0.1)
        pool[0] = pool[0] + 1
        history.append(loss.item())
        count += 1
        return loss

    loop = lrscout.from_torch(model, optimizer, update_fn=update, data=DataLoader(DATA, 12))
    loop.step(0.1)

    def everything():
        tensors = [*shadow.shadow, *average.values(), *pool]
        return bits([tensor.numpy() for tensor in tensors]), shadow.updates, list(history), count

    before = everything()
    lrscout.range_test(loop, steps=10)
    assert everything() == before
    assert count == len(history) == 1


@pytest.mark.parametrize("kind", [dict, lambda named: list(dict(named).values()), lambda named: next(iter(named))[1]])
def test_stateful_may_be_a_dictionary_a_list_or_a_tensor(kind) -> None:
    model = network()
    state = kind([(name, parameter.detach().clone()) for name, parameter in model.named_parameters()])
    tensors = list(state.values()) if isinstance(state, dict) else state if isinstance(state, list) else [state]

    class Hidden:
        """Changes what nobody could find."""

        __slots__ = ("change",)

    hidden = Hidden()
    hidden.change = lambda: [tensor.add_(1) for tensor in tensors]

    def loss_of(batch):
        hidden.change()
        return nn.functional.mse_loss(model(batch[0]), batch[1])

    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loop = lrscout.from_torch(model, optimizer, step_fn=loss_of, data=[(X, Y)], stateful=[state])
    before = bits([tensor.numpy() for tensor in tensors])
    lrscout.range_test(loop, steps=10)
    assert bits([tensor.numpy() for tensor in tensors]) == before


def test_the_two_optimizers_of_an_adversarial_network_each_get_a_rate_of_their_own() -> None:
    networks = adversarial_networks()
    lrs, held = {}, {"generator": "critic", "critic": "generator"}
    for name in held:
        loop = lrscout.from_torch(
            [networks.generator, networks.critic],
            networks.optimizers[name],
            update_fn=networks.update_and_watch(name),
            data=networks.batches(),
        )
        seen = []
        step, other = networks.optimizers[held[name]].step, networks.optimizers[held[name]]
        other.step = lambda step=step, other=other, seen=seen: (seen.append(other.param_groups[0]["lr"]), step())
        lrs[name] = lrscout.range_test(loop, min_lr=1e-6, max_lr=100.0, repeats=3).lr
        del other.step
        assert len(seen) > 30
        assert set(seen) == {other.param_groups[0]["lr"]}, "the other optimizer's rate moved"
        # At the rate found a player gains on the other, and at a thousandth of it does not.
        loop.reseed(0)
        home = loop.snapshot()
        gains = []
        for lr in (lrs[name], lrs[name] / 1000):
            loop.restore(home)
            losses = [loop.step(lr) for _ in range(15)]
            gains.append(sum(losses[:4]) / 4 - sum(losses[-4:]) / 4)
        loop.restore(home)
        assert gains[0] > 0.1 > abs(gains[1]), (name, gains)


@pytest.mark.parametrize("names", [(0, 1), ("gentle", "steep")], ids=["by index", "by name"])
def test_two_parameter_groups_each_get_a_rate_of_their_own(names) -> None:
    """Two noisy quadratics of curvatures 1 and 100: stable at rates that differ by a hundred."""
    gentle, steep = (nn.Parameter(torch.zeros(())) for _ in range(2))
    model = nn.ParameterList([gentle, steep])
    # At rates so small that neither moves while the other is scouted.
    groups = [{"params": [gentle], "lr": 1e-9, "name": "gentle"}, {"params": [steep], "lr": 1e-8, "name": "steep"}]
    optimizer = torch.optim.SGD(groups)

    def loss(targets: torch.Tensor) -> torch.Tensor:
        return ((gentle - targets[:, 0]) ** 2 + (10 * steep - targets[:, 1]) ** 2).mean() / 2

    data = list(3 + torch.randn(40, 8, 2, generator=torch.Generator().manual_seed(3)))
    lrs = []
    for name in names:
        loop = lrscout.from_torch(model, optimizer, step_fn=loss, data=data, group=name)
        assert loop.lr == optimizer.param_groups[len(lrs)]["lr"]
        others = [group["lr"] for group in optimizer.param_groups]
        lrs.append(lrscout.range_test(loop, min_lr=1e-5, max_lr=100, steps=200).lr)
        assert [group["lr"] for group in optimizer.param_groups] == others
    assert 0.01 < lrs[0] < 2
    assert 0.01 < lrs[1] * 100 < 2
    assert lrs[0] / lrs[1] == pytest.approx(100, rel=1)


def test_one_group_moves_and_the_others_are_held() -> None:
    model = network()
    optimizer = torch.optim.SGD([{"params": model[0].parameters(), "lr": 0.1}, {"params": model[2].parameters()}], 0.3)
    loop = lrscout.from_torch(model, optimizer, nn.MSELoss(), [(X, Y)], group=1)
    loop.step(7.0)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 7.0]
    with pytest.raises(InvalidValueError, match="group must be a number from 0 to 1, but it is 2"):
        lrscout.from_torch(model, optimizer, nn.MSELoss(), [(X, Y)], group=2)
    with pytest.raises(InvalidValueError, match="but it is 'head'"):
        lrscout.from_torch(model, optimizer, nn.MSELoss(), [(X, Y)], group="head")


def test_a_frozen_first_group_leaves_the_ratios_to_the_others() -> None:
    model = network()
    groups = [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[2].parameters(), "lr": 0.2}]
    loop = lrscout.from_torch(model, torch.optim.SGD(groups, lr=0.2), nn.MSELoss(), [(X, Y)])
    assert loop.lr == 0.2
    frozen = model[0].weight.detach().clone()
    loop.step(0.4)
    assert torch.equal(model[0].weight, frozen)


def test_a_compiled_model_takes_the_same_course_and_comes_home() -> None:
    plain, model = network(), network()
    compiled = torch.compile(model, backend="aot_eager")
    losses = {}
    for name, module in (("plain", plain), ("compiled", compiled)):
        optimizer = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9)
        loop = lrscout.from_torch(module, optimizer, nn.MSELoss(), DataLoader(DATA, 6, shuffle=True))
        before = parameters(module)
        test = lrscout.range_test(loop, steps=30, max_lr=1.0)
        assert parameters(module) == before
        losses[name] = test.losses[:20].tolist()
    assert losses["compiled"] == pytest.approx(losses["plain"], rel=1e-5)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))


LOADERS = {
    "workers": lambda: DataLoader(DATA, 6, shuffle=True, num_workers=1),
    "persistent workers": lambda: DataLoader(DATA, 6, shuffle=True, num_workers=1, persistent_workers=True),
    "a sampler": lambda: DataLoader(DATA, 6, sampler=WeightedRandomSampler(torch.arange(48.0), 30)),
    "batches sampled": lambda: DataLoader(DATA, batch_sampler=[[0, 5, 7], [1, 2]]),
    "an iterable data set": lambda: DataLoader(Stream(), 6),
}


@pytest.mark.usefixtures("forkserver")
@pytest.mark.parametrize("make", LOADERS.values(), ids=LOADERS)
def test_loaders_of_every_kind_come_home(make) -> None:
    courses = []
    for scouted in (False, True):
        seed_everything()
        model, loader = network(), make()
        optimizer = torch.optim.SGD(model.parameters(), 0.05)
        batches = itertools.chain.from_iterable(itertools.repeat(loader))

        def train(steps, model=model, optimizer=optimizer, batches=batches) -> list[float]:
            losses = []
            for x, y in itertools.islice(batches, steps):
                optimizer.zero_grad()
                loss = nn.functional.mse_loss(model(x), y)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            return losses

        losses = train(3)
        if scouted:
            loop = lrscout.from_torch(model, optimizer, nn.MSELoss(), loader)
            assert lrscout.range_test(loop, steps=20).cost.steps > 5
        courses.append((losses + train(12), parameters(model)))
    assert courses[0] == courses[1]


class Counting(torch.utils.data.Sampler):
    """A sampler whose order follows the number of passes that it has begun."""

    def __init__(self) -> None:
        self.passes = 0

    def __len__(self) -> int:
        return 48

    def __iter__(self):
        self.passes += 1
        return iter(torch.randperm(48, generator=torch.Generator().manual_seed(self.passes)).tolist())


PASSES = {
    "counted": lambda: DataLoader(DATA, 20, sampler=Counting()),
    "by persistent workers": lambda: DataLoader(DATA, 20, shuffle=True, num_workers=1, persistent_workers=True),
}


@pytest.mark.usefixtures("forkserver")
@pytest.mark.parametrize("make", PASSES.values(), ids=PASSES)
def test_a_pass_through_the_loop_goes_on_where_it_was(make) -> None:
    """In the middle of a pass, while the verb makes passes of its own and batches are drawn again."""
    courses = []
    for scouted in (False, True):
        seed_everything()
        model = network()
        loop = lrscout.from_torch(model, torch.optim.SGD(model.parameters(), 0.05), nn.MSELoss(), make())
        losses = [loop.step(0.05) for _ in range(4)]
        if scouted:
            home = loop.snapshot()
            ahead = [loop.step(0.05) for _ in range(7)]
            loop.restore(home)
            assert [loop.step(0.05) for _ in range(7)] == ahead
            loop.restore(home)
            lrscout.range_test(loop, steps=12)
        courses.append((losses + [loop.step(0.05) for _ in range(9)], parameters(model)))
    assert courses[0] == courses[1]


@dataclass
class Example:
    x: torch.Tensor
    y: torch.Tensor


class Examples(Dataset):
    def __len__(self) -> int:
        return 48

    def __getitem__(self, index: int) -> Example:
        return Example(X[index], Y[index])


def test_batches_that_are_dataclasses() -> None:
    def collate(examples: list[Example]) -> Example:
        return Example(*(torch.stack([getattr(example, name) for example in examples]) for name in ("x", "y")))

    model = network()
    loop = lrscout.from_torch(
        model,
        torch.optim.SGD(model.parameters(), 0.1),
        step_fn=lambda batch: nn.functional.mse_loss(model(batch.x), batch.y),
        data=DataLoader(Examples(), 20, collate_fn=collate),
        eval_data=DataLoader(Examples(), 20, collate_fn=collate),
    )
    assert loop.step(0.1) > 0
    # The last batch is smaller, and weighs less.
    assert loop.evaluate() == pytest.approx(nn.functional.mse_loss(model(X), Y).item(), rel=1e-5)


def test_layers_in_evaluation_mode_stay_there() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
    model.eval()
    loop = lrscout.from_torch(model, torch.optim.SGD(model.parameters(), 0.1), nn.MSELoss(), [(X, Y)])
    mean = model[1].running_mean.clone()
    assert loop.step(1e-9) == nn.functional.mse_loss(model(X), Y).item()
    lrscout.range_test(loop, steps=10, loss="evaluation")
    assert not any(module.training for module in model.modules())
    assert torch.equal(model[1].running_mean, mean)


def test_a_trained_model_is_told_from_a_fresh_one() -> None:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    loop = lrscout.from_torch(model, optimizer, nn.MSELoss(), DataLoader(DATA, 12, shuffle=True))
    fresh = lrscout.range_test(loop, max_lr=100.0)
    assert fresh.lr is not None
    for step in range(1500):
        loop.step(0.01 * 0.996**step)
    trained = lrscout.range_test(loop)
    assert trained.lr is None
    assert "trained already. To fine-tune one, stay below" in trained.suggestion.reason
    ceiling = float(trained.suggestion.reason.split("stay below ")[1].split(";")[0])
    before = loop.evaluate()
    home = loop.snapshot()
    for _ in range(50):
        loop.step(ceiling)
    assert loop.evaluate() < before + 0.05, "the fine-tuning range is too bold"
    loop.restore(home)


def test_arguments_that_contradict_each_other() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.raises(UnsupportedLoopError, match=r"single examples. Wrap it in a DataLoader"):
        lrscout.from_torch(model, optimizer, nn.MSELoss(), DATA)
    with pytest.raises(UnsupportedLoopError, match=r"but it is a list. Give the one to scout"):
        lrscout.from_torch(model, [optimizer], nn.MSELoss(), [(X, Y)])
    with pytest.raises(UnsupportedLoopError, match="update_fn does it all"):
        lrscout.from_torch(model, optimizer, update_fn=lambda batch: 0.0, data=[0], accumulate=2)
    with pytest.raises(UnsupportedLoopError, match="loss_fn is for one model, but there are 2"):
        lrscout.from_torch([model, model], optimizer, nn.MSELoss(), [(X, Y)])
    with pytest.raises(InvalidValueError, match="clip_norm must be above zero"):
        lrscout.from_torch(model, optimizer, nn.MSELoss(), [(X, Y)], clip_norm=0.0)
    with pytest.raises(InvalidValueError, match="accumulate"):
        lrscout.from_torch(model, optimizer, nn.MSELoss(), [(X, Y)], accumulate=0)
