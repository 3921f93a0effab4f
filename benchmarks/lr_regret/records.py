"""Judged picks on disk: one compressed file for each task, with the rows of every finder."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.lr_regret.judge import COLUMNS, Row
from benchmarks.lr_regret.oracle import RESULTS as ORACLES

RESULTS = Path(__file__).parents[1] / "results" / "lr_regret"
PICKS = RESULTS / "picks"


def oracle_path(task: str) -> Path:
    """Return the file of a task's oracle."""
    return ORACLES / f"{task}.json.gz"


def load(task: str) -> list[Row]:
    """Return the rows of a task, of every finder."""
    columns = _columns()
    rows: list[Row] = []
    for finder, entries in _read(task).items():
        for entry in entries:
            rows.append(Row(finder=finder, task=task, **dict(zip(columns, map(_number, entry), strict=True))))
    return rows


def finders_of(task: str) -> set[str]:
    """Return the finders whose rows are there."""
    return set(_read(task))


def keep(task: str, rows: Iterable[Row]) -> None:
    """Add rows of a task to its file; those of the same finders that were there are replaced."""
    fresh: dict[str, list[Sequence[Any]]] = {}
    for row in rows:
        assert row.task == task
        fresh.setdefault(row.finder, []).append([_told(getattr(row, column)) for column in _columns()])
    PICKS.mkdir(parents=True, exist_ok=True)
    with _path(task).open("ab") as file:  # Opened only to be locked: another finder may be writing its own rows.
        fcntl.flock(file, fcntl.LOCK_EX)
        record = {"task": task, "oracle": _digest(task), "columns": _columns(), "finders": {**_read(task), **fresh}}
        text = json.dumps(record, separators=(",", ":"), allow_nan=False)
        _path(task).write_bytes(gzip.compress(text.encode(), mtime=0))


def _read(task: str) -> dict[str, list[Sequence[Any]]]:
    path = _path(task)
    if not path.exists() or not path.stat().st_size:
        return {}
    record = json.loads(gzip.decompress(path.read_bytes()))
    if record["oracle"] != _digest(task):
        return {}  # The task has changed, and was given another oracle.
    if record["columns"] != _columns():
        raise ValueError(
            f"{path} was written by another version of the benchmark, with the columns {record['columns']}."
        )
    return record["finders"]


def _path(task: str) -> Path:
    return PICKS / f"{task}.json.gz"


def _digest(task: str) -> str:
    return hashlib.sha256(oracle_path(task).read_bytes()).hexdigest()[:16]


def _columns() -> list[str]:
    return [column for column in COLUMNS if column not in ("finder", "task")]


def _told(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else "inf"
    return value


def _number(value: Any) -> Any:
    return math.inf if value == "inf" else value
