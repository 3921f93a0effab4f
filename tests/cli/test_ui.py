"""`lrscout ui`: what it refuses, what it prints, and that it stops when it is told to."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lrscout.cli.app import main
from lrscout.core.imports import find_spec
from tests.app.kept import begun

pytest.importorskip("uvicorn")

TOKEN = "a-token-of-many-letters-0123456789"


@pytest.fixture(autouse=True)
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A front end, whether or not it is built here."""
    folder = tmp_path / "static"
    folder.mkdir()
    for name in ("index.html", "lrscout.js", "lrscout.css"):
        (folder / name).write_text(f"/* {name} */")
    monkeypatch.setattr("lrscout.app.static_files._FOLDER", folder)
    return folder


def refused(*arguments: object, code: int) -> str:
    result: Result = CliRunner().invoke(main, ["ui", "--no-browser", *map(str, arguments)])
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("lrscout: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@contextmanager
def running(folder: Path, built: Path, *arguments: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command as a process of its own, in a folder; gives the line that it prints first."""
    code = (
        "import lrscout.app.static_files as files, pathlib, sys; files._FOLDER = pathlib.Path(sys.argv.pop(1));"
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from lrscout.cli.app import main; main()"
    )
    command = [sys.executable, "-c", code, str(built), "ui", "--port", "0", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline(), process
        finally:
            process.kill()


def answer(address: str, path: str = "", **headers: str) -> bytes:
    request = urllib.request.Request(address.partition("?")[0] + path, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as found:
        return found.read()


def address_in(line: str) -> str:
    found = re.search(r"http://\S+", line)
    assert found is not None, line
    return found.group()


def test_it_answers_and_stops_by_control_c(tmp_path: Path, built: Path) -> None:
    begun(tmp_path / "lrscout.db")
    with running(tmp_path, built) as (line, process):
        address = address_in(line)
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        assert "Ctrl-C" in line
        assert answer(address) == b"/* index.html */"
        studies = json.loads(answer(address, "api/studies"))
        assert (studies["store"], studies["studies"][0]["name"]) == ("lrscout.db", "open")
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)
    assert (process.returncode, rest, errors) == (0, "", "lrscout: Stopped.\n")


@pytest.mark.parametrize("name", [None, "runs.db"])
def test_studies_that_come_later_are_found(tmp_path: Path, built: Path, name: str | None) -> None:
    option = [] if name is None else ["--store", tmp_path / name]
    with running(tmp_path, built, "--json", *option) as (line, _):
        told = json.loads(line)
        assert set(told) == {"address"}
        listed = json.loads(answer(told["address"], "api/studies"))
        assert (listed["store"], listed["awaited"]) == (None, name or "lrscout.db")
        assert not (tmp_path / listed["awaited"]).exists()
        begun(tmp_path / listed["awaited"])
        assert json.loads(answer(told["address"], "api/studies"))["store"] == listed["awaited"]


def test_others_need_the_token_that_is_printed_once(tmp_path: Path, built: Path) -> None:
    with running(tmp_path, built, "--host", "0.0.0.0", "--json") as (line, process):
        address, _, token = json.loads(line)["address"].partition("?token=")
        assert len(token) >= 32
        local = f"http://127.0.0.1:{address.rstrip('/').rpartition(':')[2]}/"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            answer(local)
        assert answer(local, Authorization=f"Bearer {token}") == b"/* index.html */"
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)
    assert token not in rest + errors


def test_the_token_of_a_file(tmp_path: Path, built: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    with running(tmp_path, built, "--token-file", file) as (line, _):
        assert address_in(line).endswith(f"/?token={TOKEN}")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            answer(address_in(line), "api/studies")
        assert answer(address_in(line), "api/studies", Authorization=f"Bearer {TOKEN}")


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [
        (None, 0, "cannot be read: No such file or directory"),
        ("short", 0o600, "must hold at least 16 letters"),
        ("", 0o600, "must hold at least 16 letters"),
        ("a token with spaces in it", 0o600, "must hold at least 16 letters"),
        ("\u00e9" * 20, 0o600, "must hold at least 16 letters"),
        ("x" * 5000 + "!", 0o600, None),
        (TOKEN, 0o644, "may be read by others"),
        (TOKEN, 0o660, "may be read by others"),
    ],
)
def test_a_token_file_that_cannot_be_used(tmp_path: Path, content: str | None, mode: int, sentence: str | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
        file.chmod(mode)
    if sentence is not None:
        assert sentence in refused("--token-file", file, "--host", "0.0.0.0", code=2)


def test_a_database_that_cannot_be_reached() -> None:
    pytest.importorskip("psycopg")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    # Nobody listens there any more.
    refused("--store", f"postgresql+psycopg://me@127.0.0.1:{port}/runs", code=1)


def test_a_store_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("a text that is long enough to be no database" * 50)
    assert "is not a SQLite database" in refused("--store", tmp_path / "a.db", code=1)


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        sentence = refused("--port", taken.getsockname()[1], code=2)
    assert "Choose another with --port" in sentence


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7", "", "a" * 300])
def test_a_host_that_is_not_this_machine(host: str) -> None:
    if host:
        assert "cannot listen on port 0" in refused("--host", host, "--port", 0, code=2)


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none(port: str) -> None:
    assert CliRunner().invoke(main, ["ui", "--port", port]).exit_code == 2


def test_a_front_end_that_is_not_built(built: Path) -> None:
    (built / "lrscout.js").unlink()
    assert "node frontend/build.mjs" in refused(code=1)


@pytest.mark.parametrize("module", ["starlette", "uvicorn"])
def test_an_extra_that_is_not_installed(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = find_spec
    monkeypatch.setattr("lrscout.core.imports.find_spec", lambda name: None if name == module else there(name))
    assert "pip install 'lrscout[app]'" in refused(code=1)
