"""Files that are no logs, or broken ones, each written by a function of a folder that returns its path."""

from __future__ import annotations

import gzip
import json
import os
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from tests.logs.written import write

GOOD = "step,loss\n" + "".join(f"{step},{0.9**step}\n" for step in range(20))


def events(steps: int = 20, picture_at: int | None = None, size: int = 0) -> bytes:
    """An event file, by TensorBoard's own writer of records, with a picture of some bytes before one of the steps."""
    file = BytesIO()
    writer = RecordWriter(file)
    writer.write(Event(file_version="brain.Event:2").SerializeToString())
    for step in range(steps):
        if step == picture_at:
            image = Summary.Image(encoded_image_string=bytes(size))
            writer.write(Event(step=step, summary=Summary(value=[Summary.Value(image=image)])).SerializeToString())
        value = Summary.Value(tag="loss", simple_value=0.5**step)
        writer.write(Event(step=step, summary=Summary(value=[value])).SerializeToString())
    return file.getvalue()


def bomb() -> bytes:
    """A zip archive that unpacks to a hundred times its size and more."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("log.csv", b"0" * 10_000_000)
    return file.getvalue()


def sparse(folder: Path, size: int, beginning: bytes = b"") -> Path:
    path = write(folder, beginning, "log.csv")
    os.truncate(path, size)
    return path


def long_line(folder: Path) -> Path:
    """A file whose second line is half a gigabyte long, of which only the edges are on the disk."""
    path = sparse(folder, 500 << 20, b"step,loss\n0,1")
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        file.write(b"\n")
    return path


def looping_link(folder: Path) -> Path:
    (folder / "a").symlink_to(folder / "b")
    (folder / "b").symlink_to(folder / "a")
    return folder / "a"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def folder_of(folder: Path, *names: str) -> Path:
    for name in names:
        write(folder, GOOD, name)
    return folder


def wrong_length() -> bytes:
    return struct.pack("<Q", 1 << 60) + events()[8:]


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]


def table(rows: list[str]) -> str:
    return "step,loss\n" + "".join(f"{row}\n" for row in rows)


TEXTS: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "empty"),
    "one byte": ("x", "no rows"),
    "one zero byte": (b"\0", "binary"),
    "only space": (" \n\t\n", "nothing but space"),
    "only comments": ("# a\n# b\n", "no rows"),
    "only a header": ("step,loss\n", "no rows"),
    "binary": (bytes(range(256)) * 40, "binary"),
    "a PNG": (b"\x89PNG\r\n\x1a\n" + bytes(50), "PNG picture"),
    "gzip": (gzip.compress(GOOD.encode()), "unpack it first"),
    "a zip bomb": (bomb(), "zip archive"),
    "a pickle": (b"\x80\x04\x95" + bytes(30), "pickle"),
    "zero bytes in the middle": (GOOD.encode() * 9000 + bytes(5000) + GOOD.encode(), "zero bytes"),
    "UTF-16 that is cut": (GOOD.encode("utf-16")[:-1], "ends in the middle"),
    "UTF-16 that is none": (b"\xff\xfe" + b"\x00\xdc" * 100, "bytes that are not"),
    "prose": ("It was a dark and stormy night.\nThe rain fell in torrents.\n", "Say which"),
    "prose in Latin-1": ("Es läuft\nund läuft\n".encode("latin-1"), "Say which"),
    "missing columns": ("a,b\n1,2\n2,3\n", "Its columns are a and b"),
    "only an evaluation": ("step,val_loss\n1,2\n2,3\n", "Its columns are step and val_loss"),
    "duplicate columns": ("step,loss,loss\n1,2,3\n", "loss (2) and loss (3)"),
    "several losses": ("step,loss,train_loss\n1,2,3\n2,3,4\n", "loss and train_loss"),
    "several steps": ("step,steps,loss\n1,2,3\n2,3,4\n", "could be the step"),
    "parts of a loss": ("step,box_loss,class_loss\n1,2,3\n2,3,4\n", "box_loss and class_loss"),
    "mixed separators": ("step,loss\n0;1\n1;2\n2,3\n", "in two ways"),
    "mixed decimals": ("step;loss\n0;0,5\n1;0.5\n", "decimal comma"),
    "rows of other lengths": (table(["1,2,3", "4", "5,6,7,8", "9,10"]), "do not have 2 cells"),
    "text in numbers": (table(["0,good", "1,bad", "2,0.5"]), "'good' in row 1"),
    "underscores": (table(["0,1_000", "1,1_001"]), "'1_000'"),
    "digits of another script": (table(["0,١٢٣", "1,١٢٤"]), "'١٢٣'"),
    "no losses": (table(["0,", "1,"]), "no numbers in"),
    "steps that are none": (table(["inf,1", "nan,2"]), "number of its step"),
    "a number of many digits": ("step,loss\n0," + "1" * 3_000_000 + "\n", "longer than"),
    "a cell of many characters": ('step,loss\n0,"' + "1" * 200_000 + '"\n', "field"),
    "many columns": (",".join(f"c{index}" for index in range(100_000)), "100,000 columns"),
    "many losses": (
        ",".join(f"loss{index}" for index in range(9_000)) + "\n" + ",1" * 9_000,
        "do not have 9,000 cells",
    ),
    "truncated JSON": ('{"loss": [1, 2', "ends too early"),
    "a truncated array": ('[{"loss": 1}, {"lo', "a value"),
    "deeply nested arrays": ("[" * 1_000_000, "brackets"),
    "deeply nested objects": ('{"a":' * 1_000_000, "open at once"),
    "a deeply nested row": ('{"loss": 1, "x": ' + "[" * 40 + "]" * 40 + "}\n", "brackets"),
    "JSON with a key twice": ('{"loss": 1, "loss": 2}\n{"loss": 3}', "'loss' twice"),
    "lists with a key twice": ('{"loss": [1, 2], "loss": [3, 4]}', "twice"),
    "an array of numbers": ("[1, 2, 3]", "must hold objects"),
    "an array and more": ('[{"loss": 1}] true', "nothing more"),
    "an empty array": ("[]", "no rows"),
    "an empty object": ("{}", "no columns"),
    "an object without lists": ('{"a": {"b": 1}}', "no rows"),
    "objects in place of numbers": ('{"loss": [{}, []]}', "not numbers"),
    "lines that are no JSON": ('{"loss": 1}\n' + "loss\n" * 9, "no JSON objects"),
    "a JSON value of many characters": ('{"loss": "' + "x" * 3_000_000 + '"}', "characters"),
    "broken JSON": ('{"loss": [1, 2, x]}', "It is not JSON"),
    "JSON without quotation marks": ("{loss: [1, 2]}", "a key"),
    "many runs": ("run,loss\n" + "".join(f"{run},1\n" for run in range(1100)), "more than 1,000"),
    "many keys": ("".join(f'{{"key{key}": 1}}\n' for key in range(10_001)), "more than 10,000 columns"),
}
"""The content of files, and a part of what is said of them."""

EVENTS: dict[str, tuple[bytes, str]] = {
    "no first record": (events()[:9], "ends in the middle of record 1"),
    "no scalars": (events(0), "no rows"),
    "a wrong length": (wrong_length(), "corrupted after 0 records"),
    "a flipped bit at the beginning": (flipped(events(), 14), "corrupted after 0 records"),
    "text": (GOOD.encode(), "corrupted after 0 records"),
    "noise": (np.random.default_rng(0).bytes(5000), "corrupted after 0 records"),
    "empty": (b"", "empty"),
}

PLACES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a missing file": (lambda folder: folder / "none.csv", "No such file"),
    "a folder": (lambda folder: folder_of(folder, "metrics.csv"), "Give a file in it, such as metrics.csv"),
    "an empty folder": (folder_of, "without event files"),
    "a loop of links": (looping_link, "symbolic links"),
    "a pipe": (pipe, "a pipe or a device"),
    "an endless device": (lambda _: Path("/dev/zero"), "a pipe or a device"),
    "a name that is too long": (lambda folder: folder / ("x" * 5000), "File name too long"),
    "a sparse file of 2 GB": (lambda folder: sparse(folder, 2 << 30), "binary"),
    "a sparse file above the limit": (lambda folder: sparse(folder, (2 << 30) + 1, GOOD.encode()), "larger than 2 GiB"),
    "a log that goes on with 2 GB of zeros": (
        lambda folder: sparse(folder, 2 << 30, GOOD.encode() * 900),
        "zero bytes",
    ),
    "a line of 500 MB": (long_line, "binary"),
}


def written(name: str, folder: Path) -> tuple[Path, str]:
    """Write the malformed file of a name, and return where it is and a part of what is said of it."""
    if name in PLACES:
        make, part = PLACES[name]
        return make(folder), part
    if name.startswith("events: "):
        content, part = EVENTS[name.removeprefix("events: ")]
        return write(folder, content, "events.out.tfevents.1"), part
    content, part = TEXTS[name]
    return write(folder, content, "log.csv"), part


NAMES = [*TEXTS, *(f"events: {name}" for name in EVENTS), *PLACES]


def array_of_rows(rows: int) -> str:
    return json.dumps([{"step": step, "loss": 0.5} for step in range(rows)])
