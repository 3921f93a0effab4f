"""The door to the widget for those who may not have what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lrscout.core.imports import require

if TYPE_CHECKING:
    from lrscout.app.widget import LessonWidget


def lesson_widget(**state: Any) -> LessonWidget:
    """Return the lesson as a widget for a notebook: drag the learning rate, and see what becomes of the run.

    Args:
        state: the first position of its sliders: `lr`, `steps`, the start `w` and `b`, `noise` (1 is the lesson's) and
            `momentum`.

    Returns:
        The widget. Its sliders are its traits, to be read, set and observed.

    Raises:
        MissingDependencyError: anywidget is not installed (the extra ``notebook``).
        TraitError: a slider does not go so far.

    >>> lesson_widget(lr=0.9, steps=3)  # doctest: +SKIP
    """
    require("anywidget", extra="notebook")
    from lrscout.app.widget import LessonWidget

    return LessonWidget(**state)
