"""Studies as files for other programs: CSV, Parquet, TensorBoard."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from lrscout.core.checks import check_choice
from lrscout.core.curve import Curve
from lrscout.core.errors import InvalidValueError, StoreError
from lrscout.core.imports import require
from lrscout.store.records import StudyRecord
from lrscout.store.store import Store

COLUMNS = ("study", "curve", "seed", "block", "step", "lr", "loss", "evaluation")
"""The columns of a table, one row a step. A run evaluated at its very end has a last row without lr and loss."""

_ROWS = 100_000
"""Rows of a Parquet file that are written together, at least."""


def export(store: Store, name: str, path: str | Path, *, format: str | None = None, overwrite: bool = False) -> None:
    """Write every curve of a study for other programs.

    Args:
        store: where the study is kept.
        name: the name of the study.
        path: the file; for TensorBoard the folder, which has a folder for each curve.
        format: ``"csv"``, ``"parquet"`` or ``"tensorboard"``; by default what the path ends with, and TensorBoard for
            a path that ends with neither of the two.
        overwrite: whether to replace what is there.

    Raises:
        InvalidValueError: there is no such format.
        StoreError: the path is taken or cannot be written to, or the study cannot be read. Nothing is left at the
            path then that was not there before.
        MissingDependencyError: Parquet needs pyarrow (the extra ``pandas``), and TensorBoard its own package (the
            extra ``tensorboard``).
    """
    place = Path(path).absolute()
    write = _WRITERS[check_choice("format", format or format_of(place), tuple(_WRITERS))]
    record = store.load(name)
    _check_free(place, overwrite=overwrite)
    # Written beside its place and then moved there, so that nobody ever finds half of it.
    unfinished = place.with_name(f"{place.name}.{os.getpid()}.part")
    try:
        write(record, unfinished)
        if place.is_dir():
            shutil.rmtree(place)
        unfinished.replace(place)
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"{place} cannot be written: {error.strerror or error}.") from error
    finally:
        _remove(unfinished)


def format_of(path: Path) -> str:
    """Return the format that a path asks for by what it ends with."""
    if path.suffix in (".csv", ".parquet"):
        return path.suffix[1:]
    if path.suffix:
        raise InvalidValueError(
            f"Cannot tell the format of {path.name}. Give a file .csv or .parquet, a folder without a suffix for "
            "TensorBoard, or the format itself."
        )
    return "tensorboard"


def rows(record: StudyRecord) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a study's table, with None where a step has nothing.

    Args:
        record: the study.
    """
    for number, (block, curve) in enumerate(_numbered(record)):
        for step in _steps(curve):
            yield record.summary.name, number, curve.seed, block, *step


def _steps(curve: Curve) -> Iterator[tuple[int, float | None, float | None, float | None]]:
    """Yield the number, lr, loss and evaluation of each step."""
    evaluations = dict(zip(curve.evaluated_at.tolist(), curve.evaluations.tolist(), strict=True))
    for step, (lr, loss) in enumerate(zip(curve.lrs.tolist(), curve.losses.tolist(), strict=True)):
        yield step, lr, loss, evaluations.pop(step, None)
    for step, evaluation in evaluations.items():
        yield step, None, None, evaluation


def _numbered(record: StudyRecord) -> Iterator[tuple[int, Curve]]:
    return ((block, curve) for block, curves in record.blocks() for curve in curves)


def _write_csv(record: StudyRecord, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows(record))


def _write_parquet(record: StudyRecord, path: Path) -> None:
    arrow, parquet = require("pyarrow", extra="pandas"), require("pyarrow.parquet", extra="pandas")
    texts, counts, numbers = arrow.string(), arrow.int64(), arrow.float64()
    kinds = (texts, counts, counts, counts, counts, numbers, numbers, numbers)
    schema = arrow.schema(list(zip(COLUMNS, kinds, strict=True)))
    every_row = rows(record)
    with path.open("wb") as file, parquet.ParquetWriter(file, schema) as writer:
        while part := list(islice(every_row, _ROWS)):
            columns = [arrow.array(column, kind) for column, kind in zip(zip(*part, strict=True), kinds, strict=True)]
            writer.write_table(arrow.table(columns, schema=schema))


def _write_tensorboard(record: StudyRecord, path: Path) -> None:
    # Not TensorBoard's own writer of events, which loads TensorFlow where there is one and starts a thread a file.
    records = require("tensorboard.summary.writer.record_writer", extra="tensorboard")
    event = require("tensorboard.compat.proto.event_pb2", extra="tensorboard").Event
    summary = require("tensorboard.compat.proto.summary_pb2", extra="tensorboard").Summary
    began = record.summary.created.timestamp()
    path.mkdir()
    taken: set[str] = set()
    for number, (_, curve) in enumerate(_numbered(record)):
        folder = path / _run_name(number, curve, taken)
        folder.mkdir()
        with (folder / f"events.out.tfevents.{began:.0f}.lrscout").open("wb") as file:
            writer = records.RecordWriter(file)
            writer.write(event(wall_time=began, file_version="brain.Event:2").SerializeToString())
            for step, *values in _steps(curve):
                scalars = [
                    summary.Value(tag=tag, simple_value=value)
                    for tag, value in zip(("lr", "loss", "evaluation"), values, strict=True)
                    if value is not None
                ]
                writer.write(event(wall_time=began, step=step, summary=summary(value=scalars)).SerializeToString())


def _run_name(number: int, curve: Curve, taken: set[str]) -> str:
    """Return a name that no run of the study has yet: by seed and lr, and by the number of the curve if need be."""
    lr = f"{curve.lrs.max():g}" if curve.steps else "none"
    name = f"seed={curve.seed},lr={lr}"
    if name in taken:
        name += f",curve={number}"
    taken.add(name)
    return name


_WRITERS = {"csv": _write_csv, "parquet": _write_parquet, "tensorboard": _write_tensorboard}


def _check_free(path: Path, *, overwrite: bool) -> None:
    """Raise if a path is taken, or is to be overwritten and holds more than an export does."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not overwrite:
        raise StoreError(f"{path} is there already. Choose another path, or say that it shall be overwritten.")
    files = (file for file in path.rglob("*") if not file.is_dir()) if path.is_dir() else ()
    for file in files:
        if not file.name.startswith("events.out.tfevents."):
            raise StoreError(f"{path} holds more than curves, such as {file.name}, so it is not overwritten.")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
