"""What the tests of the studies' pages share: a store with studies, its page, and how to read it.

from tests.app.studies_page import server as server  # and store; pytest fixtures
"""

from __future__ import annotations

import csv
import io
import math
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

import lrscout
from lrscout.core.errors import FleetUnavailableError
from lrscout.lesson.engines import numpy_engine
from lrscout.lesson.problem import sample_problem
from tests.app.opened import served

expect = pytest.importorskip("playwright.sync_api", reason="needs Playwright").expect

LRS = [0.01, 0.03, 0.1, 0.3, 0.7, 3.0]
STABLE = [*LRS[:5], 0.75]
"""Rates none of whose runs ends before its last step."""

HOSTILE = "<script>document.title='taken'</script><img src=x onerror=document.title='taken'>"
NARROW = {"width": 390, "height": 844}


def lesson_loop() -> Any:
    return numpy_engine(sample_problem()).loop


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("studies") / "lrscout.db"
    where: dict[str, Any] = {"store": path}
    lrscout.sweep(lesson_loop(), LRS, steps=100, study="line", **where)
    lrscout.sweep(lesson_loop(), LRS, steps=40, seeds=2, loss="training", study="two seeds", **where)
    lrscout.find(lesson_loop(), steps=300, study="search", **where)
    lrscout.find(lesson_loop(), study="worth", **where)
    lrscout.sweep(lesson_loop(), LRS[:2], steps=20, study=HOSTILE, **where)
    return path


@pytest.fixture(scope="module")
def server(store: Path) -> Generator[str]:
    with served(store) as address:
        yield address


def asked(server: str, address: str, **query: Any) -> Any:
    return httpx2.get(f"{server}/api/{address}", params=query).raise_for_status().json()


def study_at(name: str, **values: Any) -> str:
    return f"/#/studies?name={quote(name)}" + "".join(f"&{key}={value}" for key, value in values.items())


def rows_of(page: Any, name: str) -> list[list[str]]:
    table = page.get_by_role("region", name=name)
    return table.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )


def saved(page: Any, press: Callable[[], None]) -> tuple[str, bytes]:
    with page.expect_download() as waiting:
        press()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def table_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def reading(page: Any, name: str) -> str:
    return page.locator(f"[data-reading={name}]").get_attribute("value")


def written(number: float) -> str:
    """A number as JavaScript writes it."""
    return f"{number:g}" if number == int(number) else repr(number)


def laid_out(page: Any) -> dict[str, float]:
    """Wait until the map is drawn, and return where it is."""
    page.locator(".study-map").wait_for()
    page.locator(".map-panel table").wait_for()
    page.locator(".study-map").scroll_into_view_if_needed()
    return page.locator(".study-map").bounding_box()


def edges(middles: list[float]) -> tuple[float, float]:
    """The outer edges of cells on a logarithmic axis, half-way between their middles."""
    low, second, *_ = middles
    *_, before, high = middles
    return low * math.sqrt(low / second), high * math.sqrt(high / before)


def shown_rates(page: Any) -> list[float]:
    """The rates of the map, as the cross-hair goes up along them."""
    page.get_by_role("application").focus()
    for _ in LRS:
        page.keyboard.press("PageDown")
    rates = [float(reading(page, "rate"))]
    while True:
        page.keyboard.press("ArrowUp")
        rate = float(reading(page, "rate"))
        if rate == rates[-1]:
            return rates
        rates.append(rate)


def colours(page: Any, canvas: str) -> int:
    """How many colours a canvas has."""
    return page.locator(canvas).first.evaluate(
        "canvas => new Set(new Uint32Array(canvas.getContext('2d')"
        ".getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"
    )


class GatedLoop:
    """A loop that takes one run after another, each when it is let go."""

    def __init__(self, steps: int) -> None:
        self._inner = lesson_loop()
        self._steps, self._taken = steps, -3  # The first three steps tell the study what it is.
        self.lr = self._inner.lr
        self.begun, self.gate = threading.Event(), threading.Semaphore(0)

    def step(self, lr: float) -> float:
        if self._taken >= 0 and self._taken % self._steps == 0:
            self.begun.set()
            assert self.gate.acquire(timeout=60)
        self._taken += 1
        return self._inner.step(lr)

    def fleet(self, size: int) -> Any:
        raise FleetUnavailableError("It takes one run after another.")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@contextmanager
def gated_sweep(path: Path, study: str) -> Generator[Callable[[int], None]]:
    """Run a sweep in a thread; what it yields lets so many more of its runs go."""
    loop = GatedLoop(steps=30)

    def run() -> None:
        lrscout.sweep(loop, STABLE, steps=30, runner="serial", store=path, study=study)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert loop.begun.wait(timeout=60)
        yield loop.gate.release
    finally:
        loop.gate.release(len(STABLE))
        thread.join()
