"""Every loop after a visit of its landscape: with dropout, batch statistics, schedules and what else users have.

Keras loops are visited on the backend that Keras runs on; elsewhere than on TensorFlow they alone are.
"""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from lrscout.core.errors import LandscapeUnavailableError
from lrscout.core.landscape import Differentiable
from tests.battery import Case, check_comes_home
from tests.loops.landscapes import visit
from tests.loops.test_home import CASES

UNKNOWN = {
    "functions-noisy": "Give from_functions parameters, loss_at and gradient_at",
    "lightning-hooked": "gives no loss for a batch",
    "lightning-adversarial": "does not depend on any parameter",
}
"""Loops whose loss is not known as a function of the parameters, and what they say."""


@pytest.mark.parametrize("name", [name for name, make in CASES.items() if isinstance(make().loop, Differentiable)])
def test_loops_of_every_kind_come_home(name: str) -> None:
    def look(case: Case) -> None:
        with pytest.raises(LandscapeUnavailableError, match=UNKNOWN[name]) if name in UNKNOWN else nullcontext():
            visit(case)

    check_comes_home(CASES[name], look)
