"""CSV and its relatives: rows of cells with any delimiter, and a header or none."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple, cast

from lrscout.core.errors import LogError
from lrscout.logs.limits import MOST_COLUMNS
from lrscout.logs.names import shown
from lrscout.logs.numbers import Numbers
from lrscout.logs.table import Column, Labels, Table
from lrscout.logs.text import lines_of

_DELIMITERS = (";", "\t", "|", ",")
"""What may separate cells, the comma last, since it may be that of decimals."""

_SAMPLE = 20


class _Form(NamedTuple):
    """How a file separates its cells, by white space if by None, what it calls them, and whether it says so itself."""

    delimiter: str | None
    names: list[str]
    headed: bool


def read_delimited(pieces: Iterator[str], table: Table) -> None:
    """Read rows of cells, each of which is a line.

    Args:
        pieces: the text.
        table: what is filled. Without a header the columns are called 1, 2 and so on, a single one loss.

    Raises:
        LogError: most rows do not fit the header, or a limit is passed.
    """
    blocks = (block for lines in lines_of(pieces) if (block := [line for line in lines if line and not line.isspace()]))
    sample, blocks = _without_comments(blocks)
    form = _form_of(sample[:_SAMPLE])
    _read_rows(chain([sample[1:] if form.headed else sample], blocks), form, table)


def _read_rows(blocks: Iterable[list[str]], form: _Form, table: Table) -> None:
    columns = [(index, column) for index, name in enumerate(form.names) if (column := table.column(name)) is not None]
    numbers = Numbers(comma=form.delimiter != ",")
    width, misfits, first = len(form.names), 0, ""
    for block in blocks:
        rows = [_fitted(row, width) for row in _split(block, form.delimiter)]
        if bad := [index for index, row in enumerate(rows) if isinstance(row, int)]:
            misfits += len(bad)
            first = first or f"row {table.rows + bad[0] + 1:,} with {rows[bad[0]]:,}"
            # A row that does not fit keeps its place and loses its cells.
            rows = [[""] * width if isinstance(row, int) else row for row in rows]
        for index, column in columns:
            _add_cells(column, table.rows, [row[index] for row in cast("list[list[str]]", rows)], numbers)
        table.rows += len(rows)
        table.check_size()
    cells = f"{width:,} cell{'s' * (width > 1)}"
    if misfits > table.rows / 2:
        raise LogError(
            f"Most of its rows do not have {cells} as the first one has, such as {first}. Are they separated in two "
            "ways?"
        )
    if misfits:
        table.notes.append(f"Of {table.rows:,} rows {misfits:,} without {cells} left out, the first {first}.")


def _fitted(row: list[str], width: int) -> list[str] | int:
    """Return a row without empty cells behind its end, or how many cells it has if these are not `width`."""
    if len(row) == width:
        return row
    return row[:width] if len(row) > width and not any(cell.strip() for cell in row[width:]) else len(row)


def _add_cells(column: Column | Labels, place: int, cells: list[str], numbers: Numbers) -> None:
    if isinstance(column, Labels):
        for row, cell in enumerate(cells, start=place):
            if word := cell.strip():
                column.add(row, word)
        return
    where, values, text = numbers.column(cells)
    column.extend(place + where, values)
    if len(text):
        first = int(text[0])
        column.reject(place + first, cells[first], times=len(text))


def _without_comments(blocks: Iterator[list[str]]) -> tuple[list[str], Iterator[list[str]]]:
    """Return the first lines from the header on, and the others.

    NumPy writes a header behind the sign of a comment, so the last of these is one if there is none without the sign.
    """
    comment = ""
    for block in blocks:
        for index, line in enumerate(block):
            if line.lstrip().startswith("#"):
                comment = line
                continue
            sample = block[index:]
            if comment and _all_numbers(_cells(line, _delimiter_of(sample[:_SAMPLE]))):
                sample = [comment.lstrip().lstrip("#").strip(), *sample]
            return sample, blocks
    raise LogError("It has no rows.")


def _form_of(sample: list[str]) -> _Form:
    delimiter = _delimiter_of(sample)
    names = [name.strip() for name in _cells(sample[0], delimiter)]
    while len(names) > 1 and not names[-1]:
        names.pop()
    if len(names) > MOST_COLUMNS:
        raise LogError(f"It has {len(names):,} columns, and the most that is read is {MOST_COLUMNS:,}.")
    if _all_numbers(names):
        numbered = ["loss"] if len(names) == 1 else [str(number + 1) for number in range(len(names))]
        return _Form(delimiter, numbered, headed=False)
    counts = Counter(names)
    # Columns of one name are told apart by their numbers, and asked for by them.
    names = [f"{name} ({index + 1})" if counts[name] > 1 else name for index, name in enumerate(names)]
    return _Form(delimiter, names, headed=True)


def _delimiter_of(sample: list[str]) -> str | None:
    """Return the delimiter that splits the most rows as it splits the first; of several, the one that splits most."""
    best: str | None = ","
    best_score = (-1.0, 0)
    for delimiter in (*_DELIMITERS, None):
        width, *widths = (len(_cells(line, delimiter)) for line in sample)
        alike = sum(other == width for other in widths) / len(widths) if widths else 0.0
        # White space also stands inside of names and words, so it needs the rows on its side.
        if width > 1 and (delimiter is not None or alike > 0.5 or not widths) and (alike, width) > best_score:
            best, best_score = delimiter, (alike, width)
    return best


def _split(lines: list[str], delimiter: str | None) -> Iterator[list[str]]:
    """Yield the cells of each line. A quotation mark left open ends with its line, and costs no other row."""
    if delimiter is None or not any('"' in line for line in lines):
        return (line.split(delimiter) for line in lines)
    return (_cells(line, delimiter) for line in lines)


def _cells(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None or '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter))
    except csv.Error as error:
        raise LogError(f"A line that begins {shown(line[:20])!r} cannot be split into cells: {error}.") from None


def _all_numbers(cells: list[str]) -> bool:
    """Return whether cells hold numbers only, as no header does."""
    _, values, text = Numbers(comma=True).column(cells)
    return len(values) > 0 and not len(text)
