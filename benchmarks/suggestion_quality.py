"""How good are the rates that a range test suggests?

Eight small tasks on scikit-learn's bundled data. For each, the loss on held-out data after 300 steps with linear decay
is measured on a grid of rates an octave apart, with two seeds. Then range tests with other seeds suggest a rate, by
each rule.

    regret = (loss at the suggested rate - lowest loss of the grid) / (loss before training - lowest loss of the grid)

The loss at a rate between two of the grid is interpolated; beyond its ends it is that of the nearest. A regret above
0.25 counts as a disaster, and so does a test without a suggestion, whose regret is taken as 1. A test that asks for a
larger `max_lr` gets it, once.

Run it with `python benchmarks/suggestion_quality.py`; it keeps its figures in results/suggestion_quality.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console
from rich.table import Table
from sklearn import datasets

import lrscout
from lrscout.analyse.suggest import RULES
from lrscout.core.schedules import linear
from lrscout.runners.plan import Run
from lrscout.runners.serial import run_serially

STEPS = 300
GRID = 2.0 ** np.arange(-13, 5)
GRID_SEEDS = (100, 101)
PROBE_SEEDS = range(6)
DISASTER = 0.25
RESULTS = Path(__file__).parent / "results" / "suggestion_quality.json"


@dataclass(frozen=True)
class Task:
    """A network, its data, and its optimizer."""

    data: str
    hidden: tuple[int, ...]
    optimizer: Callable[[float], Any]
    batch_size: int
    activation: Callable[[Any], Any] = jax.nn.relu


def momentum(lr: float) -> Any:
    """Return stochastic gradient descent with momentum 0.9."""
    return optax.sgd(lr, momentum=0.9)


TASKS = {
    "digits, SGD": Task("digits", (64,), optax.sgd, 64),
    "digits, momentum": Task("digits", (64,), momentum, 64),
    "digits, AdamW": Task("digits", (64,), optax.adamw, 64),
    "digits, 6 layers, SGD": Task("digits", (64,) * 5, optax.sgd, 64, jnp.tanh),
    "breast cancer, logistic, SGD": Task("breast_cancer", (), optax.sgd, 32),
    "diabetes, linear, SGD": Task("diabetes", (), optax.sgd, 32),
    "diabetes, Adam": Task("diabetes", (32,), optax.adam, 16),
    "wine, momentum": Task("wine", (16,), momentum, 16),
}


def make_loop(task: Task, seed: int) -> Any:
    """Return a task's loop; the seed sets the split and the initial parameters."""
    generator = np.random.default_rng(seed)
    inputs, targets = getattr(datasets, f"load_{task.data}")(return_X_y=True)
    inputs = ((inputs - inputs.mean(0)) / np.maximum(inputs.std(0), 1e-3 * np.abs(inputs).max())).astype(np.float32)
    classes = 0 if task.data == "diabetes" else len(np.unique(targets))
    targets = targets.astype(np.int32) if classes else ((targets - targets.mean()) / targets.std()).astype(np.float32)
    training, held_out = np.split(generator.permutation(len(inputs)), [len(inputs) * 4 // 5])
    widths = [inputs.shape[1], *task.hidden, max(classes, 1)]
    params = [
        (generator.normal(0, np.sqrt(2 / before), (before, after)).astype(np.float32), np.zeros(after, np.float32))
        for before, after in pairwise(widths)
    ]

    def loss(params: Any, batch: Any) -> Any:
        values, wanted = batch
        for index, (weights, biases) in enumerate(params):
            values = values @ weights + biases
            values = task.activation(values) if index < len(params) - 1 else values
        if classes:
            return optax.softmax_cross_entropy_with_integer_labels(values, wanted).mean()
        return jnp.mean((values[:, 0] - wanted) ** 2)

    data, eval_data = (inputs[training], targets[training]), (inputs[held_out], targets[held_out])
    return lrscout.from_jax(params, task.optimizer, loss, data, lr=0.1, batch_size=task.batch_size, eval_data=eval_data)


def grid_losses(task: Task) -> tuple[float, np.ndarray]:
    """Return the held-out loss before training and after a whole run at each rate of the grid, averaged over seeds."""
    factors = linear()(np.arange(STEPS), STEPS)
    starts, finals = [], []
    for seed in GRID_SEEDS:
        loop = make_loop(task, seed)
        starts.append(loop.evaluate())
        with lrscout.restored(loop) as home:
            curves = run_serially(loop, home, [Run(lr * factors, seed) for lr in GRID])
            # The runs are lazy: when a curve comes, the loop still stands at its end.
            ends = [loop.evaluate() if curve.steps == STEPS else np.inf for curve in curves]
        finals.append(np.nan_to_num(np.minimum(ends, starts[-1]), nan=starts[-1]))
    return float(np.mean(starts)), np.mean(finals, axis=0)


def probe(task: Task, seed: int) -> lrscout.RangeTest:
    """Return a range test, run anew with a larger `max_lr` if its answer asks for one, as a user would."""
    test = lrscout.range_test(make_loop(task, seed), seed=seed)
    if "Raise max_lr" in test.suggestion.reason:
        return lrscout.range_test(make_loop(task, seed), seed=seed, max_lr=1000.0)
    return test


def judge(task: Task) -> dict[str, list[tuple[float, float]]]:
    """Return, for each rule, the octaves to the best rate and the regret, one pair for each probe."""
    start, finals = grid_losses(task)
    best, lowest = GRID[np.argmin(finals)], finals.min()
    found: dict[str, list[tuple[float, float]]] = {rule: [] for rule in RULES}
    for seed in PROBE_SEEDS:
        test = probe(task, seed)
        for rule, suggestion in test.suggestions.items():
            if suggestion.lr is None:
                found[rule].append((np.nan, 1.0))
                continue
            final = np.interp(np.log(suggestion.lr), np.log(GRID), finals)
            found[rule].append((float(np.log2(suggestion.lr / best)), float((final - lowest) / (start - lowest))))
    return found


def summarise(found: dict[str, dict[str, list[tuple[float, float]]]]) -> dict[str, dict[str, float]]:
    """Return, for each rule, figures over all tasks and probes."""
    summary = {}
    for rule in RULES:
        octaves, regrets = np.array([pair for task in found.values() for pair in task[rule]]).T
        summary[rule] = {
            "median octaves to the best rate": float(np.nanmedian(octaves)),
            "lower tenth": float(np.nanquantile(octaves, 0.1)),
            "upper tenth": float(np.nanquantile(octaves, 0.9)),
            "mean regret": float(np.mean(regrets)),
            "disasters": float(np.mean(regrets > DISASTER)),
            "without a suggestion": float(np.mean(np.isnan(octaves))),
        }
    return summary


def main() -> None:
    """Judge every task, print the summary, and keep it."""
    summary = summarise({name: judge(task) for name, task in TASKS.items()})
    table = Table("rule", *next(iter(summary.values())), box=None)
    for rule, figures in summary.items():
        table.add_row(rule, *(f"{figure:.3g}" for figure in figures.values()))
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"steps": STEPS, "tasks": list(TASKS), "rules": summary}, indent=2) + "\n")


if __name__ == "__main__":
    main()
