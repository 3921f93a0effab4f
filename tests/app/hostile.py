"""What the hostile requests share: a store with odd names in it, and what every answer must be.

from tests.app.hostile import folder as folder  # and the clients; pytest fixtures
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.app.kept import begun, client_of, curve

TOKEN = "a-token-of-many-letters-0123456789"
SCRIPT = '</script><script>alert(1)</script><img src=x onerror="alert(1)">'
BINARY = {"Content-Type": "application/octet-stream"}
SECRET = "the-secret-of-another-file"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("somebodys-private-folder")
    store = begun(folder / "lrscout.db")
    (folder / "secret.txt").write_text(SECRET)
    for name in (SCRIPT, "../../secret", "=1+1|calc", 'quote"; filename="evil.html'):
        with store.begin(name, kind="find", inputs={"note": SCRIPT}, target=SCRIPT) as study:
            study.keep(0, [curve(0.3, 20)])
    return folder


@pytest.fixture(scope="module")
def open_client(folder: Path) -> TestClient:
    return client_of(folder / "lrscout.db")


@pytest.fixture(scope="module")
def closed_client(folder: Path) -> TestClient:
    return client_of(folder / "lrscout.db", token=TOKEN, host="0.0.0.0")


def check_harmless(found: Any, folder: Path, status: int) -> None:
    """What every answer must be, besides that it has the expected status."""
    assert found.status_code == status, found.text[:300]
    assert found.headers["x-content-type-options"] == "nosniff"
    assert "script-src 'self'" in found.headers["content-security-policy"]
    assert "unsafe" not in found.headers["content-security-policy"]
    assert found.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in found.headers
    for word in (SECRET, str(folder), folder.name, "Traceback", "site-packages"):
        assert word not in found.text
    if status >= 400:
        check_sentence(found)


def check_refused(found: Any, folder: Path) -> None:
    """What the answer must be to a question that is as it should be, on something that is not there."""
    check_harmless(found, folder, 200)
    check_sentence(found)


def check_sentence(found: Any) -> None:
    """What the reason of a refusal must be."""
    assert found.headers["content-type"] == "application/json"
    error = found.json()["error"]
    assert len(error.split()) > 2
    assert error.endswith((".", "?", "node frontend/build.mjs")), error
    assert "<" not in found.text


def check_no_fault(found: Any) -> None:
    assert found.status_code < 500, found.text
    if found.status_code >= 400:
        assert set(found.json()) >= {"error"}
