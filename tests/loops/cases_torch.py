"""PyTorch loops with everything that has been forgotten by one tool or another."""

from __future__ import annotations

import itertools
import random

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import lrscout
from tests.battery import Case, Part, numpy_generator, python_generator, stream_place


class Augmented(Dataset):
    """Examples that Python's and NumPy's generators change on their way out."""

    def __init__(self, length: int = 32) -> None:
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(length, 6, generator=generator)
        self.y = (self.x[:, 0] > 0).long()

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.x[index] * random.uniform(0.9, 1.1) + float(np.random.normal(0, 0.1)), self.y[index]


class Network(nn.Module):
    """Dropout, batch statistics, layers frozen from the start and on the way, state in odd places."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.norm = nn.BatchNorm1d(8)
        self.frozen_norm = nn.BatchNorm1d(8)
        self.dropout = nn.Dropout(0.3)
        self.second = nn.Linear(8, 2)
        self.register_buffer("gain", torch.ones(8), persistent=False)
        self.hidden = torch.zeros(8)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.dropout(self.frozen_norm(self.norm(self.first(x))))
        if self.training:
            self.calls += 1
            if self.calls == 12:
                self.norm.eval()
            self.gain.mul_(1 + 1e-3 * self.calls)
            self.hidden = 0.9 * self.hidden + 0.1 * x.detach().mean(0)
        return self.second(torch.relu(x * self.gain + self.hidden))


def module_parts(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Part]:
    tensors = [*model.parameters(), *model.buffers()]

    def read_tensors(kind: list[torch.Tensor]) -> list[np.ndarray]:
        return [tensor.detach().numpy().copy() for tensor in kind]

    def write_tensors(kind: list[torch.Tensor], values: list[np.ndarray]) -> None:
        with torch.no_grad():
            for tensor, value in zip(kind, values, strict=True):
                tensor.copy_(torch.from_numpy(value))

    def read_slots() -> dict[str, np.ndarray]:
        return {
            f"{index}.{name}": slot.numpy().copy()
            for index, parameter in enumerate(model.parameters())
            for name, slot in optimizer.state.get(parameter, {}).items()
            if slot is not None
        }

    def write_slots(values: dict[str, np.ndarray]) -> None:
        for index, parameter in enumerate(model.parameters()):
            for name, slot in optimizer.state.get(parameter, {}).items():
                if slot is not None:
                    slot.copy_(torch.from_numpy(values[f"{index}.{name}"]))

    def read_gradients() -> list[np.ndarray | None]:
        return [None if p.grad is None else p.grad.numpy().copy() for p in model.parameters()]

    def write_gradients(values: list[np.ndarray | None]) -> None:
        for parameter, value in zip(model.parameters(), values, strict=True):
            parameter.grad = None if value is None else torch.from_numpy(value)

    parts = {
        "parameters": Part(
            lambda: read_tensors(tensors[: len(list(model.parameters()))]),
            lambda values: write_tensors(tensors[: len(values)], values),
        ),
        "slots": Part(read_slots, write_slots),
        "gradients": Part(read_gradients, write_gradients),
        "lrs": Part(
            lambda: [group["lr"] for group in optimizer.param_groups],
            lambda lrs: [group.update(lr=lr) for group, lr in zip(optimizer.param_groups, lrs, strict=True)],
        ),
        "torch generator": Part(torch.get_rng_state, torch.set_rng_state),
    }
    buffers = list(model.buffers())
    if buffers:
        parts["buffers"] = Part(lambda: read_tensors(buffers), lambda values: write_tensors(buffers, values))
    return parts


def seed_everything(seed: int = 0) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def everything() -> Case:
    """Momentum, an attached scheduler, a shuffled loader, global generators, mixed modes, in the middle of a pass."""
    seed_everything()
    model = Network()
    model.frozen_norm.eval()
    loader = DataLoader(Augmented(), batch_size=5, shuffle=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.97)
    loss_fn = nn.CrossEntropyLoss()
    batches = itertools.chain.from_iterable(itertools.repeat(loader))

    def train(steps: int) -> list[float]:
        losses = []
        for x, y in itertools.islice(batches, steps):
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            scheduler.step()
            losses.append(loss.item())
        return losses

    loop = lrscout.from_torch(model, optimizer, loss_fn, loader)
    parts = module_parts(model, optimizer) | {
        "hidden": Part(lambda: model.hidden.numpy().copy(), lambda h: setattr(model, "hidden", torch.from_numpy(h))),
        "calls": Part(lambda: model.calls, lambda calls: setattr(model, "calls", calls)),
        "python generator": python_generator(),
        "numpy generator": numpy_generator(),
        "place": stream_place(loop),
    }
    parts["modes"] = Part(
        lambda: [module.training for module in model.modules()],
        lambda modes: [setattr(module, "training", mode) for module, mode in zip(model.modules(), modes, strict=True)],
    )
    return Case(loop, parts, train)


def parameter_groups() -> Case:
    """AdamW with two groups, a loader with a generator of its own, shorter than the test, and evaluation data."""
    seed_everything()
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    groups = [{"params": model[0].parameters(), "lr": 1e-2}, {"params": model[2].parameters(), "lr": 1e-3}]
    optimizer = torch.optim.AdamW(groups)
    x = torch.randn(10, 6)
    own = torch.Generator().manual_seed(5)
    loader = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=4, shuffle=True, generator=own)
    loop = lrscout.from_torch(model, optimizer, nn.MSELoss(), loader, eval_data=[(x, x.sum(1, keepdim=True))])
    parts = module_parts(model, optimizer) | {
        "place": stream_place(loop),
        "own generator": Part(own.get_state, own.set_state),
    }
    del parts["torch generator"]  # Nothing here draws from it.
    return Case(loop, parts)


def endless() -> Case:
    """An endless iterator of single examples; RMSprop; a step function over dictionaries."""
    seed_everything()
    model = nn.Linear(3, 1)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-2, momentum=0.5)
    generator = torch.Generator().manual_seed(2)

    def examples():
        while True:
            x = torch.randn(1, 3, generator=generator)
            yield {"x": x, "y": x.sum(1, keepdim=True)}

    def step_fn(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return (model(batch["x"]) - batch["y"]).square().mean()

    loop = lrscout.from_torch(model, optimizer, step_fn=step_fn, data=examples())
    parts = module_parts(model, optimizer) | {"place": stream_place(loop)}
    del parts["torch generator"]
    return Case(loop, parts)


def scaled() -> Case:
    """A gradient scaler in mixed precision whose scale changes as it goes."""
    seed_everything()
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=3)
    loader = DataLoader(Augmented(), batch_size=8, shuffle=True)
    loss_fn = nn.CrossEntropyLoss()

    def step_fn(batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return loss_fn(model(batch[0]), batch[1])

    loop = lrscout.from_torch(model, optimizer, step_fn=step_fn, data=loader, scaler=scaler)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))

    def train(steps: int) -> list[float]:
        losses = []
        for batch in itertools.islice(batches, steps):
            optimizer.zero_grad()
            loss = step_fn(batch)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            losses.append(loss.item())
        return losses

    parts = module_parts(model, optimizer) | {
        "place": stream_place(loop),
        "scaler": Part(lambda: scaler.state_dict(), scaler.load_state_dict),
        "python generator": python_generator(),
        "numpy generator": numpy_generator(),
    }
    return Case(loop, parts, train)


class Networks:
    """A generator that learns to draw from a shifted normal distribution, and the critic that it learns from."""

    def __init__(self) -> None:
        self.generator = nn.Linear(4, 3)
        self.critic = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.1), nn.LeakyReLU(0.2), nn.Linear(8, 1))
        self.optimizers = {
            "generator": torch.optim.Adam(self.generator.parameters(), 1e-3, betas=(0.5, 0.9)),
            "critic": torch.optim.SGD(self.critic.parameters(), 1e-3, momentum=0.5),
        }

    def batches(self) -> DataLoader:
        real = torch.randn(64, 3, generator=torch.Generator().manual_seed(2)) + 2
        return DataLoader(TensorDataset(real), batch_size=16, shuffle=True)

    def update(self, real: torch.Tensor) -> dict[str, torch.Tensor]:
        right, wrong = torch.ones(len(real), 1), torch.zeros(len(real), 1)
        judge = nn.functional.binary_cross_entropy_with_logits
        drawn = self.generator(torch.randn(len(real), 4))
        losses = {"critic": judge(self.critic(real), right) + judge(self.critic(drawn.detach()), wrong)}
        self.optimizers["critic"].zero_grad()
        losses["critic"].backward()
        self.optimizers["critic"].step()
        losses["generator"] = judge(self.critic(drawn), right)
        self.optimizers["generator"].zero_grad()
        losses["generator"].backward()
        self.optimizers["generator"].step()
        return losses

    def update_and_watch(self, name: str):
        return lambda batch: self.update(batch[0])[name]


def adversarial_networks() -> Networks:
    seed_everything()
    return Networks()


def adversarial() -> Case:
    """A generative adversarial network: the critic's rate is scouted, the generator's is held."""
    networks = adversarial_networks()
    loader = networks.batches()
    loop = lrscout.from_torch(
        [networks.generator, networks.critic],
        networks.optimizers["critic"],
        update_fn=networks.update_and_watch("critic"),
        data=loader,
        eval_fn=lambda batch: networks.critic(batch[0]).mean(),
    )
    batches = itertools.chain.from_iterable(itertools.repeat(loader))

    def train(steps: int) -> list[float]:
        return [networks.update(batch[0])["critic"].item() for batch in itertools.islice(batches, steps)]

    parts = {"place": stream_place(loop)}
    for name, optimizer in networks.optimizers.items():
        own = module_parts(getattr(networks, name), optimizer)
        parts |= {f"{name}'s {part}": own[part] for part in ("parameters", "slots", "gradients", "lrs")}
    del parts["generator's lrs"]  # Nobody moves them.
    parts["torch generator"] = Part(torch.get_rng_state, torch.set_rng_state)
    return Case(loop, parts, train)


def accumulated() -> Case:
    """Gradients of three batches for each update, clipped; one of two parameter groups scouted alone."""
    seed_everything()
    model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.2), nn.Tanh(), nn.Linear(8, 2))
    groups = [{"params": model[0].parameters()}, {"params": model[3].parameters(), "lr": 0.01}]
    optimizer = torch.optim.NAdam(groups, lr=0.02)
    loader = DataLoader(Augmented(), batch_size=4, shuffle=True)
    loss_fn = nn.CrossEntropyLoss()
    loop = lrscout.from_torch(model, optimizer, loss_fn, loader, accumulate=3, clip_norm=0.5, group=1)
    parts = module_parts(model, optimizer) | {"place": stream_place(loop), "python generator": python_generator()}
    return Case(loop, parts)


CASES = {case.__name__: case for case in (everything, parameter_groups, endless, scaled, adversarial, accumulated)}
