"""What the tests of the pictures draw, and how they look at it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

import lrscout
from lrscout import RangeTest
from lrscout.lesson.descent import Descent, descend
from lrscout.lesson.engines import numpy_engine
from lrscout.lesson.problem import sample_problem

PROBLEM = sample_problem()


def descent(lr: float, steps: int = 200, problem=PROBLEM, w0: float = 0.0, b0: float = -1.0) -> Descent:
    return descend(problem, numpy_engine(problem, w0, b0), lr, steps)


CONVERGED, DIVERGING, EXPLODED = descent(0.5), descent(0.9), descent(10.0)


def lesson_test(**arguments) -> RangeTest:
    return lrscout.range_test(numpy_engine(PROBLEM).loop, **{"min_lr": 1e-5, "max_lr": 10, "steps": 200} | arguments)


def noisy_loop(level: float = 0.0, dying_seed: int | None = None, dies_at: int = 0):
    """A noisy bowl in eight directions whose bottom lies at `level`; one seed may end in NaN early."""
    curvature = np.geomspace(0.1, 10, 8)
    weights = np.full(8, 0.4)
    now = {"seed": 0, "step": 0, "generator": np.random.default_rng(0)}

    def step(lr: float) -> float:
        loss = curvature @ weights**2 / 2 + now["generator"].normal(0, 0.05) + level
        weights[:] -= lr * curvature * weights
        now["step"] += 1
        return np.nan if now["seed"] == dying_seed and now["step"] > dies_at else loss

    def restore(copy) -> None:
        weights[:] = copy

    def reseed(seed: int) -> None:
        now.update(seed=seed, step=0, generator=np.random.default_rng(seed))

    return lrscout.from_functions(step, weights.copy, restore, reseed=reseed, lr=0.1)


def noisy_test(level: float = 0.0, *, repeats: int = 1, rule: str = "minimum", **loop) -> RangeTest:
    return lrscout.range_test(noisy_loop(level, **loop), min_lr=1e-5, max_lr=10, steps=120, repeats=repeats, rule=rule)


def told_test(loss_at: Callable[[int], float], *, steps: int = 60) -> RangeTest:
    """A range test whose losses are told by a function of the step."""
    position = [0]

    def step(lr: float) -> float:
        position[0] += 1
        return loss_at(position[0] - 1)

    def restore(copy) -> None:
        position[:] = copy

    return lrscout.range_test(lrscout.from_functions(step, position.copy, restore, lr=0.1), steps=steps)


RANGE_TESTS: dict[str, Callable[[], RangeTest]] = {
    "lesson": lesson_test,
    "linear ladder": partial(lesson_test, ladder="linear"),
    "still falling": partial(lesson_test, max_lr=0.01),
    "evaluation loss": partial(lesson_test, loss="evaluation"),
    "three repeats": partial(noisy_test, repeats=3),
    "negative losses": partial(noisy_test, -50.0, repeats=2),
    "a repeat that is NaN at once": partial(noisy_test, repeats=3, dying_seed=1),
    "a repeat that is NaN half-way": partial(noisy_test, repeats=3, dying_seed=1, dies_at=40),
    "constant": partial(told_test, lambda step: 1.0),
    "zero": partial(told_test, lambda step: 0.0),
    "constant far from zero": partial(told_test, lambda step: -1e9),
    "rising": partial(told_test, lambda step: 1 + 1e-3 * step**4),
    "falling without end": partial(told_test, lambda step: -np.exp(step)),
    "NaN at once": partial(told_test, lambda step: np.nan),
    "infinite at once": partial(told_test, lambda step: -np.inf),
    "NaN after one step": partial(told_test, lambda step: 2.0 if step < 1 else np.nan),
    "infinite half-way": partial(told_test, lambda step: 2.0 - 0.1 * step if step < 12 else np.inf),
    "huge": partial(told_test, lambda step: 1e200 * (-1) ** step),
    "five steps": partial(told_test, lambda step: 5.0 - step, steps=5),
}


def axes_for(name: str = "") -> Axes:
    return Figure(layout="constrained").add_subplot(projection="3d" if name == "surface" else None)


def render(ax: Axes) -> None:
    """Draw in earnest: some mistakes come to light only then."""
    ax.figure.savefig(BytesIO(), format="png", dpi=50)


def line(ax: Axes, label: str) -> Line2D:
    return next(line for line in ax.get_lines() if str(line.get_label()).startswith(label))


def legend(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def spans(ax: Axes, color: str) -> list[tuple[float, float]]:
    """The rates that bands of a colour reach from and to."""
    bands = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    return [(p.get_x(), p.get_x() + p.get_width()) for p in bands if p.get_facecolor()[:3] == to_rgba(color)[:3]]
