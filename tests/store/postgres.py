"""A real PostgreSQL server on loopback, for the tests that need one.

from tests.store.postgres import postgres as postgres  # a pytest fixture
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

USER = "lrscout"


class Server:
    """A PostgreSQL server with its data in a folder of its own."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._data = folder / "data"
        self._log = folder / "log"
        self.port = 0
        self._run("initdb", "--pgdata", self._data, "--username", USER, "--auth", "trust", "--encoding", "UTF8")

    @property
    def url(self) -> str:
        """The URL of its database."""
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/postgres"

    def start_anywhere(self) -> None:
        """Start the server on a port that turns out to be free."""
        for attempts_left in (2, 1, 0):
            self.port = free_port()
            try:
                self.start()
                break
            except RuntimeError:  # Somebody else took the port just now.
                if not attempts_left:
                    raise

    def start(self) -> None:
        """Start the server, where it was, and wait until it answers."""
        settings = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        self._run("pg_ctl", "start", "--pgdata", self._data, "--log", self._log, "--options", settings, "--wait")

    def stop(self) -> None:
        """Stop the server as an administrator does who does not wait for anybody."""
        self._run("pg_ctl", "stop", "--pgdata", self._data, "--mode", "fast", "--wait")

    def running(self) -> bool:
        """Return whether the server runs."""
        return (self._data / "postmaster.pid").exists()

    def ask(self, question: str) -> str:
        """Return what the server answers to a query."""
        psql = ["psql", "--host", "127.0.0.1", "--port", self.port, "--username", USER, "--dbname", "postgres"]
        return self._run(*psql, "--tuples-only", "--no-align", "--command", question).strip()

    def _run(self, program: str, *arguments: object) -> str:
        # The server's programs refuse to be run by root.
        rank = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*rank, str(self._programs / program), *map(str, arguments)]
        # A server that is left running keeps the files that it was started with open, so these must not be pipes.
        with (self._data.parent / "out").open("w+b") as out:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd="/")
            out.seek(0)
            said = out.read().decode()
        if done.returncode:
            raise RuntimeError(f"{program}: {said}")
        return said


def free_port() -> int:
    """Return a port on loopback that nobody listens to."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def programs() -> Path:
    """Return the folder with PostgreSQL's programs, or skip the test."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders or not (folders[-1] / "initdb").exists():
        pytest.skip("no PostgreSQL server is installed here")
    pytest.importorskip("psycopg", reason="psycopg is not installed here")
    if os.geteuid() == 0 and (not shutil.which("runuser") or not has_user("postgres")):
        pytest.skip("root cannot run PostgreSQL, and there is no user postgres to run it")
    return folders[-1]


def has_user(name: str) -> bool:
    """Return whether the machine has a user of this name."""
    return any(line.startswith(f"{name}:") for line in Path("/etc/passwd").read_text().splitlines())


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that runs as long as the tests of one file."""
    found = programs()
    # Not pytest's own folder, which no other user may enter.
    with TemporaryDirectory() as name:
        if os.geteuid() == 0:
            shutil.chown(name, "postgres")
        server = Server(found, Path(name))
        server.start_anywhere()
        try:
            yield server
        finally:
            if server.running():
                server.stop()


@pytest.fixture
def postgres(server: Server) -> Server:
    """A server that runs, with nothing in its database."""
    if not server.running():
        server.start()
    server.ask("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return server
