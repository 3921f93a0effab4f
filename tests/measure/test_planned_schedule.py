from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrscout
from lrscout.core.errors import InvalidValueError
from lrscout.core.schedules import NAMED
from lrscout.lesson.engines import numpy_engine
from lrscout.lesson.problem import sample_problem
from tests.measure.recommended import planned, recommendation


@pytest.mark.parametrize("name", NAMED)
@settings(deadline=None, max_examples=40)
@given(steps=st.integers(1, 300))
def test_a_number_an_array_and_the_table_give_the_same(name: str, steps: int) -> None:
    schedule = planned(name, steps)
    assert schedule.table.shape == (steps,)
    np.testing.assert_array_equal(schedule(np.arange(steps)), schedule.table)
    assert [schedule(step) for step in range(steps)] == schedule.table.tolist()


@pytest.mark.parametrize("name", NAMED)
def test_past_the_budget_it_stays_and_is_never_below_zero(name: str) -> None:
    schedule = planned(name, 50)
    assert schedule(50) == schedule(10**6) == schedule(49) >= 0


@pytest.mark.parametrize("name", NAMED)
def test_it_is_what_a_sweep_takes(name: str) -> None:
    lr_map = lrscout.sweep(numpy_engine(sample_problem()).loop, [0.3], 40, schedule=name, checkpoints=[40])
    ((curve,),) = lr_map.curves[0]
    np.testing.assert_array_equal(curve.lrs, 0.3 * planned(name, 40).table)


def test_the_same_schedule_for_another_budget() -> None:
    assert planned("linear", None).over(4)(1) == 0.75
    with pytest.raises(InvalidValueError, match="steps must be at least 1"):
        planned().over(0)


def test_an_unknown_budget_is_asked_for() -> None:
    schedule = planned("linear", None)
    for ask in (lambda: schedule(0), lambda: schedule.table, lambda: recommendation(steps=None).scheduler("optax")):
        with pytest.raises(InvalidValueError, match=r"Choose one: schedule\.over\(steps\)"):
            ask()


def test_a_loop_of_functions_has_the_schedule_and_no_scheduler() -> None:
    for framework in ("functions", "sklearn", None):
        with pytest.raises(InvalidValueError, match=r"Multiply lr at each step by \.schedule\(step\)"):
            recommendation(framework=framework).scheduler()
    assert recommendation(framework=None).scheduler("optax")(0) == 0.25


def test_pytorch_asks_for_the_optimizer() -> None:
    for ask in (recommendation(framework="lightning").scheduler, lambda: recommendation().scheduler("torch")):
        with pytest.raises(InvalidValueError, match="belongs to an optimizer"):
            ask()


def test_a_group_is_of_an_optimizer_of_pytorch() -> None:
    with pytest.raises(InvalidValueError, match="group is for an optimizer of PyTorch"):
        recommendation().scheduler("optax", group=0)


@pytest.mark.parametrize(("optimizer", "told"), [("fastai", "'fastai'"), (0.1, "a float"), ([], "a list")])
def test_what_is_no_optimizer(optimizer: object, told: str) -> None:
    with pytest.raises(InvalidValueError, match=f"optimizer must be .* but it is {told}"):
        recommendation().scheduler(optimizer)


def test_no_framework_loads_before_it_is_asked_for() -> None:
    code = (
        "import sys; from tests.measure.recommended import recommendation; r = recommendation();"
        "str(r), r.to_json(), r.schedule(3);"
        "assert not {'torch', 'keras', 'jax', 'matplotlib'} & set(sys.modules);"
        "r.scheduler('optax'); assert not {'torch', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
