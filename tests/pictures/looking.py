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
from lrscout import Cost, Outcome, RangeTest
from lrscout.lesson.descent import Descent, descend
from lrscout.lesson.engines import numpy_engine
from lrscout.lesson.problem import sample_problem
from lrscout.measure.lr_map import LRMap

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


def told_map(
    losses,
    outcomes=None,
    *,
    lrs=None,
    checkpoints=None,
    start: float = 1.0,
    watched: str = "evaluation",
    schedule: str = "constant",
) -> LRMap:
    """A map whose losses, by rate and checkpoint or by seed, rate and checkpoint, and whose outcomes are told."""
    losses = np.array(losses, float)
    losses = losses.reshape(-1, *losses.shape[-2:])
    seeds, rates, budgets = losses.shape
    lr_map = LRMap(
        lrs=np.geomspace(1e-3, 10, rates) if lrs is None else np.array(lrs, float),
        checkpoints=2 ** np.arange(budgets) if checkpoints is None else np.array(checkpoints),
        seeds=tuple(range(seeds)),
        schedule=schedule,
        curves=((((None,) if schedule == "constant" else (None,) * budgets),),),
        watched=watched,
        runner="serial",
        cost=Cost(0, 0, 0.0),
    )
    if outcomes is None:
        outcomes = [
            [Outcome.CONVERGING if np.isfinite(loss) else Outcome.NON_FINITE for loss in row] for row in losses[0]
        ]
    # What a map reads off its curves it reads once; these were read already.
    vars(lr_map).update(training=losses, evaluation=losses if watched == "evaluation" else None)
    vars(lr_map).update(start=start, outcomes=np.array(outcomes, object))
    return lr_map


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


def valley(rates: int, budgets: int) -> np.ndarray:
    """Losses that fall towards a rate in the middle, by rate and checkpoint."""
    away = np.linspace(-2, 1.5, rates)[:, None] ** 2
    return 0.01 + away * np.linspace(1, 0.3, budgets) / 4


def scattered_map() -> LRMap:
    """A map without any order: of three seeds, each cell with a loss and an outcome of its own."""
    generator = np.random.default_rng(0)
    outcomes = generator.choice(np.array([*Outcome], object), (24, 20))
    return told_map(generator.uniform(0.1, 1.1, (3, 24, 20)), outcomes)


BANDS = np.repeat(np.array([*Outcome], object)[:, None], 12, axis=1)

LR_MAPS: dict[str, Callable[[], LRMap]] = {
    "valley": partial(told_map, valley(24, 12)),
    "training loss": partial(told_map, valley(24, 12), watched="training"),
    "seeds": partial(told_map, np.stack([valley(9, 12), valley(9, 12)[::-1], valley(9, 12)])),
    "a schedule": partial(told_map, valley(12, 6), schedule="cosine", checkpoints=[31, 62, 125, 250, 500, 1000]),
    "every outcome": partial(told_map, np.repeat(np.linspace(0.1, 1.2, 6)[:, None], 12, axis=1), BANDS),
    "every outcome in a row": partial(told_map, np.repeat(np.linspace(0.1, 1.2, 6)[None], 12, axis=0), BANDS.T),
    "scattered": scattered_map,
    "one cell": partial(told_map, [[0.5]]),
    "one cell at the start": partial(told_map, [[1.0]]),
    "one cell, infinite": partial(told_map, [[np.inf]]),
    "one cell below zero": partial(told_map, [[-3.0]]),
    "one rate": partial(told_map, valley(1, 9)),
    "one budget": partial(told_map, valley(9, 1)),
    "nothing finite": partial(told_map, np.full((3, 5, 5), np.inf)),
    "nothing finite, not even the start": partial(told_map, np.full((2, 2), np.inf), start=np.inf),
    "a start that is not finite": partial(told_map, valley(6, 6), start=np.nan),
    "nothing better than the start": partial(told_map, 1.1 + valley(6, 6)),
    "nothing finite at some budgets": partial(told_map, np.where(np.arange(7) % 3 == 1, np.inf, valley(6, 7))),
    "constant": partial(told_map, np.ones((5, 6))),
    "zero": partial(told_map, np.zeros((5, 6)), start=0.0),
    "constant far below zero": partial(told_map, np.full((5, 6), -1e9), start=-1e9),
    "almost constant": partial(told_map, 1 - 1e-9 * valley(5, 5)),
    "negative losses": partial(told_map, valley(9, 9) - 50, start=-48.5),
    "losses around zero": partial(told_map, valley(9, 9) - 0.3),
    "huge losses": partial(told_map, [[1.7e308, -1.7e308], [1e300, 5.0]], start=1e307),
    "tiny losses": partial(told_map, [[5e-324, 1e-3], [1e-300, 0.2]]),
    "huge ranges": partial(
        told_map, valley(9, 7), lrs=np.geomspace(1e-200, 1e200, 9), checkpoints=10 ** np.arange(3, 10)
    ),
    "narrow ranges": partial(told_map, valley(5, 4), lrs=np.linspace(0.3, 0.34, 5), checkpoints=np.arange(100, 104)),
    "uneven": partial(told_map, valley(4, 4), lrs=[0.001, 0.3, 0.32, 1], checkpoints=[1, 2, 999, 1000]),
    "fine": partial(told_map, valley(256, 60), checkpoints=np.arange(60) * 17 + 1),
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
