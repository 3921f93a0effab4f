"""Every picture: it is drawn where it was asked for, or saved, and leaves everything else alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes

from lrscout.core.errors import InvalidValueError
from lrscout.pictures import draw, save
from lrscout.pictures.lesson import plot_contours, plot_data, plot_distribution, plot_lines, plot_losses, plot_surface
from lrscout.pictures.lr_map import plot_lr_map
from lrscout.pictures.range_test import plot_range_test
from lrscout.pictures.recommendation import plot_frontier, plot_recommendation
from lrscout.pictures.style import drawable
from tests.measure.recommended import FRONTIER, recommendation
from tests.pictures.looking import CONVERGED, DIVERGING, EXPLODED, LR_MAPS, PROBLEM, axes_for, lesson_test, render

PLOTS: dict[str, Callable[..., Axes]] = {
    "range test": partial(plot_range_test, lesson_test()),
    "map": partial(plot_lr_map, LR_MAPS["valley"](), limit=0.775),
    "recommendation": partial(plot_recommendation, recommendation()),
    "frontier": partial(plot_frontier, recommendation(frontier=FRONTIER)),
    "data": partial(plot_data, PROBLEM),
    "distribution": partial(plot_distribution, PROBLEM),
    "lines": partial(plot_lines, DIVERGING),
    "losses": partial(plot_losses, [CONVERGED, DIVERGING, EXPLODED]),
    "surface": partial(plot_surface, CONVERGED),
    "contours": partial(plot_contours, CONVERGED),
}

every_plot = pytest.mark.parametrize("name", PLOTS)


@every_plot
def test_draws_on_the_given_axes_and_returns_them(name: str) -> None:
    ax = axes_for(name)
    assert PLOTS[name](ax=ax) is ax
    assert pyplot.get_fignums() == []
    render(ax)


@every_plot
def test_makes_its_own_axes_where_pyplot_finds_them(name: str) -> None:
    ax = PLOTS[name]()
    assert pyplot.get_fignums() == [ax.figure.number]
    render(ax)


@every_plot
def test_has_a_title_and_labels(name: str) -> None:
    ax = PLOTS[name](ax=axes_for(name))
    assert ax.get_title(loc="left")
    assert ax.get_xlabel()
    assert ax.get_ylabel()


@every_plot
def test_leaves_the_global_settings_alone(name: str) -> None:
    before = dict(matplotlib.rcParams)
    render(PLOTS[name]())
    assert dict(matplotlib.rcParams) == before


def test_the_pictures_load_without_a_backend() -> None:
    code = "import sys, lrscout.pictures, lrscout.pictures.lesson; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_result_draws_itself() -> None:
    ax = axes_for()
    assert lesson_test().plot(ax) is ax
    assert ax.get_xlabel() == "learning rate"
    assert "weight" in CONVERGED.plot().get_xlabel()


def test_says_so_when_there_is_no_picture() -> None:
    with pytest.raises(InvalidValueError, match="no picture of a float"):
        draw(0.1)


def test_a_surface_needs_axes_in_space() -> None:
    with pytest.raises(InvalidValueError, match="projection='3d'"):
        plot_surface(CONVERGED, axes_for())


def test_lines_are_cut_where_nobody_sees_it() -> None:
    heights = drawable(np.array([0.5, 1e300, -np.inf, np.nan]), 0.0, 2.0)
    np.testing.assert_array_equal(heights, [0.5, 2002.0, -2000.0, np.nan])


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_a_result_is_saved_in_the_format_of_the_suffix(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture.{suffix}"
    save(lesson_test(), path)
    assert path.read_bytes()[:5] in (b"\x89PNG\r", b"%PDF-", b"<?xml")
    assert pyplot.get_fignums() == []


def test_a_result_cannot_be_saved_where_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        save(lesson_test(), tmp_path / "missing" / "picture.png")
