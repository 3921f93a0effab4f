"""How fast do many rates train at once, as a fleet, beside one after another?

A network with one hidden ReLU layer is trained on scikit-learn's digits at 32 learning rates, 300 steps each, in
shuffled batches of 64, on the processor, by SGD and by Adam:

- plain PyTorch: a loop written by hand, with a DataLoader and the loss recorded at every step, run once for each rate;
- plain PyTorch, indexing: the same, its batches picked from the tensors by index instead, without a DataLoader;
- PyTorch fleet: the fleet of a `from_torch` loop, with the same DataLoader;
- JAX fleet: the fleet of a `from_jax` loop on arrays;
- hand-written JAX: one `jit(vmap(scan))` over as many steps of batches, which NumPy draws and stacks each time;
- sweep of PyTorch, sweep of JAX: `lrscout.sweep` of these loops, as users call it.

It is asserted that plain PyTorch and its fleet record the same losses, and JAX's fleet and the hand-written program,
and that no sweep stops a run early. The first call of each, which compiles, stands by itself. Then each runs once a
round, in random order, and its time is compared with the others' in that round. The machine must be idle otherwise:
where a core is taken, PyTorch's threads wait for each other, and its steps take up to twenty times as long.

Besides, in a process of its own for each figure: the time of a step and the most memory against the number of lanes,
and the share of a large matrix product's speed that wide networks reach, as a fleet.

Run `make bench`, or `python benchmarks/fleet.py [--rounds 5] [--lanes 1 4 16 64 256]`.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import platform
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import rich
import torch
from rich.table import Table
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lrscout

RESULTS = Path(__file__).parent / "results" / "fleet.json"
RATES, STEPS = 32, 300
INPUTS, HIDDEN, CLASSES, BATCH_SIZE = 64, 64, 10, 64
WIDE = (([1024], 8), ([1024], 16), ([1024, 1024], 8))  # Hidden units, lanes.
STRETCH, WIDE_STRETCH = 100, 50  # Steps at once; a sweep takes 100 between two looks.
STRETCHES = 4  # The first one compiles.
MATRIX, MATRIX_PRODUCTS = 2048, 10
ALIKE_STEPS = 10  # Later on, rounding grows.

OPTIMIZERS: dict[str, tuple[Any, Any, tuple[float, float]]] = {
    "SGD": (torch.optim.SGD, optax.sgd, (1e-4, 1.0)),
    "Adam": (torch.optim.Adam, optax.adam, (1e-5, 0.1)),
}
TWINS = ("PyTorch fleet", "plain PyTorch"), ("JAX fleet", "hand-written JAX")
AIMS = (  # How many times as fast as another each shall be, at least.
    ("JAX fleet", "plain PyTorch", 15),
    ("JAX fleet", "hand-written JAX", 1 / 1.25),
    ("PyTorch fleet", "plain PyTorch", 5),
    ("PyTorch fleet", "plain PyTorch", 10),
)

Task = Callable[[], np.ndarray]  # What is timed; it returns the losses, by step and rate.

IMAGES, LABELS = load_digits(return_X_y=True)
IMAGES, LABELS = (IMAGES / 16).astype(np.float32), LABELS.astype(np.int32)
TENSORS = torch.tensor(IMAGES), torch.tensor(LABELS, dtype=torch.int64)


def network(hidden: list[int]) -> nn.Module:
    """Return the network, the same one at every call."""
    torch.manual_seed(0)
    pairs = pairwise([INPUTS, *hidden, CLASSES])
    layers = [layer for inputs, outputs in pairs for layer in (nn.Linear(inputs, outputs), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def loader() -> DataLoader:
    """Return the shuffling loader, with the same order at every call."""
    order = torch.Generator().manual_seed(0)
    return DataLoader(TensorDataset(*TENSORS), BATCH_SIZE, shuffle=True, drop_last=True, generator=order)


def endless() -> Iterator[Any]:
    """Yield the loader's batches, pass after pass."""
    return itertools.chain.from_iterable(itertools.repeat(loader()))


def indexed() -> Iterator[list[torch.Tensor]]:
    """Yield endless batches of shuffled examples, without a loader."""
    while True:
        for chosen in torch.randperm(len(LABELS)).split(BATCH_SIZE)[: len(LABELS) // BATCH_SIZE]:
            yield [tensor[chosen] for tensor in TENSORS]


def arrays() -> tuple[np.ndarray, np.ndarray]:
    """Return batches of shuffled examples, stacked; the first are those that `from_jax` draws first."""
    order = np.random.default_rng(0)
    per_pass = len(LABELS) // BATCH_SIZE
    passes = [order.permutation(len(LABELS))[: per_pass * BATCH_SIZE] for _ in range(-(-STEPS // per_pass))]
    chosen = np.concatenate(passes).reshape(-1, BATCH_SIZE)[:STEPS]
    return IMAGES[chosen], LABELS[chosen]


def jax_params(hidden: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the same network's weights and biases, for JAX."""
    linear = [layer for layer in network(hidden) if isinstance(layer, nn.Linear)]
    return [(layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy()) for layer in linear]


def jax_loss(params: Any, batch: Any) -> Any:
    """Return the loss of a batch."""
    values, targets = batch
    for index, (weights, biases) in enumerate(params):
        values = (jax.nn.relu(values) if index else values) @ weights + biases
    return optax.softmax_cross_entropy_with_integer_labels(values, targets).mean()


def torch_loop(optimizer: str, hidden: list[int]) -> Any:
    """Return lrscout's PyTorch loop."""
    model = network(hidden)
    own = OPTIMIZERS[optimizer][0](model.parameters(), lr=1e-3)
    return lrscout.from_torch(model, own, nn.CrossEntropyLoss(), loader())


def jax_loop(optimizer: str, hidden: list[int]) -> Any:
    """Return lrscout's JAX loop."""
    own = OPTIMIZERS[optimizer][1]
    return lrscout.from_jax(jax_params(hidden), own, jax_loss, (IMAGES, LABELS), lr=1e-3, batch_size=BATCH_SIZE)


LOOPS: dict[str, Callable[[str, list[int]], Any]] = {"PyTorch": torch_loop, "JAX": jax_loop}


def plain(optimizer: str, lrs: np.ndarray, draw: Callable[[], Iterator[Any]]) -> Task:
    """Prepare the loop that one would write by hand, once for each rate."""
    loss_fn = nn.CrossEntropyLoss()

    def curve(lr: float) -> list[float]:
        model = network([HIDDEN])
        own = OPTIMIZERS[optimizer][0](model.parameters(), lr=lr)
        losses = []
        for inputs, targets in itertools.islice(draw(), STEPS):
            own.zero_grad()
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            own.step()
            losses.append(loss.item())
        return losses

    return lambda: np.stack([curve(lr) for lr in lrs.tolist()], axis=1)


def fleet_of(loop: Any, lrs: np.ndarray) -> Task:
    """Prepare a fleet's steps, its making included, with batches drawn anew at each call."""
    calls = itertools.count()

    def task() -> np.ndarray:
        if next(calls):
            loop.reseed(0)  # At the first call the order is that of the loop's peer.
        return loop.fleet(RATES, STEPS).advance(np.tile(lrs, (STEPS, 1)))

    return task


def sweep_of(loop: Any, lrs: np.ndarray) -> Task:
    """Prepare a sweep."""

    def task() -> np.ndarray:
        (curves,) = zip(*lrscout.sweep(loop, lrs, STEPS, loss="training").curves[0], strict=True)
        return np.stack([curve.losses for curve in curves], axis=1)

    return task


def hand_written(optimizer: str, lrs: np.ndarray) -> Task:
    """Prepare the one program that one would write for just this."""
    made = OPTIMIZERS[optimizer][1]
    start = jax_params([HIDDEN])

    def losses_at(lr: Any, batches: Any) -> Any:
        own = made(lr)

        def step(carry: Any, batch: Any) -> Any:
            params, state = carry
            loss, gradients = jax.value_and_grad(jax_loss)(params, batch)
            updates, state = own.update(gradients, state, params)
            return (optax.apply_updates(params, updates), state), loss

        return jax.lax.scan(step, (start, own.init(start)), batches)[1]

    program = jax.jit(jax.vmap(losses_at, in_axes=(0, None), out_axes=1))
    return lambda: np.asarray(program(lrs.astype(np.float32), arrays()))


def contenders(optimizer: str) -> dict[str, Task]:
    """Return what is timed, by name."""
    lrs = np.geomspace(*OPTIMIZERS[optimizer][2], RATES)
    loops = {framework: make(optimizer, [HIDDEN]) for framework, make in LOOPS.items()}
    return {
        "plain PyTorch": plain(optimizer, lrs, endless),
        "plain PyTorch, indexing": plain(optimizer, lrs, indexed),
        "PyTorch fleet": fleet_of(loops["PyTorch"], lrs),
        "JAX fleet": fleet_of(loops["JAX"], lrs),
        "hand-written JAX": hand_written(optimizer, lrs),
        **{f"sweep of {framework}": sweep_of(loop, lrs) for framework, loop in loops.items()},
    }


def seconds_of(task: Task) -> tuple[float, np.ndarray]:
    """Return how long a task takes, and its losses."""
    gc.collect()
    began = time.perf_counter()
    losses = task()
    return time.perf_counter() - began, losses


def race(optimizer: str, rounds: int) -> dict[str, Any]:
    """Return each contender's first seconds, and its seconds in every round."""
    tasks = contenders(optimizer)
    seconds, losses = zip(*map(seconds_of, tasks.values()), strict=True)
    first, losses = dict(zip(tasks, seconds, strict=True)), dict(zip(tasks, losses, strict=True))
    assert all(curves.shape == (STEPS, RATES) for curves in losses.values()), "Not all took all steps."
    for fleet, peer in TWINS:
        np.testing.assert_allclose(losses[fleet][:ALIKE_STEPS], losses[peer][:ALIKE_STEPS], rtol=1e-3)
    order = random.Random(0)
    shuffled = [order.sample(list(tasks), len(tasks)) for _ in range(rounds)]
    return {"first": first, "rounds": [{name: seconds_of(tasks[name])[0] for name in names} for names in shuffled]}


def quartiles(values: list[float]) -> list[float]:
    """Return the lower quartile, the median and the upper quartile."""
    return np.quantile(values, (0.25, 0.5, 0.75)).round(6).tolist()


def faster(measured: dict[str, Any], name: str, peer: str) -> list[float]:
    """Return the quartiles of how many times faster one is than another, round by round."""
    return quartiles([times[peer] / times[name] for times in measured["rounds"]])


def figures_of(measured: dict[str, Any]) -> dict[str, Any]:
    """Return the seconds of each contender, and how many times faster it is than its peers."""
    return {
        name: {
            "first call, seconds": round(first, 6),
            "later calls, seconds": quartiles([times[name] for times in measured["rounds"]]),
            "times plain PyTorch": faster(measured, name, "plain PyTorch"),
            "times hand-written JAX": faster(measured, name, "hand-written JAX"),
        }
        for name, first in measured["first"].items()
    }


def race_table(title: str, figures: dict[str, Any]) -> Table:
    """Return the figures of a race as a table."""
    columns = ("first call", "later calls", "times plain", "quartiles", "times hand-written", "quartiles")
    table = Table("", *columns, title=title, caption="seconds; how many times as fast")
    for name, figure in figures.items():
        cells = [f"{figure['first call, seconds']:.3f}", f"{figure['later calls, seconds'][1]:.3f}"]
        for peer in ("times plain PyTorch", "times hand-written JAX"):
            lower, median, upper = figure[peer]
            cells += [f"{median:.2f}", f"{lower:.2f} to {upper:.2f}"]
        table.add_row(name, *cells)
    return table


def point(framework: str, hidden: list[int], lanes: int, steps: int) -> dict[str, float]:
    """Return what a fleet's steps cost, and the most memory it takes, as this process has it."""
    loop = LOOPS[framework]("Adam", hidden)
    loop.step(1e-3)  # What a framework loads for its first step is no cost of the fleet.
    before = most_memory()
    lrs = np.tile(np.geomspace(1e-5, 1e-2, lanes), (steps, 1))
    began = time.perf_counter()
    fleet = loop.fleet(lanes, steps * STRETCHES)
    fleet.advance(lrs)
    first = time.perf_counter() - began
    step = float(np.median([seconds_of(lambda: fleet.advance(lrs))[0] for _ in range(STRETCHES - 1)])) / steps
    memory = most_memory() - before
    speed, fastest = lanes * flops(hidden) / step / 1e9, product_speed(framework)
    figures = {
        "first stretch, s": first,
        "step, ms": 1e3 * step,
        "step of a lane, µs": 1e6 * step / lanes,
        "memory, MiB": memory,
        "estimate, MiB": lanes * loop.lane_bytes() / 2**20,
        "GFLOP/s": speed,
        "GFLOP/s of a product": fastest,
        "share": speed / fastest,
    }
    return {name: round(value, 6) for name, value in figures.items()}


def flops(hidden: list[int]) -> int:
    """Return the floating-point operations of a step's matrix products: the first layer's inputs need no gradient."""
    weights = [inputs * outputs for inputs, outputs in pairwise([INPUTS, *hidden, CLASSES])]
    return BATCH_SIZE * (6 * sum(weights) - 2 * weights[0])


def most_memory() -> float:
    """Return the most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def product_speed(framework: str) -> float:
    """Return the speed of the fastest of several large matrix products, in GFLOP/s."""
    ones, multiply = (torch.ones, torch.matmul) if framework == "PyTorch" else (jnp.ones, jax.jit(jnp.matmul))
    matrix = ones((MATRIX, MATRIX))
    times = [seconds_of(lambda: np.asarray(multiply(matrix, matrix)))[0] for _ in range(MATRIX_PRODUCTS)]
    return 2 * MATRIX**3 / min(times) / 1e9


def apart(framework: str, hidden: list[int], lanes: int, steps: int) -> dict[str, Any]:
    """Return a point with what a process of its own measures there."""
    where = {"framework": framework, "hidden": hidden, "lanes": lanes, "steps": steps}
    done = subprocess.run([sys.executable, __file__, "--point", json.dumps(where)], stdout=subprocess.PIPE, check=True)
    return {**where, **json.loads(done.stdout)}


def point_table(title: str, points: list[dict[str, Any]], left_out: tuple[str, ...]) -> Table:
    """Return points as a table."""
    names = [name for name in points[0] if name not in left_out]
    table = Table(*names, title=title)
    for values in points:
        cells = [values[name] for name in names]
        table.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in cells))
    return table


def verdicts(optimizer: str, measured: dict[str, Any]) -> list[str]:
    """Return a line for each aim: whether the median meets it."""
    medians = [(name, peer, aim, faster(measured, name, peer)[1]) for name, peer, aim in AIMS]
    return [
        f"{optimizer}: the {name} is {median:.2f} times as fast as {peer}; "
        f"the aim of at least {aim:g} is {'met' if median >= aim else 'not met'}."
        for name, peer, aim, median in medians
    ]


def circumstances() -> dict[str, Any]:
    """Return what the figures depend on besides the code."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    versions = {name: version(name) for name in ("torch", "jax", "optax", "numpy")}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "threads of PyTorch": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "lrscout": lrscout.__version__, **versions},
    }


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds measured (5)")
    parser.add_argument("--lanes", type=int, nargs="+", default=[1, 4, 16, 64, 256], help="sizes (1 4 16 64 256)")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.point:
        print(json.dumps(point(**json.loads(options.point))))
        return
    # A process inherits its parent's peak of memory, so these come before anything large is done here.
    growth = [apart(framework, [HIDDEN], lanes, STRETCH) for framework in LOOPS for lanes in options.lanes]
    speeds = ("hidden", "steps", "GFLOP/s", "GFLOP/s of a product", "share")
    rich.print(point_table(f"Adam, {HIDDEN} hidden units: time and memory against lanes", growth, speeds))
    wide = [apart(framework, *hidden_and_lanes, WIDE_STRETCH) for framework in LOOPS for hidden_and_lanes in WIDE]
    times = ("steps", "first stretch, s", "step of a lane, µs")
    rich.print(point_table("Adam, wide: share of a matrix product's speed", wide, times))
    races, lines = {}, []
    for optimizer in OPTIMIZERS:
        measured = race(optimizer, options.rounds)
        races[optimizer] = figures_of(measured)
        rich.print(race_table(f"{optimizer}, {RATES} rates, {STEPS} steps", races[optimizer]))
        lines += verdicts(optimizer, measured)
    print(*lines, sep="\n")
    given = {"rates": RATES, "steps": STEPS, "batch_size": BATCH_SIZE, "rounds": options.rounds}
    record = {**circumstances(), **given, "races": races, "lanes": growth, "wide": wide, "aims": lines}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
