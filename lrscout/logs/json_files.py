"""JSON: one object a line, an array of objects, an object of lists, and the state of a Hugging Face Trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from lrscout.core.errors import LogError
from lrscout.logs.json_text import JsonText, decode
from lrscout.logs.limits import DEEPEST
from lrscout.logs.names import shown
from lrscout.logs.table import Table
from lrscout.logs.text import lines_of

_HISTORY = "log_history"
"""The key under which the state of a Trainer holds its log."""


def json_reader(beginning: str, *, whole: bool) -> Callable[[Iterator[str], Table], None] | None:
    """Return what reads a text that begins like this, or None if it does not begin as JSON.

    Args:
        beginning: the first characters of the text.
        whole: whether they are all of it.

    Raises:
        LogError: it begins as JSON that is read by nobody.
    """
    start = beginning.lstrip()
    if start.startswith("["):
        return read_array
    if not start.startswith("{"):
        return None
    try:
        first, end = decode(start)
    except LogError:
        raise
    except ValueError:
        # The first line may be broken and the others not. An object of many lines has one brace at the left edge.
        return read_lines if sum(line.startswith("{") for line in start.split("\n")[:10]) > 1 else read_object
    if start[end:].strip() or not whole:
        return read_lines
    return read_object if any(isinstance(value, (list, dict)) for value in first.values()) else read_lines


def read_lines(pieces: Iterator[str], table: Table) -> None:
    """Read one JSON object a line.

    Args:
        pieces: the text.
        table: what is filled.

    Raises:
        LogError: most lines are something else, or a limit is passed.
    """
    broken, first = 0, ""
    for number, line in enumerate(chain.from_iterable(lines_of(pieces)), start=1):
        line = line.strip()
        if not line:
            continue
        row = _row(line)
        if row is None:
            broken, first = broken + 1, first or f"line {number:,}, which begins with {shown(line[:20])!r}"
        else:
            table.add_row(row.items())
    if broken > table.rows:
        raise LogError(f"Most of its lines are no JSON objects, the first of them {first}.")
    if broken:
        left_out = "line is no JSON object and was" if broken == 1 else "lines are no JSON objects and were"
        table.notes.append(f"{broken:,} {left_out} left out, the first {first}.")


def read_array(pieces: Iterator[str], table: Table) -> None:
    """Read an array of objects, one a row.

    Args:
        pieces: the text.
        table: what is filled.

    Raises:
        LogError: it is not such an array, or a limit is passed.
    """
    text = JsonText(pieces)
    _read_rows(text, table)
    text.end()


def read_object(pieces: Iterator[str], table: Table) -> None:
    """Read an object of lists, one a column, as Keras's ``History.history`` is; or the state of a Trainer.

    Args:
        pieces: the text.
        table: what is filled.

    Raises:
        LogError: it is neither, or a limit is passed.
    """
    text = JsonText(pieces)
    _read_members(text, table, "", depth=1)
    text.end()


def _row(line: str) -> dict[str, Any] | None:
    try:
        row, end = decode(line)
    except LogError:
        raise
    except ValueError:
        return None
    return row if isinstance(row, dict) and end == len(line) else None  # pyright: ignore[reportUnknownVariableType]


def _read_rows(text: JsonText, table: Table) -> None:
    for number, row in enumerate(text.elements(), start=1):
        if not isinstance(row, dict):
            raise LogError(
                f"Its array must hold objects such as {{'step': 1, 'loss': 0.5}}, but value {number:,} is "
                f"{shown(str(row)[:20])}."
            )
        table.add_row(row.items())  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]


def _read_members(text: JsonText, table: Table, prefix: str, depth: int) -> None:
    """Read the lists of an object as columns, those of objects in it as ``outer/inner``."""
    if depth > DEEPEST:
        raise LogError(f"More than {DEEPEST} objects are open at once, so this is hardly the log of a training run.")
    for key in text.members():
        opening = text.peek()
        if opening == "{":
            _read_members(text, table, f"{prefix}{key}/", depth + 1)
        elif opening != "[":
            text.value()
        elif prefix + key == _HISTORY:
            _read_rows(text, table)
        else:
            table.add_list(prefix + key, text.elements())
