"""The picture of a map: its cells, its colours and what is drawn over them, whatever the map."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.colors import LogNorm, to_rgba
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from lrscout import Outcome
from lrscout.core.errors import InvalidValueError
from lrscout.measure.lr_map import LRMap
from lrscout.pictures.lr_map import NAMES, plot_lr_map
from lrscout.pictures.regions import cell_edges
from lrscout.pictures.style import LIMIT, WORSE
from tests.pictures.looking import LR_MAPS, axes_for, legend, line, render, told_map

INF = np.inf


def mesh(ax: Axes) -> QuadMesh:
    (found,) = [artist for artist in ax.collections if isinstance(artist, QuadMesh)]
    return found


def edges(ax: Axes) -> tuple[np.ndarray, np.ndarray]:
    """The edges of the cells along the steps and along the rates."""
    corners = mesh(ax).get_coordinates()
    return corners[0, :, 0], corners[:, 0, 1]


def colors(ax: Axes) -> np.ndarray:
    """The colour of each cell."""
    drawn = mesh(ax)
    return drawn.to_rgba(drawn.get_array().reshape(len(edges(ax)[1]) - 1, -1))


def outlines(ax: Axes) -> set[tuple[float, ...]]:
    """The lines of the uppermost outlines, each from its lower left end to its upper right."""
    drawn = [artist for artist in ax.collections if isinstance(artist, LineCollection) and artist.get_zorder() == 2]
    return {tuple(segment.ravel()) for segment in drawn[-1].get_segments()}


def bar(ax: Axes) -> Axes | None:
    return next((other for other in ax.figure.axes if other is not ax), None)


def cell_at(ax: Axes, steps: float, lr: float) -> tuple[int, int]:
    across, up = edges(ax)
    return int(np.searchsorted(up, lr)) - 1, int(np.searchsorted(across, steps)) - 1


@pytest.fixture(scope="module", params=LR_MAPS)
def drawn(request) -> tuple[LRMap, Axes]:
    """Every kind of map, drawn in earnest in its usual size."""
    lr_map = LR_MAPS[request.param]()
    figure = Figure((6.8, 4.6), layout="constrained")
    ax = plot_lr_map(lr_map, figure.add_subplot(), limit=0.775)
    FigureCanvasAgg(figure).draw()
    return lr_map, ax


def test_the_cells_fill_the_axes(drawn: tuple[LRMap, Axes]) -> None:
    _, ax = drawn
    across, up = edges(ax)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert (ax.get_xlim(), ax.get_ylim()) == ((across[0], across[-1]), (up[0], up[-1]))
    assert (np.diff(across) > 0).all()
    assert (np.diff(up) > 0).all()
    assert ax.get_title(loc="left")


def test_cells_part_half_way_between_their_centres(drawn: tuple[LRMap, Axes]) -> None:
    lr_map, ax = drawn
    for edge, centres in zip(edges(ax), (lr_map.checkpoints, lr_map.lrs), strict=True):
        middles, logs = np.log(edge), np.log(centres)
        np.testing.assert_allclose(middles[1:-1], (logs[1:] + logs[:-1]) / 2, atol=1e-9)
        for outer, centre, inner in ((0, 0, 1), (-1, -1, -2)):
            assert middles[outer] - logs[centre] == pytest.approx(logs[centre] - middles[inner])


def test_the_lower_the_loss_the_brighter_the_cell() -> None:
    losses = np.array([[1.0, 0.5, 0.02], [0.9, 0.1, 0.01], [1.1, 5.0, INF]])
    drawn = colors(plot_lr_map(told_map(losses), axes_for()))
    better = np.argsort(losses.ravel())[:6]
    brightness = (drawn.reshape(-1, 4) @ [0.299, 0.587, 0.114, 0])[better]
    assert (np.diff(brightness) < -0.01).all()


def test_what_is_worse_than_the_start_has_one_flat_tone_which_the_legend_names() -> None:
    losses = np.array([[1.0, 0.5], [1.001, 30.0], [INF, 0.2]])
    ax = plot_lr_map(told_map(losses), axes_for())
    flat = (colors(ax) == to_rgba(WORSE)).all(axis=-1)
    np.testing.assert_array_equal(flat, losses > 1)
    assert "worse than the start, 1" in legend(ax)
    assert not any("worse" in label for label in legend(plot_lr_map(told_map(losses[:1]), axes_for())))


def test_where_the_start_is_not_finite_the_colours_end_at_the_worst_that_is() -> None:
    ax = plot_lr_map(told_map([[0.5, INF], [0.7, 0.1]], start=np.nan), axes_for())
    assert (mesh(ax).norm.vmin, mesh(ax).norm.vmax) == (0.1, 0.7)
    assert legend(ax) == ["best rate", "not finite"]


def test_a_training_loss_a_little_above_the_start_may_be_that_of_other_batches() -> None:
    ax = plot_lr_map(told_map([[1.05, 0.5], [1.2, 0.01]], watched="training"), axes_for())
    flat = (colors(ax) == to_rgba(WORSE)).all(axis=-1)
    np.testing.assert_array_equal(flat, [[False, False], [True, False]])


@pytest.mark.parametrize(
    ("losses", "start", "logarithmic"),
    [([[0.3]], 1.0, True), ([[0.4]], 1.0, False), ([[-3.0]], 1.0, False), ([[0.0]], 1.0, False), ([[-3.0]], -1, False)],
)
def test_colours_are_logarithmic_where_that_shows_more(losses: list, start: float, logarithmic: bool) -> None:
    norm = mesh(plot_lr_map(told_map(losses, start=start), axes_for())).norm
    assert isinstance(norm, LogNorm) is logarithmic
    assert (norm.vmin, norm.vmax) == (losses[0][0], start)


def test_the_colour_bar_is_named_by_the_loss() -> None:
    for watched in ("evaluation", "training"):
        ax = plot_lr_map(told_map([[0.5, 0.1]], watched=watched), axes_for())
        assert bar(ax).get_ylabel() == f"{watched} loss"
    assert bar(plot_lr_map(told_map([[INF]]), axes_for())) is None


def test_the_best_rates_are_the_frontier(drawn: tuple[LRMap, Axes]) -> None:
    lr_map, ax = drawn
    frontier = lr_map.frontier()
    if all(best.lr is None for best in frontier):
        assert not any(label.startswith("best") for label in legend(ax))
        assert "no learning rate has a finite loss" in ax.get_title(loc="left")
        return
    steps, lrs = line(ax, "best rate").get_data()
    assert steps.tolist() == [best.steps for best in frontier]
    np.testing.assert_array_equal(lrs, [np.nan if best.lr is None else best.lr for best in frontier])


def test_the_range_over_seeds_is_drawn_and_named() -> None:
    first, second, third = [[0.1, 0.1], [0.2, 0.2], [0.4, 0.3]], [[0.4, 0.1], [0.2, 0.2], [0.1, 0.3]], [[0.5, 0.1]] * 3
    losses = np.array([first, second, third])
    lr_map = told_map(losses, lrs=[0.01, 0.1, 1.0], checkpoints=[10, 100])
    ax = plot_lr_map(lr_map, axes_for())
    bars = next(a for a in ax.collections if isinstance(a, LineCollection) and a.get_zorder() == 3)
    expected = [[[best.steps, best.low], [best.steps, best.high]] for best in lr_map.frontier()]
    np.testing.assert_array_equal(bars.get_segments(), expected)
    assert expected[0] == [[10, 0.01], [10, 1.0]]
    assert lr_map.frontier()[0].lr == 0.1
    assert legend(ax)[0] == "best rate, range over 3 seeds"
    assert ax.get_title(loc="left") == "Best learning rate for 100 steps: 0.01 (0.01 to 0.01)"
    assert legend(plot_lr_map(told_map(losses[0]), axes_for()))[0] == "best rate"


def test_a_map_is_drawn_without_a_limit_unless_there_is_one() -> None:
    ax = plot_lr_map(LR_MAPS["valley"](), axes_for())
    render(ax)
    assert not any("limit" in label for label in legend(ax))


def test_the_limit_is_a_dashed_line_with_its_value() -> None:
    ax = plot_lr_map(LR_MAPS["valley"](), axes_for(), limit=0.775)
    limit = line(ax, "stability limit: 0.775")
    assert set(limit.get_ydata()) == {0.775}
    assert tuple(limit.get_xdata()) == ax.get_xlim()
    assert (limit.get_linestyle(), limit.get_color()) == ("--", LIMIT)
    assert "stability limit: 1e+09 (off the map)" in legend(plot_lr_map(LR_MAPS["valley"](), axes_for(), limit=1e9))
    with pytest.raises(InvalidValueError, match="limit must be a finite number above zero"):
        plot_lr_map(LR_MAPS["valley"](), axes_for(), limit=-1)


def test_outlines_part_exactly_the_cells_of_different_outcome(drawn: tuple[LRMap, Axes]) -> None:
    lr_map, ax = drawn
    (x, y), outcomes = edges(ax), lr_map.outcomes
    expected = set()
    for row, column in product(*map(range, outcomes.shape)):
        if row and outcomes[row, column] is not outcomes[row - 1, column]:
            expected.add((x[column], y[row], x[column + 1], y[row]))
        if column and outcomes[row, column] is not outcomes[row, column - 1]:
            expected.add((x[column], y[row], x[column], y[row + 1]))
    assert outlines(ax) == expected


def test_every_outcome_is_named_on_its_own_cells(drawn: tuple[LRMap, Axes]) -> None:
    lr_map, ax = drawn
    places = [(text.get_text(), text.get_position()) for text in ax.texts]
    letters = [other for other in ax.get_lines() if str(other.get_marker()).startswith("$")]
    places += [(letter.get_label(), tuple(letter.get_xydata()[0])) for letter in letters]
    for name, place in places:
        assert NAMES[lr_map.outcomes[cell_at(ax, *place)]] == name
    assert {name for name, _ in places} == {NAMES[outcome] for outcome in lr_map.outcomes.flat}
    assert all(letter.get_label() in legend(ax) for letter in letters)
    assert not {letter.get_label() for letter in letters} & {text.get_text() for text in ax.texts}


def test_names_cover_neither_other_regions_nor_each_other_nor_the_best_rates(drawn: tuple[LRMap, Axes]) -> None:
    lr_map, ax = drawn
    boxes = [(text.get_text(), text.get_window_extent()) for text in ax.texts]
    marks = [ax.transData.transform(mark.get_xydata()) for mark in ax.get_lines() if mark.get_marker() == "o"]
    for place, (name, box) in enumerate(boxes):
        (low_row, low_column), (high_row, high_column) = (
            cell_at(ax, *ax.transData.inverted().transform(corner)) for corner in (box.min, box.max)
        )
        below = lr_map.outcomes[low_row : high_row + 1, low_column : high_column + 1]
        assert {NAMES[outcome] for outcome in below.flat} == {name}
        assert not any(box.overlaps(other) for _, other in boxes[place + 1 :])
        assert not any(box.contains(*mark) for mark in np.concatenate([np.zeros((0, 2)), *marks]))


def test_the_legend_lies_below_the_axes_and_on_the_page(drawn: tuple[LRMap, Axes]) -> None:
    _, ax = drawn
    box, page = ax.get_legend().get_window_extent(), ax.figure.bbox
    assert Bbox.intersection(box, page).bounds == pytest.approx(box.bounds)
    assert box.y1 < ax.xaxis.label.get_window_extent().y0
    assert ax.bbox.width > 0.7 * page.width


def test_a_few_budgets_and_rates_have_ticks_of_their_own() -> None:
    lr_map = told_map(np.full((3, 4), 0.5), lrs=[0.01, 0.1, 0.3], checkpoints=[125, 250, 500, 1000])
    ax = plot_lr_map(lr_map, axes_for())
    assert [label.get_text() for label in ax.get_xticklabels()] == ["125", "250", "500", "1000"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0.01", "0.1", "0.3"]
    np.testing.assert_array_equal(ax.get_yticks(), lr_map.lrs)
    assert [*ax.get_xticks(minor=True), *ax.get_yticks(minor=True)] == []


def test_ticks_that_would_crowd_stay_those_of_the_axis() -> None:
    lr_map = told_map(np.full((2, 4), 0.5), checkpoints=[1, 2, 999, 1000])
    ticks = plot_lr_map(lr_map, axes_for()).get_xticks()
    assert {1, 10, 100, 1000} <= set(ticks)
    assert 999 not in ticks


def test_budgets_with_runs_of_their_own_are_said_to_be_so() -> None:
    assert plot_lr_map(told_map([[0.5, 0.1]]), axes_for()).get_xlabel() == "steps"
    label = plot_lr_map(told_map([[0.5, 0.1]], schedule="cosine"), axes_for()).get_xlabel()
    assert label == "steps (each a run of its own, cosine schedule)"


def test_one_step_is_no_steps() -> None:
    assert plot_lr_map(told_map([[0.5]]), axes_for()).get_title(loc="left") == "Best learning rate for 1 step: 0.001"


def test_a_map_draws_itself() -> None:
    ax = axes_for()
    assert isinstance(lr_map := LR_MAPS["valley"](), LRMap)
    assert lr_map.plot(ax) is ax
    assert ax.get_ylabel() == "learning rate"


def test_every_outcome_has_a_name_with_a_first_letter_of_its_own() -> None:
    assert set(NAMES) == set(Outcome)
    assert len({name[0] for name in NAMES.values()}) == len(Outcome)


@pytest.mark.parametrize("lrs", [[1e30, 1e308], [1e-300, 1e-30], [1e-308, 1e308], [5e-324]])
def test_rates_at_the_ends_of_the_numbers(lrs: list) -> None:
    edges = cell_edges(np.array(lrs))
    assert np.isfinite(edges).all()
    assert (edges[:-1] < edges[1:]).all()
