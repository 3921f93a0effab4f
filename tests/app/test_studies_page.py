"""The page's studies in a real browser: what they show is what the server answers, also while a sweep runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from lrscout.app.server import make_app
from lrscout.store.store import open_store
from tests.app.kept import curve
from tests.app.opened import Opened, served
from tests.app.opened import opened as opened
from tests.app.studies_page import (
    HOSTILE,
    LRS,
    NARROW,
    STABLE,
    asked,
    gated_sweep,
    laid_out,
    reading,
    saved,
    shown_rates,
    study_at,
    table_of,
)
from tests.app.studies_page import server as server
from tests.app.studies_page import store as store

expect = pytest.importorskip("playwright.sync_api", reason="needs Playwright").expect


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


class TestALink:
    def test_to_a_study_that_has_yet_to_begin_waits_for_it_and_for_the_next_of_its_name(
        self, tmp_path: Path, opened: Opened
    ) -> None:
        store = open_store(tmp_path / "lrscout.db")
        with served(tmp_path / "lrscout.db") as server:
            page = opened.at(server + study_at("later"))
            page.get_by_text("There is no study 'later' yet; it appears here when it begins.").wait_for()
            with store.begin("later", kind="find", inputs={}, target=None) as study:
                study.keep(0, [curve(0.1, 6)])
                study.finish({})
            page.locator(".meta .state[data-state=finished]").wait_for()
            page.get_by_role("tab", name="Race").wait_for()
            store.delete("later")
            with store.begin("later", kind="other", inputs={}, target=None) as study:
                study.keep(0, [curve(0.1, 6), curve(0.2, 6)])
                expect(page.locator(".meta .count")).to_have_text("2 runs", timeout=15_000)
                expect(page.get_by_role("tab", name="Race")).to_have_count(0)
            opened.leave()

    def test_to_a_store_that_has_yet_to_be_made_says_what_is_waited_for(self, tmp_path: Path, opened: Opened) -> None:
        with served(tmp_path / "runs.db") as server:
            page = opened.at(server + "/#/studies")
            page.get_by_text("runs.db is not there yet.").wait_for()
            with open_store(tmp_path / "runs.db").begin("first", kind="find", inputs={}, target=None):
                page.get_by_role("link", name="first").wait_for()
            opened.leave()

    def test_to_a_page_below_a_path_shows_its_studies_and_its_files(
        self, store: Path, opened: Opened, serve: Callable[..., str]
    ) -> None:
        address = serve(Starlette(routes=[Mount("/lab/one", app=make_app(store))]))
        page = opened.at(f"{address}lab/one/{study_at('line', tab='details')}".replace("one//", "one/"))
        _, content = saved(page, lambda: page.get_by_role("link", name="CSV", exact=True).click())
        assert len(table_of(content)) > 0
        page.goto(f"{address}lab/one/#/diagnose")
        page.get_by_role("button", name="Try an example").click()
        page.locator(".judgement").wait_for()

    def test_with_a_rate_of_no_run_says_so_and_one_that_is_near_finds_it(self, server: str, opened: Opened) -> None:
        page = opened.at(server + study_at("line", tab="curves", lr="0.0999,0.2"))
        expect(page.locator(".legend li")).to_have_text(["0.1converging", "0.2no run yet"])
        assert page.get_by_role("button", name="Rate 0.1,").get_attribute("aria-pressed") == "true"


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
        page = opened.at(server + study_at("nobody's"))
        page.get_by_role("alert").filter(has_text='There is no study "nobody\'s" yet').wait_for()

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
