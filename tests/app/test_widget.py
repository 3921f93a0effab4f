"""The lesson as a widget: its traits are those that the page's module knows, and nothing it is sent breaks it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

anywidget = pytest.importorskip("anywidget")

from lrscout.app.lesson import lesson_points  # noqa: E402
from lrscout.app.notebook import lesson_widget  # noqa: E402
from lrscout.app.static_files import BUILD  # noqa: E402
from lrscout.core.errors import MissingDependencyError  # noqa: E402

STATE = {"lr": 0.9, "steps": 3, "w": 0.5, "b": 1.0, "noise": 0.0, "momentum": 0.9}


@pytest.fixture(autouse=True)
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A front end, whether or not it is built here."""
    (tmp_path / "lrscout.js").write_text("export default { render() {} };")
    (tmp_path / "lrscout.css").write_text(".lrscout { color: black }")
    monkeypatch.setattr("lrscout.app.static_files._FOLDER", tmp_path)
    return tmp_path


def test_it_begins_as_the_lesson_does() -> None:
    widget = lesson_widget()
    assert {name: getattr(widget, name) for name in STATE} == {
        "lr": 0.5,
        "steps": 50,
        "w": 0.0,
        "b": -1.0,
        "noise": 1.0,
        "momentum": 0.0,
    }
    assert isinstance(widget, anywidget.AnyWidget)


def test_the_page_gets_what_it_draws(built: Path) -> None:
    sent = lesson_widget(**STATE).get_state()
    assert {name: sent[name] for name in STATE} == STATE
    assert sent["points"] == lesson_points()
    assert sent["_esm"] == (built / "lrscout.js").read_text()
    assert sent["_css"] == (built / "lrscout.css").read_text()
    assert (sent["_model_module"], sent["verdict"]) == ("anywidget", "")


@pytest.mark.parametrize(("name", "value"), list(STATE.items()))
def test_what_is_dragged_is_seen_in_python(name: str, value: float) -> None:
    widget, seen = lesson_widget(), list[Any]()
    widget.observe(lambda change: seen.append(change["new"]), name)
    widget.set_state({name: value})
    assert getattr(widget, name) == value
    assert seen == [value]


def test_the_page_tells_its_verdict_and_python_cannot() -> None:
    widget = lesson_widget()
    widget.set_state({"verdict": "0.9 is above the limit 0.775."})
    assert widget.verdict == "0.9 is above the limit 0.775."
    with pytest.raises(Exception, match="read-only"):
        widget.verdict = "all is well"


@pytest.mark.parametrize(
    ("name", "sent", "kept"),
    [
        ("lr", 1e9, 10),
        ("lr", -1, 1e-3),
        ("steps", 10**9, 1000),
        ("steps", 0, 1),
        ("momentum", 2, 0.99),
        ("noise", -3, 0),
    ],
)
def test_the_page_cannot_go_beyond_the_sliders(name: str, sent: float, kept: float) -> None:
    widget = lesson_widget()
    widget.set_state({name: sent})
    assert getattr(widget, name) == kept


@pytest.mark.parametrize(
    ("name", "value"), [("lr", 0), ("lr", 11.0), ("steps", 1001), ("steps", 0.5), ("momentum", 1.0)]
)
def test_python_is_told_where_a_slider_ends(name: str, value: float) -> None:
    traitlets = pytest.importorskip("traitlets")
    with pytest.raises(traitlets.TraitError):
        lesson_widget(**{name: value})
    with pytest.raises(traitlets.TraitError):
        setattr(lesson_widget(), name, value)


def test_a_number_that_is_none_is_not_taken_for_one() -> None:
    widget = lesson_widget()
    with pytest.raises(Exception, match="lr"):
        widget.set_state({"lr": "fast"})
    assert math.isfinite(widget.lr)


def test_two_widgets_are_two() -> None:
    first, second = lesson_widget(lr=0.1), lesson_widget(lr=0.2)
    first.set_state({"lr": 0.3})
    assert (first.lr, second.lr) == (0.3, 0.2)


def test_without_anywidget_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrscout.core.imports.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lrscout\[notebook\]'"):
        lesson_widget()


def test_without_a_front_end_it_says_how_to_build_it(built: Path) -> None:
    (built / "lrscout.js").unlink()
    with pytest.raises(MissingDependencyError, match=BUILD):
        lesson_widget()
