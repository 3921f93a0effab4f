"""Downloads of a study: written into a private folder that is gone before the first byte is sent."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from starlette.responses import Response, StreamingResponse

from lrscout.app.answers import RefusedError
from lrscout.app.shelf import Shelf
from lrscout.core.errors import MissingDependencyError
from lrscout.core.result import jsonable
from lrscout.store.export import export
from lrscout.store.tables import ARRAYS

if TYPE_CHECKING:
    from lrscout.core.curve import Curve
    from lrscout.store.records import StudyRecord

_log = logging.getLogger("lrscout.app")

FORMATS = ("csv", "json", "npz", "parquet")

_KINDS = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "npz": "application/octet-stream",
    "parquet": "application/vnd.apache.parquet",
}
_PIECE = 1 << 18
_LONGEST_NAME = 80


def download(shelf: Shelf, name: str, format: str) -> Response:
    """Return every curve of a study as a file.

    Args:
        shelf: the store.
        name: the name of the study.
        format: one of `FORMATS`.

    Raises:
        RefusedError: there is no such study, or the library that writes the format is not installed.
    """
    record = shelf.study(name)
    with shelf.explained(), TemporaryDirectory(ignore_cleanup_errors=sys.platform == "win32") as folder:
        path = Path(folder, f"curves.{format}")
        try:
            _write(shelf, record, path, format)
        except MissingDependencyError as error:
            raise RefusedError(422, str(error)) from error
        except OSError as error:
            _log.warning("%s", error)
            raise RefusedError(422, "The file could not be made; why is in the terminal of lrscout ui.") from error
        # Open, it can be read to its end, though the folder and its name are gone when this block ends.
        file = path.open("rb")
    disposition = f'attachment; filename="{file_name(name)}.{format}"'
    return StreamingResponse(_pieces(file), media_type=_KINDS[format], headers={"Content-Disposition": disposition})


def file_name(study: str) -> str:
    """Return the name of a study as that of a file, on any system and in any header.

    >>> file_name('my "first"\\r\\nsweep')
    'my-first-sweep'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", study).strip("-.")[:_LONGEST_NAME] or "study"


def _write(shelf: Shelf, record: StudyRecord, path: Path, format: str) -> None:
    own = {"json": _write_json, "npz": _write_npz}
    if format in own:
        own[format](record, path)
    else:
        export(shelf.opened, record.summary.name, path, format=format)


def _write_json(record: StudyRecord, path: Path) -> None:
    """Write a study as one object, curve by curve, so that it need not fit into memory."""
    told = {
        "study": record.summary.name,
        "kind": record.summary.kind,
        "target": record.summary.target,
        "created": record.summary.created.isoformat(),
        "inputs": record.inputs,
        "versions": record.versions,
        "result": record.result,
    }
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(jsonable(told), allow_nan=False)[:-1] + ', "curves": [')
        for number, (block, curve) in enumerate(_curves(record)):
            row = {"block": block, "seed": curve.seed, "stopped": str(curve.stopped)}
            arrays = {name: getattr(curve, name) for name in ARRAYS}
            file.write((",\n" if number else "\n") + json.dumps(jsonable(row | arrays), allow_nan=False))
        file.write("\n]}\n")


def _write_npz(record: StudyRecord, path: Path) -> None:
    """Write a study as arrays: all curves one after another, and how long each is."""
    curves = list(_curves(record))
    counts: dict[str, Callable[[int, Curve], Any]] = {
        "block": lambda block, curve: block,
        "seed": lambda block, curve: curve.seed,
        "steps": lambda block, curve: curve.steps,
        "evaluations_of_curve": lambda block, curve: len(curve.evaluations),
    }
    arrays: dict[str, Any] = {
        name: np.array([count(block, curve) for block, curve in curves], np.int64) for name, count in counts.items()
    }
    for name in ARRAYS:
        arrays[name] = np.concatenate([getattr(curve, name) for _, curve in curves] or [np.zeros(0)])
    np.savez_compressed(path, allow_pickle=False, **arrays)


def _curves(record: StudyRecord) -> Iterator[tuple[int, Curve]]:
    return ((block, curve) for block, curves in record.blocks() for curve in curves)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE):
            yield piece
