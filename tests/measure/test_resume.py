"""A sweep that is killed and continued gives the map of one that was not."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import lrscout
from lrscout.core.errors import InvalidValueError, StoreError
from lrscout.runners import FleetRunner
from lrscout.store.store import open_store
from tests.measure.sweeper import LRS, SEEDS, noisy, swept
from tests.store.curves import sound
from tests.store.postgres import Server
from tests.store.postgres import postgres as postgres
from tests.store.postgres import server as server

ROOT = Path(__file__).parents[2]
KILLS = 20


def in_its_own_process(url: str) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.measure.sweeper", url], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def equal(left: lrscout.LRMap, right: lrscout.LRMap) -> bool:
    pairs = [
        (one, other)
        for runs, others in zip(left.curves, right.curves, strict=True)
        for (one,), (other,) in zip(runs, others, strict=True)
    ]
    return (
        all(
            one.losses.tobytes() == other.losses.tobytes()
            and one.lrs.tobytes() == other.lrs.tobytes()
            and one.evaluations.tobytes() == other.evaluations.tobytes()
            and one.evaluated_at.tolist() == other.evaluated_at.tolist()
            and (one.stopped, one.seed) == (other.stopped, other.seed)
            for one, other in pairs
        )
        and (left.loss == right.loss).all()
    )


def killed_and_continued(urls: list[str], check=lambda: None) -> list[int]:
    """Kill a sweep at a random moment for each store, continue it, and return how many blocks it had come to."""
    expected = swept(None)
    first = in_its_own_process(urls[0] + ".whole" if urls[0].endswith("db") else urls[0])
    began = time.perf_counter()
    first.communicate()
    seconds = time.perf_counter() - began
    chance = random.Random(0)
    blocks = []
    for url in urls:
        if not url.endswith("db"):
            store = open_store(url)
            for summary in store.studies():
                store.delete(summary.name)
        process = in_its_own_process(url)
        time.sleep(chance.uniform(0, seconds))  # The moment is random on purpose; no assertion depends on it.
        process.kill()
        process.communicate()
        check()
        known = [summary.blocks for summary in open_store(url).studies()]
        blocks.append(sum(known))
        assert equal(swept(url), expected)
    return blocks


def test_a_sweep_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.db" for number in range(KILLS)]

    def check() -> None:
        assert all(sound(path) for path in paths if path.exists())

    blocks = killed_and_continued([f"sqlite:///{path}" for path in paths], check)
    assert any(0 < number < len(LRS) * SEEDS for number in blocks)


def test_a_sweep_that_is_killed_goes_on_where_it_was_on_postgresql(postgres: Server) -> None:
    blocks = killed_and_continued([postgres.url] * 5)
    assert max(blocks) > 0


def test_a_finished_study_is_read_and_not_run_again(tmp_path: Path, monkeypatch) -> None:
    first = swept(f"sqlite:///{tmp_path / 'lrscout.db'}")
    monkeypatch.setattr(FleetRunner, "run", lambda self, source, blocks, bar: iter(blocks))  # Which must be none.
    again = swept(f"sqlite:///{tmp_path / 'lrscout.db'}")
    assert equal(again, first)
    assert again.study == "killed"
    assert open_store(tmp_path / "lrscout.db").load("killed").result["loss"] == first.to_dict()["loss"]


def test_a_study_keeps_its_inputs(tmp_path: Path) -> None:
    place = tmp_path / "lrscout.db"
    lrscout.sweep(noisy, LRS, 50, store=place, study="one")
    with pytest.raises(InvalidValueError, match="lrs"):
        lrscout.sweep(noisy, LRS[:3], 50, store=place, study="one")
    with pytest.raises(InvalidValueError, match="schedule"):
        lrscout.sweep(noisy, LRS, 50, store=place, study="one", schedule="linear", checkpoints=[10])


def test_a_finished_study_tells_how_it_was_made(tmp_path: Path) -> None:
    place = tmp_path / "lrscout.db"
    first = lrscout.sweep(noisy, LRS, 50, store=place, study="one", runner="fleet")
    again = lrscout.sweep(noisy, LRS, 50, store=place, study="one", runner="serial")
    assert (again.runner, again.notes, again.cost) == (first.runner, first.notes, first.cost)


def with_curvature(curvature: float):
    position = [1.0]

    def step(lr: float) -> float:
        loss = curvature * position[0] ** 2
        position[0] -= 2 * lr * curvature * position[0]
        return loss

    restore = lambda copy: position.__setitem__(0, copy[0])  # noqa: E731
    return lrscout.from_functions(step, position.copy, restore, lambda: curvature * position[0] ** 2, lr=0.1)


def test_a_study_is_not_continued_with_another_model(tmp_path: Path) -> None:
    place = tmp_path / "lrscout.db"
    lrscout.sweep(partial(with_curvature, curvature=1.0), [0.1], 10, store=place, study="made")
    with pytest.raises(InvalidValueError, match=r"curvature=2\.0"):
        lrscout.sweep(partial(with_curvature, curvature=2.0), [0.1], 10, store=place, study="made")
    lrscout.sweep(with_curvature(1.0), [0.1], 10, store=place, study="given")
    with pytest.raises(InvalidValueError, match=r"losses of the first steps was .*1, 0.64.* and is now .*2, "):
        lrscout.sweep(with_curvature(2.0), [0.1], 10, store=place, study="given")


def test_a_study_without_a_name_is_given_one_and_the_default_place_is_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lr_map = lrscout.sweep(noisy, LRS, 20, store="some.db")
    assert [summary.name for summary in open_store("some.db").studies()] == [lr_map.study]
    lrscout.sweep(noisy, LRS, 20, study="named")
    assert [summary.name for summary in open_store("lrscout.db").studies()] == ["named"]
    lrscout.sweep(noisy, LRS, 20)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".db", ".db"]


def test_a_study_that_somebody_else_is_writing(tmp_path: Path) -> None:
    place = tmp_path / "lrscout.db"
    lr_map = lrscout.sweep(noisy, LRS, 50, store=place, study="one")
    record = open_store(place).load("one")
    with (
        open_store(place).begin("one", kind="sweep", inputs=record.inputs, target=record.summary.target),
        pytest.raises(StoreError, match="one"),
    ):
        lrscout.sweep(noisy, LRS, 50, store=place, study="one")
    np.testing.assert_array_equal(lrscout.sweep(noisy, LRS, 50, store=place, study="one").loss, lr_map.loss)


def test_an_interrupted_sweep_keeps_what_it_has(tmp_path: Path) -> None:
    place = tmp_path / "lrscout.db"
    made = []

    def interrupted(seed: int):
        if len(made) == 1:
            raise KeyboardInterrupt
        made.append(seed)
        return noisy(seed)

    with pytest.raises(KeyboardInterrupt):
        lrscout.sweep(interrupted, LRS, 50, seeds=2, store=place, study="one")
    assert open_store(place).studies()[0].blocks == len(LRS)
