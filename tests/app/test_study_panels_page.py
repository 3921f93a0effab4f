"""The views of a study in a real browser: its map, its curves and its race are what the server answers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import lrscout
from lrscout.store.store import open_store
from tests.app.kept import curve
from tests.app.opened import Opened, served
from tests.app.opened import opened as opened
from tests.app.studies_page import (
    LRS,
    NARROW,
    asked,
    colours,
    edges,
    laid_out,
    lesson_loop,
    reading,
    rows_of,
    saved,
    study_at,
    table_of,
    written,
)
from tests.app.studies_page import server as server
from tests.app.studies_page import store as store

expect = pytest.importorskip("playwright.sync_api", reason="needs Playwright").expect


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


class TestEveryView:
    def test_marks_the_best_rate_and_no_other(self, server: str, opened: Opened) -> None:
        best = asked(server, "study", name="line")["best"]
        page = opened.at(server + study_at("line", tab="rates"))
        row = page.locator("tbody tr", has=page.get_by_role("img", name="best rate"))
        expect(row).to_have_count(1)
        assert float(row.locator("td").first.text_content()) == pytest.approx(best, rel=1e-3)
        page.get_by_role("tab", name="Curves").click()
        marked = page.locator(".chooser .best-mark")
        expect(marked).to_have_count(1)
        assert float(marked.locator("..").get_attribute("data-lr")) == best
        assert marked.locator("..").get_by_role("img").count() == 1
        assert page.locator(".chooser .outcome-dot").count() == len(LRS) - 1

    def test_counts_probes_apart_from_test_runs_and_calls_runs_alike(self, server: str, opened: Opened) -> None:
        told = asked(server, "study", name="search")
        page = opened.at(server + study_at("search", tab="rates"))
        probes, others = len(told["recommendation"]["probes"]), told["test_runs"]
        expect(page.locator(".meta .count")).to_have_text(f"{probes} probes, {others} short test runs")
        shown = {float(row[0]): row[4] for row in rows_of(page, "The rates of the study")}
        page.get_by_role("tab", name="Race").click()
        page.get_by_role("region", name="The probes of the race").wait_for()
        longest: dict[float, str] = {}
        for row in rows_of(page, "The probes of the race"):
            longest[float(row[1])] = row[3]
        assert {lr: shown[lr] for lr in longest} == longest

    def test_says_nothing_of_rows_that_are_cut_off(self, server: str, opened: Opened) -> None:
        page = opened.at(server + study_at("two seeds"))
        table = page.get_by_role("region", name="The best learning rate for each number of steps")
        table.wait_for()
        assert table.evaluate("box => box.scrollHeight <= box.clientHeight")

    def test_does_without_ranges_on_a_narrow_screen(self, server: str, opened: Opened) -> None:
        page = opened.at(server + study_at("two seeds"), viewport=NARROW)
        table = page.get_by_role("region", name="The best learning rate for each number of steps")
        table.wait_for()
        expect(table.get_by_role("columnheader")).to_have_text(["Steps", "Best rate", "Loss"])
        assert table.evaluate("box => box.scrollWidth <= box.clientWidth")

    def test_has_room_for_the_names_of_its_rates(self, tmp_path: Path, opened: Opened) -> None:
        lrs = np.geomspace(0.00268, 1.7, 8)
        lrscout.sweep(lesson_loop(), lrs, steps=10, study="eight", store=tmp_path / "a.db")
        with served(tmp_path / "a.db") as server:
            page = opened.at(server + study_at("eight"), color_scheme="light")
            laid_out(page)
            # A name that is cut off has ink on the first column of pixels.
            ink = page.locator(".study-map canvas").first.evaluate(
                "canvas => { const { data } = canvas.getContext('2d').getImageData(0, 40, 2, canvas.height - 90);"
                " return data.filter((value, index) => index % 4 === 3 && value > 0).length }"
            )
            assert ink == 0
            opened.leave()


class TestASearchUnderWay:
    def test_shows_the_curves_of_its_probes_and_says_when_it_was_stopped(self, tmp_path: Path, opened: Opened) -> None:
        store = open_store(tmp_path / "lrscout.db")
        with served(tmp_path / "lrscout.db") as server:
            with store.begin("searching", kind="find", inputs={"steps": 50}, target=None) as study:
                study.keep(0, [curve(0.07, 6), curve(0.3, 6)])
                page = opened.at(server + study_at("searching"))
                page.get_by_text("The race is on.").wait_for()
                assert page.locator(".meta .count").text_content() == "2 runs"
                page.get_by_role("tab", name="Curves").click()
                expect(page.locator(".legend li")).to_have_count(2)
                study.keep(1, [curve(0.15, 6)])
                expect(page.locator(".legend li")).to_have_count(3)
                page.get_by_role("tab", name="Race").click()
            page.get_by_text("This search was stopped before its race was decided.").wait_for()
            opened.leave()
