"""The page's diagnosis in a real browser: a log goes in, and the verdict is the one that Python gives."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lrscout
from lrscout.logs.read import read_log
from tests.app.opened import Opened, served
from tests.app.opened import opened as opened

expect = pytest.importorskip("playwright.sync_api", reason="needs Playwright").expect

NARROW = {"width": 390, "height": 844}
FALLING = [round(2.0 * 0.97**step + 0.1, 5) for step in range(200)]
GROWING = [2.0, 2.9, 4.2, 6.1, 8.8, 12.8]
LOST = [2.0, 2.9, 9.0, 80.0, 7000.0, float("nan"), float("nan")]
HOSTILE = "<img/src=x/onerror=document.title='taken'>"

DROP = """(zone, [name, content]) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(atob(content), (character) => character.charCodeAt(0))], name));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    zone.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
  }
}"""


@pytest.fixture(scope="module")
def server() -> Generator[str]:
    with served(None) as address:
        yield address


@pytest.fixture
def page(server: str, opened: Opened) -> Any:
    return opened.at(server + "/#/diagnose")


def as_csv(losses: list[float]) -> bytes:
    return ("step,loss\n" + "".join(f"{step},{loss}\n" for step, loss in enumerate(losses))).encode()


def as_json_lines(losses: list[float]) -> bytes:
    return "".join(json.dumps({"step": step, "loss": loss}) + "\n" for step, loss in enumerate(losses)).encode()


def as_keras_history(losses: list[float]) -> bytes:
    return json.dumps({"loss": losses}).encode()


def as_trainer_state(losses: list[float]) -> bytes:
    history = [{"step": step, "loss": loss, "learning_rate": 0.01} for step, loss in enumerate(losses)]
    return json.dumps({"log_history": history, "global_step": len(losses)}).encode()


LOGS = {
    "metrics.csv": as_csv(FALLING),
    "log.jsonl": as_json_lines(GROWING),
    "history.json": as_keras_history(FALLING),
    "trainer_state.json": as_trainer_state(GROWING),
    "lost.csv": as_csv(LOST),
}


def drop(page: Any, name: str, content: bytes) -> None:
    import base64

    page.locator(".drop-zone").evaluate(DROP, [name, base64.b64encode(content).decode()])


def verdict(page: Any) -> tuple[str, list[str]]:
    """The verdict and the advice that the page shows."""
    page.locator(".judgement").wait_for()
    return page.locator(".judgement h2").text_content(), page.locator(".advice li").all_text_contents()


def told(diagnosis: Any) -> tuple[str, list[str]]:
    """The same as Python says it."""
    return str(diagnosis).removesuffix(" ".join(diagnosis.advice)).strip().removesuffix("."), list(diagnosis.advice)


def diagnosed(content: bytes, **wanted: Any) -> Any:
    """What `lrscout.diagnose` says of a log."""
    log = read_log(io.BytesIO(content), **wanted)[0]
    evaluated: dict[str, Any] = {}
    if len(log.evaluations):
        evaluated = {"evaluations": log.evaluations, "evaluated_at": log.evaluated_at}
    return lrscout.diagnose(log.losses, log.lrs, steps=log.steps, **evaluated)


class TestALog:
    @pytest.mark.parametrize("name", LOGS)
    def test_that_is_dropped_gets_the_verdict_of_python(self, page: Any, name: str) -> None:
        drop(page, name, LOGS[name])
        assert verdict(page) == told(diagnosed(LOGS[name]))
        expect(page.locator(".drop-title")).to_contain_text(name)

    def test_that_is_chosen_gets_the_same(self, page: Any) -> None:
        with page.expect_file_chooser() as choosing:
            page.locator(".drop-zone").click()
        choosing.value.set_files({"name": "run.csv", "mimeType": "text/csv", "buffer": LOGS["metrics.csv"]})
        assert verdict(page) == told(diagnosed(LOGS["metrics.csv"]))

    def test_that_is_chosen_by_keyboard_gets_the_same(self, page: Any) -> None:
        # Whoever listens late misses a chooser that opens at once, so the test listens before it goes there.
        page.on("filechooser", lambda _: None)
        page.locator(".drop-zone").focus()
        expect(page.locator(".drop-zone")).to_be_focused()
        with page.expect_file_chooser() as choosing:
            page.keyboard.press("Enter")
        choosing.value.set_files({"name": "run.csv", "mimeType": "text/csv", "buffer": LOGS["lost.csv"]})
        assert verdict(page)[0] == "Not finite"

    def test_is_drawn_and_saved(self, page: Any) -> None:
        drop(page, "metrics.csv", LOGS["metrics.csv"])
        page.locator(".log-place canvas").wait_for()
        colours = page.locator(".log-place canvas").evaluate(
            "canvas => new Set(new Uint32Array(canvas.getContext('2d')"
            ".getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"
        )
        assert colours > 5
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Save curve").click()
        rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text())))
        assert [float(row["loss"]) for row in rows] == FALLING
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Save picture").click()
        assert Path(waiting.value.path()).read_bytes().startswith(b"\x89PNG")

    def test_with_several_runs_shows_the_one_that_is_chosen(self, page: Any) -> None:
        lines = [f"a,{step},{loss}\n" for step, loss in enumerate(FALLING)]
        lines += [f"b,{step},{loss}\n" for step, loss in enumerate(GROWING)]
        content = ("run,step,loss\n" + "".join(lines)).encode()
        first, second = read_log(io.BytesIO(content))
        drop(page, "runs.csv", content)
        assert verdict(page)[0] == told(diagnosed(content, run=first.name))[0]
        page.get_by_role("combobox", name="Run").select_option(second.name)
        expect(page.locator(".judgement h2")).to_have_text("Diverging")
        assert verdict(page) == told(diagnosed(content, run=second.name))

    def test_with_several_losses_shows_the_one_that_is_chosen(self, page: Any) -> None:
        rows = zip(FALLING, np.geomspace(1, 1000, len(FALLING)), strict=True)
        content = ("loss,reg_loss\n" + "".join(f"{loss},{other}\n" for loss, other in rows)).encode()
        drop(page, "two.csv", content)
        assert verdict(page)[0] == "Converging"
        page.get_by_role("combobox", name="Loss").select_option("reg_loss")
        expect(page.locator(".judgement h2")).to_have_text("Diverging")
        assert verdict(page) == told(diagnosed(content, loss="reg_loss"))


class TestPastedLosses:
    @pytest.mark.parametrize(
        "text", ["2.0, 2.9, 4.2, 6.1, 8.8, 12.8", "[2, 2.9, 4.2, 6.1, 8.8, 1.28e1]", "2\n2.9 4.2;6.1\t8.8\n12.8"]
    )
    def test_get_the_verdict_of_python(self, page: Any, text: str) -> None:
        page.get_by_label("Or paste the losses").fill(text)
        page.get_by_role("button", name="Diagnose").click()
        assert verdict(page) == told(lrscout.diagnose(GROWING))

    def test_with_their_rate_get_better_advice(self, page: Any) -> None:
        page.get_by_label("Or paste the losses").fill(", ".join(map(str, GROWING)))
        page.get_by_label("Their learning rate").fill("0.9")
        page.keyboard.press("Enter")
        assert verdict(page) == told(lrscout.diagnose(GROWING, lr=0.9))

    def test_may_be_a_whole_log(self, page: Any) -> None:
        page.get_by_label("Or paste the losses").fill(LOGS["log.jsonl"].decode())
        page.keyboard.press("Control+Enter")
        assert verdict(page) == told(diagnosed(LOGS["log.jsonl"]))

    def test_come_with_an_example(self, page: Any) -> None:
        page.get_by_role("button", name="Try an example").click()
        assert verdict(page) == told(lrscout.diagnose(GROWING, lr=0.9))

    def test_keep_their_rate_to_themselves(self, page: Any) -> None:
        page.get_by_role("button", name="Try an example").click()
        drop(page, "growing.jsonl", LOGS["log.jsonl"])
        expect(page.locator(".drop-title")).to_contain_text("growing.jsonl")
        assert verdict(page) == told(diagnosed(LOGS["log.jsonl"]))
        page.get_by_label("Learning rate of the run").fill("0.9")
        page.keyboard.press("Enter")
        expect(page.locator(".judgement")).to_contain_text("puts the limit at")
        assert verdict(page) == told(diagnosed(LOGS["log.jsonl"], lr=0.9))

    def test_may_end_in_numbers_that_are_none(self, page: Any) -> None:
        page.get_by_label("Or paste the losses").fill("2.0 2.9 9.0 80 7000 nan inf")
        page.get_by_role("button", name="Diagnose").click()
        assert verdict(page) == told(lrscout.diagnose([2.0, 2.9, 9.0, 80, 7000, float("nan"), float("inf")]))

    @pytest.mark.parametrize("text", ["3, 2, nan, abc", "[3 2 abc]"])
    def test_with_a_word_among_them_are_not_taken_for_a_header(self, page: Any, text: str) -> None:
        page.get_by_label("Or paste the losses").fill(text)
        page.get_by_role("button", name="Diagnose").click()
        expect(page.locator(".trouble p")).to_contain_text("“abc” is no number")
        assert page.get_by_label("Take as the loss").count() == 0

    @pytest.mark.parametrize("rate", ["fast", "-1", "0"])
    def test_with_a_rate_that_is_none_say_so(self, page: Any, rate: str) -> None:
        page.get_by_label("Or paste the losses").fill("3 2 1")
        page.get_by_label("Their learning rate").fill(rate)
        page.keyboard.press("Enter")
        expect(page.locator(".trouble p")).to_contain_text(
            f"must be a number above zero, such as 0.1, but it is “{rate}”"
        )
        assert page.get_by_label("Take as the loss").count() == 0

    def test_that_are_too_few_to_show_a_bend_are_not_said_to_slow(self, page: Any) -> None:
        page.get_by_label("Or paste the losses").fill("3, 2")
        page.get_by_role("button", name="Diagnose").click()
        assert verdict(page) == told(lrscout.diagnose([3, 2]))
        assert "slow" not in page.locator(".judgement").text_content()

    def test_are_told_once_what_became_of_them(self, page: Any) -> None:
        page.get_by_role("button", name="Try an example").click()
        verdict(page)
        assert page.locator(".judgement").text_content().count("no number of steps will help") == 1


class TestARateOfALog:
    def test_that_is_none_leaves_the_answer_where_it_is(self, page: Any) -> None:
        drop(page, "log.csv", LOGS["metrics.csv"])
        verdict(page)
        field = page.get_by_label("Learning rate of the run")
        field.fill("fast")
        page.keyboard.press("Enter")
        assert "must be a number above zero" in field.evaluate("field => field.validationMessage")
        assert page.locator(".judgement").is_visible()
        field.fill("0.9")
        page.keyboard.press("Enter")
        expect(page.locator(".judgement")).to_contain_text("Keep the rate, 0.9.")


class TestABadLog:
    @pytest.mark.parametrize(
        "content", [b"", b"\x00\xff\x17binary", b"[" * 100, b"name,kind\na,b\n", b"loss\n1.0\n"],
        ids=["empty", "binary", "deep", "without numbers", "one loss"],
    )  # fmt: skip
    def test_is_told_in_a_sentence(self, page: Any, content: bytes) -> None:
        drop(page, "bad.csv", content)
        alert = page.locator(".trouble p")
        alert.wait_for()
        assert len(alert.text_content()) > 20
        assert alert.text_content().rstrip().endswith((".", "?"))
        assert "Traceback" not in alert.text_content()
        assert "/tmp" not in alert.text_content()

    def test_is_forgotten_when_a_good_one_comes(self, page: Any) -> None:
        drop(page, "bad.csv", b"")
        page.locator(".trouble p").wait_for()
        drop(page, "metrics.csv", LOGS["metrics.csv"])
        assert verdict(page)[0] == "Converging"
        assert not page.locator(".trouble").is_visible()

    def test_leaves_no_verdict_of_another_to_be_heard(self, page: Any) -> None:
        drop(page, "metrics.csv", LOGS["metrics.csv"])
        said = page.locator("main [aria-live=polite]")
        expect(said).to_contain_text("Converging")
        drop(page, "bad.csv", b"")
        page.locator(".trouble p").wait_for()
        expect(said).to_be_empty()

    def test_is_told_in_words_of_the_page_and_offers_what_would_help(self, page: Any) -> None:
        drop(page, "named.csv", b"misery,joy\n3,1\n2,2\n")
        expect(page.locator(".trouble p")).to_contain_text("Choose it below.")
        assert "--" not in page.locator(".trouble p").text_content()
        drop(page, "header.csv", b"step,loss\n")
        expect(page.locator(".trouble p")).to_contain_text("no rows")
        assert page.get_by_label("Take as the loss").count() == 0

    def test_offers_its_columns_where_none_is_called_a_loss(self, page: Any) -> None:
        content = ("misery,joy\n" + "".join(f"{loss},{-loss}\n" for loss in FALLING)).encode()
        drop(page, "named.csv", content)
        page.get_by_label("Take as the loss").select_option("misery")
        assert verdict(page) == told(diagnosed(content, loss="misery"))

    def test_that_is_too_large_never_leaves_the_page(self, page: Any, opened: Opened) -> None:
        before = len(opened.requests)
        page.locator(".drop-zone").evaluate(
            "zone => { const data = new DataTransfer();"
            " data.items.add(new File([new Uint8Array(9 << 20)], 'large.csv'));"
            " zone.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })); }"
        )
        page.get_by_text("larger than 8 MiB").wait_for()
        assert opened.requests[before:] == []

    def test_that_is_nothing_is_told(self, page: Any) -> None:
        page.get_by_role("button", name="Diagnose").click()
        page.get_by_text("There is nothing to diagnose yet.").wait_for()


class TestHarm:
    def test_script_in_names_of_files_columns_and_runs_is_only_text(self, page: Any) -> None:
        lines = [f"{HOSTILE}{run},{loss},{loss + 1}\n" for run in "ab" for loss in FALLING]
        drop(page, f"{HOSTILE}.csv", f"run,loss,loss{HOSTILE}\n{''.join(lines)}".encode())
        verdict(page)
        expect(page.locator(".drop-title")).to_contain_text(HOSTILE)
        assert HOSTILE in page.get_by_role("combobox", name="Run").text_content()
        assert HOSTILE in page.get_by_role("combobox", name="Loss").text_content()
        page.wait_for_timeout(200)
        assert "taken" not in page.title()
        assert page.locator("main img").count() == 0


class TestEverybody:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_it_fits_a_narrow_screen_in_both_themes(self, server: str, opened: Opened, scheme: str) -> None:
        page = opened.at(server + "/#/diagnose", viewport=NARROW, color_scheme=scheme)
        page.get_by_role("button", name="Try an example").click()
        verdict(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]

    def test_the_verdict_is_said_politely(self, page: Any) -> None:
        page.get_by_role("button", name="Try an example").click()
        said = page.locator("main [aria-live=polite]").filter(has_text="Diverging.")
        said.wait_for(state="attached")
        assert "no number of steps will help" in said.text_content()
