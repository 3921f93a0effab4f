"""What a range test of a Keras model costs, on each backend: lrscout's two ways, and the way of keras_lr_finder.

Every contender takes 100 steps of SGD with momentum of a network with one hidden ReLU layer on scikit-learn's digits,
in shuffled batches of 64, on the processor, while the learning rate rises from 1e-7 to 0.1:

- from_keras: `from_keras` on the model, and `range_test` with its snapshot, its restores and its suggestion;
- callback: a `fit` with `RangeTestCallback`;
- keras_lr_finder: a `fit` with a callback that does what that package does. The package itself does not run on Keras 3.
  It saves the weights to a file before the fit and loads them afterwards, raises the rate after each batch, records the
  running loss that `fit` reports, and brings neither optimizer nor generators home.

Each is measured on a model that is compiled already and whose steps are traced, as in a session that has begun: Keras
compiles anew in each contender's first run, which is left out. The contenders take turns in random order; a time is
divided by that of keras_lr_finder in the same round. Each backend has a process of its own.

Run `make bench`, or `python benchmarks/keras_overhead.py [--rounds 20]`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import rich
from rich.table import Table

RESULTS = Path(__file__).parent / "results" / "keras_overhead.json"
BACKENDS = ("tensorflow", "jax", "torch")
STEPS, BATCH_SIZE, HIDDEN = 100, 64, 64
MIN_LR, MAX_LR = 1e-7, 0.1
WARM_UPS = 2
PEER = "keras_lr_finder"


def contenders() -> dict[str, Callable[[], int]]:
    """Return what is timed; each returns the number of points on its curve."""
    import keras
    from sklearn.datasets import load_digits

    import lrscout
    from lrscout.callbacks.keras import RangeTestCallback

    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("float32")
    epochs = -(-STEPS // (len(images) // BATCH_SIZE))

    def network() -> Any:
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Dense(HIDDEN, "relu"), keras.layers.Dense(10, "softmax")]
        model = keras.Sequential([keras.Input((64,)), *layers])
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
        return model

    def fit(model: Any, callback: Any) -> None:
        model.fit(images, labels, batch_size=BATCH_SIZE, epochs=epochs, verbose=0, callbacks=[callback])

    class LikeKerasLrFinder(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.lrs: list[float] = []
            self.losses: list[float] = []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if keras.backend.backend() == "jax":
                self.model.jax_state_sync()  # Without it the rate cannot be read or set during a fit.
            optimizer = self.model.optimizer
            self.lrs.append(float(optimizer.learning_rate))
            self.losses.append(float(logs["loss"]))
            if len(self.lrs) == STEPS:
                self.model.stop_training = True
            optimizer.learning_rate = self.lrs[-1] * (MAX_LR / MIN_LR) ** (1 / (STEPS - 1))

    own, guest, peers = network(), network(), network()
    fit(own, keras.callbacks.Callback())
    folder = tempfile.mkdtemp()

    def from_keras() -> int:
        loop = lrscout.from_keras(own, images, labels, batch_size=BATCH_SIZE)
        test = lrscout.range_test(loop, steps=STEPS, min_lr=MIN_LR, max_lr=MAX_LR)
        return len(test.losses)

    def callback() -> int:
        scout = RangeTestCallback(steps=STEPS, min_lr=MIN_LR, max_lr=MAX_LR)
        fit(guest, scout)
        return len(scout.result.losses)

    def keras_lr_finder() -> int:
        path = os.path.join(folder, "tmp.weights.h5")
        peers.save_weights(path)
        lr = float(peers.optimizer.learning_rate)
        peers.optimizer.learning_rate = MIN_LR
        like = LikeKerasLrFinder()
        fit(peers, like)
        peers.load_weights(path)
        peers.optimizer.learning_rate = lr
        return len(like.losses)

    return {"from_keras": from_keras, "callback": callback, PEER: keras_lr_finder}


def measure(rounds: int) -> dict[str, list[float]]:
    """Return each contender's seconds in every round, on the backend of this process."""
    tasks = contenders()
    order = random.Random(0)
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(WARM_UPS + rounds):
        for name in order.sample(list(tasks), len(tasks)):
            began = time.perf_counter()
            points = tasks[name]()
            seconds[name].append(time.perf_counter() - began)
            assert points == STEPS, f"{name} took {points} steps."
    return {name: times[WARM_UPS:] for name, times in seconds.items()}


def measured_on(backend: str, rounds: int) -> dict[str, list[float]]:
    """Return what a process of its own measures on a backend."""
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, "--rounds", str(rounds), "--here"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def figures_of(seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Return medians in milliseconds, and quartiles of the ratio to the peer's way in the same round."""
    figures = {}
    for name, times in seconds.items():
        ratios = np.array(times) / np.array(seconds[PEER])
        quartiles = [round(float(np.quantile(ratios, share)), 3) for share in (0.25, 0.5, 0.75)]
        figures[name] = {"milliseconds": round(1000 * float(np.median(times)), 2), "ratio": quartiles}
    return figures


def main() -> None:
    """Measure on every backend, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="rounds measured (20)")
    parser.add_argument("--here", action="store_true", help="measure in this process and print the seconds as JSON")
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options.rounds)))
        return
    results = {backend: figures_of(measured_on(backend, options.rounds)) for backend in BACKENDS}
    table = Table("backend", "", "ms", "ratio", "quartiles", title=f"{STEPS} steps, {HIDDEN} hidden units")
    for backend, figures in results.items():
        for name, figure in figures.items():
            lower, median, upper = figure["ratio"]
            table.add_row(
                backend, name, f"{figure['milliseconds']:.1f}", f"{median:.2f}", f"{lower:.2f} to {upper:.2f}"
            )
    rich.print(table)
    versions = {name: version(name) for name in ("keras", "tensorflow-cpu", "jax", "torch", "numpy")}
    record = {"versions": versions, "steps": STEPS, "hidden": HIDDEN, "rounds": options.rounds, "results": results}
    RESULTS.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
