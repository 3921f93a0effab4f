"""What does a store take on disk, and how long does it take to write, to list and to read?

Ten thousand curves of a thousand steps at a constant lr, with losses as training gives them: float32 numbers that fall
and scatter. They are kept in blocks of 50, each of them committed to the disk, and read again in new transactions.

Run it with `python benchmarks/store.py`; it keeps its figures in results/store.json.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lrscout.core.curve import Curve
from lrscout.store.store import Store, open_store

CURVES, STEPS, LANES = 10_000, 1000, 50
ROUNDS = 5
RESULTS = Path(__file__).parent / "results" / "store.json"


def training_curve(generator: np.random.Generator, lr: float, seed: int) -> Curve:
    """Return a curve that looks like one of training in float32."""
    falling = 2.3 * np.exp(-np.arange(STEPS) * generator.uniform(0.001, 0.05)) + generator.uniform(0.01, 0.5)
    losses = (falling * generator.lognormal(0, 0.1, STEPS)).astype(np.float32).astype(float)
    evaluated_at = np.unique(np.geomspace(1, STEPS, 24).astype(int))
    return Curve(
        np.full(STEPS, lr), losses, seed=seed, evaluated_at=evaluated_at, evaluations=falling[evaluated_at - 1]
    )


def fill(store: Store) -> None:
    """Keep all the curves, block by block."""
    generator = np.random.default_rng(0)
    lrs = np.geomspace(1e-4, 10, LANES)
    with store.begin("benchmark", kind="sweep", inputs={"lrs": lrs, "steps": STEPS}, target=None) as study:
        for block in range(CURVES // LANES):
            study.keep(block, [training_curve(generator, lr, seed=block) for lr in lrs])


def seconds(work: Callable[[], Any]) -> float:
    """Return the wall time of some work."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Fill a store, print what it takes, and keep the figures."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lrscout.db"
        store = open_store(path)
        written = seconds(lambda: fill(store))
        figures = {
            "curves": CURVES,
            "steps": STEPS,
            "megabytes on disk": path.stat().st_size / 1e6,
            "seconds to make and write": written,
            "seconds to open": min(seconds(lambda: open_store(path)) for _ in range(ROUNDS)),
            "seconds to list the studies": min(seconds(store.studies) for _ in range(ROUNDS)),
            "seconds to list the curves": min(seconds(lambda: store.curves("benchmark")) for _ in range(ROUNDS)),
            "seconds to read the curves": seconds(lambda: store.load("benchmark").curves()),
            "seconds to delete them": seconds(lambda: store.delete("benchmark")),
            "megabytes on disk then": path.stat().st_size / 1e6,
        }
    for name, figure in figures.items():
        print(f"{name}: {figure:.3g}" if isinstance(figure, float) else f"{name}: {figure}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
