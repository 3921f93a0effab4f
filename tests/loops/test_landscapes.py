"""Every landscape against the battery.

Keras loops face it on the backend that Keras runs on; elsewhere than on TensorFlow they face it alone.
"""

from __future__ import annotations

import pytest

from lrscout.core.landscape import Differentiable
from tests.battery import check_comes_home
from tests.loops.cases_landscapes import CASES
from tests.loops.landscapes import CHECKS, VISITS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", CASES)
def test_the_landscape_is_the_known_one(name: str, check) -> None:
    case = CASES[name]()
    assert isinstance(case.loop, Differentiable)
    check(case)


@pytest.mark.parametrize("disturb", VISITS, ids=lambda disturb: disturb.__name__)
@pytest.mark.parametrize("name", CASES)
def test_the_loop_comes_home(name: str, disturb) -> None:
    check_comes_home(CASES[name], disturb)
