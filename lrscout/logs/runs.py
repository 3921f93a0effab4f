"""From the columns of a log file to its runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lrscout.core.errors import LogError
from lrscout.core.order import in_order
from lrscout.logs.choose import Chosen, choose
from lrscout.logs.limits import MOST_RUNS
from lrscout.logs.log import Log
from lrscout.logs.names import shown
from lrscout.logs.order import Restarts, restarts_of, steps_an_epoch
from lrscout.logs.table import Column, Labels, Table

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Real

_LARGEST_WHOLE = 2.0**53


@dataclass(frozen=True)
class _Cells:
    """Some numbers of a run, the rows of the file in which they stand, and their steps."""

    rows: Int[np.ndarray, " cell"]
    values: Float[np.ndarray, " cell"]
    steps: Float[np.ndarray, " cell"]

    def at(self, which: np.ndarray) -> _Cells:
        return _Cells(self.rows[which], self.values[which], self.steps[which])


def runs_of(table: Table, name: str) -> list[Log]:
    """Return the runs in the columns of a log file.

    Args:
        table: the columns.
        name: the name of a run that is the only one.

    Returns:
        The runs, in the order in which they begin.

    Raises:
        InvalidValueError: a column that is asked for is not there.
        LogError: there is no run, or it cannot be told which columns it is made of.
    """
    chosen = choose(table)
    names, codes = _told_apart(chosen.runs, table.rows, name)
    losses, evaluations, lrs = (
        _by_run(column if isinstance(column, Column) else Column(), codes, len(names))
        for column in (chosen.loss, chosen.evaluation, chosen.lr)
    )
    steps, epochs = _steps_of(chosen, codes), _dense(chosen.epoch, table.rows)
    logs: list[Log] = []
    for run, *parts in zip(names, losses, evaluations, lrs, strict=True):
        loss, evaluation, lr = (_Cells(rows, values, steps[rows]) for rows, values in parts)
        if len(loss.rows) == 0:
            continue
        notes = [*table.notes, *chosen.notes]
        length = steps_an_epoch(loss.steps, epochs[loss.rows])
        if length is not None:
            notes.append(
                f"The steps are counted anew in every epoch, and were counted through, {length:,.0f} an epoch."
            )
            loss, evaluation, lr = (_counted_through(cells, epochs, length) for cells in (loss, evaluation, lr))
        log = _log(run, loss, evaluation, chosen.lr if isinstance(chosen.lr, float) else lr, notes)
        logs.append(replace(log, column=table.name_of(chosen.loss), columns=tuple(table.candidates)))
    if not logs:
        raise LogError("The column of the training loss holds no numbers.")
    return logs


def _log(name: str, loss: _Cells, evaluation: _Cells, lr: _Cells | float, notes: list[str]) -> Log:
    """Put the cells of a run in order."""
    total = len(loss.rows)
    loss, evaluation = _with_steps(loss), _with_steps(evaluation)
    if len(loss.rows) == 0:
        raise LogError("No row with a training loss has the number of its step.")
    if len(loss.rows) < total:
        notes.append(f"{total - len(loss.rows):,} of {total:,} losses have no step and were left out.")
    restarts = restarts_of(loss.rows, loss.steps)
    settled = _settled(loss, restarts)
    notes += _notes_on_order(loss, settled, restarts)
    evaluation = _settled(evaluation, restarts)
    return Log(
        name=name,
        steps=_whole(settled.steps),
        losses=settled.values,
        lrs=_lrs_at(settled.steps, lr, restarts, notes),
        evaluated_at=_whole(evaluation.steps),
        evaluations=evaluation.values,
        notes=tuple(notes),
    )


def _lrs_at(
    steps: Float[np.ndarray, " step"], lr: _Cells | float, restarts: Restarts, notes: list[str]
) -> Float[np.ndarray, " step"] | None:
    """Return the learning rate at each step: the one logged last, until there is another."""
    if not isinstance(lr, _Cells):
        return np.full(len(steps), lr)
    lr = _with_steps(lr)
    lr = _settled(lr.at(np.isfinite(lr.values)), restarts)
    if len(lr.rows) == 0:
        return None
    at = np.searchsorted(lr.steps, steps, side="right") - 1
    if not np.array_equal(lr.steps[at], steps):
        notes.append("The learning rate is not logged at every step with a loss; it was taken to stay until the next.")
    return lr.values[np.maximum(at, 0)]


def _notes_on_order(before: _Cells, after: _Cells, restarts: Restarts) -> list[str]:
    if len(restarts.rows):
        row = int(restarts.rows[0])
        came_from = before.steps[np.searchsorted(before.rows, row) - 1]
        more = f", the first of {len(restarts.rows):,} times" if len(restarts.rows) > 1 else ""
        return [
            f"In row {row + 1:,} the steps go back from {came_from:g} to {restarts.steps[0]:g}{more}, as when a run is "
            f"resumed: what was logged before of the steps from there on was left out, "
            f"{len(before.rows) - len(after.rows):,} losses."
        ]
    notes: list[str] = []
    if (before.steps[1:] < before.steps[:-1]).any():
        notes.append("The rows were not in the order of their steps, and were sorted.")
    if len(after.rows) < len(before.rows):
        notes.append(
            f"{len(before.rows) - len(after.rows):,} losses are followed by another of the same step, and were left "
            "out."
        )
    return notes


def _with_steps(cells: _Cells) -> _Cells:
    return cells.at(np.isfinite(cells.steps))


def _settled(cells: _Cells, restarts: Restarts) -> _Cells:
    """Return the cells that stand after all restarts, in the order of their steps."""
    cells = cells.at(restarts.survivors(cells.rows, cells.steps))
    return cells.at(in_order(cells.steps))


def _counted_through(cells: _Cells, epochs: Float[np.ndarray, " row"], length: float) -> _Cells:
    """Return cells with steps that do not begin anew in every epoch."""
    return _Cells(cells.rows, cells.values, cells.steps + length * np.floor(epochs[cells.rows]))


def _steps_of(chosen: Chosen, codes: Int[np.ndarray, " row"]) -> Float[np.ndarray, " row"]:
    """Return the step of each row; without a column of steps, the row's number within its run."""
    if chosen.step is not None:
        return _dense(chosen.step, len(codes))
    order = np.argsort(codes, kind="stable")
    begins = np.searchsorted(codes[order], codes[order], side="left")
    numbers = np.empty(len(codes))
    numbers[order] = np.arange(len(codes)) - begins
    return numbers


def _dense(column: Column | None, size: int) -> Float[np.ndarray, " row"]:
    """Return a number for each row, NaN where a column has none."""
    numbers = np.full(size, np.nan)
    if column is not None:
        rows, values = column.arrays
        numbers[rows] = values
    return numbers


def _told_apart(runs: dict[str, Labels], rows: int, name: str) -> tuple[list[str], Int[np.ndarray, " row"]]:
    """Return the names of the runs, in the order in which they begin, and which run each row belongs to."""
    names, codes = [""], np.zeros(rows, np.int64)
    for column, labels in runs.items():
        words = [f"{column}={word}" for word in labels.words]
        pairs = codes * len(words) + _filled(labels, rows)
        found, first, codes = np.unique(pairs, return_index=True, return_inverse=True)
        if len(found) > MOST_RUNS:
            raise LogError(f"It has more than {MOST_RUNS:,} runs. Say which column tells them apart with run (--run).")
        order = np.argsort(first)
        codes = np.argsort(order)[codes]
        joined = (f"{names[pair // len(words)]}, {words[pair % len(words)]}" for pair in found[order].tolist())
        names = [shown(one.removeprefix(", ")) for one in joined]
    return ([name], codes) if not runs else (names, codes)


def _filled(labels: Labels, rows: int) -> Int[np.ndarray, " row"]:
    """Return the code of each row; where a row has none, the last one before it."""
    where = np.frombuffer(labels.rows, np.int64)
    codes = np.frombuffer(labels.codes, np.int64)
    return codes[np.maximum(np.searchsorted(where, np.arange(rows), side="right") - 1, 0)]


def _by_run(
    column: Column, codes: Int[np.ndarray, " row"], runs: int
) -> list[tuple[Int[np.ndarray, " cell"], Float[np.ndarray, " cell"]]]:
    """Return the rows and the numbers of a column for each run."""
    rows, values = column.arrays
    if runs == 1:
        return [(rows, values)]
    of_cell = codes[rows]
    order = np.argsort(of_cell, kind="stable")
    cuts = np.searchsorted(of_cell[order], np.arange(1, runs))
    return list(zip(np.split(rows[order], cuts), np.split(values[order], cuts), strict=True))


def _whole(steps: Float[np.ndarray, " step"]) -> Real[np.ndarray, " step"]:
    """Return steps as whole numbers if all of them are."""
    if (np.abs(steps) < _LARGEST_WHOLE).all() and (steps == np.floor(steps)).all():
        return steps.astype(np.int64)
    return steps
