"""What a monitor costs a training loop, beside a step of one millisecond.

The losses are a falling level with noise, so that the monitor watches to the end and has nothing to say. A run is told
to it step by step, and the time of a loop that tells it to a function that does nothing is taken off. Runs of several
lengths come in turn, in random order; read the medians. It is time on the processor, so other work on the
machine counts little. The longest single update is a look at the whole run so far.

Run it with `python benchmarks/monitor_overhead.py [--rounds 11]`; it keeps its figures in `results/`.
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
from pathlib import Path
from typing import Any

import numpy as np

from lrscout import __version__
from lrscout.analyse.monitor import Monitor

LENGTHS = (1_000, 10_000, 100_000)
STEP_IN_SECONDS = 1e-3
RESULTS = Path(__file__).parent / "results" / "monitor_overhead.json"


def losses_of(steps: int) -> list[float]:
    """Return the losses of a run."""
    level = 2 * (1 + np.arange(steps)) ** -0.3
    return (level + np.random.default_rng(0).normal(0, 0.05, steps)).tolist()


def nothing(lr: float, loss: float) -> None:
    """Take a step, and do nothing."""


def seconds(update: Callable[[float, float], Any], losses: list[float]) -> float:
    """Return how long a loop over the losses takes."""
    began = time.process_time()
    for loss in losses:
        update(0.1, loss)
    return time.process_time() - began


def longest(losses: list[float]) -> float:
    """Return the time of the longest single update."""
    monitor, most = Monitor(len(losses), say=None), 0.0
    for loss in losses:
        began = time.process_time()
        monitor.update(0.1, loss)
        most = max(most, time.process_time() - began)
    return most


def measure(losses: list[float]) -> dict[str, float]:
    """Return the cost of one update, its share of a step, and the longest one."""
    monitor = Monitor(len(losses), say=None)
    taken = seconds(monitor.update, losses) - seconds(nothing, losses)
    assert not monitor.verdicts, "The run is healthy."
    each = taken / len(losses)
    return {
        "microseconds": 1e6 * each,
        "share of a step": each / STEP_IN_SECONDS,
        "longest in milliseconds": 1e3 * longest(losses),
    }


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11, help="rounds measured (11)")
    rounds = parser.parse_args().rounds
    runs = {steps: losses_of(steps) for steps in LENGTHS}
    measured: dict[int, list[dict[str, float]]] = {steps: [] for steps in LENGTHS}
    for _ in range(rounds + 1):
        for steps in random.sample(LENGTHS, len(LENGTHS)):
            measured[steps].append(measure(runs[steps]))
    figures = {
        f"{steps} steps": {name: statistics.median(one[name] for one in each[1:]) for name in each[0]}
        for steps, each in measured.items()
    }
    for name, figure in figures.items():
        print(
            f"{name}: {figure['microseconds']:.1f} µs an update, {figure['share of a step']:.2%} of a step of 1 ms; "
            f"the longest {figure['longest in milliseconds']:.1f} ms"
        )
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {"python": platform.python_version(), "lrscout": __version__, "numpy": version("numpy")},
        "rounds": rounds,
        "results": figures,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
