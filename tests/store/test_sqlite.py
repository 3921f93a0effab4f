"""A store in a file: what it takes, and every way in which a disk can let it down, in one sentence each."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, event

from lrscout.core.curve import Curve
from lrscout.core.errors import StoreError
from lrscout.store.sqlite import on_a_network
from lrscout.store.store import Store, open_store
from lrscout.store.study import Study
from tests.store.curves import INPUTS, curves_of, same, sound


def begin(store: Store, name: str = "study") -> Study:
    return store.begin(name, kind="sweep", inputs=INPUTS, target=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lrscout.db"


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Make small file systems of their own, where this user may."""
    folders: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"disk{len(folders)}"
        folder.mkdir()
        if (
            not shutil.which("mount")
            or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True
            ).returncode
        ):
            pytest.skip("this user may not mount a file system")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", str(folder)], check=True)


def asked(path: Path, question: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(question).fetchall()


def test_the_file_is_a_sound_database_with_a_log_for_readers(path: Path) -> None:
    with begin(open_store(path)) as study:
        study.keep(0, curves_of(0))
    assert sound(path)
    assert asked(path, "PRAGMA journal_mode") == [("wal",)]


def test_nothing_lies_around_afterwards(path: Path) -> None:
    store = open_store(path)
    with begin(store) as study:
        study.keep(0, curves_of(0))
    store.load("study").curves()
    assert os.listdir(path.parent) == ["lrscout.db"]


@pytest.mark.parametrize(
    "form", ["lrscout.db", "./lrscout.db", "sqlite:///lrscout.db", "sqlite+pysqlite:///lrscout.db"]
)
def test_the_ways_to_name_a_file(form: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    open_store(form)
    assert sound(path)


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.touch()
    with begin(open_store(path)) as study:
        assert study.was_new


def test_a_store_follows_its_file_and_not_the_working_folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    store = open_store("lrscout.db")
    monkeypatch.chdir("/")
    assert store.studies() == []


def test_a_file_by_two_names_has_one_lock(path: Path) -> None:
    store = open_store(path)
    link = path.with_name("link.db")
    link.symlink_to(path)
    with begin(store), pytest.raises(StoreError, match="Another driver"):
        begin(open_store(link))


def test_ten_thousand_curves_would_take_less_than_sixty_megabytes(path: Path) -> None:
    generator = np.random.default_rng(0)
    falling = 2.3 * np.exp(-np.arange(1000) / 200) + 0.1
    curves = [
        Curve(np.full(1000, lr), (falling * generator.lognormal(0, 0.1, 1000)).astype(np.float32).astype(float))
        for lr in np.geomspace(1e-4, 10, 500)
    ]
    with begin(open_store(path)) as study:
        for block in range(10):
            study.keep(block, curves[50 * block : 50 * block + 50])
    assert path.stat().st_size < 60e6 * 500 / 10_000


def test_deleting_makes_the_file_smaller(path: Path) -> None:
    store = open_store(path)
    empty = path.stat().st_size
    with begin(store) as study:
        study.keep(0, curves_of(0, lanes=100, steps=1000))
    full = path.stat().st_size
    assert full > empty + 300_000
    store.delete("study")
    assert path.stat().st_size < empty + 20_000
    assert sound(path)


def test_a_store_from_a_newer_version(path: Path) -> None:
    with begin(open_store(path)) as study:
        study.keep(0, curves_of(0))
    asked(path, "UPDATE lrscout_layout SET number = 2")
    before = path.read_bytes()
    with pytest.raises(
        StoreError, match=r"made by a newer lrscout: its layout is number 2, and this version reads number 1"
    ):
        open_store(path)
    assert path.read_bytes() == before


def test_a_store_that_says_no_layout(path: Path) -> None:
    open_store(path)
    asked(path, "DELETE FROM lrscout_layout")
    with pytest.raises(StoreError, match="is damaged: it says 0 numbers of its layout"):
        open_store(path)


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_text("lr,loss\n0.1,2.3\n" * 1000)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"lrscout\.db is not a SQLite database\. Name another file"):
        open_store(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["lrscout.db"]


def test_a_database_of_another_program(path: Path) -> None:
    asked(path, "CREATE TABLE studies (study_id INTEGER PRIMARY KEY)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is a database of another program"):
        open_store(path)
    assert path.read_bytes() == before


def test_a_damaged_database(path: Path) -> None:
    store = open_store(path)
    with begin(store) as study:
        study.keep(0, curves_of(0, lanes=50))
    content = bytearray(path.read_bytes())
    content[4096:-4096] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged: database disk image is malformed"):
        store.studies()


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("none/lrscout.db", r"The folder of .*none/lrscout\.db does not exist"),
        (".", "is a folder. Name a file in it"),
        ("sqlite://", "A store in memory would be gone with the process"),
        ("sqlite:///:memory:", "A store in memory would be gone with the process"),
        ("mysql://root:secret@host/db", "this URL begins with mysql://"),
        ("postgresql+asyncpg://host/db", r"begins with postgresql\+asyncpg://"),
        ("://", "cannot be read as a URL: ://"),
        ("a b://user:secret@host", r"cannot be read as a URL: a b://\.\.\."),
    ],
)
def test_places_where_no_store_can_be(
    place: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=sentence) as caught:
        open_store(place)
    assert "secret" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_reading_makes_no_store(path: Path) -> None:
    with pytest.raises(StoreError, match=r"There is no store in .*lrscout\.db"):
        open_store(path, create=False)
    assert not path.exists()
    path.touch()
    with pytest.raises(StoreError, match=r"There is no store in .*lrscout\.db"):
        open_store(path, create=False)


def fill(study: Study) -> int:
    """Keep blocks until the store refuses one, and return how many it took."""
    taken: list[int] = []

    def keep_on() -> None:
        for block in range(100):
            study.keep(block, curves_of(block, lanes=5, steps=1000))
            taken.append(block)

    with pytest.raises(StoreError, match=r"The disk that holds .* is full. What was kept is safe: make room"):
        keep_on()
    return len(taken)


def check_after(path: Path, store: Store, study: Study, kept: int) -> None:
    """Check that everything that was kept is there, and that it goes on."""
    found = study.finished()
    assert list(found) == list(range(kept))
    assert all(same(found[block], curves_of(block, lanes=5, steps=1000)) for block in found)
    assert sound(path)
    study.keep(kept, curves_of(kept))
    assert store.studies()[0].blocks == kept + 1


def test_a_full_disk(mounted: Callable[..., Path]) -> None:
    disk = mounted("size=600k")
    store = open_store(disk / "lrscout.db")
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(100_000))
    with begin(store) as study:
        kept = fill(study)
        assert kept > 2
        ballast.unlink()
        check_after(disk / "lrscout.db", store, study, kept)


def test_a_full_disk_from_the_start(mounted: Callable[..., Path]) -> None:
    disk = mounted("size=200k")
    (disk / "ballast").write_bytes(bytes(200 * 1024))
    with pytest.raises(StoreError, match="is full"):
        open_store(disk / "lrscout.db")
    (disk / "ballast").unlink()
    assert open_store(disk / "lrscout.db").studies() == []


def test_a_quota(path: Path) -> None:
    limit = "60"

    def set_limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {limit}")

    event.listen(Engine, "connect", set_limit)
    try:
        store = open_store(path)
        with begin(store) as study:
            kept = fill(study)
            assert kept > 2
            limit = "6000"
            check_after(path, store, study, kept)
    finally:
        event.remove(Engine, "connect", set_limit)


def test_a_read_only_folder(mounted: Callable[..., Path]) -> None:
    disk = mounted("size=2m")
    store = open_store(disk / "lrscout.db")
    with begin(store) as study:
        study.keep(0, curves_of(0))
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(StoreError, match="Read-only file system") as caught:
        begin(open_store(disk / "lrscout.db"))
    assert str(disk) in str(caught.value)
    with pytest.raises(StoreError, match=r"new\.db cannot be made: Read-only file system"):
        open_store(disk / "new.db")
    assert same(open_store(disk / "lrscout.db", create=False).load("study").curves(), curves_of(0))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_this_user_may_not_write_to(path: Path) -> None:
    path.parent.chmod(0o555)
    try:
        with pytest.raises(StoreError, match="cannot be made: Permission denied"):
            open_store(path)
    finally:
        path.parent.chmod(0o755)


def test_somebody_who_never_lets_go(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrscout.store.sqlite._PATIENCE", 0)
    store = open_store(path)
    with begin(store) as study, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"Another process has kept .* busy"):
            study.keep(0, curves_of(0))
        assert store.studies()[0].blocks == 0
        other.execute("COMMIT")
        study.keep(0, curves_of(0))
        assert store.studies()[0].blocks == 1


def test_a_file_that_is_taken_away_under_its_driver(path: Path) -> None:
    store = open_store(path)
    with begin(store) as study:
        path.unlink()
        with pytest.raises(StoreError, match=r"lrscout\.db cannot be opened\. Are the file and its folder there"):
            study.keep(0, curves_of(0))
        assert not path.exists()


def test_a_study_that_is_deleted_under_its_driver(path: Path) -> None:
    store = open_store(path)
    with begin(store) as study:
        asked(path, "DELETE FROM lrscout_studies")
        with pytest.raises(StoreError, match="'study' was deleted while it was under way"):
            study.keep(0, curves_of(0))


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/scratch xfs rw 0 0
server:/b /home/a\\040b nfs rw 0 0
user@host: /mnt/far fuse.sshfs rw 0 0
lustre /mnt/near fuse.lustre rw 0 0
broken
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no list of mounts")
@pytest.mark.parametrize(
    ("file", "networked"),
    [
        ("/lrscout.db", False),
        ("/home/anna/lrscout.db", True),
        ("/home/scratch/lrscout.db", False),
        ("/home/a b/c/lrscout.db", True),
        ("/homely/lrscout.db", False),
        ("/mnt/far/lrscout.db", True),
        ("/mnt/near/lrscout.db", True),
    ],
)
def test_disks_that_other_machines_use_too(file: str, networked: bool, tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert on_a_network(Path(file), mounts) == networked
    assert not on_a_network(Path(file), tmp_path / "none")


def test_a_store_on_a_network_keeps_a_journal_that_works_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrscout.store.sqlite.on_a_network", lambda path: True)
    store = open_store(path)
    with begin(store) as study:
        study.keep(0, curves_of(0))
    assert asked(path, "PRAGMA journal_mode") == [("delete",)]
    assert same(store.load("study").curves(), curves_of(0))
    store.delete("study")
    assert sound(path)
