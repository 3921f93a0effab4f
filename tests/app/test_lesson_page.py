"""The lesson in a browser: what is dragged, typed, pressed and shared, the pictures and the verdict follow."""

from __future__ import annotations

import re

import numpy as np
import pytest

from lrscout.app.lesson import lesson_points
from lrscout.lesson.descent import descend
from lrscout.lesson.engines import numpy_engine
from lrscout.lesson.problem import sample_problem
from tests.app.conftest import NARROW, WIDE

LESSON = {1: (1.448, 1.747), 2: (-0.593, -1.814), 3: (1.991, 2.956)}
"""The first steps at 0.9, as LESSON.md has them."""

PICTURES = ("points", "loss", "bowl", "map")

INK = """
(root) => [...root.querySelectorAll("canvas")].filter((one) => one.width && one.checkVisibility()).map((canvas) => {
  // A copy, so that the page's own canvases stay where they are drawn fastest.
  const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  let sum = 0;
  let drawn = 0;
  for (let index = 3; index < pixels.length; index += 4) {
    if (pixels[index]) drawn += 1;
    sum = (31 * sum + pixels[index - 3] + 3 * pixels[index - 2] + 7 * pixels[index - 1] + pixels[index]) % 1000000007;
  }
  return { drawn: drawn / (pixels.length / 4), sum };
})
"""


WHAT_HAS_THE_FOCUS = """() => {
  const one = document.activeElement;
  return one.getAttribute("aria-label") || one.id || one.innerText;
}"""


@pytest.fixture
def lesson(site, open_page):
    """Return a function that opens the lesson in a state."""

    def open_lesson(fragment: str = "", **options):
        page = open_page(f"{site}{fragment}", **options)
        page.wait_for_selector(".lesson-stage .map canvas")
        page.wait_for_function("() => document.querySelectorAll('.lesson-stage .uplot').length > 0")
        return page

    return open_lesson


def shown(page) -> dict[str, str]:
    """Return what the stage says it shows."""
    return page.evaluate("({...document.querySelector('.lesson-stage').dataset})")


def settled(page, **wanted) -> dict[str, str]:
    """Wait until the stage shows some values, and return all."""
    for name, value in wanted.items():
        page.wait_for_function(
            "([name, value]) => document.querySelector('.lesson-stage').dataset[name] === value", arg=[name, str(value)]
        )
    return shown(page)


def verdict(page) -> str:
    return page.locator(".verdict strong").inner_text()


def drawn(page) -> dict[str, list[dict[str, float]]]:
    """Return for each picture, and each of its layers, how much of it is covered and a sum over its pixels."""
    # Two frames, so that what was set has been drawn.
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return {name: page.locator(f".panel.{name}").evaluate(INK) for name in PICTURES}


def rate(page):
    return page.get_by_role("slider", name="Learning rate")


def test_pictures_follow_the_rate_while_it_is_dragged(lesson):
    page = lesson("#/lesson?lr=0.001&steps=20&w=0&b=-1&noise=1&momentum=0")
    slider = rate(page).bounding_box()
    middle = slider["y"] + slider["height"] / 2
    before, states = drawn(page), [shown(page)]
    assert verdict(page).startswith("0.001 is below the limit 0.775: after 20 steps it is on its way")
    page.mouse.move(slider["x"] + 8, middle)
    page.mouse.down()
    # From 0.001 to 0.9 on a track from 0.001 to 10.
    for share in np.linspace(0, np.log10(900) / 4, 30):
        page.mouse.move(slider["x"] + 8 + share * (slider["width"] - 16), middle)
        states.append(shown(page))
    page.wait_for_function("() => parseFloat(document.querySelector('.lesson-stage').dataset.lr) > 0.85")
    after, end = drawn(page), shown(page)
    page.mouse.up()

    assert len({state["lr"] for state in states}) > 10
    lrs = [float(state["lr"]) for state in states]
    assert lrs == sorted(lrs)
    assert end["outcome"] == "jumps_away"
    assert float(end["lr"]) == pytest.approx(0.9, rel=0.03)
    assert verdict(page).endswith("above the limit 0.775: every step lands farther away; no number of steps will help.")
    run = descend(sample_problem(), numpy_engine(sample_problem()), float(end["lr"]), 20)
    assert [float(end["w"]), float(end["b"])] == pytest.approx(run.path[-1], rel=1e-6)
    assert float(end["loss"]) == pytest.approx(run.losses[-1], rel=1e-6)
    for name in PICTURES:
        assert any(layer["drawn"] > 0.005 for layer in after[name]), name
        assert [layer["sum"] for layer in before[name]] != [layer["sum"] for layer in after[name]], name


def test_only_the_path_and_the_cross_hair_are_drawn_again_for_another_rate(lesson):
    page = lesson()
    before = drawn(page)
    page.get_by_role("spinbutton", name="Learning rate, exactly").fill("0.5")
    page.keyboard.press("Enter")
    settled(page, lr=0.5)
    after = drawn(page)
    for name in ("bowl", "map"):
        (ground, path), (same_ground, other_path) = before[name], after[name]
        assert ground["sum"] == same_ground["sum"]
        assert path["sum"] != other_path["sum"]


def test_steps_one_two_three_are_the_lessons(lesson):
    page = lesson()
    page.get_by_role("button", name="Jumping").click()
    for step, (w, b) in LESSON.items():
        page.locator(f".walk button[data-step='{step}']").click()
        state = settled(page, steps=step)
        assert [float(state["w"]), float(state["b"])] == pytest.approx([w, b], abs=1e-3)
        row = page.locator(f".walk tr[data-step='{step}'] td").all_inner_texts()
        assert [float(cell.replace("\N{MINUS SIGN}", "-")) for cell in row[:2]] == [w, b]
    page.get_by_role("button", name="one more").click()
    settled(page, steps=4)


@pytest.mark.parametrize(
    ("scene", "outcome", "sentence"),
    [
        ("Too small", "on_its_way", "0.001 is below the limit 0.775: after 100 steps it is on its way; about"),
        ("Just right", "arrived", "0.5 is below the limit 0.775: after 200 steps it has arrived at the best line."),
        (
            "Jumping",
            "jumps_away",
            "0.9 is above the limit 0.775: every step lands farther away; no number of steps will help.",
        ),
        ("NaN", "nan", "10 is above the limit 0.775: every step lands farther away, until the numbers overflow"),
        ("Range test", "arrived", "0.233 is below the limit 0.775"),
    ],
)
def test_scenes(lesson, scene, outcome, sentence):
    page = lesson("#/lesson?lr=0.3&steps=7")
    button = page.get_by_role("button", name=scene).first
    button.click()
    settled(page, outcome=outcome)
    assert button.get_attribute("aria-pressed") == "true"
    assert verdict(page).startswith(sentence)
    assert all(any(layer["drawn"] > 0.005 for layer in layers) for layers in drawn(page).values())


def test_range_test_scene_shows_the_minimum_and_a_tenth_of_it(lesson):
    page = lesson()
    page.get_by_role("button", name="Range test let the rate rise").click()
    settled(page, lr=0.233)
    chart = page.locator(".panel.loss .chart:visible")
    found = "The range test's loss is lowest at a learning rate of 2.33; a tenth of that is 0.233."
    assert found in chart.get_attribute("aria-label")
    assert found in page.locator(".verdict .detail").inner_text()


def test_limit_follows_the_momentum_and_is_marked_at_the_slider(lesson):
    page = lesson("#/lesson?lr=0.9&steps=60&momentum=0.8")
    state = shown(page)
    assert float(state["limit"]) == pytest.approx(1.8 * sample_problem().max_stable_lr)
    assert state["outcome"] == "arrived"
    assert page.locator(".rate .slider-mark").inner_text() == "limit 1.4"
    assert "Above the limit 1.4" in page.locator(".panel.map .heatmap").get_attribute("aria-label")


def test_click_on_the_map_chooses(lesson):
    page = lesson()
    area = page.locator(".panel.map .heatmap").bounding_box()
    page.mouse.click(area["x"] + 0.7 * area["width"], area["y"] + 0.4 * area["height"])
    page.wait_for_function("() => document.querySelector('.lesson-stage').dataset.steps !== '3'")
    state = shown(page)
    assert 50 < int(state["steps"]) < 400
    assert 0.03 < float(state["lr"]) < 0.8


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


def test_verdict_is_said_aloud_once_the_slider_rests(lesson):
    page = lesson()
    rate(page).focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    status = page.locator(".lesson-stage [role=status]")
    page.wait_for_function("() => document.querySelector('.lesson-stage [role=status]').textContent.includes('limit')")
    assert verdict(page) in status.inner_text()


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


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_widths_and_themes(lesson, viewport, scheme):
    page = lesson(viewport=viewport, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    luminance = page.evaluate(
        "getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).map(Number)[0]"
    )
    assert (luminance > 200) == (scheme == "light")
    assert all(any(layer["drawn"] > 0.005 for layer in layers) for layers in drawn(page).values())


def test_theme_button_is_remembered(lesson):
    page = lesson()
    page.get_by_role("button", name="Switch to the dark theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    page.wait_for_selector(".lesson-stage")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_pictures_follow_the_window(lesson):
    page = lesson()
    page.set_viewport_size(NARROW)
    page.wait_for_function("() => document.querySelector('.panel.map canvas').clientWidth < 380")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert all(any(layer["drawn"] > 0.005 for layer in layers) for layers in drawn(page).values())


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
