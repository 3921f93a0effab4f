"""The lesson in a browser: what is dragged, typed and pressed, the pictures and the verdict follow."""

from __future__ import annotations

import re

import numpy as np
import pytest

from lrscout.lesson.descent import descend
from lrscout.lesson.engines import numpy_engine
from lrscout.lesson.problem import sample_problem
from tests.app.conftest import NARROW, WIDE
from tests.app.lesson_stage import PICTURES, drawn, rate, settled, shown, verdict

LESSON = {1: (1.448, 1.747), 2: (-0.593, -1.814), 3: (1.991, 2.956)}
"""The first steps at 0.9, as LESSON.md has them."""

PATH_INK = """(selector) => {
  // How many pixels have the colour of the path.
  const shown = [...document.querySelectorAll(selector)].filter((one) => one.width && one.checkVisibility());
  const style = getComputedStyle(document.querySelector(".lrscout")).getPropertyValue("--path").trim();
  const [red, green, blue] = [1, 3, 5].map((start) => parseInt(style.slice(start, start + 2), 16));
  return shown.reduce((sum, canvas) => {
    const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
    const context = copy.getContext("2d");
    context.drawImage(canvas, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    let count = 0;
    for (let at = 0; at < pixels.length; at += 4) {
      if (pixels[at] === red && pixels[at + 1] === green && pixels[at + 2] === blue) count += 1;
    }
    return sum + count;
  }, 0);
}"""

NOTE_THE_TEXTS = """() => {
  window.written = [];
  const write = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
    if (this.canvas.closest(".panel.loss")) {
      const width = this.measureText(text).width;
      const left = place[0] - (this.textAlign === "right" ? width : this.textAlign === "center" ? width / 2 : 0);
      window.written.push({ text, left, right: left + width, edge: this.canvas.width });
    }
    return write.call(this, text, ...place);
  };
}"""

NOTE_THE_PLATES = """() => {
  // The grounds of the names on the map, of the newest drawing.
  window.plates = [];
  const { roundRect, clearRect } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.clearRect = function (...given) {
    if (this.canvas.closest(".panel.map")) window.plates = [];
    return clearRect.apply(this, given);
  };
  CanvasRenderingContext2D.prototype.roundRect = function (...given) {
    if (this.canvas.closest(".panel.map")) window.plates.push(given.slice(0, 4));
    return roundRect.apply(this, given);
  };
}"""

NOTE_THE_ORDER = """() => {
  window.order = [];
  const top = [...document.querySelectorAll(".panel.map canvas")].at(-1);
  const note = (method, what) => {
    const before = CanvasRenderingContext2D.prototype[method];
    CanvasRenderingContext2D.prototype[method] = function (...given) {
      if (this.canvas === top) window.order.push(what(given));
      return before.apply(this, given);
    };
  };
  note("lineTo", () => "hair");
  note("roundRect", () => "ground");
  note("fillText", ([text]) => text);
}"""


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
        (
            "Range test",
            "arrived",
            "The range test's loss is lowest at a learning rate of 2.33; a tenth of that, 0.233,",
        ),
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
    found = "The range test's loss is lowest at a learning rate of 2.33; a tenth of that, 0.233, is a good choice."
    assert found in chart.get_attribute("aria-label")
    assert verdict(page) == found
    assert page.locator(".verdict .words").inner_text() == "range test"
    detail = page.locator(".verdict .detail").inner_text()
    assert detail.startswith("0.233 is below the limit 0.775: after 200 steps it has arrived at the best line.")


def test_range_test_says_where_its_rule_fails(lesson):
    page = lesson("#/lesson?lr=0.5&steps=200&momentum=0.99&look=range")
    assert verdict(page) == (
        "The range test's loss is lowest at a learning rate of 0.000793. Here the rule fails: a tenth of that, "
        "7.93\u2009\N{MULTIPLICATION SIGN}\u200910⁻⁵, takes about 3\u2009600 steps to arrive."
    )
    assert page.locator(".verdict .words").inner_text() == "range test: no answer"


def test_labels_of_a_range_test_are_whole_at_both_ends(lesson):
    page = lesson("#/lesson?lr=0.5&steps=200&momentum=0.98&look=range")
    page.evaluate(NOTE_THE_TEXTS)
    slider = page.get_by_role("slider", name="Momentum")
    slider.focus()
    page.keyboard.press("End")
    page.wait_for_function("() => document.querySelector('.verdict .words').textContent.includes('no answer')")
    drawn(page)
    labels = [word for word in page.evaluate("window.written") if re.match("a tenth|lowest", word["text"])]
    assert {label["text"].split()[0] for label in labels} == {"a", "lowest"}
    # The axis on the left takes 46 pixels, and a label that began there would be cut off.
    assert all(label["left"] >= 40 and label["right"] <= label["edge"] for label in labels)


def test_names_on_the_map_leave_each_other_room(lesson):
    for fragment in ("", "?lr=0.233&steps=200", "?momentum=0.9", "?momentum=0.99", "?w=0.1&b=0.5&noise=0"):
        page = lesson(f"#/lesson{fragment}")
        page.evaluate(NOTE_THE_PLATES)
        rate(page).focus()
        page.keyboard.press("ArrowLeft")
        page.wait_for_function("() => window.plates.length > 0")
        drawn(page)
        plates = page.evaluate("window.plates")
        left, top, width, height = np.array(plates).T
        room = page.locator(".panel.map .heatmap").bounding_box()
        assert (left >= 46).all()
        assert (left + width <= room["width"]).all()
        assert (top >= 0).all()
        assert (top + height <= room["height"] - 30).all()
        # The last is the limit's, which goes out of the way of the others.
        beside = (left[:-1] >= left[-1] + width[-1]) | (left[:-1] + width[:-1] <= left[-1])
        assert (beside | (np.abs(top[:-1] - top[-1]) >= height[-1])).all()


def test_range_test_from_the_best_line_finds_nothing(lesson):
    page = lesson("#/lesson?lr=0.5&steps=200&w=0.1&b=0.5&noise=0&look=range")
    assert verdict(page).startswith("A range test finds nothing here")


@pytest.mark.parametrize("steps", [3, 200])
def test_a_start_at_the_best_line_is_shown_with_its_loss(lesson, steps):
    page = lesson(f"#/lesson?lr=0.9&steps={steps}&w=0.1&b=0.5&noise=0")
    assert verdict(page) == "It starts at the best line: there is nothing to do."
    assert shown(page)["outcome"] == "arrived"
    drawn(page)
    assert page.evaluate(PATH_INK, ".panel.loss .chart canvas") > 300


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_no_half_steps_are_named(lesson, steps):
    page = lesson("#/lesson?steps=200")
    page.evaluate(NOTE_THE_TEXTS)
    page.locator(f".walk button[data-step='{steps}']").click()
    settled(page, steps=steps)
    drawn(page)
    written = {word["text"] for word in page.evaluate("window.written")}
    assert {"0", str(steps)} <= written
    assert not {"0.5", "1.5", "2.5"} & written


def test_names_on_the_map_stand_above_the_cross_hair(lesson):
    page = lesson()
    page.evaluate(NOTE_THE_ORDER)
    rate(page).focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("() => window.order.length > 0")
    drawn(page)
    order = page.evaluate("window.order")
    assert {"too slow", "on its way", "close", "arrived"} < set(order)
    assert max(place for place, what in enumerate(order) if what == "hair") < order.index("too slow")
    assert "ground" in order[: order.index("too slow")]


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


def test_pictures_follow_the_window(lesson):
    page = lesson()
    page.set_viewport_size(NARROW)
    page.wait_for_function("() => document.querySelector('.panel.map canvas').clientWidth < 380")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert all(any(layer["drawn"] > 0.005 for layer in layers) for layers in drawn(page).values())
