"""The page as its readers have it: served on loopback, and opened in a Chromium of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
STATIC = REPOSITORY / "lrscout" / "app" / "static"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
)
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="session")
def static() -> Path:
    """The folder with the built front end."""
    sources = [path for path in (REPOSITORY / "frontend" / "src").rglob("*") if path.is_file()]
    newest = max(path.stat().st_mtime for path in sources)
    built = STATIC / "lrscout.js"
    if not built.exists() or built.stat().st_mtime < newest:
        node = shutil.which("node")
        if node is None or not (REPOSITORY / "frontend" / "node_modules").exists():
            pytest.skip("The front end is not built; `npm ci` and `node build.mjs` in frontend/ build it.")
        subprocess.run([node, "build.mjs"], cwd=REPOSITORY / "frontend", check=True)
    return STATIC


@pytest.fixture(scope="session")
def node() -> str:
    """The program that runs scripts outside a browser."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("There is no Node on this machine.")
    return found


@contextmanager
def served(app) -> Iterator[str]:
    """Serve an app on a free port of loopback, and give its address."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., str]]:
    """Return a function that serves an app until the tests are over, and gives its address."""
    with ExitStack() as running:
        yield lambda app: running.enter_context(served(app))


@pytest.fixture(scope="session")
def site(static, serve) -> str:
    """The address of a page without studies."""
    from lrscout.app.server import make_app

    return serve(make_app(store=None))


@pytest.fixture(scope="session")
def chromium():
    """Debian's Chromium, without a window."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("There is no Chromium on this machine.")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """Return a function that opens an address in a page of its own; afterwards nothing may have gone wrong in any.

    A page goes wrong by an error in the console, an exception, or a request to anything but its own server. What the
    test is about is `expected` to be complained of.
    """
    faults: list[str] = []
    with ExitStack() as opened:

        def open_page(address: str, expected: str | None = None, **options):
            context = chromium.new_context(**{"viewport": WIDE, "color_scheme": "light", **options})
            opened.callback(context.close)
            page = context.new_page()
            home = address.split("#")[0]

            def is_ours(request) -> bool:
                return request.url.startswith((home, "data:", f"blob:{home}"))

            def hear(said) -> None:
                if said.type in ("error", "warning") and not (expected and expected in said.text):
                    faults.append(said.text)

            page.on("console", hear)
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("request", lambda asked: is_ours(asked) or faults.append(f"request to {asked.url}"))
            page.goto(address)
            return page

        yield open_page
    assert not faults, faults


@pytest.fixture
def lesson(site, open_page):
    """Return a function that opens the lesson in a state."""

    def open_lesson(fragment: str = "", **options):
        page = open_page(f"{site}{fragment}", **options)
        page.wait_for_selector(".lesson-stage .map canvas")
        page.wait_for_function("() => document.querySelectorAll('.lesson-stage .uplot').length > 0")
        return page

    return open_lesson
