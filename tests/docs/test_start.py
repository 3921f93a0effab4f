"""Everything on the page "start here" is run, in the order in which it stands there."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lrscout.cli.app import main
from tests.docs.reading import assert_agrees, assert_installs, blocks_of, commands_of, read

PAGE = "docs/start.md"


class Reader:
    """Someone who does what the page says, in a folder of their own."""

    def __init__(self) -> None:
        self.names: dict = {}

    def types(self, command: list[str]) -> str:
        program, *words = command
        assert program == "lrscout"
        answer: Result = CliRunner().invoke(main, words)
        assert answer.exit_code == 0, answer.output
        return answer.stdout

    def runs(self, code: str, capsys: pytest.CaptureFixture[str]) -> str:
        exec(code, self.names)
        return capsys.readouterr().out


def parts() -> list[tuple[str, str]]:
    """Return the page's blocks with their languages, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```", read(PAGE), re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the reader works; what they save there can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("train", None)


def test_the_page_is_run_from_start_to_end(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install, *blocks = parts()
    assert install[0] == "console"
    assert "Save it as `train.py`" in read(PAGE)
    reader, said, compared = Reader(), "", 0
    for language, block in blocks:
        if language == "console":
            said = "".join(reader.types(command) for command in commands_of(block))
        elif language == "python" and not (folder / "train.py").exists():
            (folder / "train.py").write_text(block)
        elif language == "python":
            said = reader.runs(block, capsys)
        else:
            assert language == "text"
            assert_agrees(block, said)
            compared += 1
    assert compared == 7
    assert (folder / "pictures" / "map.png").stat().st_size > 10_000


def test_the_lesson_says_word_for_word_what_stands_there() -> None:
    commands = [command for block in blocks_of(PAGE, "console") for command in commands_of(block)]
    lessons = [command for command in commands if command[1] == "lesson"]
    answers = blocks_of(PAGE, "text")[:2]
    assert len(lessons) == 2
    for command, answer in zip(lessons, answers, strict=True):
        assert Reader().types(command).split() == answer.split()


def test_what_it_installs_can_be_installed() -> None:
    """The command is run as it stands, but without a network: it stops before it would download or change anything."""
    environment, activation, command = commands_of(parts()[0][1])
    assert environment == ["python3", "-m", "venv", ".venv"]
    assert activation == [".", ".venv/bin/activate"]
    assert command[:2] == ["pip", "install"]
    assert_installs(command)


def test_what_it_installs_is_what_the_page_uses() -> None:
    extras = re.findall(r"'\.\[([\w,]+)\]'", parts()[0][1])[0].split(",")
    known = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
    assert set(extras) <= set(known)
    imported = set(re.findall(r"^(?:import|from) (torch|sklearn|jax|tensorflow|keras)", read(PAGE), re.MULTILINE))
    assert imported == set(extras)
