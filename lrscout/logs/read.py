"""The one door to log files: tells the format by the content, and returns the runs."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from lrscout.core.checks import check_choice
from lrscout.core.errors import InvalidValueError, LogError
from lrscout.logs.delimited import read_delimited
from lrscout.logs.json_files import json_reader, read_array, read_lines, read_object
from lrscout.logs.limits import MOST_BYTES, MOST_CHARACTERS
from lrscout.logs.log import Log
from lrscout.logs.names import listed, shown
from lrscout.logs.runs import runs_of
from lrscout.logs.table import Table, Wanted
from lrscout.logs.tensorboard import is_event_file, read_events, read_folder
from lrscout.logs.text import Bytes, text_of, too_large

_LONGEST_PATH = 400

_Reader = Callable[[Iterator[str], Table], None]

FORMATS = ("csv", "jsonl", "json", "tensorboard")
"""The formats that a caller can name: rows of cells; one JSON object a line; JSON otherwise; event files."""


def read_log(
    path: str | Path | BinaryIO,
    *,
    loss: str | None = None,
    lr: str | float | None = None,
    step: str | None = None,
    evaluation: str | None = None,
    run: str | None = None,
    format: str | None = None,
    name: str | None = None,
) -> list[Log]:
    """Read the runs in a log file.

    CSV with any delimiter (Lightning's ``metrics.csv``), JSON lines or a JSON array of objects, a JSON object of lists
    (Keras's ``History.history``), the ``trainer_state.json`` of a Hugging Face Trainer, and TensorBoard's event files.
    Limits on what a file may hold are in `lrscout.logs.limits`; compressed files are not opened.

    Args:
        path: the file, a folder of event files, or an open binary stream.
        loss: the column of the training loss. It and the following are found by their names if they are not given.
        lr: the column of the learning rate, or one number for the whole run.
        step: the column of the step's number; without one, the rows are counted.
        evaluation: the column of the evaluation loss.
        run: the column that tells runs apart, or the name of the run that is wanted, such as ``seed=3``.
        format: one of `FORMATS`; by default told by the content.
        name: what to call the file in sentences, and its run where it is the only one; by default as the path does.

    Returns:
        The runs, in the order in which they begin; at least one, each with at least one loss.

    Raises:
        InvalidValueError: there is no such format, column or run, or the lr is not above zero.
        LogError: the file cannot be read, or does not hold the log of a run.
        MissingDependencyError: event files need TensorBoard (the extra ``tensorboard``).
    """
    if format is not None:
        check_choice("format", format, FORMATS)
    wanted = Wanted(loss=loss, lr=lr, step=step, evaluation=evaluation, run=run)
    name = _name_of(path) if name is None else shown(name, most=_LONGEST_PATH)
    try:
        tables = _tables(path, wanted, format, name)
        return _chosen_runs(_runs(tables, run), tables, run)
    except LogError as error:
        raise LogError(f"{name}: {error}") from error
    except OSError as error:
        raise LogError(f"{name} cannot be read: {error.strerror or error}.") from error
    except MemoryError:
        raise LogError(f"{name} takes more memory than there is. Keep every tenth row.") from None


def columns_of(stream: BinaryIO) -> list[str]:
    """Return the names of the columns of a log that losses could be from, whether or not a run can be made of them.

    Args:
        stream: the log.

    Raises:
        LogError: it cannot be read.
        MissingDependencyError: event files need TensorBoard (the extra ``tensorboard``).
    """
    return _table(Bytes(stream), Wanted(), None).candidates


def _name_of(path: str | Path | BinaryIO) -> str:
    return shown(str(path), most=_LONGEST_PATH) if isinstance(path, (str, Path)) else "standard input"


def _tables(path: str | Path | BinaryIO, wanted: Wanted, format: str | None, name: str) -> list[tuple[str, Table]]:
    if not isinstance(path, (str, Path)):
        return [(name, _table(Bytes(path), wanted, format))]
    try:
        place = Path(path)
        kind = place.stat()
    except ValueError:
        raise LogError("No file has such a name.") from None
    if stat.S_ISDIR(kind.st_mode):
        return read_folder(place, wanted)
    if not stat.S_ISREG(kind.st_mode):
        # A pipe that nobody writes to would be waited for without end.
        raise LogError(
            "It is not a file but a pipe or a device. Read it from standard input: lrscout diagnose - < FILE."
        )
    if kind.st_size > MOST_BYTES:
        raise LogError(too_large())
    with place.open("rb") as file:
        return [(shown(place.name), _table(Bytes(file), wanted, format, event_file=".tfevents." in place.name))]


def _table(source: Bytes, wanted: Wanted, format: str | None, *, event_file: bool = False) -> Table:
    if not source.beginning:
        raise LogError("It is empty.")
    table = Table(wanted)
    if format == "tensorboard" or (format is None and (event_file or is_event_file(source.beginning))):
        read_events(source, table)
        return table
    pieces = text_of(source)
    beginning, whole = _beginning_of(pieces)
    reader = _reader_of(beginning, format, whole=whole)
    reader(chain([beginning], pieces), table)
    return table


def _beginning_of(pieces: Iterator[str]) -> tuple[str, bool]:
    """Return the first characters of a text, and whether they are all of it."""
    beginning = ""
    for piece in pieces:
        beginning += piece
        if len(beginning) > MOST_CHARACTERS:
            return beginning, False
    if not beginning.strip():
        raise LogError("It holds nothing but space.")
    return beginning, True


def _reader_of(beginning: str, format: str | None, *, whole: bool) -> _Reader:
    if format == "csv":
        return read_delimited
    if format == "jsonl":
        return read_lines
    if format == "json":
        return read_array if beginning.lstrip().startswith("[") else read_object
    return json_reader(beginning, whole=whole) or read_delimited


def _runs(tables: list[tuple[str, Table]], run: str | None) -> list[Log]:
    """Return the runs of all tables; one that is no run's log is left out if another is."""
    logs: list[Log] = []
    trouble: LogError | InvalidValueError | None = None
    if any(name == run for name, _ in tables):
        tables = [(name, table) for name, table in tables if name == run]
    for name, table in tables:
        try:
            logs += runs_of(table, name)
        except (LogError, InvalidValueError) as error:
            trouble = trouble or error
    if trouble is not None and not logs:
        raise trouble
    return logs


def _chosen_runs(logs: list[Log], tables: list[tuple[str, Table]], run: str | None) -> list[Log]:
    if run is None or any(run in table.labels for _, table in tables):
        return logs
    chosen = [log for log in logs if log.name == run or run in log.name.split(", ")]
    if not chosen:
        raise InvalidValueError(
            f"There is no column and no run {shown(run)!r}. The runs are {listed([log.name for log in logs])}."
        )
    return chosen
