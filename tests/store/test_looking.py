"""Who only looks at a store reads no more than it needs, and takes nothing from who writes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lrscout.core.errors import StoreError
from lrscout.store.store import Store, open_store
from tests.store.curves import INPUTS, bits, curves_of
from tests.store.postgres import postgres as postgres
from tests.store.postgres import server as server


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "lrscout.db")
    return request.getfixturevalue("postgres").url


def record_of(store: Store) -> tuple[bool, str]:
    record = store.outlines()[0]
    return record.is_being_written(), record.revision


def test_a_study_that_is_being_written_is_known_without_a_lock(url: str) -> None:
    store, looker = open_store(url), open_store(url)
    states = []
    with store.begin("digits", kind="sweep", inputs=INPUTS, target=None) as study:
        states.append(record_of(looker))
        study.keep(0, curves_of(0))
        states.append(record_of(looker))
    states.append(record_of(looker))
    with store.begin("digits", kind="sweep", inputs=INPUTS, target=None) as study:
        states.append(record_of(looker))
        study.finish({"best": 0.1})
        states.append(record_of(looker))
    assert [written for written, _ in states] == [True, True, False, True, False]
    assert len({revision for _, revision in states}) == 3


def test_looking_never_takes_the_study_from_a_driver(tmp_path: Path) -> None:
    store = open_store(tmp_path / "lrscout.db")
    with store.begin("digits", kind="sweep", inputs=INPUTS, target=None):
        record = store.outlines()[0]
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            record.is_being_written()

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(50):
            with store.begin("digits", kind="sweep", inputs=INPUTS, target=None):
                pass
    finally:
        done.set()
        for looker in lookers:
            looker.join()


def test_a_driver_that_was_killed_writes_no_more(tmp_path: Path) -> None:
    path = tmp_path / "lrscout.db"
    code = (
        "import sys, time; from lrscout.store.store import open_store; store = open_store(sys.argv[1]);"
        "study = store.begin('digits', kind='sweep', inputs={}, target=None); print('ready', flush=True);"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == b"ready\n"
        record = open_store(path).outlines()[0]
        assert record.is_being_written()
        os.kill(driver.pid, signal.SIGKILL)
    assert not record.is_being_written()
    assert any(name.endswith(".lock") for name in os.listdir(tmp_path))  # It had no time to clear it away.


def test_outlines_are_the_newest_first_and_without_results(url: str) -> None:
    store = open_store(url)
    for name in ("first", "second"):
        with store.begin(name, kind="sweep", inputs={**INPUTS, "of": name}, target="a.py:f") as study:
            study.keep(0, curves_of(0))
            study.finish({"best": 0.1})
    outlines = store.outlines()
    assert [outline.summary for outline in outlines] == store.studies()[::-1]
    assert [outline.inputs["of"] for outline in outlines] == ["second", "first"]
    assert [outline.result for outline in outlines] == [None, None]
    assert all(outline.summary.finished for outline in outlines)
    assert store.load("first").result == {"best": 0.1}


def test_only_the_blocks_that_are_asked_for_are_read(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrscout.store.records._NAMED", 2)
    store = open_store(url)
    kept = {number: curves_of(number, lanes=2) for number in (0, 1, 4, 7, 9)}
    with store.begin("digits", kind="sweep", inputs=INPUTS, target=None) as study:
        for number, curves in kept.items():
            study.keep(number, curves)
    record = store.load("digits")
    assert record.block_numbers() == list(kept)
    for wanted in ([], [4], [9, 0, 3], [0, 1, 4, 7, 9]):
        found = dict(record.blocks(wanted))
        assert list(found) == sorted(set(wanted) & set(kept))
        for number, curves in found.items():
            assert [bits(curve) for curve in curves] == [bits(curve) for curve in kept[number]]


def test_a_store_that_went_away_is_told(tmp_path: Path) -> None:
    store = open_store(tmp_path / "lrscout.db")
    with store.begin("digits", kind="sweep", inputs=INPUTS, target=None):
        record = store.outlines()[0]
    (tmp_path / "lrscout.db").unlink()
    for look in (store.outlines, record.block_numbers):
        with pytest.raises(StoreError, match="cannot be opened"):
            look()
