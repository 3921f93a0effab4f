"""The pictures of the results, one file a result; each draws on axes and leaves showing and saving to the caller."""

from __future__ import annotations

from functools import partial, singledispatch
from pathlib import Path
from typing import TYPE_CHECKING

from lrscout.analyse.diagnose import Diagnosis
from lrscout.core.errors import InvalidValueError
from lrscout.lesson.descent import Descent
from lrscout.lesson.lr_map import LessonMap
from lrscout.measure.guard import GuardedRun
from lrscout.measure.loss_surface import Surface
from lrscout.measure.lr_map import LRMap
from lrscout.measure.range_test import RangeTest
from lrscout.measure.recommendation import Recommendation
from lrscout.measure.sharpness import Curvature
from lrscout.pictures.curvature import plot_curvature
from lrscout.pictures.diagnosis import plot_diagnosis
from lrscout.pictures.guard import plot_guarded_run
from lrscout.pictures.lesson import plot_contours, plot_lesson_map
from lrscout.pictures.lr_map import plot_lr_map
from lrscout.pictures.range_test import plot_range_test
from lrscout.pictures.recommendation import picture_of as picture_of_recommendation
from lrscout.pictures.recommendation import plot_recommendation
from lrscout.pictures.style import DPI, panels
from lrscout.pictures.surface import picture_of, plot_surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@singledispatch
def draw(result: object, ax: Axes | None = None) -> Axes:
    """Draw a result with the picture that belongs to its class.

    Args:
        result: the result.
        ax: the axes to draw on; new ones by default.

    Returns:
        The axes.

    Raises:
        InvalidValueError: there is no picture of such a result.
    """
    raise InvalidValueError(f"There is no picture of a {type(result).__name__}.")


draw.register(RangeTest, plot_range_test)
draw.register(Curvature, plot_curvature)
draw.register(Diagnosis, plot_diagnosis)
draw.register(GuardedRun, plot_guarded_run)
draw.register(LRMap, plot_lr_map)
draw.register(Recommendation, plot_recommendation)
draw.register(Surface, plot_surface)
draw.register(Descent, plot_contours)
draw.register(LessonMap, plot_lesson_map)


@singledispatch
def figure_of(result: object) -> Figure:
    """Return a result's picture as a figure to be saved, made without pyplot, which would keep it open.

    Args:
        result: the result.

    Raises:
        InvalidValueError: there is no picture of such a result.
    """
    return panels((6.8, 4.4), partial(draw, result))


figure_of.register(Recommendation, picture_of_recommendation)
figure_of.register(Surface, picture_of)


def save(result: object, path: Path | str) -> None:
    """Draw a result into a file.

    Args:
        result: the result.
        path: the file; its suffix tells the format, such as ``.png`` or ``.pdf``.

    Raises:
        InvalidValueError: there is no picture of such a result.
        OSError: the file could not be written.
    """
    figure_of(result).savefig(path, dpi=DPI)  # pyright: ignore[reportUnknownMemberType]
