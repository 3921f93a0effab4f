"""When a run has seen enough."""

from __future__ import annotations

import math

import numpy as np

from lrscout.analyse.smoothing import ROUGH, noise
from lrscout.core.curve import Stop

_PATIENCE = 3
_NOISE_MARGIN = 6
_OPENING = 9
_BEYOND_RETURN = 1e6
_ROUNDING = float(np.finfo(np.float32).eps)


class StoppingRule:
    """Stops a run when a loss is not finite, and for no other reason.

    Args:
        steps: the number of steps that the run would take.
    """

    def __init__(self, steps: int) -> None: ...

    def update(self, loss: float) -> Stop | None:
        """Take the next loss and return why the run must stop, or None."""
        return None if math.isfinite(loss) else Stop.NON_FINITE


class BeyondReturn(StoppingRule):
    """Stops a run that has diverged beyond return.

    The run is over when three losses in a row lie a million times as far above the first one as any of the opening lay
    from it: of the first nine losses that differed from the first. A run that jumps away and settles again, as wide
    networks do at large rates (Lewkowycz et al. 2020, arXiv 2003.02218), hardly gets there.
    """

    def __init__(self, steps: int) -> None:
        super().__init__(steps)
        self._moved = self._above = 0
        self._start: float | None = None
        self._rounding = self._reach = 0.0

    def update(self, loss: float) -> Stop | None:
        """Take the next loss and return why the run must stop, or None."""
        if not math.isfinite(loss):
            return Stop.NON_FINITE
        if self._start is None:
            self._start, self._rounding = loss, abs(loss) * _ROUNDING
        if self._moved < _OPENING:
            # A loss may stand still at first, as in a warmup; what moves it then is not an explosion.
            self._moved += abs(loss - self._start) > self._rounding
            self._reach = max(self._reach, abs(loss - self._start))
            return None
        self._above = self._above + 1 if loss - self._start > _BEYOND_RETURN * self._reach else 0
        return Stop.DIVERGED if self._above == _PATIENCE else None


class RangeTestRule(StoppingRule):
    """Stops a range test whose loss has lost all that it had gained, twice over.

    The run is over when three losses in a row lie above `start + (start - best) + 6 noise`, where `start` and the
    noise are read off the opening, a tenth of the run and at least five steps, and `best` is the lowest smoothed loss.
    Before the opening is over, only a NaN or an infinity ends the run. The rule only compares differences, so it holds
    for negative losses and for losses around zero, where "four times the best one" does not.
    """

    def __init__(self, steps: int) -> None:
        super().__init__(steps)
        self._opening = max(5, steps // 10)
        self._first: list[float] = []
        self._start = self._margin = math.nan
        self._weighted_sum = self._weight = 0.0
        self._best = math.inf
        self._above = 0

    def update(self, loss: float) -> Stop | None:
        """Take the next loss and return why the run must stop, or None."""
        if not math.isfinite(loss):
            return Stop.NON_FINITE
        self._weighted_sum = ROUGH * self._weighted_sum + (1 - ROUGH) * loss
        self._weight = ROUGH * self._weight + (1 - ROUGH)
        self._best = min(self._best, self._weighted_sum / self._weight)
        if len(self._first) < self._opening:
            self._first.append(loss)
            if len(self._first) == self._opening:
                self._start = float(np.median(self._first))
                self._margin = _NOISE_MARGIN * float(np.median(noise(np.array(self._first))))
            return None
        limit = self._start + max(self._start - self._best, 0.0) + self._margin
        self._above = self._above + 1 if loss > limit else 0
        return Stop.DIVERGED if self._above == _PATIENCE else None
