"""The lesson in its readers' hands: by keyboard, by link, on any window, and with a server that fails."""

from __future__ import annotations

import re

import pytest

from lrscout.app.lesson import lesson_points
from tests.app.lesson_stage import drawn, rate, settled, shown, verdict

WHAT_HAS_THE_FOCUS = """() => {
  const one = document.activeElement;
  return one.getAttribute("aria-label") || one.id || one.innerText;
}"""


def test_keyboard_alone_is_enough(lesson):
    page = lesson("#/lesson?lr=0.5&steps=100")
    rate(page).focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => parseFloat(document.querySelector('.lesson-stage').dataset.lr) > 0.5")
    page.keyboard.press("Home")
    settled(page, lr=0.001)
    page.keyboard.press("End")
    settled(page, lr=10, outcome="nan")
    page.get_by_role("slider", name="Steps").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => parseInt(document.querySelector('.lesson-stage').dataset.steps) > 100")

    page.locator(".panel.map .heatmap").focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_function("() => parseFloat(document.querySelector('.lesson-stage').dataset.lr) < 10")
    page.locator(".panel.bowl .surface").focus()
    before = drawn(page)["bowl"]
    page.keyboard.press("ArrowLeft")
    turned = drawn(page)["bowl"]
    assert before[0]["sum"] != turned[0]["sum"]
    page.keyboard.press("Home")
    assert drawn(page)["bowl"][0]["sum"] == before[0]["sum"]


def test_everything_that_can_be_used_has_a_name_and_can_be_reached(lesson):
    page = lesson()
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, input, a, [tabindex='0']")]
        .filter((one) => one.checkVisibility())
        .filter((one) => !(one.innerText || one.ariaLabel || one.labels?.length)).map((one) => one.outerHTML)"""
    )
    assert nameless == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to the content"
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate(WHAT_HAS_THE_FOCUS))
    assert len(seen) > 30


def test_what_to_try_is_large_enough_and_says_what_it_does(lesson):
    page = lesson()
    buttons = page.locator(".prose .tries button")
    names = buttons.all_inner_texts()
    assert len(names) > 10
    assert all(re.search("[a-z]", name) for name in names), names
    sizes = [buttons.nth(index).bounding_box() for index in range(len(names))]
    assert min(min(size["width"], size["height"]) for size in sizes) >= 24


@pytest.mark.parametrize(("wish", "behaviour"), [("reduce", "instant"), ("no-preference", "smooth")])
def test_whoever_wants_stillness_is_not_scrolled_smoothly(lesson, wish, behaviour):
    page = lesson(reduced_motion=wish)
    page.evaluate(
        """() => {
          document.querySelector(".lesson-stage").scrollIntoView = ({ behavior }) => { window.scrolled = behavior; };
        }"""
    )
    page.get_by_role("button", name="step 3").click()
    assert page.evaluate("window.scrolled") == behaviour


def test_a_cleared_box_shows_the_rate_again(lesson):
    page = lesson("#/lesson?lr=0.31&steps=3")
    box = page.get_by_role("spinbutton", name="Learning rate, exactly")
    box.fill("")
    page.keyboard.press("Tab")
    assert box.input_value() == "0.31"


def test_a_part_is_found_again_as_it_was_left(lesson):
    page = lesson("#/lesson?lr=0.2&steps=10")
    page.get_by_role("slider", name="Start w").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => location.hash.includes('w=0.05')")
    for _ in range(2):
        page.get_by_role("link", name="Studies", exact=True).click()
        page.wait_for_function("() => document.querySelector('main').dataset.part === 'studies'")
        page.get_by_role("link", name="Lesson", exact=True).click()
        page.wait_for_selector(".lesson-stage")
        state = settled(page, lr=0.2, steps=10)
        assert "w=0.05" in page.evaluate("location.hash")
    # Also from within the part itself, and the page's own name leads to the beginning.
    page.get_by_role("link", name="Lesson", exact=True).click()
    assert settled(page, lr=0.2)["steps"] == state["steps"]
    page.get_by_role("link", name="lrscout").click()
    settled(page, lr=0.9, steps=3)


def test_what_the_server_says_is_shown(lesson):
    page = lesson(expected="503")
    page.route("**/api/lesson", lambda route: route.fulfill(status=503, json={"error": "The points are at lunch."}))
    page.reload()
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert alert.inner_text() == "The lesson's points did not come. The points are at lunch."


def test_a_server_that_is_gone_is_named(lesson):
    page = lesson(expected="ERR_")
    page.route("**/api/lesson", lambda route: route.abort())
    page.reload()
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert "The server does not answer." in alert.inner_text()


def test_the_track_beyond_the_limit_is_warm_in_every_browser(static):
    rules = (static / "lrscout.css").read_text(encoding="utf-8")
    for track in ("-webkit-slider-runnable-track", "-moz-range-track"):
        assert f".lrscout .rate input[type=range]::{track}{{background:var(--warm-beyond)}}" in rules


def test_a_very_narrow_window_has_room_for_the_theme_button(lesson):
    page = lesson(viewport={"width": 320, "height": 640})
    button = page.get_by_role("button", name="Switch to the dark theme").bounding_box()
    assert min(button["width"], button["height"]) >= 24
    assert button["x"] + button["width"] <= 320
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_verdict_is_said_aloud_once_the_slider_rests(lesson):
    page = lesson()
    rate(page).focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    seen = verdict(page)
    assert "limit" in seen
    said = "seen => document.querySelector('.lesson-stage [role=status]').textContent.includes(seen)"
    page.wait_for_function(said, arg=seen)


def test_link_restores_the_state(lesson):
    page = lesson()
    page.get_by_role("spinbutton", name="Learning rate, exactly").fill("0.31")
    page.keyboard.press("Enter")
    for name in ("Start w", "Start b", "Noise", "Momentum"):
        page.get_by_role("slider", name=name).focus()
        page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="range test", exact=True).first.click()
    page.wait_for_function("() => location.hash.includes('look=range') && location.hash.includes('momentum=0.01')")
    state, link = shown(page), page.evaluate("location.hash")
    assert re.search(r"lr=0\.31&steps=3&w=0\.05&b=-0\.95&noise=1\.05&momentum=0\.01", link)
    other = shown(lesson(link))
    assert {**state, "updates": ""} == {**other, "updates": ""}


@pytest.mark.parametrize(
    "fragment",
    [
        "#/lesson?lr=NaN&steps=-5",
        "#/lesson?lr=1e999&steps=1e9&w=x&momentum=7",
        "#/nowhere",
        "#/lesson?%",
        "#/constructor",
    ],
)
def test_wrong_links_open_the_lesson_within_its_bounds(lesson, fragment):
    state = shown(lesson(fragment))
    assert 1e-3 <= float(state["lr"]) <= 10
    assert 1 <= int(state["steps"]) <= 1000


def test_back_and_links_inside_the_page_are_followed(lesson):
    page = lesson("#/lesson?lr=0.5&steps=10")
    page.evaluate("location.hash = '#/lesson?lr=0.2&steps=10'")
    settled(page, lr=0.2)
    page.go_back()
    settled(page, lr=0.5)


def test_theme_button_is_remembered(lesson):
    page = lesson()
    page.get_by_role("button", name="Switch to the dark theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    page.wait_for_selector(".lesson-stage")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


WIDGET = """
async (points) => {
  const traits = { points, lr: 0.5, steps: 200, w: 0, b: -1, noise: 1, momentum: 0, verdict: "" };
  const heard = {};
  const model = {
    get: (name) => traits[name],
    set(name, value) {
      traits[name] = value;
      for (const listener of heard[`change:${name}`] ?? []) listener();
    },
    save_changes: () => { window.saved = { ...traits }; },
    on: (event, listener) => (heard[event] ??= []).push(listener),
    off: (event, listener) => { heard[event] = heard[event].filter((one) => one !== listener); },
  };
  const { default: widget } = await import(new URL("static/lrscout.js", document.baseURI));
  const [first, second] = [document.createElement("div"), document.createElement("div")];
  document.body.replaceChildren(first, second);
  const stops = [widget.render({ model, el: first }), widget.render({ model, el: second })];
  window.widget = { model, stop: () => stops.forEach((stop) => stop()), heard };
}
"""


def test_widget_shares_its_state_with_python_and_asks_no_server(lesson):
    page = lesson()
    page.evaluate(WIDGET, lesson_points())
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    first, second = page.locator(".lesson-stage").first, page.locator(".lesson-stage").last
    assert first.get_attribute("data-outcome") == "arrived"
    assert page.evaluate("() => window.saved.verdict").startswith("0.5 is below the limit 0.775")

    first.get_by_role("button", name="Jumping").click()
    page.wait_for_function("() => window.saved.lr === 0.9 && window.saved.steps === 3")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.lesson-stage')].every(({ dataset }) => dataset.lr === '0.9')"
    )
    page.wait_for_function("() => window.saved.verdict.startsWith('0.9 is above the limit')")

    page.evaluate("() => window.widget.model.set('lr', 0.25)")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.lesson-stage')].every(({ dataset }) => dataset.lr === '0.25')"
    )
    assert second.locator(".verdict strong").inner_text().startswith("0.25 is below the limit 0.775")
    page.evaluate("() => window.widget.stop()")
    assert page.evaluate("() => Object.values(window.widget.heard).flat().length") == 0
    assert asked == []
