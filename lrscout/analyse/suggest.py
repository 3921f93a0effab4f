"""Learning rates read off a range test, by named rules, each with an interval and a reason.

The rules themselves (`minimum`, `steepest`, `valley`, `slide`) are pure functions of rates and losses and take the
losses as they are. `suggest` smooths a measured curve, asks whether it has the shape that a rule can be read off,
applies the rule, and repeats it on curves with fresh noise to see how far the answer moves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.analyse.rules import minimum, slide, steepest, valley
from lrscout.analyse.smoothing import ROUGH, noise, opening_of, smooth, smoothing_for, without_spikes
from lrscout.core.checks import check_choice, check_share
from lrscout.core.curve import Curve, Stop
from lrscout.core.errors import EmptyDataError
from lrscout.core.result import jsonable

if TYPE_CHECKING:
    from jaxtyping import Float

    Rates = Float[np.ndarray, " step"]
    Losses = Float[np.ndarray, " step"]

RULES: dict[str, Callable[[Any, Any], float | None]] = {
    "minimum": minimum,
    "steepest": steepest,
    "valley": valley,
    "slide": slide,
}
"""The rules by name, the best first (`benchmarks/suggestion_quality.py`)."""

FEWEST_POINTS = 5
_REPLICATES = 100
_QUANTILES = (0.1, 0.9)
_SIGNIFICANT_FALL = 1.25
"""How many standard deviations of one loss the smoothed curve must fall below its first third to count as fallen.
On pure noise such a fall comes up at most once in a hundred curves of 100 points; a test holds that."""

_STEEP_FALL = 2.0
"""The same below its opening, which has fewer points, for a curve that falls within its first third."""

_SIGNIFICANT_RISE = 2.0
"""The same for its rise afterwards, which noise alone lifts more easily. An explosion is far higher."""

_REASONS = {
    "minimum": "It is a tenth of the rate at which the loss was lowest",
    "steepest": "It is the rate at which the loss fell fastest per octave",
    "valley": "It lies in the middle of the longest stretch over which the loss fell",
    "slide": "Coming down from the explosion, it is where the slope of the loss first becomes even",
}
_NO_PLACE = "The loss falls and rises, but nowhere in the way that this rule looks for."


@dataclass(frozen=True)
class Suggestion:
    """A learning rate read off a range test by one rule, or none with the reason.

    Args:
        rule: the name of the rule.
        lr: the suggested learning rate, or None.
        low: the lower end of where 80 % of the rule's answers lie when the noise is drawn anew, or None.
        high: its upper end, or None.
        reason: why this rate, or why none.
    """

    rule: str
    lr: float | None
    low: float | None
    high: float | None
    reason: str

    def __str__(self) -> str:
        if self.lr is None:
            return f"{self.rule}: none. {self.reason}"
        return f"{self.rule}: {self.lr:.3g} ({self.low:.3g} to {self.high:.3g} as the noise goes). {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """Return lr, low, high and reason."""
        return jsonable({"lr": self.lr, "low": self.low, "high": self.high, "reason": self.reason})


def suggest(curves: Curve | Sequence[Curve], rule: str = "minimum", *, smoothing: float | None = None) -> Suggestion:
    """Read a learning rate off one or more range-test curves.

    Args:
        curves: curves over the same ladder of rates, one for each repeat.
        rule: ``"minimum"``, ``"steepest"``, ``"valley"`` or ``"slide"``.
        smoothing: the weight of the past in the smoothed loss, in [0, 1); by default as much as the noise asks for.

    Returns:
        The geometric median of the repeats' rates. Between `low` and `high` lie 80 % of the answers that the rule gives
        when every loss is drawn anew with the noise measured around it (a parametric bootstrap), and never less than
        half a rung of the ladder. It tells how far noise moves the answer, not how well a rate trains.

    Raises:
        InvalidValueError: there is no such rule, or `smoothing` is not in [0, 1).
        EmptyDataError: there is no curve.
    """
    check_choice("rule", rule, tuple(RULES))
    if smoothing is not None:
        check_share("smoothing", smoothing)
    curves = [curves] if isinstance(curves, Curve) else list(curves)
    if not curves:
        raise EmptyDataError("There is no curve to read a learning rate off.")
    readings = [_read(curve, rule, smoothing, stream=index) for index, curve in enumerate(curves)]
    found = [reading for reading in readings if not isinstance(reading, str)]
    refusals = [reading for reading in readings if isinstance(reading, str)]
    if len(refusals) * 2 >= len(curves):
        return Suggestion(rule, None, None, None, refusals[0])
    lr = float(np.exp(np.median([np.log(rate) for rate, _ in found])))
    # The spread is that of the number given: of the median over the repeats, each with noise of its own.
    redrawn = np.log([replicates for _, replicates in found])
    redrawn = np.nanmedian(redrawn[:, np.isfinite(redrawn).any(axis=0)], axis=0)
    low, high = np.exp(np.quantile([*redrawn, np.log(lr)], _QUANTILES))
    half_rung = np.sqrt(_rung(curves[0].lrs, 10 * lr if rule == "minimum" else lr))
    return Suggestion(
        rule,
        lr,
        float(min(low, lr / half_rung)),
        float(max(high, lr * half_rung)),
        f"{_REASONS[rule]}{_of_repeats(curves)}.",
    )


def _of_repeats(curves: Sequence[Curve]) -> str:
    if len(curves) == 1:
        return ""
    if all(np.array_equal(curve.losses, curves[0].losses) for curve in curves):
        return f"; the {len(curves)} repeats were identical, since the order of this data does not follow the seed"
    return f"; the median of {len(curves)} repeats"


def _read(curve: Curve, rule: str, smoothing: float | None, *, stream: int) -> str | tuple[float, Rates]:
    """Return one curve's rate with those of its replicates (NaN for none), or why it has none."""
    finite = np.isfinite(curve.losses)
    end = len(finite) if finite.all() else int(np.argmin(finite))
    lrs, losses = curve.lrs[:end], without_spikes(curve.losses[:end])
    if len(losses) == 0:
        return "The loss was not finite from the first step on: look at the data and the initial parameters."
    needed = smoothing_for(losses)
    smoothing = needed if smoothing is None else smoothing
    level = smooth(losses, smoothing)
    shape = smooth(losses, ROUGH) if needed else losses
    size = noise(losses)
    if refusal := _refusal(lrs, losses, shape, size, curve.stopped if end == len(finite) else Stop.NON_FINITE):
        return refusal
    # On an exponential ladder the opening shows the loss before the rate matters: no rate is to be found there.
    skipped = end // 10 if _is_exponential(lrs) else 0

    def apply(level: Losses) -> float | None:
        return RULES[rule](lrs[skipped:], level[skipped:])

    rate = apply(level)
    if rate is None:
        return _NO_PLACE
    lowest = int(np.argmin(level))
    size[lowest:] = size[lowest]  # Beyond it the curve explodes, and steps of an explosion are not noise.
    fresh = np.random.default_rng(stream).normal(size=(_REPLICATES, end)) * size
    redrawn = [apply(replicate) for replicate in smooth(losses + fresh, smoothing)]
    return rate, np.array([np.nan if replicate is None else replicate for replicate in redrawn])


def _refusal(lrs: Rates, losses: Losses, shape: Losses, size: Losses, stopped: Stop) -> str | None:
    """Return why no rule can be read off this curve, or None if it falls and then rises."""
    if len(losses) < FEWEST_POINTS:
        return (
            f"The number of finite losses before the run ended at lr {lrs[-1]:.3g} is {len(losses)}; "
            f"a curve takes {FEWEST_POINTS}. Lower min_lr, or raise steps."
        )
    opening = opening_of(losses) if _is_exponential(lrs) else 1
    lowest = int(np.argmin(shape))
    ended_early = stopped is not Stop.COMPLETED
    # The steps of an explosion would look like noise.
    scatter = float(np.median(size[: max(lowest, opening)] if ended_early else size))
    rounding = 1e-6 * float(np.abs(losses[:opening]).max())  # Single precision keeps seven digits of the loss.
    first, third = float(np.median(losses[:opening])), float(np.median(losses[: max(opening, len(losses) // 3)]))
    falls = (
        third - shape[lowest] > _SIGNIFICANT_FALL * scatter + rounding
        or first - shape[lowest] > _STEEP_FALL * scatter + rounding
    )
    base = shape[lowest] if falls else third
    above = max(float(np.max(shape[lowest:])), _late_height(losses)) - base
    rises = above > _SIGNIFICANT_RISE * scatter + rounding
    if stopped is Stop.NON_FINITE and not rises:
        return (
            f"The loss was no longer finite beyond lr {lrs[-1]:.3g} and had not risen before, so this is more likely a "
            "bad batch or an overflow than the edge of stability. Look at the data, or repeat with another seed."
        )
    if falls and lowest >= opening:
        if rises or ended_early:
            return None
        return (
            f"The loss was still falling at the largest rate, {lrs[-1]:.3g}, and never rose again, "
            "so the edge of stability was not reached. Raise max_lr."
        )
    if not rises and not ended_early:
        return (
            f"The loss was flat from lr {lrs[0]:.3g} to {lrs[-1]:.3g}: it moved by no more than its noise. "
            "Raise max_lr, or check that the step updates the parameters."
        )
    at_the_start = np.flatnonzero(shape <= first + _SIGNIFICANT_FALL * scatter + rounding)
    held = int(at_the_start[-1]) if len(at_the_start) else 0
    if held < opening:
        return (
            f"The loss rose from the start, at lr {lrs[0]:.3g}. Lower min_lr; if it still rises, the model may "
            "be trained already, or the update may have the wrong sign."
        )
    return (
        f"The loss never fell by more than its noise and rose beyond lr {lrs[held]:.3g}, as on a model that is "
        f"trained already. To fine-tune one, stay below {lrs[held] / 10:.2g}; otherwise try larger batches, or the "
        "evaluation loss."
    )


def _late_height(losses: Losses) -> float:
    """Return the height over which three losses in a row rise after the lowest three, too late for a smoothed curve."""
    threes = np.lib.stride_tricks.sliding_window_view(losses, 3)
    return float(np.max(threes.min(axis=1)[int(np.argmin(threes.max(axis=1))) :]))


def _is_exponential(lrs: Rates) -> bool:
    """Whether the rates rise by an even ratio."""
    ratios = lrs[1:] / lrs[:-1]
    return bool(np.allclose(ratios, ratios[0], rtol=1e-3))


def _rung(lrs: Rates, lr: float) -> float:
    """Return the ratio of neighbouring rates around `lr`."""
    above = int(np.clip(np.searchsorted(lrs, lr), 1, len(lrs) - 1))
    return float(lrs[above] / lrs[above - 1])
