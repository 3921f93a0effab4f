"""What is exported is read by the programs that it is for, with the numbers that were kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from lrscout.core.curve import Curve, Stop
from lrscout.core.errors import InvalidValueError, MissingDependencyError, StoreError
from lrscout.store.export import COLUMNS, export
from lrscout.store.store import Store, open_store
from tests.store.curves import INPUTS, curves_of

BLOCKS = {0: curves_of(0), 3: curves_of(3, lanes=2, steps=7)}
CURVES = [(block, curve) for block, curves in BLOCKS.items() for curve in curves]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(tmp_path / "lrscout.db")
    with store.begin("digits", kind="sweep", inputs=INPUTS, target=None) as study:
        for block, curves in BLOCKS.items():
            study.keep(block, curves)
    return store


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def expected_table() -> pd.DataFrame:
    """The table, made by pandas from the curves themselves."""
    parts = []
    for number, (block, curve) in enumerate(CURVES):
        steps = pd.DataFrame({"lr": curve.lrs, "loss": curve.losses}, index=np.arange(curve.steps))
        evaluations = pd.DataFrame({"evaluation": curve.evaluations}, index=curve.evaluated_at)
        part = steps.join(evaluations, how="outer").rename_axis("step").reset_index()
        parts.append(part.assign(study="digits", curve=number, seed=curve.seed, block=block))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def test_csv_is_what_pandas_reads(store: Store, out: Path) -> None:
    export(store, "digits", out / "digits.csv")
    table = pd.read_csv(out / "digits.csv")
    pd.testing.assert_frame_equal(table, expected_table(), check_exact=True, check_dtype=False)
    assert os.listdir(out) == ["digits.csv"]


def test_parquet_is_what_pandas_reads(store: Store, out: Path) -> None:
    export(store, "digits", out / "digits.parquet")
    table = pd.read_parquet(out / "digits.parquet")
    pd.testing.assert_frame_equal(table, expected_table(), check_exact=True, check_dtype=False)
    assert os.listdir(out) == ["digits.parquet"]


def test_parquet_tells_what_is_not_there_from_what_is_no_number(store: Store, out: Path) -> None:
    export(store, "digits", out / "digits.parquet")
    losses = pyarrow.parquet.read_table(out / "digits.parquet")["loss"].to_pylist()
    assert losses.count(None) == len(CURVES)  # One evaluation at the end of each.
    kept = np.concatenate([curve.losses for _, curve in CURVES])
    assert np.array_equal([loss for loss in losses if loss is not None], kept, equal_nan=True)


def test_parquet_in_many_parts(store: Store, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrscout.store.export._ROWS", 10)
    export(store, "digits", out / "digits.parquet")
    assert len(pd.read_parquet(out / "digits.parquet")) == len(expected_table())


def test_tensorboard_is_what_tensorboard_reads(store: Store, out: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    export(store, "digits", out / "runs")
    names = ["seed=0,lr=10", "seed=0,lr=0.2", "seed=0,lr=0.3", "seed=3,lr=10", "seed=3,lr=0.2"]
    assert sorted(os.listdir(out / "runs")) == sorted(names)
    for name, (_, curve) in zip(names, CURVES, strict=True):
        run = accumulator.EventAccumulator(str(out / "runs" / name)).Reload()
        for tag, steps, values in (
            ("loss", range(curve.steps), curve.losses),
            ("lr", range(curve.steps), curve.lrs),
            ("evaluation", curve.evaluated_at, curve.evaluations),
        ):
            events = run.Scalars(tag)
            assert [event.step for event in events] == list(steps)
            read = np.array([event.value for event in events])
            assert np.array_equal(read, values.astype(np.float32), equal_nan=True)  # All that TensorBoard keeps.


def test_runs_of_one_seed_and_lr_are_told_apart(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    store = open_store(tmp_path / "lrscout.db")
    curves = [Curve(np.full(steps, 0.1), np.ones(steps)) for steps in (5, 10)] + [Curve(np.zeros(0), np.zeros(0))]
    with store.begin("budgets", kind="sweep", inputs={}, target=None) as study:
        study.keep(0, curves)
    export(store, "budgets", tmp_path / "runs")
    assert sorted(os.listdir(tmp_path / "runs")) == ["seed=0,lr=0.1", "seed=0,lr=0.1,curve=1", "seed=0,lr=none"]


def test_tensorboard_needs_no_tensorflow(store: Store, out: Path) -> None:
    pytest.importorskip("tensorboard")
    code = (
        "import sys; from lrscout.store.store import open_store; from lrscout.store.export import export;"
        f"export(open_store({str(out.parent / 'lrscout.db')!r}), 'digits', {str(out / 'runs')!r});"
        "print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("name", ["digits.csv", "digits.parquet", "runs"])
def test_what_is_there_is_not_overwritten_unasked(store: Store, out: Path, name: str) -> None:
    export(store, "digits", out / name)
    with pytest.raises(StoreError, match=f"{name} is there already. Choose another path"):
        export(store, "digits", out / name)
    with store.begin("more", kind="sweep", inputs={}, target=None) as study:
        study.keep(0, [Curve(np.array([0.1]), np.array([np.inf]), Stop.NON_FINITE)])
    export(store, "more", out / name, overwrite=True)
    assert os.listdir(out) == [name]
    if name == "runs":
        assert os.listdir(out / name) == ["seed=0,lr=0.1"]
    else:
        table = pd.read_csv(out / name) if name == "digits.csv" else pd.read_parquet(out / name)
        assert table["loss"].tolist() == [np.inf]


def test_a_folder_with_other_things_is_never_overwritten(store: Store, out: Path) -> None:
    (out / "thesis.tex").write_text("years of work")
    for name in (None, "tensorboard", "csv"):
        with pytest.raises(StoreError, match=r"holds more than curves, such as thesis\.tex"):
            export(store, "digits", out, format=name, overwrite=True)
    assert os.listdir(out) == ["thesis.tex"]


def test_a_place_that_cannot_be_written_to(store: Store, tmp_path: Path) -> None:
    for name in ("digits.csv", "digits.parquet", "runs"):
        with pytest.raises(StoreError, match=f"none/{name} cannot be written: No such file or directory"):
            export(store, "digits", tmp_path / "none" / name)


def test_an_export_that_fails_leaves_nothing(store: Store, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lrscout.store.export.rows", interrupt)
    monkeypatch.setattr("lrscout.store.export._steps", interrupt)
    for name in ("digits.csv", "digits.parquet", "runs"):
        with pytest.raises(KeyboardInterrupt):
            export(store, "digits", out / name)
    assert os.listdir(out) == []


def test_formats_and_studies_that_there_are_not(store: Store, out: Path) -> None:
    with pytest.raises(InvalidValueError, match="format must be one of csv, parquet, tensorboard, but it is 'xlsx'"):
        export(store, "digits", out / "digits.xlsx", format="xlsx")
    with pytest.raises(StoreError, match="There is no study 'letters'"):
        export(store, "letters", out / "digits.csv")
    assert os.listdir(out) == []


@pytest.mark.parametrize(("name", "extra"), [("digits.parquet", "pandas"), ("runs", "tensorboard")])
def test_a_library_that_is_not_installed(
    store: Store, out: Path, name: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lrscout.core.imports.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=rf"pip install 'lrscout\[{extra}\]'"):
        export(store, "digits", out / name)
    assert os.listdir(out) == []
