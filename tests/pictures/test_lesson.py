"""The pictures of the lesson: what is on them, and the files that they are saved in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes

from lrscout.lesson.descent import Descent
from lrscout.lesson.engines import numpy_engine
from lrscout.lesson.problem import sample_problem
from lrscout.lesson.story import Story, tell
from lrscout.pictures.lesson import (
    plot_contours,
    plot_data,
    plot_distribution,
    plot_lines,
    plot_losses,
    plot_surface,
    save_lesson,
)
from tests.pictures.looking import CONVERGED, DIVERGING, EXPLODED, PROBLEM, axes_for, descent, legend, line, render


def test_the_data_come_with_both_lines() -> None:
    ax = plot_data(PROBLEM, axes_for())
    assert legend(ax) == ["points", "true line: 0.1 x + 0.5", "least squares: 0.0876 x + 0.4803"]
    assert len(ax.collections[0].get_offsets()) == len(PROBLEM.x)


def test_the_distribution_counts_every_point() -> None:
    ax = plot_distribution(PROBLEM, axes_for())
    assert sum(patch.get_height() for patch in ax.patches) == len(PROBLEM.x)


def test_lines_off_the_page_and_lines_that_are_none_are_named() -> None:
    assert legend(plot_lines(DIVERGING, axes_for()))[-1] == "step 200: off the page"
    assert legend(plot_lines(EXPLODED, axes_for()))[-1] == "step 200: none (NaN)"
    assert legend(plot_lines(CONVERGED, axes_for()))[2:] == ["start", "step 1", "step 2", "step 3", "step 200"]


def test_a_diverging_line_does_not_squash_the_points() -> None:
    for run in (CONVERGED, DIVERGING, EXPLODED):
        low, high = plot_lines(run, axes_for()).get_ylim()
        assert low < -1  # The start.
        assert np.ptp(PROBLEM.y) > 0.05 * (high - low)


def test_steps_that_were_not_taken_are_not_drawn() -> None:
    assert legend(plot_lines(descent(0.5, steps=2), axes_for()))[2:] == ["start", "step 1", "step 2"]


def test_losses_are_named_by_their_rates_with_the_limit() -> None:
    ax = plot_losses([CONVERGED, DIVERGING, EXPLODED], axes_for())
    assert legend(ax) == ["0.5", "0.9", "10"]
    assert "0.775" in ax.get_legend().get_title().get_text()
    assert (ax.get_xscale(), ax.get_yscale()) == ("symlog", "log")
    np.testing.assert_allclose(line(ax, "0.5").get_ydata(), CONVERGED.losses)
    low, high = ax.get_ylim()
    assert low < CONVERGED.losses.min()
    assert CONVERGED.losses[0] < high < 1e5


@pytest.mark.parametrize(("run", "side"), [(CONVERGED, "below"), (DIVERGING, "above")])
@pytest.mark.parametrize("plot", [plot_contours, plot_surface])
def test_the_bowl_names_the_limit(plot: Callable[..., Axes], run: Descent, side: str) -> None:
    ax = plot(run, axes_for("surface" if plot is plot_surface else ""))
    assert f"{side} the limit 2 / sharpness = 0.775" in ax.get_title(loc="left")


@pytest.mark.parametrize("run", [CONVERGED, DIVERGING, EXPLODED, descent(0.77), descent(1e-4)])
def test_the_path_stays_in_sight_and_the_bowl_contains_its_bottom(run: Descent) -> None:
    ax = plot_contours(run, axes_for())
    path = line(ax, "lr").get_xydata()
    bottom = line(ax, "least squares").get_xydata()
    np.testing.assert_allclose(path[0], [0, -1])
    for points in (path, bottom):
        for column, (low, high) in enumerate((ax.get_xlim(), ax.get_ylim())):
            assert (low < points[:, column]).all()
            assert (points[:, column] < high).all()


def test_of_a_diverging_descent_the_first_jumps_are_drawn_and_said_to_be_so() -> None:
    ax = plot_contours(DIVERGING, axes_for())
    np.testing.assert_array_equal(line(ax, "lr").get_xydata(), DIVERGING.path[:4])
    assert "lr 0.9: first 3 of 200 steps" in legend(ax)


def test_the_path_lies_on_the_surface() -> None:
    ax = plot_surface(CONVERGED, axes_for("surface"))
    w, b, loss = line(ax, "lr").get_data_3d()
    np.testing.assert_allclose(loss, PROBLEM.loss(w, b), rtol=1e-9)
    np.testing.assert_allclose([w[-1], b[-1]], CONVERGED.path[-1])


@pytest.mark.parametrize("problem", [sample_problem(samples=2), sample_problem(noise=0), sample_problem(noise=1e6)])
@pytest.mark.parametrize("start", [(0.1, 0.5), "least squares", (1e6, -1e6), (0.0, 1e30)])
def test_odd_problems_and_odd_starts_can_be_drawn(problem, start) -> None:
    w0, b0 = problem.least_squares if start == "least squares" else start
    runs = [descent(lr, 20, problem, w0, b0) for lr in (0.5, 10.0)]
    render(plot_losses(runs, axes_for()))
    render(plot_data(problem, axes_for()))
    render(plot_distribution(problem, axes_for()))
    for run in runs:
        render(plot_lines(run, axes_for()))
        render(plot_contours(run, axes_for()))
        render(plot_surface(run, axes_for("surface")))


@pytest.fixture(scope="module")
def story() -> Story:
    return tell(PROBLEM, numpy_engine(PROBLEM))


def test_the_lesson_is_saved_in_pictures_that_are_not_blank(story: Story, tmp_path: Path) -> None:
    paths = save_lesson(story, tmp_path / "new" / "lesson")
    names = ["data.png", "lines.png", "losses.png", "range_test.png", "surface.png", "contours.png"]
    assert [path.name for path in paths] == names
    for path in paths:
        assert path.parent == tmp_path / "new" / "lesson"
        pixels = pyplot.imread(path)
        assert min(pixels.shape[:2]) > 500
        assert 0.01 < np.mean(pixels.min(axis=-1) < 0.9) < 0.9
    assert pyplot.get_fignums() == []


def test_the_lesson_cannot_be_saved_where_a_file_stands(story: Story, tmp_path: Path) -> None:
    occupied = tmp_path / "lesson"
    occupied.touch()
    with pytest.raises(FileExistsError):
        save_lesson(story, occupied)


def test_the_lesson_says_which_file_could_not_be_written(story: Story, tmp_path: Path) -> None:
    (tmp_path / "losses.png").mkdir()
    with pytest.raises(OSError, match=r"losses\.png"):
        save_lesson(story, tmp_path)
