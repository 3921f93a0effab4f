"""`lrscout range-test --store --study`, as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

from lrscout.store.store import open_store
from tests.cli.test_cli import LOOPS, one_sentence, run


def test_a_study_is_kept_and_continued(tmp_path: Path) -> None:
    place = tmp_path / "kept.db"
    arguments = ["range-test", f"{LOOPS}:good", "--repeats", 2, "--store", place, "--study", "mine", "--json"]
    first, again = (json.loads(run(*arguments).stdout) for _ in range(2))
    assert first == again
    assert first["study"] == "mine"
    (summary,) = open_store(place).studies()
    assert (summary.kind, summary.curves, summary.finished) == ("range-test", 2, True)
    other = one_sentence(run(*arguments, "--rule", "valley"), 2)
    assert "The study 'mine' was begun with other inputs: rule was 'minimum' and is now 'valley'." in other


def test_a_store_gives_the_study_a_name(tmp_path: Path) -> None:
    place = tmp_path / "kept.db"
    told = json.loads(run("range-test", f"{LOOPS}:good", "--store", place, "--json").stdout)
    assert told["study"].startswith("range-test-2")
    assert [summary.name for summary in open_store(place).studies()] == [told["study"]]


def test_control_c_says_how_to_go_on(tmp_path: Path) -> None:
    arguments = ["--store", tmp_path / "kept.db", "--study", "my test"]
    said = one_sentence(run("range-test", f"{LOOPS}:interrupted", *arguments), 1)
    assert "What was finished is kept: the same command with --study 'my test' goes on from there." in said


def test_a_store_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("This is not a database, and longer than a header of one would be." * 3)
    assert "text.db" in one_sentence(run("range-test", f"{LOOPS}:good", "--store", tmp_path / "text.db"), 1)
