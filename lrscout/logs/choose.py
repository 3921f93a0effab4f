"""Which columns a run is made of: those asked for, or those whose names say so."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lrscout.core.checks import check_lr
from lrscout.core.errors import InvalidValueError, LogError
from lrscout.logs.names import PER_EPOCH, Role, listed, meaning_of, shown
from lrscout.logs.table import Column, Labels, Table

if TYPE_CHECKING:
    from jaxtyping import Int

_OPTIONS = {Role.LOSS: "loss", Role.EVALUATION: "evaluation", Role.LR: "lr", Role.STEP: "step"}


@dataclass
class Chosen:
    """The columns that a run is made of.

    Args:
        loss: the training loss.
        evaluation: the evaluation loss, if there is one.
        lr: the learning rate, or the one of the whole run, if there is one.
        step: the number of the step; None if only the order of the rows tells.
        epoch: the number of the epoch, if there is one beside the step.
        runs: the columns that tell runs apart.
        notes: in sentences, what was chosen where more than one could have been.
    """

    loss: Column
    evaluation: Column | None
    lr: Column | float | None
    step: Column | None
    epoch: Column | None
    runs: dict[str, Labels]
    notes: list[str]


def choose(table: Table) -> Chosen:
    """Choose the columns that a run is made of.

    Args:
        table: the columns of the file, and what is asked for.

    Returns:
        The columns.

    Raises:
        InvalidValueError: a column that is asked for is not there.
        LogError: no column could be the training loss, more than one could be what is looked for, or one that should
            hold numbers holds mostly text.
    """
    wanted, notes = table.wanted, list[str]()
    if table.rows == 0:
        raise LogError(f"It has a header, {listed(table.names)}, and no rows." if table.names else "It has no rows.")
    loss = _column(table, Role.LOSS, wanted.loss, notes)
    if loss is None:
        raise LogError(_without_loss(table))
    step, epoch = _steps(table, wanted.step, loss, notes)
    chosen = Chosen(
        loss=loss,
        evaluation=_column(table, Role.EVALUATION, wanted.evaluation, notes, taken=loss),
        lr=_lr(table, wanted.lr, notes),
        step=step,
        epoch=epoch,
        runs=_runs(table),
        notes=notes,
    )
    for column in (chosen.loss, chosen.evaluation, chosen.lr, chosen.step):
        if isinstance(column, Column):
            _check_numbers(table, column, notes)
    return chosen


def _column(
    table: Table, role: Role, asked: str | None, notes: list[str], taken: Column | None = None
) -> Column | None:
    if asked is not None:
        return _asked(table, role, asked)
    ranks = {name: rank for name in table.columns if (rank := _rank(name, role)) is not None}
    ranks = {name: rank for name, rank in ranks.items() if table.columns[name] is not taken and _speaks(table, name)}
    several = {name for name in ranks if len(table.columns[name].rows) > 1}
    # A single number beside a column of many is a summary of the run, such as the mean that a Trainer ends with.
    candidates = {name: rank for name, rank in ranks.items() if name in several or not several}
    best = [name for name, rank in candidates.items() if rank == min(candidates.values())]
    if role is Role.LR:
        best = _first_group(best, notes)
    if len(best) > 1:
        raise LogError(
            f"More than one column could be the {role}: {listed(best)}. Say which with {_OPTIONS[role]}, such as "
            f"--{_OPTIONS[role]} {_quoted(best[0])}."
        )
    if best and len(candidates) > 1 and role is not Role.LR:
        others = [name for name in candidates if name not in best]
        notes.append(
            f"The {role} is {shown(best[0])}; there {'is' if len(others) == 1 else 'are'} {listed(others)} too."
        )
    return table.columns[best[0]] if best else None


def _asked(table: Table, role: Role, name: str) -> Column:
    if name in table.columns:
        return table.columns[name]
    raise InvalidValueError(
        f"There is no column {shown(name)!r} for the {role}. The columns are {listed(table.names) or 'none'}."
    )


def _rank(name: str, role: Role) -> int | None:
    meaning = meaning_of(name)
    return meaning.rank if meaning is not None and meaning.role is role else None


def _speaks(table: Table, name: str) -> bool:
    """Return whether a column holds anything at all; loggers also write headers of what was never logged."""
    column = table.columns[name]
    return len(column.rows) > 0 or column.texts > 0


def _first_group(names: list[str], notes: list[str]) -> list[str]:
    """Return the first of the parameter groups of one optimizer, whose names differ in a number alone."""
    if len(names) < 2 or len({re.sub(r"\d+", "", name) for name in names}) > 1:
        return names
    first = min(names, key=lambda name: [int(number[-18:]) for number in re.findall(r"[0-9]+", name)])
    notes.append(f"The learning rate is {shown(first)}, that of the first of {len(names)} parameter groups.")
    return [first]


def _lr(table: Table, asked: str | float | None, notes: list[str]) -> Column | float | None:
    if isinstance(asked, str) and asked not in table.columns:
        with suppress(ValueError):
            asked = float(asked)
    if asked is None or isinstance(asked, str):
        return _column(table, Role.LR, asked, notes)
    return check_lr("lr", asked)


def _steps(table: Table, asked: str | None, loss: Column, notes: list[str]) -> tuple[Column | None, Column | None]:
    """Return the column of steps and, if that does not count epochs, the one that does."""
    rows = loss.arrays[0]
    ranks = {name: rank for name in table.columns if (rank := _rank(name, Role.STEP)) is not None}
    ranks = {name: rank for name, rank in ranks.items() if _covers(table.columns[name], rows)}
    epochs = [table.columns[name] for name, rank in ranks.items() if rank == PER_EPOCH]
    if asked is not None:
        step = _asked(table, Role.STEP, asked)
        return step, epochs[0] if len(epochs) == 1 and epochs[0] is not step else None
    best = [name for name, rank in ranks.items() if rank == min(ranks.values())]
    if len(best) > 1:
        raise LogError(
            f"More than one column could be the step: {listed(best)}. Say which with step, such as --step "
            f"{_quoted(best[0])}."
        )
    if not best:
        return None, None
    if ranks[best[0]] < PER_EPOCH:
        return table.columns[best[0]], epochs[0] if len(epochs) == 1 else None
    rows, values = epochs[0].arrays
    of_losses = values[np.isin(rows, loss.arrays[0])]
    if len(of_losses) > 1 and np.mean(np.diff(of_losses) == 0) > 0.5:
        notes.append(f"{shown(best[0])} stays the same over many rows, so the order of the rows counts as the steps.")
        return None, None
    return epochs[0], None


def _covers(column: Column, rows: Int[np.ndarray, " row"]) -> bool:
    """Return whether a column has numbers in at least half of some rows."""
    return bool(2 * np.isin(rows, column.arrays[0]).sum() >= max(1, len(rows)))


def _runs(table: Table) -> dict[str, Labels]:
    if table.wanted.run in table.labels:
        return {table.wanted.run: table.labels[table.wanted.run]}
    return {name: labels for name, labels in table.labels.items() if len(labels.words) > 1}


def _check_numbers(table: Table, column: Column, notes: list[str]) -> None:
    name = shown(table.name_of(column))
    if column.texts > len(column.rows):
        raise LogError(f"Most of {name} is not numbers, such as {column.example}.")
    if column.texts:
        left_out = (
            "cell is no number and was left out:"
            if column.texts == 1
            else "cells are no numbers and were left out, first"
        )
        notes.append(f"In {name} {column.texts:,} {left_out} {column.example}.")


def _without_loss(table: Table) -> str:
    empty = [name for name, column in table.columns.items() if _rank(name, Role.LOSS) is not None and not column.rows]
    if empty:
        return f"There are no numbers in the column of the training loss, {listed(empty)}."
    told = "Its columns are" if len(table.names) > 1 else "Its only column is"
    if not table.names:
        return "It has no columns of numbers."
    return (
        f"No column could be the training loss by its name. {told} {listed(table.names)}. Say which it is with loss, "
        "such as --loss COLUMN."
    )


def _quoted(name: str) -> str:
    return f"'{shown(name)}'" if re.search(r"[^\w/.-]", name) else shown(name)
