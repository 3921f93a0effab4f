"""The pictures of a surface: what is drawn is what was measured, and it can be read."""

from __future__ import annotations

from pathlib import Path as File

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from lrscout import Cost, Outcome
from lrscout.core.errors import InvalidValueError
from lrscout.lesson.engines import numpy_engine
from lrscout.measure.line import line as line_between
from lrscout.measure.loss_surface import Path, Surface
from lrscout.measure.surface import surface
from lrscout.pictures import save
from lrscout.pictures.relief import Relief
from lrscout.pictures.style import PATH
from lrscout.pictures.surface import picture_of, plot_along, plot_contours, plot_in_space, plot_surface
from tests.pictures.looking import PROBLEM, axes_for, legend, line, render

LESSON = surface(numpy_engine(PROBLEM).loop, lr=[0.1, 0.5, 0.75, 0.9])
X = np.linspace(-1, 1, 11)
BOWL = X[:, np.newaxis] ** 2 + 3 * X**2


def told(losses=BOWL, *paths: Path, limit: float | None = None, home=(0.5, -0.5)) -> Surface:
    """A surface over [-1, 1] whose losses and paths are told."""
    losses = np.array(losses, float)
    size = losses.ndim
    return Surface(
        kind="parameters",
        names=("w", "b")[:size],
        axes=tuple(np.linspace(-1, 1, length) for length in losses.shape),
        losses=losses,
        home=np.array(home[:size]),
        paths=paths,
        max_stable_lr=limit,
        minimum=None,
        origin=np.zeros(size),
        directions=np.eye(size),
        batches=1,
        cost=Cost(0, losses.size, 0.0),
    )


def path(places, *, lr: float = 0.1, outcome: Outcome = Outcome.CONVERGING, shown: int | None = None) -> Path:
    places = np.array(places, float)
    steps = np.arange(len(places))
    return Path(lr, steps, places, np.ones(len(places)), len(places) - 1, outcome, shown or len(places))


def in_space(shown: Surface, **more) -> Axes:
    return plot_in_space(shown, axes_for("surface"), **more)


def test_the_surface_in_space_has_the_heights_that_were_measured() -> None:
    (ground,) = [artist for artist in in_space(told()).collections if isinstance(artist, Poly3DCollection)]
    w, b, loss = np.reshape(ground._faces, (-1, 3)).T
    np.testing.assert_allclose(loss, w**2 + 3 * b**2, atol=1e-12)
    assert (w.min(), w.max(), b.min(), b.max()) == (-1, 1, -1, 1)


def test_the_contours_are_those_of_the_loss() -> None:
    ax = plot_contours(told(), axes_for())
    (contours,) = ax.collections
    for level, outline in zip(contours.levels, contours.get_paths(), strict=True):
        if len(outline.vertices):
            w, b = outline.vertices.T
            np.testing.assert_allclose(w**2 + 3 * b**2, level, rtol=0.02, atol=5e-3)


def test_the_paths_are_drawn_where_they_went() -> None:
    ax = plot_contours(LESSON, axes_for())
    for walked in LESSON.paths:
        np.testing.assert_array_equal(line(ax, f"lr {walked.lr:g}:").get_xydata(), walked.seen)


def test_a_path_in_space_lies_on_the_surface_even_between_its_steps() -> None:
    ax = in_space(LESSON)
    for walked in LESSON.paths:
        w, b, loss = line(ax, f"lr {walked.lr:g}:").get_data_3d()
        np.testing.assert_allclose(loss, PROBLEM.loss(w, b), rtol=1e-4)
        assert len(w) == 20 * (walked.shown - 1) + 1


def test_the_path_that_leaps_out_has_the_colour_of_danger() -> None:
    ax = plot_contours(LESSON, axes_for())
    colors = {to_rgba(line(ax, f"lr {walked.lr:g}:").get_color()): walked.lr for walked in LESSON.paths}
    assert len(colors) == 4
    assert colors[to_rgba(PATH)] == 0.9


def test_the_legend_counts_the_steps() -> None:
    labels = legend(plot_contours(LESSON, axes_for()))
    assert labels[:2] == ["lr 0.1: 100 steps", "lr 0.5: 100 steps"]
    assert labels[3].startswith("lr 0.9: first 3 of ")
    assert labels[4:] == ["start", "minimum"]


@pytest.mark.parametrize("plot", [plot_contours, in_space])
def test_one_path_can_be_drawn_alone(plot) -> None:
    ax = plot(LESSON, lr=0.9)
    assert [label.split(":")[0] for label in legend(ax)] == ["lr 0.9", "start", "minimum"]
    assert ax.get_title(loc="left") == "lr 0.9, above the limit 0.775: it leaps out"
    assert plot(LESSON, lr=0.5).get_title(loc="left") == "lr 0.5, below the limit 0.775"
    with pytest.raises(InvalidValueError, match=r"that of a path of the surface \(0.1, 0.5, 0.75, 0.9\)"):
        plot(LESSON, lr=0.6)


@pytest.mark.parametrize(
    ("shown", "title"),
    [
        (LESSON, "Above a learning rate of 0.775 every step lands farther away"),
        (told(), "The loss over the parameters"),
        (told(BOWL, path([[0, 0], [1, 0]])), "lr 0.1: from 1 to 1"),
        (told(BOWL, path([[0, 0], [1, 0]], outcome=Outcome.DIVERGING)), "lr 0.1: it leaps out"),
        (told(BOWL, path([[0, 0], [1, 0]]), path([[0, 0], [0, 1]], lr=0.2)), "The loss and 2 paths"),
    ],
)
def test_the_title_tells_the_story(shown: Surface, title: str) -> None:
    assert plot_contours(shown, axes_for()).get_title(loc="left") == title


def test_a_path_is_cut_where_it_leaves_the_window() -> None:
    relief = Relief(told(BOWL, path([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [0.0, 0.5]])))
    (seen,), (steps,) = relief.paths, relief.steps
    np.testing.assert_allclose(seen, [[0, 0], [1, 0], [np.nan, np.nan], [0, 1], [0, 0.5]])
    np.testing.assert_array_equal(steps, [[0, 0], [0, 0.5]])


def test_a_path_that_is_never_in_the_window_is_not_drawn() -> None:
    shown = told(BOWL, path([[5.0, 5.0], [6.0, 5.0]]))
    render(plot_contours(shown, axes_for()))
    render(in_space(shown))
    assert len(Relief(shown).paths[0]) == 0


def test_what_is_far_above_the_path_is_cut_and_said_to_be() -> None:
    walls = BOWL + 1e4 * np.maximum(np.abs(X)[:, np.newaxis] - 0.7, 0)
    ax = in_space(told(walls, path([[0.5, 0.0], [0.1, 0.0]]), home=(0.5, 0.0)))
    assert "cut at" in ax.get_zlabel()
    low, high = ax.get_zlim()
    assert high < 10
    assert low <= 0
    assert in_space(told()).get_zlabel() == "loss"


def test_between_its_points_the_relief_is_interpolated() -> None:
    cubic = X[:, np.newaxis] ** 3 - X * X[:, np.newaxis] + X**2
    relief = Relief(told(cubic + 2))
    places = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    w, b = places.T
    expected = w**3 - w * b + b**2 + 2
    drawn = relief.at(places)
    assert np.isfinite(drawn).sum() > 25
    np.testing.assert_allclose(drawn[np.isfinite(drawn)], expected[np.isfinite(drawn)], atol=1e-12)
    assert np.isnan(relief.at(np.array([[1.5, 0.0]]))).all()


HOLED = np.where(X[:, np.newaxis] + X > 0.8, np.nan, BOWL)
ODD = {
    "holes": HOLED,
    "infinite": np.where(BOWL > 2, np.inf, BOWL),
    "minus infinity": np.where(BOWL > 2, -np.inf, BOWL),
    "nowhere finite": np.full((11, 11), np.nan),
    "flat": np.full((11, 11), 2.5),
    "zero": np.zeros((11, 11)),
    "negative": BOWL - 1e6,
    "huge": BOWL * 1e300,
    "tiny": BOWL * 1e-300,
    "almost flat": 1 + 1e-15 * BOWL,
    "five points": X[:5, np.newaxis] ** 2 + X[:5],
    "a spike": BOWL + 1e12 * (BOWL > 3.9),
}


@pytest.mark.parametrize("losses", ODD.values(), ids=ODD)
def test_odd_surfaces_can_be_drawn(losses) -> None:
    walked = path([[0.5, -0.5], [0.1, 0.2], [3.0, 1.0]]), path([[0.5, -0.5], [0.5, -0.5]], lr=9.0)
    for shown in (told(losses), told(losses, *walked)):
        render(in_space(shown))
        render(plot_contours(shown, axes_for()))
    render(plot_along(told(losses[-1]), axes_for()))


def test_a_hole_stays_a_hole() -> None:
    relief = Relief(told(HOLED))
    np.testing.assert_array_equal(np.isnan(relief.heights), np.isnan(HOLED))
    assert np.isnan(relief.at(np.array([[0.9, 0.9]]))).all()


def test_a_surface_draws_itself_in_space_or_from_above() -> None:
    assert LESSON.plot().name == "3d"
    flat = axes_for()
    assert LESSON.plot(flat) is flat
    assert flat.collections
    assert plot_surface(told(BOWL[5])).name == "rectilinear"


def test_a_line_is_drawn_as_one() -> None:
    way = line_between(numpy_engine(PROBLEM).loop, [0, -1], PROBLEM.least_squares)
    ax = way.plot(axes_for())
    np.testing.assert_array_equal(line(ax, "loss").get_xydata(), np.column_stack([*way.axes, way.losses]))
    assert ax.get_xlabel() == "share of the way from start to end"


def test_axes_that_do_not_fit() -> None:
    with pytest.raises(InvalidValueError, match="projection='3d'"):
        plot_in_space(LESSON, axes_for())
    with pytest.raises(InvalidValueError, match="projection='rectilinear'"):
        plot_along(told(BOWL[5]), axes_for("surface"))
    with pytest.raises(InvalidValueError, match="over 2 directions, but it has 1"):
        plot_contours(told(BOWL[5]), axes_for())
    with pytest.raises(InvalidValueError, match="over 1 direction, but it has 2"):
        plot_along(LESSON, axes_for())


def test_a_view_over_the_low_side_of_the_surface() -> None:
    # Downhill to where both coordinates grow, or fall: from there the whole slope is seen.
    rising = X[:, np.newaxis] + X
    assert 0 < in_space(told(-rising)).azim < 90
    assert -180 < in_space(told(rising)).azim < -90


@pytest.mark.parametrize(("shown", "panels"), [(LESSON, 8), (told(), 2), (told(BOWL[5]), 1)])
def test_a_saved_picture_is_not_blank(shown: Surface, panels: int, tmp_path: File) -> None:
    assert len(picture_of(shown).axes) == panels
    save(shown, tmp_path / "surface.png")
    pixels = pyplot.imread(tmp_path / "surface.png")
    assert 0.01 < np.mean(pixels.min(axis=-1) < 0.9) < 0.9
    assert pyplot.get_fignums() == []
