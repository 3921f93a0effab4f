"""A driver that is killed loses no block that it kept, leaves a sound database, and leaves nobody locked out."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lrscout.core.errors import StoreError
from lrscout.store.store import open_store
from tests.store.curves import INPUTS, curves_of, same, sound
from tests.store.driver import LANES, STEPS
from tests.store.postgres import Server
from tests.store.postgres import postgres as postgres
from tests.store.postgres import server as server

ROOT = Path(__file__).parent.parent.parent


def start(url: str, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.store.driver", url, *options]
    driver = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    assert driver.stdout.readline() == "begun\n"
    return driver


def kill(driver: subprocess.Popen) -> list[int]:
    """Kill a driver and return the blocks that it said it had kept since it began."""
    driver.kill()
    said, _ = driver.communicate()
    return [int(line) for line in said.splitlines(keepends=True) if line.endswith("\n")]


def kill_again_and_again(url: str, kills: int, check: Callable[[], object]) -> None:
    chance = random.Random(0)
    said: set[int] = set()
    for _ in range(kills):
        driver = start(url)
        assert driver.stdout is not None
        said.update(int(driver.stdout.readline()) for _ in range(2))
        time.sleep(chance.uniform(0, 0.05))  # Somewhere among the commits; where does not matter.
        said.update(kill(driver))
        check()
        with open_store(url).begin("study", kind="sweep", inputs=INPUTS, target="digits.py:make") as study:
            found = study.finished()
        assert said <= set(found)
        assert list(found) == list(range(len(found)))
        assert len(found) <= len(said) + kills  # At most the block under way beside those that were told.
        assert all(same(found[block], curves_of(block, LANES, STEPS)) for block in found)
    assert len(said) >= 2 * kills


def test_a_driver_on_sqlite_is_killed_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "lrscout.db"
    kill_again_and_again(f"sqlite:///{path}", 10, lambda: sound(path) or pytest.fail("the database is damaged"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["lrscout.db"]


def test_a_driver_on_postgresql_is_killed_at_any_moment(postgres: Server) -> None:
    kill_again_and_again(postgres.url, 4, lambda: None)


def test_the_lock_goes_with_the_driver(tmp_path: Path) -> None:
    path = tmp_path / "lrscout.db"
    driver = start(f"sqlite:///{path}")
    with pytest.raises(StoreError, match=f"Another driver, process {driver.pid} on "):
        open_store(path).begin("study", kind="sweep", inputs=INPUTS, target="digits.py:make")
    kill(driver)
    with open_store(path).begin("study", kind="sweep", inputs=INPUTS, target="digits.py:make") as study:
        assert not study.was_new


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_child_that_outlives_the_driver_does_not_hold_the_lock(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'lrscout.db'}" if kind == "sqlite" else request.getfixturevalue("postgres").url
    driver = start(url, "--leave-a-child")
    assert driver.stdin is not None
    assert driver.stdout is not None
    driver.kill()
    driver.wait()
    try:
        with open_store(url).begin("study", kind="sweep", inputs=INPUTS, target="digits.py:make") as study:
            assert not study.was_new
    finally:
        driver.stdin.close()  # And the child ends.
        driver.stdout.close()
