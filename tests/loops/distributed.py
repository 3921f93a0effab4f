"""A loop that several processes run together; started by torchrun, one report as JSON from the first process."""

from __future__ import annotations

import json
import os
import sys

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import lrscout


def make(poisoned: bool = False):
    """Return a loop of this process, its model and its optimizer; poisoned, one process sees a NaN in each pass."""
    rank = distributed.get_rank()
    torch.manual_seed(3)
    x = torch.randn(48, 6)
    y = x.sum(1, keepdim=True)
    if poisoned:
        x[-1] = torch.nan
    layers = [nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 1)]
    model = DistributedDataParallel(nn.Sequential(*layers))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    data = TensorDataset(x, y)
    sampler = DistributedSampler(data, shuffle=not poisoned)
    loader = DataLoader(data, batch_size=6, sampler=sampler)
    torch.manual_seed(100 + rank)
    # The last process has one evaluation batch more than the others.
    eval_data = [(x[:6], y[:6])] * (1 + rank)
    return lrscout.from_torch(model, optimizer, nn.MSELoss(), loader, eval_data=eval_data), model, optimizer


def gathered(value) -> list:
    everything: list = [None] * distributed.get_world_size()
    distributed.all_gather_object(everything, value)
    return everything


def state_of(model, optimizer) -> list[list[float]]:
    slots = [slot["momentum_buffer"] for slot in optimizer.state.values() if "momentum_buffer" in slot]
    return [tensor.detach().flatten().tolist() for tensor in [*model.parameters(), *model.buffers(), *slots]]


def course(scouted: bool) -> tuple[list[float], list]:
    loop, model, optimizer = make()
    losses = [loop.step(0.05) for _ in range(5)]
    if scouted:
        lrscout.range_test(loop, steps=30, repeats=2, loss="evaluation")
    losses += [loop.step(0.05) for _ in range(9)]
    return losses, state_of(model, optimizer)


def main() -> None:
    distributed.init_process_group("gloo")
    losses, state = course(scouted=False)
    same_losses, same_state = course(scouted=True)
    loop, model, _ = make()
    own = nn.functional.mse_loss(model(torch.ones(2, 6)), torch.zeros(2, 1)).item()
    test = lrscout.range_test(loop, steps=60, repeats=2)
    poisoned, _, _ = make(poisoned=True)
    stopped = lrscout.range_test(poisoned, steps=60, max_lr=1e-3)
    report = {
        "losses": gathered(losses),
        "at_home": gathered((same_losses, same_state) == (losses, state)),
        "first_parameter": gathered(state[0]),
        "own": gathered(own),
        "curves": gathered([curve.losses.tolist() for curve in test.curves]),
        "lr": gathered(test.lr),
        "evaluation": gathered(loop.evaluate()),
        "poisoned": gathered([str(stopped.stopped), stopped.cost.steps]),
        "batches": gathered([batch[0].flatten()[0].item() for batch in first_batches()]),
    }
    if distributed.get_rank() == 0:
        with open(sys.argv[1], "w", encoding="utf-8") as file:
            json.dump(report, file)
    distributed.barrier()
    distributed.destroy_process_group()
    # PyTorch's own threads may still hold Python objects, and one that lets go of them while the interpreter shuts down
    # ends the process with "terminate called without an active exception". So the process ends without a shutdown.
    os._exit(0)


def first_batches() -> list:
    """The first batches after a seed: of a loader that shuffles by itself, other ones in each process."""
    torch.manual_seed(3)
    x = torch.randn(48, 6)
    seen: list = []

    def step_fn(batch):
        seen.append(batch)
        return model(batch[0]).square().mean()

    model = DistributedDataParallel(nn.Linear(6, 1))
    loader = DataLoader(TensorDataset(x), batch_size=6, shuffle=True)
    loop = lrscout.from_torch(model, torch.optim.SGD(model.parameters(), lr=0.1), step_fn=step_fn, data=loader)
    loop.reseed(0)
    loop.step(0.1)
    return seen


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
