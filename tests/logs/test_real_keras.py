"""What Keras and TensorFlow write is read as what they were told, and so is what lrscout itself exports."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow

from lrscout.logs.log import Log
from lrscout.logs.read import read_log
from lrscout.store.export import export
from lrscout.store.store import open_store
from tests.logs.written import read_one
from tests.store.curves import INPUTS, curves_of

EPOCHS = 4


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[float]], Path]:
    folder = tmp_path_factory.mktemp("keras")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"])
    inputs = np.linspace(0, 1, 32, dtype="float32")[:, None]
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch, lr: lr / 2 if epoch == 2 else lr),
        keras.callbacks.CSVLogger(folder / "log.csv"),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras's variables do not know NumPy's newest way to ask for an array.
        fit = model.fit(inputs, 2 * inputs, validation_split=0.25, epochs=EPOCHS, verbose=0, callbacks=callbacks)
    history = fit.history
    (folder / "history.json").write_text(json.dumps({name: list(map(float, row)) for name, row in history.items()}))
    return history, folder


@pytest.mark.parametrize("name", ["log.csv", "history.json"])
def test_kerass_history_and_its_csv(trained: tuple[dict[str, list[float]], Path], name: str) -> None:
    history, folder = trained
    log = read_one(folder / name)
    np.testing.assert_array_equal(log.steps, range(EPOCHS))
    np.testing.assert_allclose(log.losses, history["loss"])
    np.testing.assert_allclose(log.evaluations, history["val_loss"])
    assert log.lrs is not None
    np.testing.assert_allclose(log.lrs, history["learning_rate"])


def test_the_events_of_tensorflow_in_the_folders_that_keras_makes(tmp_path: Path) -> None:
    for part, sign in (("train", 1.0), ("validation", -1.0)):
        with tensorflow.summary.create_file_writer(str(tmp_path / part)).as_default():
            for step in range(5):
                tensorflow.summary.scalar("epoch_loss", sign * 0.5**step, step)
                tensorflow.summary.scalar("epoch_learning_rate", 0.9, step)
    log = read_one(tmp_path)
    np.testing.assert_array_equal(log.losses, 0.5 ** np.arange(5))
    np.testing.assert_array_equal(log.evaluations, -(0.5 ** np.arange(5)))
    np.testing.assert_array_equal(log.lrs, [0.9] * 5)
    assert log.name == tmp_path.name


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32", "int64"])
def test_scalars_of_other_types(tmp_path: Path, dtype: str) -> None:
    with tensorflow.summary.create_file_writer(str(tmp_path)).as_default():
        for step in range(3):
            tensorflow.summary.write("loss", tensorflow.constant(3 - step, dtype), step)
            tensorflow.summary.write("other", tensorflow.zeros([2, 2], dtype), step)
    np.testing.assert_array_equal(read_one(tmp_path).losses, [3, 2, 1])


@pytest.mark.parametrize("name", ["study.csv", "study"])
def test_what_lrscout_exports(tmp_path: Path, name: str) -> None:
    curves = curves_of(3, lanes=3, steps=9)
    store = open_store(tmp_path / "lrscout.db")
    with store.begin("digits", kind="sweep", inputs=INPUTS, target=None) as study:
        study.keep(0, curves)
    export(store, "digits", tmp_path / name)
    logs = read_log(tmp_path / name)
    assert len(logs) == len(curves)
    for curve in curves:
        assert any(_alike(log, curve) for log in logs)


def _alike(log: Log, curve) -> bool:
    def same(ours, theirs) -> bool:
        return np.array_equal(np.float32(ours), np.float32(theirs), equal_nan=True)

    return (
        same(log.losses, curve.losses)
        and same(log.lrs, curve.lrs)
        and same(log.evaluations, curve.evaluations)
        and np.array_equal(log.evaluated_at, curve.evaluated_at)
    )


@pytest.mark.parametrize("options", [{}, {"sep": ";", "decimal": ","}, {"sep": "\t"}, {"encoding": "utf-16"}])
@pytest.mark.parametrize("quoting", [0, 1])
def test_what_pandas_writes(tmp_path: Path, options: dict, quoting: int) -> None:
    random = np.random.default_rng(1)
    table = pd.DataFrame({"step": np.arange(50) * 3, "train/loss": random.normal(size=50), "note": 'a "word"; or, two'})
    table.loc[5:8, "train/loss"] = np.nan  # pandas leaves these cells empty, so they are missing.
    table.to_csv(tmp_path / "log.csv", index=False, quoting=quoting, **options)
    log = read_one(tmp_path / "log.csv")
    kept = table.dropna()
    np.testing.assert_array_equal(log.steps, kept["step"])
    np.testing.assert_array_equal(log.losses, kept["train/loss"])
