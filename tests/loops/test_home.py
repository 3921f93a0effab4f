"""Every adapter against the battery, and the battery against broken restores.

Keras loops face it on the backend that Keras runs on; elsewhere than on TensorFlow they face it alone.
"""

from __future__ import annotations

import keras
import pytest

from tests.battery import (
    DISTURBANCES,
    Case,
    check_comes_home,
    check_user_goes_on,
    control_c,
    evaluated_range_test,
    out_of_memory,
    range_test,
)
from tests.loops import (
    cases_functions,
    cases_jax,
    cases_keras,
    cases_lightning,
    cases_sklearn,
    cases_tensorflow,
    cases_torch,
    cases_transformers,
)

MODULES = [cases_keras]
if keras.backend.backend() == "tensorflow":
    MODULES += [cases_torch, cases_jax, cases_tensorflow, cases_sklearn, cases_lightning, cases_transformers]
    MODULES += [cases_functions]
CASES = {
    f"{module.__name__.rpartition('_')[2]}-{name}": make for module in MODULES for name, make in module.CASES.items()
}
PARTS = [(name, part) for name, make in CASES.items() for part in make().parts]


@pytest.mark.parametrize("disturb", DISTURBANCES, ids=lambda disturb: disturb.__name__)
@pytest.mark.parametrize("name", CASES)
def test_the_loop_comes_home(name: str, disturb) -> None:
    check_comes_home(CASES[name], disturb)


@pytest.mark.parametrize("disturb", [evaluated_range_test, out_of_memory, control_c])
@pytest.mark.parametrize("name", [name for name, make in CASES.items() if make().train is not None])
def test_the_users_own_code_goes_on(name: str, disturb) -> None:
    check_user_goes_on(CASES[name], disturb)


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_the_battery_notices_a_part_left_behind(name: str, part: str) -> None:
    with pytest.raises(AssertionError, match=r"at home|afterwards"):
        check_comes_home(CASES[name], range_test, forget=part)


def test_the_battery_notices_an_evaluation_that_changes_something() -> None:
    def evaluate_and_step(case: Case) -> None:
        case.loop.step(case.loop.lr)

    with pytest.raises(AssertionError, match="home"):
        check_comes_home(cases_functions.CASES["lesson"], evaluate_and_step)
