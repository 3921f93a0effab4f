"""A range test on the page in a real browser: its picture and its table are what Python says, also while it runs."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import numpy as np
import pytest

from lrscout import RangeTest
from lrscout.pictures.style import SUGGESTIONS
from lrscout.store.store import open_store
from tests.app.opened import Opened, served
from tests.app.opened import opened as opened
from tests.measure.range_tester import REPEATS, Noisy, range_tested

expect = pytest.importorskip("playwright.sync_api", reason="needs Playwright").expect

NARROW = {"width": 390, "height": 844}
NAME = "rising <b>rates</b>"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("range tests") / "lrscout.db"


@pytest.fixture(scope="module")
def results(path: Path) -> dict[str, RangeTest]:
    return {
        NAME: range_tested(Noisy(), store=path, study=NAME),
        "refused": range_tested(Noisy(), store=path, study="refused", max_lr=1e-2, loss="evaluation"),
    }


@pytest.fixture(scope="module")
def server(path: Path, results: dict[str, RangeTest]) -> Generator[str]:
    with served(path) as address:
        yield address


def study_at(server: str, name: str) -> str:
    return f"{server}/#/studies?name={quote(name)}"


def rows_of(page: Any) -> list[list[str]]:
    page.locator(".range-panel tbody tr").first.wait_for()
    return page.locator(".range-panel tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )


def colours(page: Any) -> set[tuple[int, int, int]]:
    """The colours of the picture."""
    page.locator(".range-place canvas").wait_for()
    # One frame later what was given to the chart is drawn.
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    found = page.locator(".range-place canvas").evaluate(
        "canvas => [...new Set(new Uint32Array(canvas.getContext('2d')"
        ".getImageData(0, 0, canvas.width, canvas.height).data.buffer))]"
    )
    return {(code & 255, code >> 8 & 255, code >> 16 & 255) for code in found}


def rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def saved(page: Any, label: str, number: int = 0) -> tuple[str, bytes]:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=label).nth(number).click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def table_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_says_what_python_says(server: str, opened: Opened, results: dict[str, RangeTest]) -> None:
    page, test = opened.at(study_at(server, NAME)), results[NAME]
    rows = rows_of(page)
    assert [row[0] for row in rows] == list(test.suggestions)
    for row, suggestion in zip(rows, test.suggestions.values(), strict=True):
        numbers = [suggestion.lr, suggestion.low, suggestion.high]
        assert [float(cell) for cell in row[1:4]] == [float(f"{number:.3g}") for number in numbers]
        assert row[4] == suggestion.reason
    assert page.locator(".range-panel tbody b").all_text_contents() == ["minimum"]
    said = " ".join(page.locator(f".said .{part}").text_content() for part in ("answer", "sentences", "cost"))
    assert said == str(test)
    assert page.get_by_role("tab").all_text_contents() == ["Range test", "Details"]
    assert page.locator(".meta .count").text_content() == f"{REPEATS} repeats"


def test_its_picture_has_the_colours_of_the_still_one(
    server: str, opened: Opened, results: dict[str, RangeTest]
) -> None:
    page = opened.at(study_at(server, NAME), color_scheme="light")
    rows_of(page)
    key = page.locator(".range-figure .key").text_content()
    assert f"training loss of {REPEATS} repeats" in key
    assert all(f"{rule}: {found.lr:.2g}" in key for rule, found in results[NAME].suggestions.items())
    assert {rgb(colour) for colour in SUGGESTIONS.values()} <= colours(page)


def test_reads_the_losses_at_the_pointer(server: str, opened: Opened) -> None:
    page = opened.at(study_at(server, NAME))
    rows_of(page)
    box = page.locator(".range-place .u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    said = page.locator(".range-figure .at")
    expect(said).to_contain_text("At rate")
    rate, rest = said.text_content().removeprefix("At rate ").split(": loss ")
    losses, smoothed = rest.removesuffix(".").split(", smoothed ")
    told = httpx2.get(f"{server}/api/study/range-test", params={"name": NAME}).json()
    place = int(np.argmin(np.abs(np.log(np.array(told["smoothed"]["lrs"]) / float(rate)))))
    read = [float(loss) for loss in losses.split(" · ")]
    assert read == pytest.approx([repeat["losses"][place] for repeat in told["repeats"]], rel=1e-3)
    assert float(smoothed) == pytest.approx(told["smoothed"]["losses"][place], rel=1e-3)


def test_is_saved_as_a_picture_and_as_tables(server: str, opened: Opened, results: dict[str, RangeTest]) -> None:
    page, test = opened.at(study_at(server, NAME)), results[NAME]
    rows_of(page)
    name, picture = saved(page, "Save picture")
    assert name == "rising-b-rates-b-range-test.png"
    assert picture.startswith(b"\x89PNG")
    name, content = saved(page, "Save losses")
    assert name == "rising-b-rates-b-losses.csv"
    rows = table_of(content)
    expected = [
        (curve.seed, lr, loss) for curve in test.curves for lr, loss in zip(curve.lrs, curve.losses, strict=True)
    ]
    assert [(int(row["seed"]), float(row["lr"]), float(row["training_loss"])) for row in rows] == expected
    first = [float(row["smoothed"]) for row in rows[: len(test.lrs)]]
    assert first == test.smoothed.tolist()
    name, content = saved(page, "Save table")
    assert name == "rising-b-rates-b-suggestions.csv"
    assert [(row["rule"], float(row["lr"]), row["reason"]) for row in table_of(content)] == [
        (rule, found.lr, found.reason) for rule, found in test.suggestions.items()
    ]


def test_says_why_there_is_nothing_to_suggest(server: str, opened: Opened, results: dict[str, RangeTest]) -> None:
    page = opened.at(study_at(server, "refused"))
    reasons = [found.reason for found in results["refused"].suggestions.values()]
    assert [row[1:] for row in rows_of(page)] == [["none", "none", "none", reason] for reason in reasons]
    assert page.locator(".answer").text_content() == "No learning rate to suggest."
    assert "evaluation loss" in page.locator(".range-figure .key").text_content()
    assert rgb(SUGGESTIONS["minimum"]) not in colours(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", [NAME, "refused"])
def test_fits_a_narrow_screen_in_both_themes(server: str, opened: Opened, scheme: str, name: str) -> None:
    page = opened.at(study_at(server, name), viewport=NARROW, color_scheme=scheme)
    rows_of(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    table = page.locator(".range-panel .scroller")
    hidden = table.evaluate("table => [table.scrollWidth - table.clientWidth, table.scrollHeight - table.clientHeight]")
    assert hidden == [0, 0], "every reason is read without scrolling"
    assert len(colours(page)) > 5


def test_is_seen_growing_while_it_runs(tmp_path: Path, opened: Opened) -> None:
    path, gate, begun = tmp_path / "lrscout.db", threading.Semaphore(0), threading.Event()

    def wait(repeat: int) -> None:
        begun.set()
        assert gate.acquire(timeout=60)

    results: list[RangeTest] = []
    thread = threading.Thread(
        target=lambda: results.append(range_tested(Noisy(wait), store=path, study="under way", repeats=3))
    )
    thread.start()
    try:
        assert begun.wait(timeout=60)
        with served(path) as server:
            page = opened.at(study_at(server, "under way"))
            page.get_by_text("The first repeat is under way.").wait_for()
            gate.release()
            expect(page.locator(".meta .count")).to_have_text("1 of 3 repeats")
            assert len(rows_of(page)) == 4
            page.get_by_text("So far it suggests").wait_for()
            assert len(colours(page)) > 5
            gate.release()
            expect(page.locator(".range-figure .key")).to_contain_text("training loss of 2 repeats")
            gate.release()
            page.locator(".meta .state[data-state=finished]").wait_for()
            expect(page.locator(".range-figure .key")).to_contain_text("training loss of 3 repeats")
            thread.join()
            (test,) = results
            assert [float(row[1]) for row in rows_of(page)] == [
                float(f"{found.lr:.3g}") for found in test.suggestions.values()
            ]
            opened.leave()
    finally:
        gate.release(3)
        thread.join()


def test_one_that_was_stopped_before_its_first_repeat_says_so(
    tmp_path: Path, path: Path, results: dict[str, RangeTest], opened: Opened
) -> None:
    inputs = open_store(path).load(NAME).inputs
    with open_store(tmp_path / "a.db").begin("open", kind="range-test", inputs=inputs, target=None):
        pass
    with served(tmp_path / "a.db") as server:
        opened.at(study_at(server, "open")).get_by_text("stopped before its first repeat was done").wait_for()
        opened.leave()
