"""The page served from a thread, and pages of a browser that nothing goes wrong on unseen.

from tests.app.opened import opened as opened  # a pytest fixture
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from lrscout.app.serve import listen
from lrscout.app.server import make_app


@contextmanager
def served(store: Path | None) -> Generator[str]:
    """Serve the page from a thread; yields its address."""
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(make_app(store), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


class Opened:
    """Opens pages, and holds what they complained about and asked for.

    Args:
        browser: the browser.
    """

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._contexts: list[Any] = []
        self._expected: tuple[str, ...] = ()
        self.complaints: list[str] = []
        self.requests: list[str] = []

    def at(self, address: str, **options: Any) -> Any:
        """Open an address in a fresh context of the browser."""
        context = self._browser.new_context(**options)
        context.set_default_timeout(15_000)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("pageerror", lambda error: self._hear("error", str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(address)
        return page

    def expect(self, *texts: str) -> None:
        """Take complaints with one of these texts as what the test is about."""
        self._expected = texts

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(expected in text for expected in self._expected):
            self.complaints.append(text)

    def leave(self) -> None:
        """Close every page."""
        while self._contexts:
            self._contexts.pop().close()

    def close(self) -> None:
        """Close every page, and hold that none complained or asked anybody but its own server."""
        self.leave()
        elsewhere = [url for url in self.requests if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]
        assert self.complaints == []
        assert elsewhere == []


@pytest.fixture
def opened(chromium: Any, static: Path) -> Generator[Opened]:
    """Pages of the built front end, none of which may have complained at the end."""
    found = Opened(chromium)
    yield found
    found.close()
