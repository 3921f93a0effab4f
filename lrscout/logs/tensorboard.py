"""TensorBoard's event files, one or a folder of them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lrscout.core.errors import LogError
from lrscout.core.imports import require
from lrscout.logs.limits import MOST_ENTRIES, MOST_FILES
from lrscout.logs.names import Role, listed, meaning_of, shown
from lrscout.logs.records import records_of
from lrscout.logs.table import Table, Wanted
from lrscout.logs.text import Bytes

_MARK = b"brain.Event:"
_PARTS = {"train", "training", "validation", "val", "eval", "evaluation", "test"}
"""Folders that hold a part of the run above them, as Keras and TensorFlow's estimators lay it out."""

_STEP = "step"
_LOGS = (".csv", ".tsv", ".json", ".jsonl")
_KINDS = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}
"""The numbers that TensorFlow gives to the types of tensors, with NumPy's names for them."""


def is_event_file(beginning: bytes) -> bool:
    """Return whether a file that begins like this is an event file."""
    return _MARK in beginning[:64]


def read_events(source: Bytes, table: Table, part: str = "", *, what: str = "It") -> None:
    """Read the scalars of an event file.

    Args:
        source: the file.
        table: what is filled, with one row a scalar.
        part: what its tags are of, such as ``validation``.
        what: the file, as a note calls it.

    Raises:
        LogError: it is no event file, or a limit is passed. One that is cut off or corrupted is read up to there, with
            a note.
        MissingDependencyError: TensorBoard is not installed.
    """
    parse = _parser()
    before = table.rows
    try:
        for records in records_of(source):
            for record in records:
                _add_event(parse(record), table, part)
            table.check_size()
    except LogError as error:
        if table.rows == before:
            raise
        table.notes.append(f"{what} was read up to where it is damaged. {error}")


def read_folder(folder: Path, wanted: Wanted) -> list[tuple[str, Table]]:
    """Read the event files of a folder and of those in it.

    Args:
        folder: the folder.
        wanted: the columns that are asked for.

    Returns:
        The name of each run, which is its folder's, and its columns.

    Raises:
        LogError: there are no event files, or too many, or one cannot be read.
        MissingDependencyError: TensorBoard is not installed.
    """
    tables: dict[str, Table] = defaultdict(lambda: Table(wanted))
    for path in _event_files(folder):
        place = path.parent.relative_to(folder)
        part = place.name if place.name.lower() in _PARTS else ""
        run = place.parent if part else place
        with path.open("rb") as file:
            read_events(Bytes(file), tables[run.as_posix()], part, what=shown(path.name))
    return [(folder.resolve().name if run == "." else shown(run), table) for run, table in tables.items()]


def _event_files(folder: Path) -> list[Path]:
    """Return the event files in a folder, in the order in which they were begun."""
    found: list[Path] = []
    others: list[str] = []
    entries = 0
    for place, folders, names in os.walk(folder):
        folders.sort()
        entries += len(folders) + len(names)
        if entries > MOST_ENTRIES or len(found) > MOST_FILES:
            raise LogError(
                f"It is a folder with more than {MOST_FILES:,} event files or {MOST_ENTRIES:,} entries. Give the "
                "folder of one run."
            )
        # Their names hold the time at which they were begun.
        found += [Path(place, name) for name in sorted(names) if ".tfevents." in name and Path(place, name).is_file()]
        others += [str(Path(place, name).relative_to(folder)) for name in names if name.endswith(_LOGS)][
            : 3 - len(others)
        ]
    if not found:
        hint = f" Give a file in it, such as {listed(others)}." if others else ""
        raise LogError(f"It is a folder without event files of TensorBoard.{hint}")
    return found


def _parser() -> Callable[[bytes], Any]:
    event = require("tensorboard.compat.proto.event_pb2", extra="tensorboard").Event
    broken = require("google.protobuf.message", extra="tensorboard").DecodeError

    def parse(record: bytes) -> Any:
        try:
            return event.FromString(record)
        except broken:
            raise LogError("It is corrupted: a record is no event.") from None

    return parse


def _add_event(event: Any, table: Table, part: str) -> None:
    for value in event.summary.value:
        number = _scalar(value)
        if number is not None and value.tag != _STEP:
            tag = f"{part}/{value.tag}" if part else value.tag
            meaning = meaning_of(tag)
            if meaning is not None and meaning.role is Role.LR:
                number = shortest(number)
            table.add_row(((_STEP, float(event.step)), (tag, number)))


def _scalar(value: Any) -> float | None:
    """Return the number that a value of a summary is, or None if it is something else."""
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return value.simple_value
    if kind != "tensor" or value.tensor.dtype not in _KINDS:
        return None
    numbers = _numbers_of(value.tensor)
    return float(numbers[0]) if len(numbers) == 1 else None


def _numbers_of(tensor: Any) -> Any:
    if tensor.tensor_content:
        dtype = np.dtype(_KINDS[tensor.dtype])
        return np.frombuffer(tensor.tensor_content, dtype) if len(tensor.tensor_content) == dtype.itemsize else ()
    if tensor.dtype == 19:
        return np.array(tensor.half_val[:2], np.uint16).view(np.float16)
    fields = {1: tensor.float_val, 2: tensor.double_val, 3: tensor.int_val, 9: tensor.int64_val}
    return fields[tensor.dtype]


def shortest(value: float) -> float:
    """Return the number with the fewest digits that is the same in single precision, which most scalars have.

    >>> shortest(0.8999999761581421)
    0.9
    """
    short = float(f"{value:.7g}")
    return short if np.float32(short) == np.float32(value) else value
