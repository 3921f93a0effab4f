"""Hostile requests are refused or harmless, each with the answer that it deserves."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.app.hostile import BINARY, SCRIPT, TOKEN, check_harmless, check_refused
from tests.app.hostile import closed_client as closed_client
from tests.app.hostile import folder as folder
from tests.app.hostile import open_client as open_client
from tests.app.kept import client_of

NAMES_OF_ASSETS = [
    "..%2f..%2fsecret.txt",
    "%2e%2e/%2e%2e/secret.txt",
    "..%252f..%252fsecret.txt",
    "%252e%252e%252fserver.py",
    "....//....//server.py",
    "..\\..\\server.py",
    "..%5c..%5cserver.py",
    "%00",
    "lrscout.js%00.css",
    "index.html/..",
    "%2fetc%2fpasswd",
    "/etc/passwd",
    "file:%2f%2f%2fetc%2fpasswd",
    "server.py",
    "__init__.py",
    "LRSCOUT.JS",
    "lrscout.js%20",
    ".",
    "%c0%ae%c0%ae%c0%afserver.py",
]


@pytest.mark.parametrize("name", NAMES_OF_ASSETS)
def test_an_asset_is_one_of_a_table(open_client: TestClient, folder: Path, name: str) -> None:
    check_harmless(open_client.get(f"/static/{name}"), folder, 404)


NAMES_OF_STUDIES = [
    ("../secret.txt", 404),
    ("..%2f..%2fsecret", 404),
    ("/etc/passwd", 404),
    ("file:///etc/passwd", 404),
    ("sqlite:///secret.db", 404),
    ("postgresql://evil.example/db", 404),
    ("os:system", 404),
    ("__import__('os').system('true')", 404),
    ("open' OR '1'='1", 404),
    ("open'; DROP TABLE lrscout_studies; --", 404),
    ("{{7*7}}${7*7}", 404),
    ("%s%s%n", 404),
    ("\0", 400),
    ("open\0", 400),
    ("open\r\nSet-Cookie: a=b", 400),
    ("\u202etxt.exe", 400),
    ("x" * 201, 400),
    ("x" * 10_000, 400),
    ("", 400),
    (" ", 404),
    ("\ud7ff\uffff", 400),
]


@pytest.mark.parametrize(("name", "status"), NAMES_OF_STUDIES)
@pytest.mark.parametrize(
    "address",
    ["/api/study", "/api/study/map", "/api/study/range-test", "/api/study/curves", "/api/study/export"],
)
def test_a_name_is_a_name(open_client: TestClient, folder: Path, address: str, name: str, status: int) -> None:
    found = open_client.get(address, params={"name": name, "format": "csv"})
    if (address, status) == ("/api/study", 404):  # What is asked for may yet begin.
        check_refused(found, folder)
    else:
        check_harmless(found, folder, status)
    assert len(open_client.get("/api/studies").json()["studies"]) == 5


QUERIES = [
    ("/api/study", 400),
    ("/api/study?name=open&name=open", 400),
    ("/api/study?name[]=open", 400),
    ("/api/study?NAME=open", 400),
    ("/api/study/map?name=%ff%fe", 404),
    ("/api/study?name=open&store=/etc/passwd&module=os", 200),
    ("/api/study/curves?name=open&points=1e9", 400),
    ("/api/study/curves?name=open&points=1000000000", 400),
    ("/api/study/curves?name=open&points=999999999999999999999999", 400),
    ("/api/study/curves?name=open&points=0", 400),
    ("/api/study/curves?name=open&points=-600", 400),
    ("/api/study/curves?name=open&points=%D9%A6%D9%A0%D9%A0", 400),
    ("/api/study/curves?name=open&points=600&points=600", 400),
    ("/api/study/curves?name=open&points=0x258", 400),
    ("/api/study/curves?name=open&lr=nan", 400),
    ("/api/study/curves?name=open&lr=inf", 400),
    ("/api/study/curves?name=open&lr=-1", 400),
    ("/api/study/curves?name=open&lr=0", 400),
    ("/api/study/curves?name=open&lr=", 400),
    ("/api/study/curves?name=open&lr=0.1;ls", 400),
    ("/api/study/curves?name=open&lr=" + "9" * 5000, 400),
    ("/api/study/curves?name=open&lr=1e-320", 404),
    ("/api/study/curves?name=open&" + "lr=0.1&" * 51, 400),
    ("/api/study/curves?name=open&" + "lr=0.1&" * 9_000, 400),
    ("/api/studies?" + "x" * 60_000, 400),
    ("/api/studies?" + "&" * 16_000, 200),
    ("/api/study/export?name=open", 400),
    ("/api/study/export?name=open&format=pickle", 400),
    ("/api/study/export?name=open&format=tensorboard", 400),
    ("/api/study/export?name=open&format=../csv", 400),
    ("/api/study/export?name=open&format=csv%0d%0aX-Evil:1", 400),
    ("/api/study/export?name=open&format=csv&path=/tmp/evil&overwrite=1", 200),
]


@pytest.mark.parametrize(("address", "status"), QUERIES, ids=lambda value: str(value)[:60])
def test_a_query_is_checked_value_by_value(open_client: TestClient, folder: Path, address: str, status: int) -> None:
    check_harmless(open_client.get(address), folder, status)


@pytest.mark.parametrize(
    ("method", "address"),
    [
        *[(method, "/api/studies") for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT")],
        ("DELETE", "/api/study?name=open"),
        ("POST", "/api/study/export?name=open&format=csv"),
        ("GET", "/api/diagnose"),
        ("PUT", "/api/diagnose"),
        ("POST", "/static/lrscout.js"),
        ("PROPFIND", "/"),
    ],
)
def test_a_method_that_is_not_for_it(open_client: TestClient, folder: Path, method: str, address: str) -> None:
    check_harmless(open_client.request(method, address), folder, 405)


FORGED = [
    {"Host": "evil.example"},
    {"Host": "evil.example:8050"},
    {"Host": "127.0.0.1.evil.example"},
    {"Host": "localhost.evil.example"},
    {"Host": "127.0.0.1@evil.example"},
    {"Host": "evil.example/127.0.0.1"},
    {"Host": "127.0.0.1:notaport"},
    {"Host": "[::1"},
    {"Host": ""},
    {"Host": "192.168.0.17:8050"},
    {"Host": "0x7f000001"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:9999"},
    {"Origin": "http://127.0.0.1:8050.evil.example"},
    {"Origin": "http://[evil"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    {"Sec-Fetch-Site": "anything"},
]


@pytest.mark.parametrize("headers", FORGED, ids=str)
@pytest.mark.parametrize("address", ["/api/studies", "/api/study/export?name=open&format=csv"])
def test_another_site_may_not_ask(open_client: TestClient, folder: Path, address: str, headers: dict[str, str]) -> None:
    check_harmless(open_client.get(address, headers=headers), folder, 403)


def test_another_site_may_not_send_a_log(open_client: TestClient, folder: Path) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        check_harmless(open_client.post("/api/diagnose", content=b"x", headers=BINARY | headers), folder, 403)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost"},
        {"Host": "LocalHost:1234"},
        {"Host": "[::1]:8050"},
        {"Origin": "http://127.0.0.1:8050", "Sec-Fetch-Site": "same-origin"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-For": "10.0.0.1", "Forwarded": "host=evil.example"},
    ],
    ids=str,
)
def test_this_machine_may_ask(open_client: TestClient, headers: dict[str, str]) -> None:
    assert open_client.get("/api/studies", headers=headers).status_code == 200


def test_a_link_from_elsewhere_leads_to_the_page_only(open_client: TestClient) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert open_client.get("/", headers=headers).status_code in (200, 404)  # 404 where the front end is not built.
    assert open_client.get("/api/lesson", headers=headers).status_code == 403


def test_a_further_name_can_be_allowed(folder: Path) -> None:
    client = client_of(folder / "lrscout.db", allowed_hosts=["gpu.example"])
    assert client.get("/api/studies", headers={"Host": "gpu.example:8050"}).status_code == 200
    assert client.get("/api/studies", headers={"Host": "cpu.example:8050"}).status_code == 403


WITHOUT_TOKEN = [
    {},
    {"Authorization": TOKEN},
    {"Authorization": f"Basic {TOKEN}"},
    {"Authorization": f"Bearer {TOKEN[:-1]}"},
    {"Authorization": f"Bearer {TOKEN}x"},
    {"Authorization": f"Bearer  {TOKEN}"},
    {"Authorization": f"Bearer {TOKEN.upper()}"},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": "Bearer \u00e9\u00e9"},
    {"Cookie": f"token={TOKEN}"},
    {"Cookie": f"lrscout={TOKEN}; lrscout-token={TOKEN}"},
    {"Cookie": "lrscout-=;;;=\x01"},
    {"Token": TOKEN},
    {"X-Token": TOKEN},
    {"Referer": f"http://127.0.0.1:8050/?token={TOKEN}"},
]


@pytest.mark.parametrize("headers", WITHOUT_TOKEN, ids=str)
@pytest.mark.parametrize("address", ["/", "/static/lrscout.js", "/api/studies", "/nowhere"])
def test_without_the_token_nothing_is_told(
    closed_client: TestClient, folder: Path, address: str, headers: dict[str, str]
) -> None:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    check_harmless(closed_client.get(address, headers=raw, follow_redirects=False), folder, 401)


@pytest.mark.parametrize(
    "address",
    [
        f"/api/studies?token={TOKEN}",
        f"/api/study?name=open&token={TOKEN}",
        f"/static/lrscout.js?token={TOKEN}",
        f"/{TOKEN}",
        f"/?token={TOKEN[:-1]}",
        f"/?token={TOKEN}x",
        f"/?token={TOKEN}&token={TOKEN}",
        f"/?TOKEN={TOKEN}",
        "/?token=",
        "/?token",
        f"/?token[]={TOKEN}",
        "/?token=%00%ff",
        f"//?token={TOKEN}",
    ],
)
def test_the_token_in_a_wrong_place(closed_client: TestClient, folder: Path, address: str) -> None:
    check_harmless(closed_client.get(f"http://127.0.0.1:8050{address}", follow_redirects=False), folder, 401)


def test_the_token_by_header(closed_client: TestClient) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert closed_client.get("/api/studies", headers=headers).status_code == 200


def test_the_token_by_address_becomes_a_cookie(folder: Path) -> None:
    client = client_of(folder / "lrscout.db", token=TOKEN, host="0.0.0.0")
    found = client.get(f"/?token={TOKEN}", follow_redirects=False)
    assert (found.status_code, found.headers["location"]) == (303, "./")
    cookie = found.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert client.get("/api/studies").status_code == 200
    other = client_of(folder / "lrscout.db", token=TOKEN[::-1], host="0.0.0.0")
    assert other.get("/api/studies", headers={"Cookie": cookie.partition(";")[0]}).status_code == 401


def test_a_token_does_not_open_the_door_to_other_sites(closed_client: TestClient, folder: Path) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for forged in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        check_harmless(closed_client.get("/api/studies", headers=headers | forged), folder, 403)
    # Where it listens for others it may be asked by any of its addresses, none of which can be another site's name.
    assert closed_client.get("/api/studies", headers=headers | {"Host": "192.168.0.17:8050"}).status_code == 200


def test_script_is_told_as_json_only(open_client: TestClient, folder: Path) -> None:
    found = open_client.get("/api/studies")
    check_harmless(found, folder, 200)
    assert SCRIPT in [study["name"] for study in found.json()["studies"]]
    for address in ("/api/studies", "/api/study", "/api/study/curves"):
        told = open_client.get(address, params={"name": SCRIPT})
        assert told.headers["content-type"] == "application/json"
        assert "<" not in told.text
    assert open_client.get("/api/study", params={"name": SCRIPT}).json()["inputs"] == {"note": SCRIPT}


@pytest.mark.parametrize(
    ("name", "file"),
    [
        (SCRIPT, "script-script-alert-1-script-img-src-x-onerror-alert-1.csv"),
        ("../../secret", "secret.csv"),
        ("=1+1|calc", "1-1-calc.csv"),
        ('quote"; filename="evil.html', "quote-filename-evil.html.csv"),
    ],
)
def test_the_name_of_a_download_is_harmless(open_client: TestClient, folder: Path, name: str, file: str) -> None:
    found = open_client.get("/api/study/export", params={"name": name, "format": "csv"})
    assert found.headers["content-disposition"] == f'attachment; filename="{file}"'
    assert found.headers["x-content-type-options"] == "nosniff"


def test_a_fault_of_the_server_is_a_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError(f"in {folder}")

    monkeypatch.setattr("lrscout.app.server.list_studies", broken)
    with caplog.at_level(logging.ERROR):
        found = client_of(folder / "lrscout.db").get("/api/studies")
    assert found.status_code == 500
    assert found.json()["error"].startswith("This is a fault of lrscout")
    assert "ZeroDivisionError" not in found.text
    assert "ZeroDivisionError" in caplog.text
