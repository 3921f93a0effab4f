"""What a notebook shows of a result: its sentences always, and its picture where there is one."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from html.parser import HTMLParser
from io import BytesIO
from typing import Any

import matplotlib.image
import numpy as np
import pytest

import lrscout
from lrscout.core.result import Result
from lrscout.lesson.descent import descend
from lrscout.lesson.engines import numpy_engine
from lrscout.lesson.lr_map import lesson_map
from lrscout.lesson.problem import sample_problem


def results() -> dict[str, Any]:
    problem = sample_problem()
    engine = numpy_engine(problem)
    return {
        "range test": lrscout.range_test(engine.loop, steps=60),
        "sweep": lrscout.sweep(engine.loop, [0.07, 0.7, 7.0], steps=40),
        "find": lrscout.find(engine.loop, steps=200),
        "curvature": lrscout.curvature(engine.loop),
        "surface": lrscout.surface(engine.loop, steps=20),
        "diagnosis": lrscout.diagnose(2.0 * 1.4 ** np.arange(30.0), lr=0.9),
        "descent": descend(problem, engine, 0.5, 20),
        "lesson's map": lesson_map(problem, engine, 20),
    }


class Elements(HTMLParser):
    """The elements of a text and the words between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def test_a_result_shows_its_picture_and_its_sentences() -> None:
    for name, result in results().items():
        shown = result._repr_html_()
        read = Elements(shown)
        assert read.words == str(result), name
        (image, attributes), (paragraph, _) = read.tags
        assert (image, paragraph) == ("img", "p")
        assert attributes["alt"]
        kind, _, data = (attributes["src"] or "").partition(",")
        assert kind == "data:image/png;base64"
        content = base64.b64decode(data, validate=True)
        assert len(content) < 200_000, name
        picture = matplotlib.image.imread(BytesIO(content))
        assert picture.shape[0] < 600
        assert picture.shape[1] < 1200
        assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 10  # Not blank.


class Odd(Result):
    """A result of which there is no picture, with script in its sentences."""

    def __str__(self) -> str:
        return '<script>alert("1")</script> & more'

    def to_dict(self) -> dict[str, Any]:
        return {}


def test_sentences_alone_where_there_is_no_picture() -> None:
    shown = Odd()._repr_html_()
    assert "<script" not in shown
    assert Elements(shown).words == str(Odd())
    assert [tag for tag, _ in Elements(shown).tags] == ["p"]


def test_sentences_alone_where_the_picture_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    result = lrscout.diagnose([3.0, 2.0, 1.0])
    monkeypatch.setattr("lrscout.pictures.inline.figure_of", broken)
    assert Elements(result._repr_html_()).words == str(result)
    assert "<img" not in result._repr_html_()


def test_matplotlib_loads_only_when_a_result_is_shown() -> None:
    code = (
        "import sys, lrscout; result = lrscout.diagnose([3.0, 2.0, 1.0]); before = 'matplotlib' in sys.modules;"
        "shown = result._repr_html_(); print(before, 'matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "False"]


def test_nothing_of_the_machine_is_in_a_picture() -> None:
    shown = lrscout.diagnose([3.0, 2.0, 1.0])._repr_html_()
    data = re.search(r"base64,([^\"]+)", shown)
    assert data is not None
    assert b"Software" not in base64.b64decode(data.group(1))
