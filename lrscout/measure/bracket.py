"""The bracket: from a rate that may be far off to the highest one at which the first steps do no harm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lrscout.core.schedules import constant
from lrscout.measure.probing import Prober, Trial

if TYPE_CHECKING:
    from jaxtyping import Float

NOTHING = "With a budget of 0 nothing can be tried. Allow a share of the run, such as budget=0.5."
"""Why there is no rate where nothing may be spent."""

BRACKET_STEPS = 2
"""The steps of a rate whose losses are looked at: that before the first update, which is no rate's, and that after."""

_FARTHEST = 4.0
"""How many octaves above the rate that gains most the highest harmless one may lie. On a quadratic that is two at most;
but where a batch can be separated, one huge step may leave no loss on the next one."""

_MOST, _BEYOND_NOISE = 0.9, 4.0
_STRIDES = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_ROUNDING = 8 * float(np.finfo(float).eps)


@dataclass(frozen=True)
class Bracket:
    """The highest rate, to an octave, at which the first steps do no harm.

    Args:
        octave: the base-2 logarithm of that rate; None where there is no such rate.
        reason: why there is none.
    """

    octave: float | None
    reason: str = ""


def bracket(prober: Prober, standing: Trial, allowance: float = math.inf, steps: int = BRACKET_STEPS) -> Bracket:
    """Find the highest rate at which the first steps do no harm, from the user's own rate by doubling and halving.

    Args:
        prober: takes the probes.
        standing: the losses of the same batches at the parameters of the start.
        allowance: how much may be spent, in steps.
        steps: how many first steps are looked at.
    """
    still = standing.losses[:steps]
    if not np.isfinite(still[0]):
        return Bracket(
            None, "The loss is not a finite number before anything has moved. Look at the data and the loss."
        )
    if len(still) < steps or not np.isfinite(still).all():
        return Bracket(None, not_finite_anyway(standing))
    search = _Search(prober, still, _margin(standing), prober.spent + allowance)
    low, high = search.ends()
    if low is None:
        return Bracket(None, search.why_all_harm() if search.can_go_on else search.why_too_little())
    if high is None:
        levels_off = search.levels_off()
        if search.can_go_on and levels_off is None:
            return Bracket(None, search.why_nothing_harms(low))
        return Bracket(low if levels_off is None else min(levels_off, search.gains_most()))
    while high - low > 1 and search.can_go_on:
        middle = (low + high) / 2
        low, high = (middle, high) if search.harmless(middle) else (low, middle)
    if low < math.log2(prober.lr) and not search.moves(low):
        return Bracket(None, search.why_all_harm())
    return Bracket(min(low, search.gains_most() + _FARTHEST))


def _margin(standing: Trial) -> float:
    """Return how much higher a loss may be without being harm: half the deviation between batches.

    A step along one batch's gradient is no step along the next one's, and may raise its loss at any rate. A straight
    line is taken off first: even the rate that stands still goes somewhere, in double precision.
    """
    losses = standing.losses[np.isfinite(standing.losses)]
    steps = np.arange(len(losses))
    beside = losses - np.polyval(np.polyfit(steps, losses, 1), steps)
    return float(np.sqrt(np.sum(beside**2) / (len(losses) - 2))) / 2


def not_finite_anyway(standing: Trial) -> str:
    """Return that the loss is not finite even where no rate moves anything, and where."""
    return (
        f"The loss is not a finite number at step {len(standing.losses)}, even at a rate too small to move anything. "
        "Look at the data of that step, the loss and its gradient."
    )


class _Search:
    """The rates that have been tried for their first steps.

    Args:
        prober: takes the probes.
        still: the losses of the same batches at the parameters of the start.
        margin: how much higher a loss may be without being harm.
        most: what may have been spent in the end.
    """

    def __init__(self, prober: Prober, still: Float[np.ndarray, " step"], margin: float, most: float) -> None:
        self._prober = prober
        self._still = still
        self._most = most
        self._margin = margin
        self._tried: dict[float, Trial] = {}
        self._harmless: set[float] = set()

    @property
    def can_go_on(self) -> bool:
        """Whether there is enough left for one more rate."""
        return self._prober.spent + len(self._still) * self._prober.seeds <= self._most

    def harmless(self, octave: float) -> bool:
        """Whether the loss after the first steps at a rate is not above that of standing still."""
        (trial,) = self._prober.try_rates([octave], len(self._still), constant())
        self._tried[octave] = trial
        if not trial.completed:
            return False
        after, still = trial.losses[1:], self._still
        if after.mean() > still[1:].mean() + self._margin or after[-1] > still[-1] + self._margin:
            return False
        self._harmless.add(octave)
        return True

    def ends(self) -> tuple[float | None, float | None]:
        """Return a rate that does no harm and a higher one that does; None for one that was not found."""
        own = math.log2(self._prober.lr)
        if not self.can_go_on:
            return None, None
        upwards = self.harmless(own)
        before = own
        for stride in _STRIDES:
            if not self.can_go_on:
                break
            here = before + stride if upwards else before - stride
            if self.harmless(here) != upwards:
                return (before, here) if upwards else (here, before)
            before = here
        return (before, None) if upwards else (None, before)

    def moves(self, octave: float) -> bool:
        """Whether a rate that was tried has moved the loss by more than rounding does."""
        standing_still = octave <= self._prober.standing_octave
        return not (standing_still or np.allclose(self._tried[octave].losses, self._still, rtol=_ROUNDING, atol=0))

    def gains_most(self) -> float:
        """Return the lowest of the harmless rates that gain nearly as much as any; infinite where that is but noise."""
        levels = {octave: self._level(octave) for octave in sorted(self._harmless)}
        lowest = min(levels.values())
        fall = float(self._still[1:].mean()) - lowest
        if fall <= _BEYOND_NOISE * self._margin:
            return math.inf
        return next(octave for octave, level in levels.items() if level <= lowest + (1 - _MOST) * fall)

    def _level(self, octave: float) -> float:
        return float(self._tried[octave].losses[1:].mean())

    def levels_off(self) -> float | None:
        """Return the lowest rate beyond which higher ones, which do no harm either, gain nothing more.

        None where the highest rate gains most, as on a loss without a lower bound, or where no rate moves the loss. A
        loss that is bounded above, as of probabilities, levels off at huge rates, and may do so below the start.
        """
        levels = {octave: self._level(octave) for octave in sorted(self._tried)}
        lowest = min(levels.values())
        enough = next(octave for octave, level in levels.items() if level <= lowest + self._margin)
        return enough if enough < max(levels) and self.moves(enough) else None

    def why_all_harm(self) -> str:
        """Return why there is no rate that does no harm."""
        moving = min((octave for octave in self._tried if self.moves(octave)), default=min(self._tried))
        return (
            f"The first steps raise the loss at every rate that was tried, down to {2.0**moving:.2g}. "
            "Look at the sign of the loss, the optimizer and the data."
        )

    def why_too_little(self) -> str:
        """Return that the allowance was spent before there was a rate that does no harm."""
        return (
            "The budget was spent before a rate was found at which the first steps do no harm. "
            "Allow more, or begin with a lower rate."
        )

    def why_nothing_harms(self, octave: float) -> str:
        """Return why there is no rate that does harm."""
        rate = f"{2.0**octave:.2g}"
        if np.array_equal(self._tried[octave].losses, self._still):
            return (
                f"The loss takes the same course at every rate up to {rate}, as if nothing moved. Look at whether the "
                "step uses the rate, whether the optimizer has the model's parameters, and whether they are trained."
            )
        return (
            f"The loss falls, or stays, at every rate up to {rate}, so there is no best one. A loss without a lower "
            "bound falls the faster the larger the rate."
        )
