"""A store on a real server: what is special about it, and a server that goes away."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from lrscout.core.errors import MissingDependencyError, StoreError
from lrscout.store.postgres import PAUSES
from lrscout.store.store import Store, open_store
from lrscout.store.study import Study
from tests.store.curves import INPUTS, curves_of, same
from tests.store.postgres import Server, free_port
from tests.store.postgres import postgres as postgres
from tests.store.postgres import server as server


def begin(store: Store, name: str = "study") -> Study:
    return store.begin(name, kind="sweep", inputs=INPUTS, target=None)


class Clock:
    """Waits for nothing, and does what is asked for after a number of pauses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pauses: list[float] = []
        self.then: dict[int, object] = {}
        monkeypatch.setattr("lrscout.store.postgres.wait", self.wait)

    def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)
        action = self.then.get(len(self.pauses))
        if callable(action):
            action()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def cut_connections(server: Server) -> None:
    server.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lrscout'")


def test_a_server_that_comes_back_is_waited_for(postgres: Server, clock: Clock) -> None:
    clock.then[3] = postgres.start
    store = open_store(postgres.url)
    with begin(store) as study:
        study.keep(0, curves_of(0))
        postgres.stop()
        study.keep(1, curves_of(1))
        assert clock.pauses == list(PAUSES[:3])
        with pytest.raises(StoreError, match="Another driver"):
            begin(open_store(postgres.url))  # The lock was taken again.
        study.finish({"done": True})
    record = store.load("study")
    assert same(record.curves(), [*curves_of(0), *curves_of(1)])
    assert record.result == {"done": True}


def test_a_server_that_stays_away(postgres: Server, clock: Clock) -> None:
    store = open_store(postgres.url)
    with begin(store) as study:
        study.keep(0, curves_of(0))
        postgres.stop()
        with pytest.raises(
            StoreError, match=r"broke, and after 32 s still: .*refused\. What was kept is safe: go on with"
        ):
            study.keep(1, curves_of(1))
        assert clock.pauses == list(PAUSES)
        with pytest.raises(StoreError, match=r"PostgreSQL cannot be reached at .*: connection failed: .*refused\.$"):
            store.studies()
    postgres.start()
    with begin(store) as study:
        assert list(study.finished()) == [0]
        study.keep(1, curves_of(1))
        assert same(study.finished()[1], curves_of(1))


def test_about_half_a_minute_of_patience() -> None:
    assert 25 <= sum(PAUSES) <= 35
    assert list(PAUSES) == sorted(PAUSES)


def test_a_connection_that_is_cut_is_made_again(postgres: Server, clock: Clock) -> None:
    store = open_store(postgres.url)
    with begin(store) as study:
        for block in range(3):
            cut_connections(postgres)
            study.keep(block, curves_of(block))
        assert list(study.finished()) == [0, 1, 2]
    with begin(store):
        pass


def test_a_study_that_another_driver_took_up_meanwhile_is_not_written(postgres: Server, clock: Clock) -> None:
    store = open_store(postgres.url)
    with begin(store) as study:
        cut_connections(postgres)
        with begin(store) as other:
            other.keep(0, curves_of(0))
            with pytest.raises(StoreError, match=r"still: another driver has the study now\. What was kept is safe"):
                study.keep(1, curves_of(1))
            assert list(other.finished()) == [0]


def test_the_lock_goes_when_the_study_is_left(postgres: Server, clock: Clock) -> None:
    store = open_store(postgres.url)
    for _ in range(20):
        with begin(store):
            assert postgres.ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "1"
    assert clock.pauses == []
    assert postgres.ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"


def test_two_stores_in_one_database(postgres: Server, clock: Clock) -> None:
    for schema in ("a", "b"):
        postgres.ask(f"DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}")
    first, second = (open_store(f"{postgres.url}?options=-csearch_path%3D{schema}") for schema in "ab")
    with begin(first) as one, begin(second) as other:
        one.keep(0, curves_of(0))
        other.keep(0, curves_of(1))
    assert same(first.load("study").curves(), curves_of(0))
    assert same(second.load("study").curves(), curves_of(1))


def test_the_tables_of_others_are_left_alone(postgres: Server) -> None:
    postgres.ask("CREATE TABLE studies (study_id int)")
    begin(open_store(postgres.url)).__exit__(None, None, None)
    tables = postgres.ask("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").split()
    assert [name for name in tables if not name.startswith("lrscout_")] == ["studies"]


def test_many_who_open_an_empty_database_at_once(postgres: Server) -> None:
    barrier, opened = threading.Barrier(6), []

    def drive() -> None:
        barrier.wait()
        opened.append(open_store(postgres.url).studies())

    drivers = [threading.Thread(target=drive) for _ in range(6)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert opened == [[]] * 6
    assert postgres.ask("SELECT number FROM lrscout_layout") == "1"


def test_the_forms_of_a_url(postgres: Server) -> None:
    for beginning in ("postgres://", "postgresql://", "postgresql+psycopg://"):
        assert open_store(beginning + postgres.url.partition("://")[2]).studies() == []


def test_a_store_from_a_newer_version(postgres: Server) -> None:
    open_store(postgres.url)
    postgres.ask("UPDATE lrscout_layout SET number = 9")
    with pytest.raises(StoreError, match="made by a newer lrscout: its layout is number 9"):
        open_store(postgres.url)


def test_a_database_that_is_not_there(postgres: Server) -> None:
    with pytest.raises(StoreError, match='database "none" does not exist'):
        open_store(f"{postgres.url}none".replace("postgresnone", "none"))


def test_a_user_who_may_not_write(postgres: Server) -> None:
    postgres.ask("CREATE ROLE guest LOGIN")
    postgres.ask("GRANT USAGE ON SCHEMA public TO guest")
    with pytest.raises(
        StoreError, match=r"guest:\*\*\*@.* could not be read or written: permission denied for schema public"
    ):
        open_store(postgres.url.replace("lrscout@", "guest:secret@"))


def test_reading_makes_no_store(postgres: Server) -> None:
    with pytest.raises(StoreError, match="There is no store in postgresql"):
        open_store(postgres.url, create=False)
    assert postgres.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0"


def test_an_address_where_nobody_answers() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(
        StoreError, match=r"PostgreSQL cannot be reached at postgresql\+psycopg://anna:\*\*\*@127"
    ) as caught:
        open_store(f"postgresql://anna:secret@127.0.0.1:{free_port()}/studies")
    assert "secret" not in str(caught.value)


def test_psycopg_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrscout.core.imports.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"needs psycopg, .* pip install 'lrscout\[postgres\]'"):
        open_store("postgresql://localhost/studies")


def test_psycopg_without_the_library_that_it_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError('no pq wrapper available.\\nAttempts made:')")
    for name in [name for name in sys.modules if name.partition(".")[0] == "psycopg"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        MissingDependencyError, match=r"psycopg cannot be used: no pq wrapper available\. .*\[postgres\]"
    ):
        open_store("postgresql://localhost/studies")
