"""What no browser sends, whatever a scan thinks of, and what somebody else has put into the store."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from lrscout.app.openapi import DESCRIPTION
from lrscout.app.server import make_app
from lrscout.app.uploads import MOST_BYTES
from lrscout.store.store import open_store
from tests.app.hostile import BINARY, SCRIPT, SECRET, check_no_fault
from tests.app.hostile import folder as folder
from tests.app.hostile import open_client as open_client
from tests.app.kept import client_of, curve, sweep_inputs


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    """A real server, as `lrscout ui` runs it."""
    listening = socket.create_server(("127.0.0.1", 0))
    options = {"http": "h11", "ws": "none", "lifespan": "off", "access_log": False, "log_level": "critical"}
    server = uvicorn.Server(uvicorn.Config(make_app(folder / "lrscout.db"), **options))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join()
    listening.close()


# More than a server takes in one reading, so that it sees the line grow before it sees its end.
ENDLESS = b"a" * 1_000_000

RAW = [
    b"GET /../../../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /static/../../secret.txt HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET http://evil.example/api/studies HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"GET /api/studies HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
    b"GET /api/studies HTTP/1.1\r\n\r\n",
    b"GET /api/studies HTTP/1.0\r\n\r\n",
    b"POST /api/diagnose HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n"
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/studies HTTP/1.1\r\n\r\n",
    b"POST /api/diagnose HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nloss",
    b"GET /" + ENDLESS + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + ENDLESS + b"\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"GET /api/studies HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Origin: http://evil.example\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n\r\n",
]


@pytest.mark.parametrize("request_line", RAW, ids=lambda raw: repr(raw[:50]))
def test_what_no_browser_sends(port: int, request_line: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        received = b""
        # A server may hang up on the rest of what it has refused; then what it said may be lost as well.
        is_endless = ENDLESS in request_line
        with suppress(OSError) if is_endless else nullcontext():
            connection.sendall(request_line)
            connection.shutdown(socket.SHUT_WR)
        with suppress(OSError) if is_endless else nullcontext():
            while piece := connection.recv(1 << 16):
                received += piece
    if is_endless:
        assert not received or received.startswith(b"HTTP/1.1 400 ")
    assert b" 200 " not in received.partition(b"\r\n")[0]
    assert b" 500 " not in received
    assert SECRET.encode() not in received
    assert b"root:" not in received


def test_a_file_without_an_end_is_cut_off_where_it_is_too_large(port: int) -> None:
    """As it comes in pieces, none of which says how many there will be."""
    head = b"POST /api/diagnose HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
    piece = b"10000\r\n" + b"1\n" * (1 << 15) + b"\r\n"
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        with suppress(OSError):
            while sent < 1 << 28:
                connection.sendall(piece)
                sent += 1 << 16
        with suppress(OSError):
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 413 ")
    assert MOST_BYTES < sent < 1 << 27


def test_it_still_answers(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET /api/studies HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")


words = st.text(max_size=30) | st.sampled_from(["open", SCRIPT, "csv", "json", "npz", "0.01", "600", "nan"])
queries = st.lists(
    st.tuples(st.sampled_from(["name", "lr", "points", "format", "run", "loss", "token"]), words), max_size=5
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(DESCRIPTION["paths"])),
    queries,
    st.binary(max_size=200) | st.text(max_size=100).map(str.encode),
)
def test_any_query_and_any_file(
    open_client: TestClient, path: str, query: list[tuple[str, str]], content: bytes
) -> None:
    address = path.replace("{name}", "lrscout.js")
    for method in ("GET", "POST"):
        check_no_fault(open_client.request(method, address, params=query, content=content, headers=BINARY))


SCANNED = [result.ok() for result in schemathesis.openapi.from_dict(DESCRIPTION).get_all_operations()]


@pytest.mark.parametrize("operation", SCANNED, ids=lambda operation: operation.label)
def test_a_scan_by_its_own_description_finds_no_fault(open_client: TestClient, operation: Any) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy())
    def scan(case: Any) -> None:
        told = case.as_transport_kwargs(base_url="http://127.0.0.1:8050")
        asked = {name: told.get(name) for name in ("method", "url", "params", "headers")}
        check_no_fault(open_client.request(**asked, content=told.get("data")))

    scan()


def test_a_store_of_somebody_elses_making(tmp_path: Path) -> None:
    """Whoever may write to a shared store may write anything there."""
    odd: list[dict[str, Any]] = [
        {},
        {"lrs": []},
        sweep_inputs([0.1], steps=20, lanes=10**12),
        sweep_inputs([0.1], steps=20) | {"checkpoints": [10**9]},
        sweep_inputs([0.1], steps=20) | {"lrs": [0.1, -1]},
        sweep_inputs([0.1], steps=20) | {"schedule": {"name": "x"}, "loss": "neither"},
        {"lrs": {"a": 1}, "checkpoints": "abc", "seeds": None, "schedule": 3, "loss": [], "lanes": "many"},
    ]
    results: list[dict[str, Any] | None] = [None, {}, {"outcomes": [["x"]], "cost": 3}, {"cost": {"steps": "a"}}]
    store, client = open_store(tmp_path / "a.db"), client_of(tmp_path / "a.db")
    names = []
    for number, inputs in enumerate(odd):
        for kind in ("sweep", "find"):
            for place, result in enumerate(results):
                names.append(f"{kind}-{number}-{place}")
                with store.begin(names[-1], kind=kind, inputs=inputs, target=None) as study:
                    study.keep(0, [curve(0.1, 20), curve(2.0, 20)])
                    study.keep(2**40, [curve(0.1, 20)])
                    if result is not None:
                        study.finish(result)
    assert len(client.get("/api/studies").json()["studies"]) == len(names)
    for name in names:
        for address in ("/api/study", "/api/study/map", "/api/study/curves"):
            check_no_fault(client.get(address, params={"name": name}))
