from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrscout import Cost, Outcome
from lrscout.core.errors import InvalidValueError
from lrscout.core.result import jsonable
from lrscout.core.schedules import NAMED, constant
from lrscout.measure.planned_schedule import PlannedSchedule
from lrscout.measure.recommendation import Estimate
from tests.measure.recommended import FRONTIER, probe, recommendation

FIRST = ["lr", "low", "high", "schedule", "steps", "predicted_loss", "max_stable_lr", "reasons", "cost", "probes"]
OTHERS = ["target_loss", "steps_needed", "frontier", "start", "loss", "budget", "notes", "study"]


def test_the_answer_of_a_colleague() -> None:
    assert str(recommendation()) == (
        "For 1000 steps with linear decay use a peak learning rate of 0.25 (the best one lies between 0.18 and 0.35, "
        "nine times in ten). Expect the evaluation loss to go from 2.3 to 0.0312 (0.028 to 0.0341). At 0.84, 3.4 "
        "times as high, a probe diverged. It had the lowest evaluation loss of the 5 rates that were left after "
        "125 steps. Cost: 400 steps, 30 evaluations, 5 Hessian products, 1.2 s; all that was computed is 42 % of the "
        "run (50 % were allowed)."
    )


def test_a_constant_rate_has_no_peak() -> None:
    assert str(recommendation("constant")).startswith("For 1000 steps at a constant rate use a learning rate of 0.25 ")


def test_a_schedule_of_the_users_own_is_called_by_its_name() -> None:
    mine = replace(recommendation(), schedule=PlannedSchedule("mine", constant(), 1000))
    assert str(mine).startswith("For 1000 steps with the schedule mine use a peak learning rate of 0.25 ")


def test_a_range_of_one_rate_is_not_told() -> None:
    assert "lies between" not in str(recommendation(low=0.25, high=0.25))


def test_no_rate_says_why_first() -> None:
    none = recommendation(
        lr=None, low=None, high=None, predicted_loss=None, reasons=("The loss is NaN from the first step.", "So be it.")
    )
    assert str(none).startswith("No learning rate: the loss is NaN from the first step. So be it. Cost: ")
    assert none.to_dict()["lr"] is None
    with pytest.raises(InvalidValueError, match=r"no schedule because there is no learning rate\. The loss is NaN"):
        none.scheduler("optax")
    assert str(replace(none, reasons=("NaN from the first step.",))).startswith("No learning rate: NaN from")
    assert str(replace(none, reasons=("A loss.",))).startswith("No learning rate: a loss.")


def test_a_target_comes_with_the_steps_that_it_takes() -> None:
    found = recommendation(steps=712, target_loss=0.1, steps_needed=Estimate(712.3, 524.9, 983), predicted_loss=None)
    assert str(found).startswith("To bring the evaluation loss down to 0.1 with linear decay, use a peak learning rate")
    assert "That takes about 710 steps (520 to 980)." in str(found)
    assert "unknown" not in str(found)
    open_end = replace(found, steps_needed=Estimate(712.3, 524.9, math.inf))
    assert "about 710 steps (520 or more)." in str(open_end)
    assert open_end.to_dict()["steps_needed"] == {"value": 712.3, "low": 524.9, "high": None}


def test_the_cost_is_told_beside_the_run() -> None:
    assert str(recommendation(steps=100)).endswith(
        "all that was computed is 4.2 times the run (50 % were allowed, and some thirty steps always are)."
    )
    for asked in ({"target_loss": 0.1}, {"frontier": FRONTIER}):  # Without a number of steps there is no share of it.
        assert str(recommendation(**asked)).endswith("all that was computed is 42 % of the run.")


def test_what_is_unknown_is_said_to_be() -> None:
    assert "What evaluation loss it leads to is unknown." in str(recommendation(predicted_loss=None))
    unknown = recommendation(steps=None, target_loss=0.1, predicted_loss=None, max_stable_lr=None)
    assert "How many steps that takes is unknown." in str(unknown)
    assert "diverged" not in str(unknown)
    assert "of the run" not in str(unknown)
    assert unknown.share is None


def test_a_rate_above_the_limit_is_to_be_watched() -> None:
    assert "At 0.2, below this rate, a probe diverged: watch the run." in str(recommendation(max_stable_lr=0.2))


def test_the_gain_of_each_doubling() -> None:
    told = str(recommendation(frontier=FRONTIER))
    assert "Doubling the run to 250 steps adds 4.1 % to the fall of the loss, to 500 1.8 %, to 1000 0.45 %." in told


@settings(deadline=None)
@given(
    scale=st.floats(-9, 9).map(lambda power: 10.0**power),
    offset=st.floats(-1e5, 1e5),
)
def test_losses_are_told_to_the_scale_of_their_fall(scale: float, offset: float) -> None:
    """However far from zero the losses are, what is told is within a hundredth of the fall."""
    start, end = scale * (offset + 1.0), scale * offset
    found = recommendation(start=start, predicted_loss=Estimate(end, end, end), probes=())
    sentence = str(found).partition("to go from ")[2].partition(")")[0]
    numbers = [float(word.strip("(")) for word in sentence.split() if word != "to"]
    assert numbers == pytest.approx([start, end, end, end], abs=0.01 * scale, rel=1e-12)


@pytest.mark.parametrize("start", [math.nan, math.inf, 0.0])
def test_losses_without_a_scale(start: float) -> None:
    assert str(recommendation(start=start, probes=(), predicted_loss=None))
    assert json.loads(recommendation(start=start).to_json())["loss"] == "evaluation loss"


def test_the_figures() -> None:
    probes = (probe(0.1, 0.5), probe(1.0, math.inf, rung=1))
    figures = json.loads(recommendation(frontier=FRONTIER, probes=probes, study="mine").to_json())
    assert [*figures] == FIRST + OTHERS
    assert figures["schedule"] == "linear"
    assert figures["predicted_loss"] == {"value": 0.0312, "low": 0.028, "high": 0.0341}
    assert figures["cost"] == {
        "steps": 400,
        "evaluations": 30,
        "step_equivalents": pytest.approx(400 + 30 / 3 + 2 * 5),
        "seconds": 1.25,
        "products": 5,
    }
    assert figures["probes"] == [
        {"lr": 0.1, "steps": 30, "score": 0.5, "outcome": str(Outcome.CONVERGING)},
        {"lr": 1.0, "steps": 30, "score": None, "outcome": str(Outcome.NON_FINITE)},
    ]
    assert figures["frontier"][1] == {"steps": 250, "lr": 0.42, "loss": 0.12, "gain": 0.041}


@pytest.mark.parametrize("name", NAMED)
def test_every_schedule_is_told(name: str) -> None:
    assert recommendation(name).to_dict()["schedule"] == name
    assert "schedule" not in str(recommendation(name)).partition("(")[0]


def test_what_a_cost_is_in_steps() -> None:
    assert Cost(10, 0, 1.0).step_equivalents == 10
    assert Cost(10, 6, 1.0, products=2).step_equivalents == pytest.approx(10 + 2 + 4)
    assert Cost(10, 6, 1.0, evaluation_steps=4 / 3).step_equivalents == pytest.approx(18)
    assert "evaluation_steps" not in jsonable(Cost(1, 2, 3.0))
    assert Cost(**jsonable(Cost(1, 2, 3.0))) == Cost(1, 2, 3.0)
