"""What guarding a run costs: a guarded run beside a bare one of the same steps.

The model is a perceptron on random data, in PyTorch; nothing goes wrong in it, so both take the same steps. Guarded
and bare runs come in turn, in random order within each round; read the median of the ratios. It is wall time, so the
machine should be quiet.

Run it with `python benchmarks/guard_overhead.py [--rounds 9]`; it keeps its figures in `results/`.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from lrscout import __version__
from lrscout.core.loop import Loop
from lrscout.loops.torch.adapter import from_torch
from lrscout.measure.guard import guard

WIDTHS = (128, 512)
STEPS = 2048
BATCH = 128
LR = 0.01
RESULTS = Path(__file__).parent / "results" / "guard_overhead.json"


def loop_of(width: int) -> Loop:
    """Return the loop of a perceptron with three hidden layers of a width."""
    torch.manual_seed(0)
    sizes = (64, width, width, width)
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.Tanh())]
    model = nn.Sequential(*layers, nn.Linear(width, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
    inputs = torch.randn(64 * BATCH, 64)
    batches = torch.utils.data.TensorDataset(inputs, inputs[:, :1] * inputs[:, 1:2])
    loader = torch.utils.data.DataLoader(batches, BATCH, shuffle=True)
    return from_torch(model, optimizer, nn.functional.mse_loss, loader)


def bare(loop: Loop) -> None:
    """Take the steps."""
    for _ in range(STEPS):
        loop.step(LR / 30)


def guarded(loop: Loop) -> None:
    """Take the same steps, guarded."""
    run = guard(loop, lr=LR / 30, steps=STEPS, schedule="constant", say=None, evaluate=False)
    assert run.rollbacks == (), "Nothing goes wrong in this run."


def seconds(take: Callable[[Loop], None], width: int) -> float:
    """Return how long a run of a new loop takes, after a few steps that warm it up."""
    loop = loop_of(width)
    for _ in range(16):
        loop.step(LR / 30)
    began = time.perf_counter()
    take(loop)
    return time.perf_counter() - began


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="rounds measured (9)")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    figures = {}
    for width in WIDTHS:
        measured: list[dict[str, float]] = []
        for _ in range(rounds + 1):
            order = random.sample((bare, guarded), 2)
            measured.append({take.__name__: seconds(take, width) for take in order})
        ratios = [one["guarded"] / one["bare"] for one in measured[1:]]
        step = statistics.median(one["bare"] for one in measured[1:]) / STEPS
        figures[f"width {width}"] = {
            "milliseconds a step": 1e3 * step,
            "guarded / bare": statistics.median(ratios),
            "lowest": min(ratios),
            "highest": max(ratios),
        }
        print(f"width {width}: {1e3 * step:.2f} ms a step, guarded / bare {statistics.median(ratios):.3f}")
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {"python": platform.python_version(), "lrscout": __version__, "torch": version("torch")},
        "rounds": rounds,
        "steps": STEPS,
        "results": figures,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
