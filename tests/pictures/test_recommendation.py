"""The picture of a recommendation: every probe is where it was, and the pick among them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from lrscout import Recommendation
from lrscout.core.errors import InvalidValueError
from lrscout.measure.recommendation import Budgeted, Estimate
from lrscout.pictures import figure_of, save
from lrscout.pictures.recommendation import plot_frontier, plot_recommendation
from lrscout.pictures.style import GREEN
from tests.measure.recommended import FRONTIER, probe, race, recommendation
from tests.pictures.looking import axes_for, legend, line, render, spans

INF = math.inf
REASON = "The loss is not finite from the first step, whatever the learning rate."
RECOMMENDATIONS: dict[str, Callable[[], Recommendation]] = {
    "plain": recommendation,
    "constant": partial(recommendation, "constant"),
    "no limit": partial(recommendation, max_stable_lr=None),
    "a limit far away": partial(recommendation, max_stable_lr=1e6),
    "no probes": partial(recommendation, probes=(), predicted_loss=None),
    "one probe": partial(recommendation, probes=[probe(0.25, 0.5)], predicted_loss=None, max_stable_lr=None),
    "nothing known": partial(
        recommendation, lr=None, low=None, high=None, probes=(), predicted_loss=None, max_stable_lr=None, start=math.nan
    ),
    "all diverged": partial(
        recommendation,
        lr=None,
        low=None,
        high=None,
        predicted_loss=None,
        max_stable_lr=None,
        probes=[probe(10.0**-power, INF) for power in range(5)],
        reasons=(REASON,),
    ),
    "negative": partial(
        recommendation, probes=race(level=-50, start=2.3), start=-47.7, predicted_loss=Estimate(-50.2, -50.3, -50.1)
    ),
    "huge": partial(recommendation, probes=race(scale=1e307), start=1.7e308, predicted_loss=None),
    "huge both ways": partial(
        recommendation, probes=[probe(0.1, -1.7e308), probe(0.2, 1.7e308)], start=1e308, predicted_loss=None
    ),
    "tiny": partial(recommendation, probes=race(scale=1e-300), start=2.3e-300, predicted_loss=None),
    "zero": partial(recommendation, probes=[probe(0.1, 0.0), probe(0.2, 0.0)], start=0.0, predicted_loss=None),
    "an expectation below zero": partial(recommendation, predicted_loss=Estimate(-0.5, -1.2, 0.1)),
    "an expectation without an end": partial(recommendation, predicted_loss=Estimate(0.1, -INF, INF)),
    "far above the start": partial(recommendation, probes=[*race(), probe(0.7, 1e9)]),
    "a start that is not finite": partial(recommendation, start=INF),
    "several seeds": partial(recommendation, probes=[*race(), *race(level=0.05)]),
    "rates far apart": partial(recommendation, probes=[probe(1e-200, 1.0), probe(1e200, 1.2)]),
}

every = pytest.mark.parametrize("kind", RECOMMENDATIONS)


@every
def test_every_recommendation_can_be_drawn(kind: str) -> None:
    found = RECOMMENDATIONS[kind]()
    ax = found.plot(axes_for())
    render(ax)
    assert np.isfinite([*ax.get_xlim(), *ax.get_ylim()]).all()
    assert ax.get_xscale() == "log"
    assert ax.get_ylabel() == "evaluation loss"
    assert ax.get_title(loc="left")


@every
def test_every_probe_is_drawn_once(kind: str) -> None:
    found = RECOMMENDATIONS[kind]()
    ax = plot_recommendation(found, axes_for())
    marked = [other for other in ax.get_lines() if other.get_marker() in ("o", "^", "X")]
    drawn = sorted(lr for other in marked for lr in other.get_xdata())
    assert drawn == sorted(each.lr for each in found.probes)
    low, high = ax.get_xlim()
    assert all(low < lr < high for lr in drawn)
    bottom, top = ax.get_ylim()
    assert all(bottom <= height <= top for other in marked for height in other.get_ydata())


def test_probes_stand_at_their_scores_and_the_diverged_at_the_top() -> None:
    found = recommendation()
    ax = plot_recommendation(found, axes_for())
    for rung, label in enumerate(["30 steps: 11 probes", "60 steps: 7 probes", "125 steps: 5 probes"]):
        points = {(each.lr, each.score) for each in found.probes if each.rung == rung and math.isfinite(each.score)}
        assert set(zip(*line(ax, label).get_data(), strict=True)) == points
    diverged = line(ax, "diverged")
    assert set(diverged.get_xdata()) == {each.lr for each in found.probes if each.score == INF}
    assert set(diverged.get_ydata()) == {ax.get_ylim()[1]}


def test_a_probe_far_above_the_start_is_an_arrow_at_the_top_and_flattens_nothing() -> None:
    plain, high = (
        plot_recommendation(RECOMMENDATIONS[kind](), axes_for()) for kind in ("plain", "far above the start")
    )
    assert high.get_ylim()[1] < 2 * plain.get_ylim()[1]
    (arrow,) = [other for other in high.get_lines() if other.get_marker() == "^" and len(other.get_xdata())]
    assert arrow.get_xdata() == [0.7]
    assert arrow.get_ydata() == [high.get_ylim()[1]]


def test_rounds_are_told_apart_by_shade_the_last_darkest() -> None:
    ax = plot_recommendation(recommendation(), axes_for())
    shades = [line(ax, label).get_color() for label in ("30 steps", "60 steps", "125 steps")]
    lightness = [float(np.mean(matplotlib.colors.to_rgb(shade))) for shade in shades]
    assert lightness == sorted(lightness, reverse=True)
    assert min(-np.diff(lightness)) > 0.1


def test_the_pick_its_range_and_the_limit() -> None:
    ax = plot_recommendation(recommendation(), axes_for())
    assert line(ax, "pick: 0.25").get_xdata() == [0.25, 0.25]
    assert line(ax, "every probe diverged from 0.84").get_xdata() == [0.84, 0.84]
    assert line(ax, "every probe diverged").get_linestyle() == "--"
    assert spans(ax, GREEN) == [pytest.approx((0.18, 0.35))]
    assert ax.get_title(loc="left") == "Recommended learning rate for 1000 steps: 0.25 (0.18 to 0.35)"
    assert line(ax, "expected after 1000").get_data() == ([0.25], [0.0312])
    assert {"before training", "diverged", "where the best rate lies"} <= set(legend(ax))


def test_an_expectation_below_zero_leaves_the_axis_logarithmic() -> None:
    ax = plot_recommendation(RECOMMENDATIONS["an expectation below zero"](), axes_for())
    assert ax.get_yscale() == "log"
    assert ax.get_ylim()[0] > 0.01


def test_a_limit_far_away_is_only_named() -> None:
    ax = plot_recommendation(RECOMMENDATIONS["a limit far away"](), axes_for())
    assert "every probe diverged from 1e+06 on (off the picture)" in legend(ax)
    assert ax.get_xlim()[1] < 10


def test_no_rate_comes_with_its_reason() -> None:
    ax = plot_recommendation(RECOMMENDATIONS["all diverged"](), axes_for())
    assert ax.get_title(loc="left") == "No learning rate to recommend"
    assert REASON in [text.get_text().replace("\n", " ") for text in ax.texts]
    assert len(ax.get_yticks()) == 0


def test_of_several_seeds_the_line_is_the_medians() -> None:
    found = RECOMMENDATIONS["several seeds"]()
    ax = plot_recommendation(found, axes_for())
    through = [other for other in ax.get_lines() if other.get_color() == line(ax, "125 steps").get_color()]
    (middle,) = [other for other in through if other.get_marker() == "None"]
    scores = sorted(each.score for each in found.probes if each.rung == 2 and each.lr == pytest.approx(0.25))
    assert middle.get_ydata()[2] == pytest.approx(np.mean(scores))


def test_the_frontier_tells_each_budget_with_its_rate_and_its_gain() -> None:
    ax = plot_frontier(recommendation(frontier=FRONTIER), axes_for())
    render(ax)
    points = line(ax, "best rate of each budget")
    assert list(points.get_xdata()) == [125, 250, 500, 1000]
    assert list(points.get_ydata()) == [0.21, 0.12, 0.08, 0.07]
    assert [text.get_text() for text in ax.texts] == ["lr 0.5", "lr 0.42\n+4.1 %", "lr 0.3\n+1.8 %", "lr 0.25\n+0.45 %"]
    assert line(ax, "recommended").get_xdata() == [1000, 1000]


def test_the_figure_has_the_frontier_beside_the_race(tmp_path: Path) -> None:
    assert len(figure_of(recommendation()).axes) == 1
    assert len(figure_of(recommendation(frontier=FRONTIER)).axes) == 2
    save(recommendation(frontier=FRONTIER), tmp_path / "both.png")
    assert (tmp_path / "both.png").stat().st_size > 10_000


@pytest.mark.parametrize("frontier", [(), (Budgeted(100, 0.1, None, None),)])
def test_without_a_frontier_there_is_nothing_to_draw(frontier: tuple[Budgeted, ...]) -> None:
    with pytest.raises(InvalidValueError, match="no frontier to draw"):
        plot_frontier(recommendation(frontier=frontier), axes_for())
    assert len(figure_of(recommendation(frontier=frontier)).axes) == 1


@pytest.mark.parametrize("losses", [[-5.0, -6.0], [1e-9, 1e-12], [0.0, 0.0], [1.7e308, -1.7e308]])
def test_every_frontier_can_be_drawn(losses: list[float]) -> None:
    frontier = tuple(Budgeted(100 * 2**number, 0.1, loss, 0.1) for number, loss in enumerate(losses))
    render(plot_frontier(recommendation(steps=None, frontier=frontier), axes_for()))
