from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscout import Curve, Outcome
from lrscout.core.checks import check_choice, check_count, check_lr
from lrscout.core.errors import InvalidValueError, LrscoutError, MissingDependencyError
from lrscout.core.imports import require
from lrscout.core.result import Cost, jsonable


def test_every_outcome_has_a_sentence() -> None:
    assert all(len(outcome.sentence) > 20 for outcome in Outcome)


def test_numbers_that_are_not_finite_become_null() -> None:
    plain = jsonable({"a": np.array([1.0, np.nan, np.inf]), "b": (math.nan, 2), "c": Cost(3, 0, 0.5)})
    assert plain == {
        "a": [1.0, None, None],
        "b": [None, 2],
        "c": {"steps": 3, "evaluations": 0, "seconds": 0.5, "products": 0},
    }
    json.dumps(plain, allow_nan=False)
    assert jsonable(np.float32(0.5)) == 0.5


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "fast", None, [1]])
def test_learning_rates_that_no_run_could_use(value: object) -> None:
    with pytest.raises(InvalidValueError, match="min_lr must be") as caught:
        check_lr("min_lr", value)
    assert isinstance(caught.value, ValueError)


@given(st.floats(min_value=5e-324, max_value=1.7e308))
def test_every_positive_number_is_a_learning_rate(value: float) -> None:
    assert check_lr("lr", value) == value


@pytest.mark.parametrize("value", [4, 0, -3, 7.5, True, None])
def test_counts_that_no_run_could_use(value: object) -> None:
    with pytest.raises(InvalidValueError, match="steps must be"):
        check_count("steps", value, at_least=5)


def test_choices_name_the_alternatives() -> None:
    with pytest.raises(InvalidValueError, match="one of a, b, but it is 'c'"):
        check_choice("rule", "c", ("a", "b"))


def test_a_missing_library_says_how_to_install_it() -> None:
    with pytest.raises(MissingDependencyError, match=r"pip install 'lrscout\[jax\]'") as caught:
        require("a_library_that_nobody_has", extra="jax")
    assert isinstance(caught.value, ImportError)
    assert isinstance(caught.value, LrscoutError)


def test_a_curve_needs_one_lr_for_each_loss() -> None:
    with pytest.raises(InvalidValueError, match="one lr for each loss"):
        Curve(np.ones(3), np.ones(4))
    with pytest.raises(InvalidValueError, match="one step for each evaluation"):
        Curve(np.ones(3), np.ones(3), evaluations=np.ones(2))
