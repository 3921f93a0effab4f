"""What a range test costs over the bare training loop, for lrscout and its peers.

Every contender takes 100 AdamW steps of a network with one hidden ReLU layer on scikit-learn's digits, in batches of 64
from a shuffling DataLoader, on the processor, while the learning rate rises from 1e-7 to 0.1. It is asserted that none
stops early. What each does besides these steps is the overhead:

- bare: nothing, a loop written by hand;
- lrscout: `from_torch`, and `range_test` with its snapshot, its restores and its suggestion;
- lrscout, Lightning: the same with `from_lightning`, making its silent trainer included;
- torch-lr-finder: `LRFinder`, its `range_test` and its `reset` (it suggests nothing unless it plots);
- Lightning: `Tuner.lr_find` with its checkpoint and its suggestion; making the Trainer is not counted.

In every round each contender runs once, in random order, from a fresh copy of the same model, and its time is divided
by the bare time of that round. So it matters little that a machine is now faster and now slower.

Run `make bench`, or `python benchmarks/range_test_overhead.py [--rounds 40] [--hidden 64 1024]`.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import io
import itertools
import json
import logging
import platform
import random
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning.pytorch.tuner.lr_finder as lightning_lr_finder
import numpy as np
import rich
import torch
import torch_lr_finder.lr_finder
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.tuner import Tuner
from rich.table import Table
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch_lr_finder import LRFinder
from tqdm import tqdm

import lrscout

RESULTS = Path(__file__).parent / "results" / "range_test_overhead.json"
STEPS, BATCH_SIZE = 100, 64
MIN_LR, MAX_LR = 1e-7, 0.1
WARM_UPS = 3

Task = Callable[[], int]  # What is timed; it returns the number of points on its curve.


def bare(model: nn.Module, loader: DataLoader) -> Task:
    """Prepare the loop that one would write by hand."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=MIN_LR)
    loss_fn = nn.CrossEntropyLoss()

    def task() -> int:
        losses = []
        passes = itertools.chain.from_iterable(itertools.repeat(loader))
        for lr, (inputs, targets) in zip(np.geomspace(MIN_LR, MAX_LR, STEPS).tolist(), passes, strict=False):
            optimizer.param_groups[0]["lr"] = lr
            optimizer.zero_grad()
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return len(losses)

    return task


def with_lrscout(model: nn.Module, loader: DataLoader) -> Task:
    """Prepare lrscout's range test, the suggestion included."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=MIN_LR)
    loss_fn = nn.CrossEntropyLoss()

    def task() -> int:
        loop = lrscout.from_torch(model, optimizer, loss_fn, loader)
        test = lrscout.range_test(loop, steps=STEPS, min_lr=MIN_LR, max_lr=MAX_LR)
        assert test.lr is not None, test.suggestion.reason
        return len(test.losses)

    return task


def with_torch_lr_finder(model: nn.Module, loader: DataLoader) -> Task:
    """Prepare torch-lr-finder's range test and its reset."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=MIN_LR)
    loss_fn = nn.CrossEntropyLoss()

    def task() -> int:
        finder = LRFinder(model, optimizer, loss_fn)
        finder.range_test(loader, end_lr=MAX_LR, num_iter=STEPS)
        finder.reset()
        return len(finder.history["loss"])

    return task


def with_lrscout_from_lightning(model: nn.Module, loader: DataLoader) -> Task:
    """Prepare lrscout's range test of the module that Lightning's own finder gets."""
    module = _Module(model)

    def task() -> int:
        loop = lrscout.from_lightning(module, loader)
        test = lrscout.range_test(loop, steps=STEPS, min_lr=MIN_LR, max_lr=MAX_LR)
        assert test.lr is not None, test.suggestion.reason
        return len(test.losses)

    return task


class _Module(LightningModule):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.loss_fn = nn.CrossEntropyLoss()
        self.lr = MIN_LR

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        inputs, targets = batch
        return self.loss_fn(self.model(inputs), targets)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=self.lr)


def with_lightning(model: nn.Module, loader: DataLoader) -> Task:
    """Prepare Lightning's learning rate finder, with everything switched off that a range test does not need."""
    module = _Module(model)
    folder = tempfile.TemporaryDirectory()
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(accelerator="cpu", devices=1, default_root_dir=folder.name, **off)

    def task() -> int:
        with folder:
            finder = Tuner(trainer).lr_find(
                module, loader, min_lr=MIN_LR, max_lr=MAX_LR, num_training=STEPS, early_stop_threshold=None
            )
        assert finder.suggestion() is not None
        return len(finder.results["loss"])

    return task


CONTENDERS: dict[str, Callable[[nn.Module, DataLoader], Task]] = {
    "bare": bare,
    "lrscout": with_lrscout,
    "torch-lr-finder": with_torch_lr_finder,
    "lrscout, Lightning": with_lrscout_from_lightning,
    "Lightning": with_lightning,
}


@functools.cache
def digits() -> TensorDataset:
    """Return scikit-learn's digits, between 0 and 1."""
    inputs, targets = load_digits(return_X_y=True)
    return TensorDataset(torch.tensor(inputs / 16, dtype=torch.float32), torch.tensor(targets))


def network(hidden: int) -> nn.Module:
    """Return the network, the same one at every call."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Switch progress bars, logs and warnings off; lrscout shows a bar only where stderr is a terminal."""
    torch_lr_finder.lr_finder.tqdm = lightning_lr_finder.tqdm = functools.partial(tqdm, disable=True)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    nowhere = io.StringIO()
    with contextlib.redirect_stderr(nowhere), contextlib.redirect_stdout(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def seconds_of(name: str, hidden: int) -> float:
    """Return how long one contender takes from a fresh model."""
    with silence():
        task = CONTENDERS[name](network(hidden), DataLoader(digits(), BATCH_SIZE, shuffle=True))
        gc.collect()
        began = time.perf_counter()
        points = task()
        seconds = time.perf_counter() - began
    assert points == STEPS, f"{name} took {points} steps."
    return seconds


def rounds_of(hidden: int, rounds: int) -> list[dict[str, float]]:
    """Return each contender's seconds in every round, warm-up rounds left out."""
    order, names = random.Random(0), list(CONTENDERS)
    shuffled = [order.sample(names, len(names)) for _ in range(WARM_UPS + rounds)]
    return [{name: seconds_of(name, hidden) for name in names} for names in shuffled][WARM_UPS:]


def summary(values: list[float]) -> dict[str, float]:
    """Return the five numbers of a distribution."""
    shares = {"min": 0, "lower_quartile": 0.25, "median": 0.5, "upper_quartile": 0.75, "max": 1}
    return {name: round(float(np.quantile(values, share)), 6) for name, share in shares.items()}


def figures_of(measured: list[dict[str, float]]) -> dict[str, Any]:
    """Return each contender's seconds, and their ratio to the bare loop's in the same round."""
    seconds = {name: summary([times[name] for times in measured]) for name in CONTENDERS}
    ratios = {name: summary([times[name] / times["bare"] for times in measured]) for name in CONTENDERS}
    return {name: {"seconds": seconds[name], "ratio": ratios[name]} for name in CONTENDERS}


def table_of(hidden: int, figures: dict[str, Any]) -> Table:
    """Return the figures as a table."""
    table = Table("", "ms", "ratio", "quartiles", "min to max", title=f"{STEPS} steps, {hidden} hidden units")
    for name, figure in figures.items():
        least, lower, median, upper, most = (f"{value:.2f}" for value in figure["ratio"].values())
        duration = f"{1000 * figure['seconds']['median']:.1f}"
        table.add_row(name, duration, median, f"{lower} to {upper}", f"{least} to {most}")
    return table


def circumstances() -> dict[str, Any]:
    """Return what the figures depend on besides the code."""
    versions = {name: version(name) for name in ("torch", "torch-lr-finder", "lightning", "numpy")}
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": models[0] if models else platform.processor(),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "lrscout": lrscout.__version__, **versions},
    }


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40, help="rounds measured (40)")
    parser.add_argument("--hidden", type=int, nargs="+", default=[64, 1024], help="hidden units (64 1024)")
    options = parser.parse_args()
    results = {}
    for hidden in options.hidden:
        results[f"hidden {hidden}"] = figures = figures_of(rounds_of(hidden, options.rounds))
        rich.print(table_of(hidden, figures))
    record = {**circumstances(), "steps": STEPS, "batch_size": BATCH_SIZE, "rounds": options.rounds, "results": results}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
