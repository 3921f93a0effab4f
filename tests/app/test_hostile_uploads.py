"""Files that are no logs, or that would harm who takes them for logs, get a sentence and nothing else."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tests.app.hostile import BINARY, SCRIPT, check_harmless, check_refused
from tests.app.hostile import folder as folder
from tests.app.hostile import open_client as open_client


def zipped(size: int) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("losses.npy", bytes(size))
    return content.getvalue()


def npz() -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, loss=np.zeros(10_000_000))
    return content.getvalue()


def parquet() -> bytes:
    arrow, writer = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    content = io.BytesIO()
    writer.write_table(arrow.table({"loss": np.zeros(5_000_000)}), content, compression="zstd")
    return content.getvalue()


EVENT = b"\x18\x00\x00\x00\x00\x00\x00\x00\xa3\x7fK\x22\x09\x00\x00\xc0brain.Event:"
READABLE, UNREADABLE = True, False
UPLOADS = {
    "nothing": (b"", UNREADABLE),
    "space": (b" \n\t" * 1000, UNREADABLE),
    "zeros": (bytes(100_000), UNREADABLE),
    "a zip bomb": (zipped(200_000_000), UNREADABLE),
    "a gzip bomb": (gzip.compress(bytes(100_000_000)), UNREADABLE),
    "a program": (b"\x7fELF" + bytes(range(256)) * 100, UNREADABLE),
    "a pickle": (b"\x80\x04\x95" + b"cos\nsystem\n(S'true'\ntR.", UNREADABLE),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(1000), UNREADABLE),
    "random bytes": (np.random.default_rng(0).bytes(100_000), UNREADABLE),
    "a page": (b"<!doctype html><script>alert(1)</script>", UNREADABLE),
    "xml with entities": (b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>', UNREADABLE),
    "deep arrays": (b"[" * 1_000_000, UNREADABLE),
    "deep objects": (b'{"a":' * 1_000_000, UNREADABLE),
    "deep lists in rows": (b'{"loss": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", UNREADABLE),
    "a long line": (b"loss\n" + b"1" * (7 << 20), UNREADABLE),
    "many columns": (b",".join(b"c%d" % number for number in range(200_000)) + b"\n", UNREADABLE),
    "many runs": (b"run,loss\n" + b"".join(b"r%d,1\n" % number for number in range(5000)), UNREADABLE),
    "many commas": (b"loss" + b"," * (4 << 20) + b"\n1", UNREADABLE),
    "a huge number": (b"loss\n" + b"9" * 5000 + b"\n1\n2\n", READABLE),
    "a huge exponent": (b'{"loss": 1e999999999}\n{"loss": 1}\n{"loss": 2}\n', READABLE),
    "only nan": (b"loss\nnan\nnan\nnan\n", READABLE),
    "infinite losses": (b"loss\n1\n2\n-inf\ninf\n", READABLE),
    "one loss": (b"loss\n1\n", UNREADABLE),
    "words": (b"step,loss\n0,much\n1,more\n", UNREADABLE),
    "formulas": (b"step,loss,=cmd|' /C calc'!A1\n0,=1+1,=2\n1,1,2\n2,0.5,3\n3,0.4,2\n", READABLE),
    "script in a column": (f"step,loss {SCRIPT}\n0,1\n1,2\n".encode(), READABLE),
    "script in a run": (f"run,loss\n{SCRIPT},1\n{SCRIPT},2\n{SCRIPT},4\n".encode(), READABLE),
    "no loss but script": (f"{SCRIPT},b\n1,2\n2,3\n".encode(), UNREADABLE),
    "an event file without an end": (EVENT, UNREADABLE),
    "an event file of lies": (b"\xff" * 8 + EVENT[8:] + bytes(1000), UNREADABLE),
    "utf-16 cut short": ("loss\n1\n2".encode("utf-16") + b"\x00", UNREADABLE),
    "steps beyond all": (b"step,loss\n1e308,1\n-1e308,2\n0,3\nnan,1\n", READABLE),
    "a rate below zero": (b"loss,lr\n1,-1\n2,-1\n3,-1\n", UNREADABLE),
    "a trainer's state of nothing": (b'{"log_history": [[]]}', UNREADABLE),
    "the same step": (b"step,loss\n" + b"0,1\n" * 100_000, UNREADABLE),
    "keys again and again": (b"{" + b'"loss": [1, 2],' * 1000 + b'"loss": [2, 1]}', UNREADABLE),
}


@pytest.mark.parametrize("kind", UPLOADS)
def test_a_log_that_is_none(open_client: TestClient, folder: Path, kind: str) -> None:
    content, readable = UPLOADS[kind]
    found = open_client.post("/api/diagnose?name=m.csv", content=content, headers=BINARY)
    if readable:
        check_harmless(found, folder, 200)
        assert "error" not in found.json()
    else:
        check_refused(found, folder)
    assert "/tmp" not in found.text
    assert "<" not in found.text


@pytest.mark.parametrize("make", [npz, parquet])
def test_files_that_unfold_are_not_unfolded(open_client: TestClient, folder: Path, make: Any) -> None:
    found = open_client.post("/api/diagnose?name=m", content=make(), headers=BINARY)
    check_refused(found, folder)


@pytest.mark.parametrize(
    "query",
    [
        {"name": "../../secret.txt"},
        {"name": "/etc/passwd"},
        {"name": SCRIPT},
        {"name": "events.tfevents.1"},
        {"loss": "../../secret.txt"},
        {"loss": SCRIPT},
        {"run": SCRIPT},
        {"lr": "nan"},
        {"lr": "-1"},
        {"lr": "__import__('os')"},
        {"run": "\0"},
        {"name": "x" * 201},
    ],
    ids=str,
)
def test_a_log_with_forged_words(open_client: TestClient, folder: Path, query: dict[str, str]) -> None:
    found = open_client.post("/api/diagnose", params=query, content=b"loss\n3\n2\n1\n", headers=BINARY)
    value = next(iter(query.values()))
    if "name" in query and len(value) < 200:
        check_harmless(found, folder, 200)
        assert "error" not in found.json()
    elif value in ("\0", "x" * 201):
        check_harmless(found, folder, 400)
    else:
        check_refused(found, folder)


@pytest.mark.parametrize(
    "kind", ["text/plain", "text/csv", "multipart/form-data; boundary=x", "application/json", "", "text/html"]
)
def test_a_file_of_another_kind(open_client: TestClient, folder: Path, kind: str) -> None:
    found = open_client.post("/api/diagnose", content=b"loss\n1\n2\n", headers={"Content-Type": kind})
    check_harmless(found, folder, 415)


@pytest.mark.parametrize("length", [str(1 << 30), "9" * 5000, "1e3", "-1", "0x10", "\u0663".encode().decode("latin-1")])
def test_a_length_that_is_a_lie(open_client: TestClient, folder: Path, length: str) -> None:
    headers = BINARY | {"Content-Length": length.encode("latin-1")}
    found = open_client.post("/api/diagnose", content=b"loss\n1\n2\n", headers=headers)
    check_harmless(found, folder, 413 if length.isdigit() and length.isascii() else 400)


def test_a_file_that_is_too_large(open_client: TestClient, folder: Path) -> None:
    check_harmless(open_client.post("/api/diagnose", content=b"1\n" * (5 << 20), headers=BINARY), folder, 413)


numbers = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-(10**20), 10**20)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(numbers, numbers, numbers), max_size=40))
def test_any_numbers_in_a_log(open_client: TestClient, rows: list[tuple[float, float, float]]) -> None:
    content = "step,loss,lr\n" + "\n".join(f"{step},{loss},{lr}" for step, loss, lr in rows)
    found = open_client.post("/api/diagnose", content=content.encode(), headers=BINARY)
    assert found.status_code == 200, found.text
    json.loads(found.text, parse_constant=pytest.fail)
