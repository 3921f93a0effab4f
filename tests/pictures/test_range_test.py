"""The picture of a range test: what is marked and shaded, and that there is none which cannot be drawn."""

from __future__ import annotations

import numpy as np
import pytest

from lrscout import RangeTest, Stop
from lrscout.analyse.suggest import RULES
from lrscout.pictures.range_test import plot_range_test
from lrscout.pictures.style import DIVERGED, MARKERS, SUGGESTIONS
from tests.pictures.looking import RANGE_TESTS, axes_for, legend, lesson_test, line, noisy_test, render, spans


@pytest.mark.parametrize("kind", RANGE_TESTS)
def test_every_range_test_can_be_drawn(kind: str) -> None:
    test = RANGE_TESTS[kind]()
    ax = plot_range_test(test, axes_for())
    render(ax)
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    assert np.isfinite([left, right, low, high]).all()
    assert left < right
    assert low < high
    assert ax.get_xscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("learning rate", test.loss_name)


@pytest.mark.parametrize("kind", RANGE_TESTS)
def test_every_suggestion_is_marked_at_its_rate_and_in_sight(kind: str) -> None:
    test = RANGE_TESTS[kind]()
    ax = plot_range_test(test, axes_for())
    for rule, suggestion in test.suggestions.items():
        marks = [line for line in ax.get_lines() if str(line.get_label()).startswith(f"{rule}:")]
        if suggestion.lr is None:
            assert not marks
            continue
        (mark,) = marks
        (lr,), (height,) = mark.get_data()
        assert lr == suggestion.lr
        assert ax.get_xlim()[0] < lr < ax.get_xlim()[1]
        assert ax.get_ylim()[0] < height < ax.get_ylim()[1]
        assert f"{rule}: {suggestion.lr:.2g}" in legend(ax)


@pytest.mark.parametrize("test", [lesson_test(), noisy_test(repeats=3)], ids=["lesson", "noisy"])
def test_suggestions_lie_on_the_smoothed_curve(test: RangeTest) -> None:
    ax = plot_range_test(test, axes_for())
    for rule, suggestion in test.suggestions.items():
        expected = np.interp(np.log(suggestion.lr), np.log(test.lrs[: len(test.smoothed)]), test.smoothed)
        assert line(ax, f"{rule}:").get_ydata()[0] == pytest.approx(expected)


@pytest.mark.parametrize("rule", SUGGESTIONS)
def test_the_chosen_rule_stands_out_with_its_interval(rule: str) -> None:
    test = lesson_test(rule=rule)
    ax = plot_range_test(test, axes_for())
    ((low, high),) = spans(ax, SUGGESTIONS[rule])
    assert (low, high) == pytest.approx((test.suggestion.low, test.suggestion.high))
    assert all(spans(ax, SUGGESTIONS[other]) == [] for other in SUGGESTIONS if other != rule)
    bold = [text.get_text() for text in ax.get_legend().get_texts() if text.get_fontweight() == "bold"]
    assert bold == [f"{rule}: {test.lr:.2g}"]
    assert f"{test.lr:.2g}" in ax.get_title(loc="left")


def test_every_rule_has_a_colour_and_a_mark() -> None:
    assert set(SUGGESTIONS) == set(MARKERS) == set(RULES)


def test_each_repeat_is_drawn_thin_and_named_once() -> None:
    test = noisy_test(repeats=3)
    ax = plot_range_test(test, axes_for())
    smoothed = line(ax, "smoothed")
    thin = [other for other in ax.get_lines() if len(other.get_xdata()) > 10 and other is not smoothed]
    assert [len(repeat.get_xdata()) for repeat in thin] == [curve.steps for curve in test.curves]
    assert all(repeat.get_linewidth() < smoothed.get_linewidth() for repeat in thin)
    assert [label for label in legend(ax) if "training loss" in label] == ["training loss of 3 repeats"]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("lesson", "diverged"),
        ("three repeats", "diverged"),
        ("NaN at once", "not finite"),
        ("infinite half-way", "not finite"),
    ],
)
def test_what_lies_beyond_the_end_is_shaded_and_named(kind: str, words: str) -> None:
    test = RANGE_TESTS[kind]()
    ax = plot_range_test(test, axes_for())
    ((begin, end),) = spans(ax, DIVERGED)
    assert begin == pytest.approx(test.lrs[-1])
    assert end >= ax.get_xlim()[1]
    assert words in [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("kind", ["still falling", "constant"])
def test_nothing_is_shaded_when_the_test_went_all_the_way(kind: str) -> None:
    test = RANGE_TESTS[kind]()
    assert test.stopped is Stop.COMPLETED
    assert spans(plot_range_test(test, axes_for()), DIVERGED) == []


@pytest.mark.parametrize("kind", ["still falling", "constant", "NaN at once", "rising"])
def test_no_suggestion_comes_with_its_reason(kind: str) -> None:
    test = RANGE_TESTS[kind]()
    ax = plot_range_test(test, axes_for())
    assert ax.get_title(loc="left") == "No learning rate to suggest"
    assert test.suggestion.reason in [text.get_text().replace("\n", " ") for text in ax.texts]


@pytest.mark.parametrize("level", [0.0, -50.0, 1000.0])
def test_the_explosion_does_not_flatten_the_valley(level: float) -> None:
    test = noisy_test(level, repeats=2)
    low, high = plot_range_test(test, axes_for()).get_ylim()
    start, lowest = np.median(test.losses[:10]), test.losses.min()
    assert low < lowest
    assert start < high < start + (start - lowest)
    assert start - lowest > 0.4 * (high - low)
