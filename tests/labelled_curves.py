"""Curves whose outcome is known from how they were made, whatever anybody would read off them.

Each is a descent of `tests/descents.py`, shown as logs show it: with noise, smoothed, every tenth step only, cut off,
with spikes, in another unit or around another zero. The label follows from the exact losses and the limit, by this
rule:

- `non_finite`: the losses end beyond what a number can hold.
- `diverging`: the rate is at least 2 % above the limit, and the exact loss ends above everything before its last tenth
  by at least ten standard deviations of the noise and half of what it had fallen.
- `oscillating`: the iterates are known to be on a cycle that neither grows nor dies, which moves the exact loss by at
  least three standard deviations of the noise; or the rate is exactly at the limit, which is told, and the exact loss
  stands still.
- The rest are below the limit. With `e` the standard error of the level of a tenth of the curve, and `late` the exact
  gain of the second half:
  - `too_slow` if the exact loss fell by more than 20 e, along a line so straight that each quarter gained between 0.85
    and 1.15 times what the one before did;
  - `plateaued` if `late` is below e / 2 or 1e-4 of the whole gain, and the second half moves no farther than e or 1e-3
    of the whole gain;
  - `converging` if `late` is above 10 e and 1 % of the whole gain, and below half of what the first half gained, and
    the exact loss never climbs by more than a tenth of it on the way.

Whatever is none of these is not used: it lies in the margin between two outcomes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from lrscout.analyse.smoothing import smooth
from lrscout.core.curve import Outcome
from tests.descents import Family, Generator, Truth

SEED = 2024
"""Of the curves that are counted; what the judgement was built on had other seeds."""

_LARGEST = 1e290
"""Beyond it a log in another unit would overflow; in single precision, as most train, a loss ends at 3e38."""


@dataclass(frozen=True)
class Showing:
    """How a log shows a descent; noise is in units of what the exact loss moved."""

    noise: float = 0.0
    heavy: bool = False
    smoothing: float = 0.0
    every: int = 1
    skipped: float = 0.0
    kept: float = 1.0
    spikes: int = 0
    zero: float = 0.0
    unit: float = 1.0


@dataclass(frozen=True, eq=False)
class Labelled:
    """A curve as it is shown, and its label, or None in the margins."""

    truth: Truth
    showing: Showing
    losses: np.ndarray = field(repr=False)
    label: Outcome | None

    @property
    def told(self) -> dict[str, float]:
        """What else is told: the limit, where the rate is exactly there."""
        at_limit = self.truth.limit is not None and self.truth.lr == self.truth.limit
        return {"lr": self.truth.lr, "max_stable_lr": self.truth.lr} if at_limit else {}


def label_of(truth: Truth, exact: np.ndarray, deviation: float, error: float) -> Outcome | None:
    """Return the label by the rule on top of this file, or None in the margins."""
    if truth.above:
        beyond = float(exact[-3:].min()) - float(exact[: -max(3, len(exact) // 10)].max())
        fallen = float(exact[0] - exact.min())
        return Outcome.DIVERGING if beyond > max(10 * deviation, fallen / 2) else None
    if truth.lr == truth.limit:
        late = float(exact[len(exact) // 2] - exact[-1])
        return Outcome.OSCILLATING if late < max(error / 2, 1e-4 * (exact[0] - exact[-1])) else None
    if truth.cycles:
        late = exact[len(exact) // 2 :]
        swing = float(np.ptp(late)) / 2
        settled = abs(late[: len(late) // 2].mean() - late[len(late) // 2 :].mean()) < 0.1 * swing
        return Outcome.OSCILLATING if settled and swing > max(3 * deviation, 0.01 * np.ptp(exact)) else None
    return _label_below(exact, error)


def _label_below(exact: np.ndarray, error: float) -> Outcome | None:
    quarters = exact[np.linspace(0, len(exact) - 1, 5).round().astype(int)]
    gains = quarters[:-1] - quarters[1:]
    whole, late = float(quarters[0] - quarters[-1]), float(gains[2:].sum())
    if abs(late) < max(error / 2, 1e-4 * whole) and np.ptp(exact[len(exact) // 2 :]) < max(error, 1e-3 * whole):
        return Outcome.PLATEAUED
    if (
        gains.min() > 0
        and whole > 20 * error
        and 0.85 < (gains[1:] / gains[:-1]).min() <= (gains[1:] / gains[:-1]).max() < 1.15
    ):
        return Outcome.TOO_SLOW
    climbs = float((exact - np.minimum.accumulate(exact))[len(exact) // 2 :].max())
    if late > max(10 * error, 0.01 * whole) and late < 0.5 * (whole - late) and climbs < late / 10:
        return Outcome.CONVERGING
    return None


def showing(generator: Generator) -> Showing:
    """Return a way to show a descent, drawn by chance."""
    return Showing(
        noise=float(generator.choice([0, 0.003, 0.03, 0.1, 0.3], p=[0.25, 0.2, 0.25, 0.2, 0.1])),
        heavy=bool(generator.random() < 0.25),
        smoothing=float(generator.choice([0, 0.9, 0.98], p=[0.7, 0.2, 0.1])),
        every=int(generator.choice([1, 10], p=[0.8, 0.2])),
        skipped=float(generator.choice([0, 0.2], p=[0.85, 0.15])),
        kept=float(generator.choice([1, 0.7, 0.4], p=[0.7, 0.15, 0.15])),
        spikes=int(generator.choice([0, 1, 3], p=[0.8, 0.1, 0.1])),
        zero=float(generator.choice([0, -5, 100], p=[0.5, 0.25, 0.25])),
        unit=float(generator.choice([1, 1e-6, 1e6], p=[0.6, 0.2, 0.2])),
    )


def show(truth: Truth, how: Showing, generator: Generator) -> Labelled | None:
    """Return the descent as a log shows it, or None if too little of it is left."""
    part = slice(int(how.skipped * len(truth.losses)), int(how.kept * len(truth.losses)))
    exact = truth.losses[part]
    seen = exact if truth.shown is None else truth.shown[part]
    holds = np.abs(exact) < _LARGEST
    lost = not holds.all()
    exact, seen = (losses[: np.argmin(holds)] if lost else losses for losses in (exact, seen))
    shortest = max(30 * how.every, 20 * how.every / (1 - how.smoothing) if how.smoothing else 0)
    if len(exact) < (10 if lost else shortest) or (truth.cycles and how.every > 1):
        return None
    calm = exact[: len(exact) // 2] if truth.above else exact
    moved = float(np.ptp(calm)) or abs(float(exact[0])) or 1.0
    batches = 0.0 if truth.shown is None else float(np.std((seen - exact)[len(exact) // 2 :]))
    deviation = float(np.hypot(how.noise * moved, batches))
    draw = generator.standard_t(4, len(exact)) / np.sqrt(2) if how.heavy else generator.normal(0, 1, len(exact))
    seen = seen + how.noise * moved * draw
    if how.smoothing:
        exact, seen = smooth(exact, how.smoothing), smooth(seen, how.smoothing)
    exact, seen = exact[:: how.every], seen[:: how.every].copy()
    if how.spikes and not how.smoothing and len(seen) > 20:
        places = generator.choice(np.arange(2, len(seen) - 1, 3), how.spikes, replace=False)
        seen[places] += moved * 10 ** generator.uniform(0, 2)
    # Of smoothed losses about as many are independent as windows of the smoothing fit in.
    left = (1 - how.smoothing) / (1 + how.smoothing)
    independent = max(1.0, len(seen) / 10 * min(1.0, how.every * left))
    error = 1.25 * deviation * np.sqrt(left / independent)
    label = Outcome.NON_FINITE if lost else label_of(truth, exact, deviation * np.sqrt(left), error)
    seen = how.unit * (how.zero * moved + seen)
    return Labelled(truth, how, np.append(seen, np.nan) if lost else seen, label)


def healthy_curves(families: tuple[Family, ...], seed: int, number: int) -> Iterator[Labelled]:
    """Yield curves of rates below the limit, whether or not it is clear what else to call them.

    They are not cut off, since a jump that is about to settle cannot be told from one that is not.
    """
    generator = np.random.default_rng(seed)
    outcomes = (Outcome.TOO_SLOW, Outcome.CONVERGING, Outcome.PLATEAUED)
    while number:
        family, outcome = families[generator.integers(len(families))], outcomes[generator.integers(len(outcomes))]
        shown = show(family(generator, outcome), replace(showing(generator), skipped=0.0, kept=1.0), generator)
        if shown is not None and np.isfinite(shown.losses).all():
            number -= 1
            yield shown


def labelled_curves(families: tuple[Family, ...], seed: int, each: int) -> Iterator[Labelled]:
    """Yield `each` curves for every outcome, of families and showings drawn by chance."""
    generator = np.random.default_rng(seed)
    for outcome in Outcome:
        found = 0
        while found < each:
            family = families[generator.integers(len(families))]
            shown = show(family(generator, outcome), showing(generator), generator)
            if shown is not None and shown.label is outcome:
                found += 1
                yield shown
