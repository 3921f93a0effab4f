from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lrscout
from lrscout import Stop
from lrscout.core.errors import InvalidValueError, LossError, UnsupportedLoopError
from tests.problems import quadratic_loop, scripted_loop


@given(
    min_lr=st.floats(1e-12, 1e-2),
    ratio=st.floats(1.5, 1e12),
    steps=st.integers(5, 300),
    ladder=st.sampled_from(["exponential", "linear"]),
)
def test_the_ladder_begins_and_ends_exactly_and_rises_evenly(min_lr, ratio, steps, ladder) -> None:
    seen = []
    loop = lrscout.from_functions(lambda lr: seen.append(lr) or 1.0, lambda: None, lambda _: None, lr=0.1)
    max_lr = min_lr * ratio
    test = lrscout.range_test(loop, min_lr=min_lr, max_lr=max_lr, steps=steps, ladder=ladder)
    assert (seen[0], seen[-1], len(seen)) == (min_lr, max_lr, steps)
    assert test.lrs.tolist() == seen, "the recorded lr is the one used"
    rungs = np.diff(np.log(seen)) if ladder == "exponential" else np.diff(seen)
    np.testing.assert_allclose(rungs, np.mean(rungs), rtol=1e-6)


@given(curvature=st.floats(1e-3, 1e3))
def test_the_edge_of_a_quadratic_is_found_within_its_ladder(curvature: float) -> None:
    """Descent on a parabola is stable below 2 / curvature, so the loss is lowest near there and never below."""
    limit = 2 / curvature
    loop = quadratic_loop((curvature,))
    test = lrscout.range_test(loop, min_lr=limit / 1e5, max_lr=limit * 1e2, steps=300)
    assert test.stopped is not Stop.COMPLETED
    assert limit / 4 <= 10 * test.lr <= limit * 4


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_the_explosion_begins_at_the_limit_of_heavy_ball(beta: float) -> None:
    """Heavy ball is stable below (2 + 2 beta) / curvature: the losses beyond that, and only those, go up for good."""
    limit = (2 + 2 * beta) / 1.0
    test = lrscout.range_test(quadratic_loop((1.0,), momentum=beta), min_lr=0.8 * limit, max_lr=2 * limit, steps=300)
    last_fall = np.flatnonzero(np.diff(test.losses) < 0)[-1]
    assert 0.98 * limit <= test.lrs[last_fall] <= 1.2 * limit


def test_the_result_says_what_it_cost_and_speaks() -> None:
    test = lrscout.range_test(quadratic_loop(), min_lr=1e-4, max_lr=100, steps=100)
    assert test.cost.steps == len(test.lrs)
    assert test.cost.evaluations == 0
    assert f"{test.lr:.2g}" in str(test)
    assert "diverged" in str(test)
    assert str(test.cost) in str(test)


def test_json_has_its_keys_and_no_number_that_is_none() -> None:
    loop = scripted_loop([2.0] * 20 + list(np.linspace(2, 1, 30)) + [math.inf])
    result = json.loads(lrscout.range_test(loop, steps=60).to_json())
    assert set(result) == {"lrs", "losses", "suggestions", "suggested_lr", "stopped", "cost", "study"}
    assert set(result["suggestions"]) == {"minimum", "steepest", "valley", "slide"}
    assert set(result["suggestions"]["minimum"]) == {"lr", "low", "high", "reason"}
    assert set(result["cost"]) == {"steps", "evaluations", "seconds", "products"}
    assert result["losses"][-1] is None
    assert result["stopped"] == "non_finite"
    assert result["suggested_lr"] == result["suggestions"]["minimum"]["lr"]


def test_repeats_see_other_batches_and_share_one_start() -> None:
    generator = np.random.default_rng(0)
    position = [1.0]
    starts = []

    def step(lr: float) -> float:
        starts.append(position[0]) if lr == 1e-3 else None
        loss = position[0] ** 2 + generator.normal(0, 0.01)
        position[0] -= lr * 2 * position[0]
        return loss

    def reseed(seed: int) -> None:
        generator.bit_generator.state = np.random.default_rng(seed).bit_generator.state

    loop = lrscout.from_functions(
        step, position.copy, lambda copy: position.__setitem__(0, copy[0]), reseed=reseed, lr=0.1
    )
    test = lrscout.range_test(loop, min_lr=1e-3, max_lr=10, repeats=3)
    assert starts == [1.0, 1.0, 1.0]
    assert len({float(curve.losses[0]) for curve in test.curves}) == 3
    assert test.suggestion.low <= test.lr <= test.suggestion.high
    assert "median of 3 repeats" in test.suggestion.reason
    again = lrscout.range_test(loop, min_lr=1e-3, max_lr=10, repeats=3)
    assert again.suggestion == test.suggestion, "the same seeds give the same answer"
    other = lrscout.range_test(loop, min_lr=1e-3, max_lr=10, seed=7)
    assert other.losses[0] != test.curves[0].losses[0]


def test_the_evaluation_loss_is_the_one_before_the_step() -> None:
    position = [1.0]

    def step(lr: float) -> float:
        position[0] -= lr * 2 * position[0]
        return 123.0

    loop = lrscout.from_functions(
        step, position.copy, lambda copy: position.__setitem__(0, copy[0]), lambda: position[0] ** 2, lr=0.1
    )
    test = lrscout.range_test(loop, min_lr=1e-3, max_lr=10, loss="evaluation")
    assert test.losses[0] == 1.0
    assert test.losses[1] == pytest.approx((1 - 2e-3) ** 2)
    assert test.cost.evaluations == test.cost.steps == len(test.lrs)
    assert test.lr is not None
    assert "evaluation loss" in str(test)


def test_evaluating_a_loop_that_cannot() -> None:
    with pytest.raises(UnsupportedLoopError, match="no evaluate function"):
        lrscout.range_test(quadratic_loop(), loss="evaluation")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"min_lr": 0}, "min_lr must be a finite number above zero, but it is 0"),
        ({"min_lr": -1e-3}, "above zero"),
        ({"max_lr": math.nan}, "max_lr must be a finite number"),
        ({"max_lr": math.inf}, "finite"),
        ({"min_lr": 1.0, "max_lr": 0.1}, "min_lr must be below max_lr, but min_lr is 1 and max_lr is 0.1"),
        ({"min_lr": 0.1, "max_lr": 0.1}, "below"),
        ({"steps": 4}, "steps must be at least 5, but it is 4"),
        ({"steps": 7.5}, "whole number"),
        ({"repeats": 0}, "repeats must be at least 1"),
        ({"ladder": "rope"}, "exponential, linear"),
        ({"loss": "validation"}, "training, evaluation"),
        ({"rule": "fastest"}, "minimum, steepest, valley, slide"),
        ({"smoothing": 1.0}, "smoothing"),
        ({"smoothing": math.nan}, "smoothing"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"min_lr": 1e-300}, "at most 1e.30 times min_lr"),
    ],
)
def test_arguments_that_no_test_could_use(arguments, sentence: str) -> None:
    loop = quadratic_loop()
    with pytest.raises(InvalidValueError, match=sentence):
        lrscout.range_test(loop, **arguments)
    assert loop.step(1e-9) == 2.25, "not a step was taken"


@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        ([math.nan], "not finite from the first step"),
        ([0.5] * 200, "flat"),
        (list(np.linspace(1, 50, 200)), "rose from the start"),
        (list(np.linspace(50, 1, 200)), "Raise max_lr"),
    ],
)
def test_curves_without_an_answer(losses, reason: str) -> None:
    test = lrscout.range_test(scripted_loop(losses))
    assert test.lr is None
    assert reason in test.suggestion.reason
    assert str(test).startswith("No learning rate to suggest.")
    json.loads(test.to_json())


def test_a_linear_ladder_on_which_the_loss_falls_at_once() -> None:
    test = lrscout.range_test(quadratic_loop((1.0,)), min_lr=1e-3, max_lr=8, ladder="linear")
    assert test.lr is not None
    assert 0.05 < test.lr < 0.8


def test_one_bad_batch_does_not_hide_the_answer() -> None:
    losses = lrscout.range_test(quadratic_loop((1.0, 0.1)), min_lr=1e-4, max_lr=100).losses
    clean = lrscout.range_test(scripted_loop(list(losses)), min_lr=1e-4, max_lr=100).lr
    losses = losses.copy()
    losses[12] = 1e6
    assert lrscout.range_test(scripted_loop(list(losses)), min_lr=1e-4, max_lr=100).lr == clean


@pytest.mark.parametrize("at", [8, 20, 50])
def test_a_nan_on_the_way_down_is_not_the_edge_of_stability(at: int) -> None:
    losses = list(lrscout.range_test(quadratic_loop((1.0,)), min_lr=1e-4, max_lr=100).losses)
    losses[at] = math.nan
    test = lrscout.range_test(scripted_loop(losses), min_lr=1e-4, max_lr=100)
    assert test.lr is None
    assert "no longer finite" in test.suggestion.reason


def test_repeats_that_cannot_differ_say_so() -> None:
    test = lrscout.range_test(quadratic_loop((1.0,)), min_lr=1e-4, max_lr=100, repeats=3)
    assert "the 3 repeats were identical" in test.suggestion.reason


def test_something_that_is_no_loop() -> None:
    with pytest.raises(UnsupportedLoopError, match="loop must be a loop or a function that makes one, but it is a int"):
        lrscout.range_test(3)


def test_a_loss_that_is_a_vector() -> None:
    with pytest.raises(LossError, match=r"returned an array of shape \(3,\)"):
        lrscout.range_test(scripted_loop([np.ones(3)]))


def test_an_error_says_at_which_step_it_came() -> None:
    def step(lr: float) -> float:
        if lr > 1e-3:
            raise ValueError("no more")
        return 1.0

    loop = lrscout.from_functions(step, lambda: None, lambda _: None, lr=0.1)
    with pytest.raises(ValueError, match="no more") as caught:
        lrscout.range_test(loop, steps=9, min_lr=1e-7, max_lr=10)
    assert caught.value.__notes__ == ["The loop raised this at step 6 of 9, at lr 0.01."]
