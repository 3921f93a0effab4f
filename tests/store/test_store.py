"""Studies are begun, kept, taken up again, read and deleted: the same on SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, event

from lrscout.core.curve import Curve, Stop
from lrscout.core.errors import InvalidValueError, StoreError
from lrscout.store.store import Store, open_store
from lrscout.store.study import Study
from tests.store.curves import INPUTS, curves_of, same
from tests.store.postgres import postgres as postgres
from tests.store.postgres import server as server


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'lrscout.db'}"
    return request.getfixturevalue("postgres").url


@pytest.fixture
def store(url: str) -> Store:
    return open_store(url)


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Every statement that goes to a database."""
    seen: list[str] = []

    def listen(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", listen)
    yield seen
    event.remove(Engine, "before_cursor_execute", listen)


def begin(store: Store, name: str = "study", **changes: object) -> Study:
    return store.begin(name, kind="sweep", inputs=INPUTS | changes, target="digits.py:make")


def test_what_is_kept_comes_back_bit_for_bit(store: Store) -> None:
    with begin(store) as study:
        assert study.was_new
        for block in (4, 0, 2):
            study.keep(block, curves_of(block))
        found = study.finished()
        assert list(found) == [0, 2, 4]
        assert all(same(found[block], curves_of(block)) for block in found)


def test_a_study_is_taken_up_where_it_was_left(store: Store, url: str) -> None:
    with begin(store) as study:
        study.keep(1, curves_of(1))
        versions = study.versions
    with begin(open_store(url)) as study:
        assert not study.was_new
        assert (study.inputs, study.versions, study.result) == (INPUTS, versions, None)
        assert same(study.finished()[1], curves_of(1))
        study.keep(0, curves_of(0))
        study.finish({"best": [{"lr": 0.1, "loss": None}]})
    with begin(store) as study:
        assert list(study.finished()) == [0, 1]
        assert study.result == {"best": [{"lr": 0.1, "loss": None}]}


def test_a_block_that_is_kept_twice_stays_the_first(store: Store) -> None:
    with begin(store) as study:
        study.keep(0, curves_of(0))
        study.keep(0, curves_of(1, lanes=5))
        assert same(study.finished()[0], curves_of(0))


def test_a_block_of_no_curves_and_a_curve_of_no_steps(store: Store) -> None:
    empty = Curve(np.zeros(0), np.zeros(0))
    with begin(store) as study:
        study.keep(0, [])
        study.keep(1, [empty])
        assert study.finished()[0] == ()
        assert same(study.finished()[1], [empty])
    (line,) = store.curves("study")
    assert (line.steps, line.evaluations) == (0, 0)
    assert np.isnan([line.peak_lr, line.last_loss, line.lowest_loss, line.last_evaluation]).all()


def test_a_block_that_cannot_be_kept_leaves_nothing(store: Store) -> None:
    odd = Curve(np.array([0.1]), np.array([1.0]), seed=2**63)
    with begin(store) as study:
        with pytest.raises(InvalidValueError, match="seeds below 2\\^63, but this one is 9223372036854775808"):
            study.keep(0, [*curves_of(0), odd])
        with pytest.raises(InvalidValueError, match="block must be at least 0, but it is -1"):
            study.keep(-1, [])
        assert study.finished() == {}
        study.keep(0, curves_of(0))
        assert same(study.finished()[0], curves_of(0))


def test_studies_are_listed_the_oldest_first(store: Store) -> None:
    began = datetime.now(UTC) - timedelta(seconds=2)
    for name in ("zebra", "ant [bold]"):
        with begin(store, name) as study:
            study.keep(0, curves_of(0))
            study.keep(7, curves_of(7, lanes=2))
    with begin(store, "zebra") as study:
        study.finish({})
    first, second = store.studies()
    assert (first.name, first.finished, first.blocks, first.curves) == ("zebra", True, 2, 5)
    assert (second.name, second.finished, second.blocks, second.curves) == ("ant [bold]", False, 2, 5)
    assert (second.kind, second.target) == ("sweep", "digits.py:make")
    assert began < first.created <= second.created < datetime.now(UTC) + timedelta(seconds=2)


def test_a_study_is_loaded(store: Store) -> None:
    with begin(store) as study:
        for block in (1, 0):
            study.keep(block, curves_of(block))
        study.finish({"lrs": np.array([0.1, 0.2])})
    record = store.load("study")
    assert record.summary == store.studies()[0]
    assert record.inputs == INPUTS
    assert record.result == {"lrs": [0.1, 0.2]}
    assert set(record.versions) >= {"lrscout", "python", "numpy"}
    assert record.versions["numpy"] == np.__version__
    assert same(record.curves(), [*curves_of(0), *curves_of(1)])
    assert [number for number, _ in record.blocks()] == [0, 1]


def test_the_line_of_a_curve_says_what_the_curve_says(store: Store) -> None:
    with begin(store) as study:
        study.keep(3, curves_of(3, lanes=6))
    lines = store.curves("study")
    for line, curve in zip(lines, curves_of(3, lanes=6), strict=True):
        finite = curve.losses[np.isfinite(curve.losses)]
        expected = (3, 3, curve.lrs.max(), 50, curve.stopped, finite.min(), 3, curve.evaluations[-1])
        assert expected == (
            line.block,
            line.seed,
            line.peak_lr,
            line.steps,
            line.stopped,
            line.lowest_loss,
            line.evaluations,
            line.last_evaluation,
        )
        assert np.array_equal(line.last_loss, curve.losses[-1], equal_nan=True)
    assert Stop.NON_FINITE in {line.stopped for line in lines}


def test_listing_reads_no_array(store: Store, statements: list[str]) -> None:
    with begin(store) as study:
        study.keep(0, curves_of(0))
    assert any("lrscout_arrays" in statement for statement in statements)
    statements.clear()
    assert store.studies()
    assert store.curves("study")
    assert statements
    assert not any("lrscout_arrays" in statement for statement in statements)


def test_a_second_driver_is_told(store: Store, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrscout.store.postgres.wait", lambda seconds: None)
    other = open_store(url)
    with begin(store) as study:
        study.keep(0, curves_of(0))
        for attempt in (lambda: begin(other), lambda: begin(store), lambda: other.delete("study")):
            with pytest.raises(StoreError, match=r"Another driver, process \d+ on .* since 20.* is writing the study"):
                attempt()
        with begin(other, "another study"):  # Only this one study is taken.
            assert other.load("study").summary.blocks == 1
    with begin(other):
        pass


def test_of_many_drivers_at_once_one_writes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrscout.store.postgres.wait", lambda seconds: None)
    told, studies = [], []
    barrier = threading.Barrier(4)

    def drive() -> None:
        barrier.wait()
        try:
            studies.append(begin(open_store(url)))
        except StoreError as error:
            told.append(str(error))

    drivers = [threading.Thread(target=drive) for _ in range(4)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert len(studies) == 1
    assert len(told) == 3
    assert all("is writing the study" in sentence for sentence in told), told
    with studies[0]:
        assert len(open_store(url).studies()) == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"steps": 60}, "steps was 50 and is now 60. Choose another name"),
        ({"lrs": [0.1, 0.3]}, r"lrs\[1\] was 0.2 and is now 0.3."),
        ({"lrs": [0.1]}, "lrs was a list of 2 and is now a list of 1."),
        ({"schedule": {"name": "cosine", "warmup": 6}}, "schedule.warmup was 5 and is now 6."),
        ({"schedule": {"name": "cosine"}}, "schedule.warmup was 5 and is now not given."),
        ({"rule": "x" * 99}, r"rule was not given and is now 'xxxxx.*\.\.\.\."),
        (
            {"lrs": [1, 2], "steps": 1, "seeds": 1},
            r"lrs\[0\] .*; lrs\[1\] .*; steps was 50 and is now 1, and 1 more differ",
        ),
    ],
)
def test_other_inputs_are_refused(tmp_path: Path, changes: dict, sentence: str) -> None:
    store = open_store(tmp_path / "lrscout.db")
    with begin(store):
        pass
    with pytest.raises(InvalidValueError, match=sentence):
        begin(store, **changes)
    with begin(store):  # Nobody was left holding the study.
        pass


def test_another_verb_or_target_is_refused(store: Store) -> None:
    with store.begin("study", kind="sweep", inputs={}, target=None):
        pass
    with pytest.raises(InvalidValueError, match=r"target was None and is now 'a.py:f'"):
        store.begin("study", kind="sweep", inputs={}, target="a.py:f")
    with pytest.raises(InvalidValueError, match="kind was 'sweep' and is now 'find'"):
        store.begin("study", kind="find", inputs={}, target=None)


def test_inputs_are_the_same_whatever_they_are_held_in(store: Store) -> None:
    with store.begin("study", kind="sweep", inputs={"lrs": np.array([0.1, np.nan]), "path": Path("a")}, target=None):
        pass
    with store.begin("study", kind="sweep", inputs={"path": "a", "lrs": (0.1, float("nan"))}, target=None) as study:
        assert study.inputs["lrs"][0] == 0.1


def test_ten_is_ten_and_true_is_not_one(store: Store) -> None:
    with store.begin("study", kind="sweep", inputs={"max_lr": 10, "stop": True}, target=None):
        pass
    with store.begin("study", kind="sweep", inputs={"max_lr": 10.0, "stop": True}, target=None) as study:
        assert not study.was_new
    with pytest.raises(InvalidValueError, match="stop was True and is now 1"):
        store.begin("study", kind="sweep", inputs={"max_lr": 10, "stop": 1}, target=None)


def test_inputs_that_cannot_be_written_down(store: Store) -> None:
    with pytest.raises(InvalidValueError, match=r"but in the inputs: .*object.* is a object\."):
        store.begin("study", kind="sweep", inputs={"rule": object()}, target=None)
    assert store.studies() == []


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "\x00", "x" * 201])
def test_names_that_cannot_be(store: Store, name: str) -> None:
    with pytest.raises(InvalidValueError, match="1 to 200 printable characters"):
        begin(store, name)


def test_a_study_is_deleted_with_everything(store: Store) -> None:
    for name in ("one", "two"):
        with begin(store, name) as study:
            study.keep(0, curves_of(0))
    store.delete("one")
    assert [study.name for study in store.studies()] == ["two"]
    assert same(store.load("two").curves(), curves_of(0))
    with begin(store, "one", steps=1) as study:  # The name is free again.
        assert study.was_new
        assert study.finished() == {}


def test_a_study_that_is_not_there(store: Store) -> None:
    with pytest.raises(StoreError, match=r"There is no study 'digits' in .*\. It has none yet."):
        store.load("digits")
    for name in ("digits-adam", "mnist"):
        with begin(store, name):
            pass
    for attempt in (store.load, store.curves, store.delete):
        with pytest.raises(StoreError, match=r"There is no study 'digit-adam' in .*\. Did you mean 'digits-adam'\?"):
            attempt("digit-adam")
    with pytest.raises(StoreError, match=r"It has 'digits-adam', 'mnist'\."):
        store.load("?")


def test_a_reader_sees_whole_blocks_while_a_driver_writes(store: Store, url: str) -> None:
    with begin(store) as study:
        study.keep(0, curves_of(0))
        reading = open_store(url).load("study").blocks()
        number, curves = next(reading)
        study.keep(1, curves_of(1))
        assert (number, same(curves, curves_of(0))) == (0, True)
        assert list(reading) == []
    assert store.studies()[0].blocks == 2


def test_a_damaged_array_is_named(tmp_path: Path) -> None:
    store = open_store(tmp_path / "lrscout.db")
    with begin(store) as study:
        study.keep(0, curves_of(0))
        study.keep(1, curves_of(1))
    with sqlite3.connect(tmp_path / "lrscout.db") as connection:
        connection.execute("UPDATE lrscout_arrays SET losses = substr(losses, 1, 30) WHERE block = 2 AND place = 1")
    connection.close()
    with pytest.raises(StoreError, match="Curve 1 of block 1 of the study 'study' is damaged: An array of 30 bytes"):
        store.load("study").curves()
    assert len(store.curves("study")) == 6
