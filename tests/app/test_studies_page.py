"""The page's studies in a real browser: what they show is what the server answers, also while a sweep runs."""

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
import numpy as np
import pytest

import lrscout
from lrscout.core.errors import FleetUnavailableError
from lrscout.lesson.engines import numpy_engine
from lrscout.lesson.problem import sample_problem
from lrscout.store.store import open_store
from tests.app.kept import curve
from tests.app.opened import Opened, served

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


@pytest.fixture
def opened(chromium: Any, static: Path) -> Generator[Opened]:
    found = Opened(chromium)
    yield found
    found.close()


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


class TestTheList:
    def test_has_every_study_the_newest_first(self, server: str, opened: Opened) -> None:
        page = opened.at(server + "/#/studies")
        page.locator("tbody tr").first.wait_for()
        names = page.locator("a.name").all_text_contents()
        assert names == [study["name"] for study in asked(server, "studies")["studies"]]
        assert names[-1] == "line"
        row = page.locator("tbody tr", has_text="two seeds")
        assert row.locator(".kind").text_content() == "sweep"
        assert row.locator(".state").text_content() == "Finished"
        assert row.locator(".count").text_content() == "12 runs"

    def test_is_narrowed_and_the_link_keeps_it(self, server: str, opened: Opened) -> None:
        page = opened.at(server + "/#/studies")
        page.get_by_role("searchbox").fill("find")
        expect(page.locator("tbody tr")).to_have_count(2)
        other = opened.at(page.url)
        expect(other.locator("tbody tr")).to_have_count(2)
        assert other.get_by_role("searchbox").input_value() == "find"
        other.get_by_role("searchbox").fill("no such study")
        other.get_by_text("No study matches the filter.").wait_for()

    def test_a_row_that_has_not_changed_is_the_same_element_after_another_answer(
        self, server: str, opened: Opened
    ) -> None:
        page = opened.at(server + "/#/studies")
        page.locator("tbody tr").first.wait_for()
        page.evaluate("document.querySelectorAll('tbody tr').forEach(row => row.marked = true)")
        with page.expect_response("**/api/studies"):
            pass
        with page.expect_response("**/api/studies"):
            pass
        assert page.evaluate("[...document.querySelectorAll('tbody tr')].every(row => row.marked)")

    def test_says_how_to_begin_where_there_is_nothing(self, opened: Opened) -> None:
        with served(None) as empty:
            opened.at(empty + "/#/studies").get_by_text("lrscout sweep").wait_for()
            opened.leave()


class TestAMap:
    def test_the_cross_hair_reads_what_the_server_answers(self, server: str, opened: Opened) -> None:
        page = opened.at(server + study_at("line"))
        told = asked(server, "study/map", name="line")
        picture = page.get_by_role("application")
        picture.wait_for()
        picture.focus()
        seen: set[tuple[float, int]] = set()
        for key in ("Home", "PageDown", "PageDown", "ArrowRight", "ArrowUp", "ArrowRight", "ArrowUp", "End", "PageUp"):
            page.keyboard.press(key)
            lr, steps = (float(reading(page, name)) for name in ("rate", "steps"))
            rate, checkpoint = told["lrs"].index(lr), told["checkpoints"].index(int(steps))
            loss = told["losses"][rate][checkpoint]
            assert reading(page, "loss") == ("" if loss is None else str(loss)) or float(reading(page, "loss")) == loss
            outcome = told["outcomes"][rate][checkpoint].replace("_", " ").replace("non finite", "not finite")
            assert page.locator(".reading .outcome").text_content().startswith(outcome)
            seen.add((lr, int(steps)))
        assert len(seen) >= 6
        assert (told["lrs"][0], told["checkpoints"][0]) in seen
        assert (told["lrs"][-1], told["checkpoints"][-1]) in seen

    def test_the_pointer_reads_the_cell_under_it(self, server: str, opened: Opened) -> None:
        page = opened.at(server + study_at("line"))
        told = asked(server, "study/map", name="line")
        box = laid_out(page)
        low, high = edges(told["lrs"])
        left, right = edges(told["checkpoints"])
        # The ground of the cells, as its frame leaves room for the axes and the colour bar.
        ground = {"left": 48, "top": 24, "right": box["width"] - 84, "bottom": box["height"] - 38}
        for rate, checkpoint in ((0, 3), (2, 6), (5, len(told["checkpoints"]) - 1)):
            up = math.log(told["lrs"][rate] / low) / math.log(high / low)
            across = math.log(told["checkpoints"][checkpoint] / left) / math.log(right / left)
            page.mouse.move(
                box["x"] + ground["left"] + across * (ground["right"] - ground["left"]),
                box["y"] + ground["bottom"] - up * (ground["bottom"] - ground["top"]),
            )
            expect(page.locator("[data-reading=rate]")).to_have_attribute("value", written(told["lrs"][rate]))
            expect(page.locator("[data-reading=steps]")).to_have_attribute(
                "value", str(told["checkpoints"][checkpoint])
            )

    def test_a_click_adds_the_curve_of_its_rate_and_the_link_brings_it_back(self, server: str, opened: Opened) -> None:
        page = opened.at(server + study_at("line"))
        box = laid_out(page)
        with page.expect_response("**/api/study/curves?*") as waiting:
            page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
        lr = float(reading(page, "rate"))
        assert {curve["lr"] for curve in waiting.value.json()["curves"]} == {lr}
        page.locator(".chosen .legend li").wait_for()
        assert "lr=" in page.url
        page.get_by_role("button", name="Log loss").click()
        other = opened.at(page.url)
        other.locator(".chosen .legend li").wait_for()
        assert other.locator(".chosen .legend li b").text_content() == f"{lr:.4g}"
        assert other.get_by_role("button", name="Log loss").get_attribute("aria-pressed") == "false"
        other.get_by_role("button", name="Clear").click()
        assert "lr=" not in other.url
        assert not other.locator(".chosen").is_visible()

    def test_the_table_beside_it_holds_the_best_rate_of_each_budget(self, server: str, opened: Opened) -> None:
        page = opened.at(server + study_at("two seeds"))
        told = asked(server, "study/map", name="two seeds")
        page.get_by_role("region", name="The best learning rate for each number of steps").wait_for()
        rows = rows_of(page, "The best learning rate for each number of steps")
        assert [int(row[0]) for row in rows] == told["checkpoints"]
        assert [float(row[1]) for row in rows] == pytest.approx([best["lr"] for best in told["best"]], rel=1e-3)
        assert [float(row[4]) for row in rows] == pytest.approx([best["loss"] for best in told["best"]], rel=1e-3)

    def test_is_saved_as_a_picture_and_as_a_table(self, server: str, opened: Opened) -> None:
        page = opened.at(server + study_at("line"))
        laid_out(page)
        figure = page.locator(".map-figure")
        name, picture = saved(page, lambda: figure.get_by_role("button", name="Save picture").click())
        assert name == "line-map.png"
        assert picture.startswith(b"\x89PNG")
        name, content = saved(page, lambda: figure.get_by_role("button", name="Save table").click())
        assert name == "line-map.csv"
        told = asked(server, "study/map", name="line")
        rows = table_of(content)
        assert len(rows) == len(told["lrs"]) * len(told["checkpoints"])
        losses = [loss for row in told["losses"] for loss in row]
        assert [float(row["evaluation_loss"]) if row["evaluation_loss"] else None for row in rows] == losses

    def test_its_picture_is_not_blank_and_has_the_colours_of_the_valley(self, server: str, opened: Opened) -> None:
        page = opened.at(server + study_at("line"))
        laid_out(page)
        assert colours(page, ".study-map canvas") > 50


class TestCurves:
    def test_a_few_of_all_are_shown_until_some_are_chosen(self, server: str, opened: Opened) -> None:
        page = opened.at(server + study_at("line", tab="curves"))
        expect(page.locator(".legend li")).to_have_count(len(LRS))
        page.get_by_role("button", name="Rate 0.1,").click()
        page.get_by_role("button", name="Rate 0.7,").click()
        expect(page.locator(".legend li")).to_have_count(2)
        assert "lr=0.1,0.7" in page.url
        assert page.get_by_role("button", name="Rate 0.1,").get_attribute("aria-pressed") == "true"
        assert colours(page, ".curves canvas") > 5

    def test_reads_the_losses_at_the_pointer(self, server: str, opened: Opened) -> None:
        page = opened.at(server + study_at("line", tab="curves", lr="0.1"))
        page.locator(".legend li").wait_for()
        box = page.locator(".curves .u-over").bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        expect(page.locator(".legend .value")).not_to_be_empty()
        step = int(page.locator(".curves .at .value").text_content().removeprefix("at step "))
        (curve,) = asked(server, "study/curves", name="line", lr=0.1)["curves"]
        told = float(page.locator(".legend .value").text_content())
        assert told == pytest.approx(np.interp(step, curve["steps"], curve["losses"]), rel=1e-3)

    def test_are_saved_with_the_rows_that_were_sent(self, server: str, opened: Opened) -> None:
        page = opened.at(server + study_at("line", tab="curves", lr="0.1,3"))
        expect(page.locator(".legend li")).to_have_count(2)
        name, content = saved(page, lambda: page.get_by_role("button", name="Save these curves").click())
        assert name == "line-curves.csv"
        rows = [row for row in table_of(content) if row["loss"] and float(row["peak_lr"]) == 0.1]
        curve = next(c for c in asked(server, "study/curves", name="line", lr=[0.1, 3])["curves"] if c["lr"] == 0.1)
        assert [int(row["step"]) for row in rows] == curve["steps"]
        assert [float(row["loss"]) for row in rows] == curve["losses"]


class TestASearch:
    def test_says_its_recommendation_and_shows_its_race(self, server: str, opened: Opened) -> None:
        page = opened.at(server + study_at("search"))
        told = asked(server, "study", name="search")
        page.get_by_role("application").wait_for()
        assert page.locator(".answer").text_content() == told["sentences"][0]
        said = page.locator(".said").text_content()
        assert all(sentence in said for sentence in told["sentences"])
        rows = rows_of(page, "The probes of the race")
        assert len(rows) == len(told["recommendation"]["probes"])
        assert colours(page, ".race canvas") > 5
        assert f"pick: {told['recommendation']['lr']:.2g}" in page.locator(".race-figure .key").text_content()

    def test_every_probe_can_be_gone_to_with_the_keyboard(self, server: str, opened: Opened) -> None:
        page = opened.at(server + study_at("search"))
        probes = asked(server, "study", name="search")["recommendation"]["probes"]
        page.get_by_role("application").focus()
        seen: set[str] = set()
        for _ in probes:
            page.keyboard.press("ArrowRight")
            seen.add(page.locator(".race-figure .at").text_content())
        assert len(seen) == len({(probe["lr"], probe["steps"], probe["score"]) for probe in probes})

    def test_shows_what_more_steps_bring(self, server: str, opened: Opened) -> None:
        page = opened.at(server + study_at("worth"))
        frontier = asked(server, "study", name="worth")["recommendation"]["frontier"]
        page.get_by_role("heading", name="What more steps bring").wait_for()
        rows = rows_of(page, "The best rate for each number of steps")
        assert [int(row[0].replace("\u2009", "")) for row in rows] == [line["steps"] for line in frontier]


class TestFiles:
    @pytest.mark.parametrize("format", ["CSV", "JSON"])
    def test_the_servers_export_is_offered(self, server: str, opened: Opened, format: str) -> None:
        page = opened.at(server + study_at("line", tab="details"))
        _, content = saved(page, lambda: page.get_by_role("link", name=format, exact=True).click())
        there = httpx2.get(f"{server}/api/study/export", params={"name": "line", "format": format.lower()}).content
        assert content == there
        if format == "CSV":
            assert len({row["curve"] for row in table_of(content)}) == len(LRS)


class TestARunningSweep:
    def test_is_seen_growing_and_is_left_alone_when_it_is_finished(self, tmp_path: Path, opened: Opened) -> None:
        path = tmp_path / "lrscout.db"
        with gated_sweep(path, "under way") as let_go, served(path) as server:
            let_go(2)
            page = opened.at(server + "/#/studies")
            page.locator("tbody tr", has_text="2 of 6 runs").wait_for()
            assert page.locator(".state").text_content() == "Running"
            page.get_by_role("link", name="under way").click()
            expect(page.locator(".meta .count")).to_have_text("2 of 6 runs")
            laid_out(page)
            assert shown_rates(page) == STABLE[:2]
            let_go(2)
            expect(page.locator(".meta .count")).to_have_text("4 of 6 runs")
            with page.expect_response("**/api/study/map?*"):
                let_go(2)
            page.locator(".meta .state[data-state=finished]").wait_for()
            page.get_by_text("For 30 steps use a learning rate of").wait_for()
            page.wait_for_timeout(300)
            assert shown_rates(page) == STABLE
            before = len(opened.requests)
            page.wait_for_timeout(2500)
            assert opened.requests[before:] == []
            opened.leave()

    def test_the_cross_hair_stays_on_its_cell_while_the_map_grows(self, tmp_path: Path, opened: Opened) -> None:
        path = tmp_path / "lrscout.db"
        with gated_sweep(path, "under way") as let_go, served(path) as server:
            let_go(3)
            page = opened.at(server + study_at("under way"))
            laid_out(page)
            page.get_by_role("application").focus()
            page.keyboard.press("PageDown")
            page.keyboard.press("ArrowUp")
            assert float(reading(page, "rate")) == LRS[1]
            with page.expect_response("**/api/study/map?*"):
                let_go(3)
            page.locator(".meta .state[data-state=finished]").wait_for()
            assert float(reading(page, "rate")) == LRS[1]
            opened.leave()


class TestASearchUnderWay:
    def test_shows_the_curves_of_its_probes_and_says_when_it_was_stopped(self, tmp_path: Path, opened: Opened) -> None:
        store = open_store(tmp_path / "lrscout.db")
        with served(tmp_path / "lrscout.db") as server:
            with store.begin("searching", kind="find", inputs={"steps": 50}, target=None) as study:
                study.keep(0, [curve(0.07, 6), curve(0.3, 6)])
                page = opened.at(server + study_at("searching"))
                page.get_by_text("The race is on.").wait_for()
                assert page.locator(".meta .count").text_content() == "2 probes"
                page.get_by_role("tab", name="Curves").click()
                expect(page.locator(".legend li")).to_have_count(2)
                study.keep(1, [curve(0.15, 6)])
                expect(page.locator(".legend li")).to_have_count(3)
                page.get_by_role("tab", name="Race").click()
            page.get_by_text("This search was stopped before its race was decided.").wait_for()
            opened.leave()


class TestHarm:
    def test_script_in_a_name_is_only_text(self, server: str, opened: Opened) -> None:
        page = opened.at(server + "/#/studies")
        page.get_by_role("link", name=HOSTILE).click()
        page.get_by_role("heading", name=HOSTILE).wait_for()
        for tab in ("Curves", "Rates", "Details", "Map"):
            page.get_by_role("tab", name=tab).click()
            page.locator(".tab-panel > *").wait_for()
        page.wait_for_timeout(200)
        assert "taken" not in page.title()
        assert page.locator("main script, main img").count() == 0

    def test_a_study_that_is_not_there_is_told_in_a_sentence(self, server: str, opened: Opened) -> None:
        opened.expect("404")
        page = opened.at(server + study_at("nobody's"))
        page.get_by_role("alert").filter(has_text="nobody's").wait_for()

    def test_a_server_that_has_gone_is_told_and_found_again(self, server: str, opened: Opened) -> None:
        opened.expect("ERR_FAILED")
        page = opened.at(server + "/#/studies")
        page.locator("tbody tr").first.wait_for()
        page.route("**/api/**", lambda route: route.abort())
        page.get_by_role("alert").filter(has_text="does not answer").wait_for()
        page.unroute("**/api/**")
        page.get_by_role("alert").wait_for(state="hidden")

    @pytest.mark.parametrize("address", ["name=line&lr=abc,-1,1e999,NaN", "name=line&tab=__proto__", "name=", "lr=0.1"])
    def test_an_address_without_sense_does_no_harm(self, server: str, opened: Opened, address: str) -> None:
        opened.expect("404", "400")
        page = opened.at(f"{server}/#/studies?{address}")
        page.locator("h1").wait_for()


class TestEverybody:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("name", [None, "line", "search"])
    def test_fits_a_narrow_screen_in_both_themes(
        self, server: str, opened: Opened, scheme: str, name: str | None
    ) -> None:
        address = "/#/studies" if name is None else study_at(name, lr="0.1")
        page = opened.at(server + address, viewport=NARROW, color_scheme=scheme)
        page.locator("tbody tr").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
        ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        lightness = sum(int(part) for part in ground.removeprefix("rgb(").rstrip(")").split(","))
        assert (lightness > 600) == (scheme == "light")

    def test_goes_from_the_list_to_a_tab_by_keyboard_alone(self, server: str, opened: Opened) -> None:
        page = opened.at(server + "/#/studies")
        page.locator("tbody tr").first.wait_for()
        page.get_by_role("searchbox").focus()
        page.keyboard.type("line")
        expect(page.locator("tbody tr")).to_have_count(1)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.get_by_role("tab", name="Map").focus()
        page.keyboard.press("ArrowRight")
        assert page.get_by_role("tab", name="Curves").get_attribute("aria-selected") == "true"
        assert page.evaluate("document.activeElement.textContent") == "Curves"
        page.keyboard.press("End")
        page.get_by_text("Every step of every run, as a file").wait_for()
        page.go_back()
        page.get_by_role("heading", name="Studies").wait_for()

    def test_what_changes_is_said_politely(self, server: str, opened: Opened) -> None:
        page = opened.at(server + "/#/studies")
        status = page.locator("main [aria-live=polite]")
        status.filter(has_text="5 studies").wait_for(state="attached")


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
