"""The learning rates of a generative adversarial network in PyTorch: each optimizer is scouted while the other is held.

Run this file, or: lrscout range-test examples/torch_adversarial.py:generator_loop
"""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lrscout


def training():
    """Return the two networks, their optimizers, the data, and the update that trains both."""
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
    critic = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
    optimizers = {
        "generator": torch.optim.SGD(generator.parameters(), lr=1e-2),
        "critic": torch.optim.SGD(critic.parameters(), lr=1e-3),
    }
    angles = 2 * torch.pi * torch.rand(1024)
    ring = torch.stack([angles.cos(), angles.sin()], dim=1) + 0.05 * torch.randn(1024, 2)
    judge = nn.BCEWithLogitsLoss()

    def update(batch):
        (real,) = batch
        yes, no = torch.ones(len(real), 1), torch.zeros(len(real), 1)
        drawn = generator(torch.randn(len(real), 8))
        losses = {"critic": judge(critic(real), yes) + judge(critic(drawn.detach()), no)}
        optimizers["critic"].zero_grad()
        losses["critic"].backward()
        optimizers["critic"].step()
        losses["generator"] = judge(critic(drawn), yes)
        optimizers["generator"].zero_grad()
        losses["generator"].backward()
        optimizers["generator"].step()
        return losses

    loader = DataLoader(TensorDataset(ring), batch_size=64, shuffle=True)
    return [generator, critic], optimizers, loader, update


def loop_of(name):
    """Return the training loop, to scout the optimizer of that name by its own loss."""
    networks, optimizers, loader, update = training()
    return lrscout.from_torch(networks, optimizers[name], update_fn=lambda batch: update(batch)[name], data=loader)


def generator_loop():
    """Return the training loop, to scout the generator's optimizer."""
    return loop_of("generator")


def critic_loop():
    """Return the training loop, to scout the critic's optimizer."""
    return loop_of("critic")


if __name__ == "__main__":
    for name in ("generator", "critic"):
        print(f"{name}: {lrscout.range_test(loop_of(name), repeats=3)}")
