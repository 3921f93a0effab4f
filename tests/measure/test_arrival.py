"""Whether a rate gets to a loss on other orders of the data too, and after how many steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lrscout
from lrscout.analyse.extrapolate import StepsNeeded
from lrscout.measure.arrival import Confirmation, Found, confirmed, typical
from tests.measure.test_probing import Ledger

TARGET = 0.01


def falling(pace: Callable[[int, float], float]) -> Any:
    """A loop whose loss is multiplied at each step by what a function of the order and the rate says."""
    state = {"loss": 1.0, "seed": 0}

    def step(lr: float) -> float:
        loss = state["loss"]
        state["loss"] *= pace(int(state["seed"]), lr) if lr > 1e-9 else 1.0
        return loss

    return lrscout.from_functions(
        step,
        state.copy,
        state.update,
        lambda: state["loss"],
        reseed=lambda seed: state.update(seed=seed),
        lr=0.1,
    )


def steps_at(pace: float) -> int:
    """After how many steps a loss of 1 that falls by a factor at each is at the target."""
    return math.ceil(math.log(TARGET) / math.log(pace))


def ask(pace: Callable[[int, float], float], *octaves: float, spent: int = 1000) -> Confirmation | None:
    """Ask for rates that got there at a pace of 0.9 on the first order."""
    needed = steps_at(0.9)
    found: list[Found] = [(octave, StepsNeeded(needed, needed, needed)) for octave in octaves]
    prober = Ledger(falling(pace)).prober
    prober.steps = spent
    return confirmed(prober, found, TARGET, True, 10_000)


def test_where_every_order_is_alike_the_steps_are_the_closed_form() -> None:
    found = ask(lambda seed, lr: 0.9, -3.0)
    assert found is not None
    assert found.octave == -3.0
    assert found.steps is not None
    # The run is looked at 32 times within twice the steps.
    assert steps_at(0.9) <= found.steps.steps <= steps_at(0.9) * (1 + 2 / 32) + 1
    assert found.steps.low <= 0.92 * found.steps.steps
    assert found.steps.high >= 1.08 * found.steps.steps


def test_a_rate_that_was_first_by_luck_gives_way_to_one_that_is_not() -> None:
    found = ask(lambda seed, lr: 0.9 if seed == 0 or lr < 0.2 else 1.0, -1.0, -3.0)
    assert found is not None
    assert found.octave == -3.0
    assert found.told(-1.0).startswith("On 3 other orders of the data it did not, and 0.12 took about")


def test_where_no_rate_gets_there_again_there_is_none() -> None:
    found = ask(lambda seed, lr: 0.9 if seed == 0 else 1.0, -1.0, -2.0, -3.0)
    assert found is not None
    assert found.steps is None


def test_one_order_in_three_may_be_late() -> None:
    paces = {1: 0.9, 2: 1.0, 3: 0.88}
    found = ask(lambda seed, lr: paces[seed], -3.0)
    assert found is not None
    assert found.steps is not None
    assert steps_at(0.9) <= found.steps.steps <= steps_at(0.9) * (1 + 2 / 32) + 1
    assert found.steps.high > 2 * steps_at(0.9)


def test_what_would_cost_more_than_twice_the_search_is_left() -> None:
    assert ask(lambda seed, lr: 0.9, -3.0, spent=130) is None
    assert ask(lambda seed, lr: 0.9, -3.0, spent=140) is not None


def test_a_rate_that_failed_is_not_promised_because_the_next_one_is_too_dear_to_ask() -> None:
    prober = Ledger(falling(lambda seed, lr: 0.9 if seed == 0 else 1.0)).prober
    prober.steps = 200
    found: list[Found] = [(-1.0, StepsNeeded(40, 40, 40)), (-2.0, StepsNeeded(4000, 4000, 4000))]
    assert confirmed(prober, found, TARGET, True, 10_000) == Confirmation(-1.0, None)


def test_orders_on_which_it_diverges_before_it_is_looked_at_count_against_it() -> None:
    assert ask(lambda seed, lr: 0.9 if seed == 0 else 1e30, -1.0) == Confirmation(-1.0, None)


def test_the_interval_holds_a_fourth_value_four_times_in_five() -> None:
    draws = np.exp(np.random.default_rng(0).normal(6.0, 0.5, (4000, 4))).round().astype(int)
    told = [typical(three.tolist()) for three in draws[:, :3]]
    held = [one.low <= fourth <= one.high for one, fourth in zip(told, draws[:, 3], strict=True)]
    assert np.mean(held) == pytest.approx(0.8, abs=0.03)
    assert all(one.low <= one.steps <= one.high for one in told)
    assert [one.steps for one in told] == np.median(draws[:, :3], axis=1).astype(int).tolist()


def test_a_target_that_one_order_alone_reaches_is_not_promised() -> None:
    """The seed of the probes is 0."""

    def pace(seed: int, lr: float) -> float:
        if lr > 0.5:
            return 3.0
        return 0.97 if seed == 0 else 1 - 1e-6

    recommendation = lrscout.find(falling(pace), target_loss=TARGET)
    assert recommendation.lr is None
    assert "other orders of the data" in recommendation.reasons[0]


def test_the_reason_says_what_other_orders_took() -> None:
    recommendation = lrscout.find(falling(lambda seed, lr: 3.0 if lr > 0.5 else 0.97), target_loss=TARGET)
    assert "On 3 other orders of the data it took about" in recommendation.reasons[0]
    assert recommendation.steps_needed is not None
    assert recommendation.steps_needed.value == pytest.approx(steps_at(0.97), rel=0.1)
