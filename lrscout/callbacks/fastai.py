"""The rules as fastai takes them: ``learn.lr_find(suggest_funcs=(minimum, valley))``.

Each takes the rates and the losses of a finished test, as arrays or tensors, with the number of its steps, and returns
the rate and the point to mark on the plot. fastai smooths the losses, leaves out the first tenth and the last five,
and cuts them at the first NaN. Where a curve has no such place the rate is NaN, which fastai plots nowhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeAlias

import numpy as np

from lrscout.analyse import rules

Marked: TypeAlias = tuple[float, tuple[float, float]]
"""A rate, and the point (rate, loss) that marks it."""


def _for_fastai(rule: Callable[[Any, Any], float | None]) -> Callable[[Any, Any, int], Marked]:
    @wraps(rule)
    def suggest(lrs: Any, losses: Any, num_it: int) -> Marked:
        rates, heights = (np.array([float(number) for number in numbers]) for numbers in (lrs, losses))
        rate = rule(rates, heights) if len(rates) > 1 else None
        if rate is None:
            return math.nan, (math.nan, math.nan)
        return rate, (rate, float(np.interp(math.log(rate), np.log(rates), heights)))

    return suggest


minimum = _for_fastai(rules.minimum)
steepest = _for_fastai(rules.steepest)
valley = _for_fastai(rules.valley)
slide = _for_fastai(rules.slide)
