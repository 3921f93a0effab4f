"""The lesson inside a notebook: the page's own ES module, hosted by anywidget."""

# pyright: reportUnknownMemberType=false, reportUntypedBaseClass=false
# traitlets leaves the types of its values open, so every trait counts as partly unknown.

from __future__ import annotations

import math
from typing import Any

import anywidget
import traitlets

from lrscout.app.lesson import lesson_points
from lrscout.app.static_files import asset
from lrscout.lesson.engines import START_B, START_W

_RANGES: dict[str, tuple[float, float]] = {
    "lr": (1e-3, 10.0),
    "steps": (1, 1000),
    "noise": (0.0, 5.0),
    "momentum": (0.0, 0.99),
}
"""The ranges of the sliders; the start may lie anywhere."""


def _slider(kind: Any, default: float, name: str) -> Any:
    low, high = _RANGES[name]
    return kind(default, min=low, max=high).tag(sync=True)


class LessonWidget(anywidget.AnyWidget):
    """The lesson to play with: points with the line, the loss, the bowl with the path, and the map.

    Args:
        state: the first position of its sliders: `lr`, `steps`, the start `w` and `b`, `noise` (1 is the lesson's) and
            `momentum`. They are traits, so what is moved in the notebook can be read and observed in Python, and what
            is set in Python moves there.

    Raises:
        TraitError: a slider does not go so far.
        MissingDependencyError: the front end is not built.
    """

    lr = _slider(traitlets.Float, 0.5, "lr")
    steps = _slider(traitlets.Int, 50, "steps")
    w: Any = traitlets.Float(START_W).tag(sync=True)
    b: Any = traitlets.Float(START_B).tag(sync=True)
    noise = _slider(traitlets.Float, 1.0, "noise")
    momentum = _slider(traitlets.Float, 0.0, "momentum")
    points: Any = traitlets.Dict(read_only=True).tag(sync=True)
    verdict: Any = traitlets.Unicode("", read_only=True).tag(sync=True)

    def __init__(self, **state: Any) -> None:
        self._esm = asset("lrscout.js")
        self._css = asset("lrscout.css")
        super().__init__(**state)
        self.set_trait("points", lesson_points())

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take what the page says, within the ranges: there a number can also be typed."""
        super().set_state({name: _clipped(name, value) for name, value in sync_data.items()})


def _clipped(name: str, value: Any) -> Any:
    if name not in _RANGES or not isinstance(value, int | float) or math.isnan(value):
        return value
    low, high = _RANGES[name]
    return min(max(value, low), high)
