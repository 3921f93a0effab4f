"""How long does the page take to answer where much is kept?

Two stores, each served as `lrscout ui` serves it, by a process of its own on loopback:

- ten thousand curves of a thousand steps, in 200 sweeps: what the first paint asks for, which is the page, its assets
  and the list of studies;
- a sweep of 256 rates x 1000 steps: what opening it asks for, all at once as the page asks, which is the study in
  sentences, its map, and some of its curves. It is opened finished and unfinished, each time by a server that has not
  seen it before.

Run it with `python benchmarks/page_opening.py`, when the front end is built; it keeps its figures in
results/page_opening.json. Every figure is the slowest of some rounds.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lrscout.analyse.checkpoints import shared_checkpoints
from lrscout.core.curve import Curve, Stop
from lrscout.core.result import Cost
from lrscout.measure.lr_map import LRMap
from lrscout.store.store import Store, open_store

STEPS = 1000
STUDIES, LANES = 200, 50
RATES = 256
ROUNDS = 5
FIRST_PAINT = ("", "static/lrscout.css", "static/lrscout.js", "api/studies", "api/lesson")
RESULTS = Path(__file__).parent / "results" / "page_opening.json"
CHECKPOINTS = shared_checkpoints(STEPS)


def training_curve(generator: np.random.Generator, lr: float) -> Curve:
    """Return a curve that looks like one of training in float32: the faster the higher its rate, and lost above 1."""
    lost = lr > 1
    steps = 40 if lost else STEPS
    pace = 0.05 * min(lr, 1.0)
    levels = 2.3 * np.exp(-pace * np.arange(STEPS + 1)) + 0.1
    losses = (levels[:steps] * generator.lognormal(0, 0.1, steps)).astype(np.float32).astype(float)
    if lost:
        losses[-10:] *= 10.0 ** np.arange(10)
    at = np.unique([0, *CHECKPOINTS])
    at = at[at < steps] if lost else at
    return Curve(np.full(steps, lr), losses, Stop.DIVERGED if lost else Stop.COMPLETED, 0, at, levels[at])


def keep_sweep(store: Store, name: str, rates: int, *, finished: bool) -> None:
    """Keep a sweep as `lrscout.sweep` does."""
    generator, lrs = np.random.default_rng(0), np.geomspace(1e-4, 10, rates)
    inputs = {"steps": STEPS, "lrs": lrs, "checkpoints": CHECKPOINTS, "seeds": [0], "schedule": "constant"}
    inputs |= {"loss": "evaluation", "early_stopping": True, "lanes": LANES}
    curves = [training_curve(generator, lr) for lr in lrs]
    with store.begin(name, kind="sweep", inputs=inputs, target=None) as study:
        for block in range(-(-rates // LANES)):
            study.keep(block, curves[LANES * block : LANES * (block + 1)])
        if finished:
            runs = (tuple((curve,) for curve in curves),)
            cost = Cost(sum(curve.steps for curve in curves), 0, 1.0)
            study.finish(LRMap(lrs, CHECKPOINTS, (0,), "constant", runs, "evaluation", "fleet", cost).to_dict())


@contextmanager
def served(store: Path) -> Iterator[str]:
    """Run `lrscout ui` on a free port, and give its address."""
    command = [sys.executable, "-m", "lrscout", "ui", "--store", str(store), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found is not None
        ask(found.group(), "api/openapi.json")
        yield found.group()
        server.send_signal(signal.SIGINT)


def ask(address: str, path: str, **query: str) -> bytes:
    """Return what the server answers."""
    url = f"{address}{path}?{urllib.parse.urlencode(query)}" if query else address + path
    with urllib.request.urlopen(url) as found:
        return found.read()


def seconds(work: Callable[[], Any]) -> float:
    """Return the wall time of some work."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def open_study(address: str, name: str) -> None:
    """Ask for all that the page shows of a study, at once as a browser does."""
    with ThreadPoolExecutor(3) as asking:
        list(asking.map(lambda path: ask(address, path, name=name), ("api/study", "api/study/map", "api/study/curves")))


def seconds_until_judged(address: str, name: str) -> float:
    """Return the time until every cell of a map has its outcome."""

    def judged() -> None:
        while not json.loads(ask(address, "api/study/map", name=name))["judged"]:
            pass

    return seconds(judged)


def first_paint(folder: Path) -> dict[str, float]:
    """Measure what the first paint asks for, one after another, which is slower than a browser is."""
    store = open_store(folder / "many.db")
    for number in range(STUDIES):
        keep_sweep(store, f"sweep-{number}", LANES, finished=number % 10 == 0)
    with served(folder / "many.db") as address:
        each = {path: max(seconds(partial(ask, address, path)) for _ in range(ROUNDS)) for path in FIRST_PAINT}
        whole = max(seconds(lambda: [ask(address, path) for path in FIRST_PAINT]) for _ in range(ROUNDS))
    return {
        "seconds to the page": each[""],
        "seconds to the list of studies": each["api/studies"],
        "seconds to all that the first paint asks for": whole,
    }


def opening(folder: Path) -> dict[str, float]:
    """Measure what opening a study asks for, by a server that has not seen it before, and again."""
    store = open_store(folder / "wide.db")
    keep_sweep(store, "finished", RATES, finished=True)
    keep_sweep(store, "unfinished", RATES, finished=False)
    figures: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name in ("finished", "unfinished"):
            with served(folder / "wide.db") as address:
                first, again = (seconds(partial(open_study, address, name)) for _ in range(2))
                figures.setdefault(f"seconds to open the {name} sweep", []).append(first)
                figures.setdefault(f"seconds to open the {name} sweep again", []).append(again)
                if name == "unfinished":
                    rest = first + again + seconds_until_judged(address, name)
                    figures.setdefault("seconds until all of its cells are judged", []).append(rest)
    return {name: max(found) for name, found in figures.items()}


def main() -> None:
    """Fill the stores, print what the page takes, and keep the figures."""
    with tempfile.TemporaryDirectory() as folder:
        figures: dict[str, float] = {"curves": STUDIES * LANES, "studies": STUDIES, **first_paint(Path(folder))}
        figures |= {"rates": RATES, "steps": STEPS, **opening(Path(folder))}
    for name, figure in figures.items():
        print(f"{name}: {figure:.3g}" if isinstance(figure, float) else f"{name}: {figure}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
