"""Log files as they are written by hand in the tests."""

from __future__ import annotations

from pathlib import Path

from lrscout.logs.log import Log
from lrscout.logs.read import read_log


def write(folder: Path, content: str | bytes, name: str = "log") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read_one(path: Path, **options) -> Log:
    (log,) = read_log(path, **options)
    return log


def pairs(log: Log) -> list[tuple[float, float]]:
    return list(zip(log.steps.tolist(), log.losses.tolist(), strict=True))


def evaluation_pairs(log: Log) -> list[tuple[float, float]]:
    return list(zip(log.evaluated_at.tolist(), log.evaluations.tolist(), strict=True))
