"""What `diagnose` says, on descents whose limit is known, and on the lesson's own runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscout import Curve, Outcome, Stop
from lrscout.analyse.diagnose import diagnose
from lrscout.analyse.judge import judge
from lrscout.core.errors import EmptyDataError, InvalidValueError
from lrscout.lesson.descent import descend
from lrscout.lesson.engines import make_engine
from lrscout.lesson.problem import sample_problem
from tests.problems import quadratic_loop

PROBLEM = sample_problem()
STEPS = np.arange(1000)


def quadratic(lr: float, steps: int = 200, **problem) -> np.ndarray:
    loop = quadratic_loop(**problem)
    return np.array([loop.step(lr) for _ in range(steps)])


def noisy(losses: np.ndarray, size: float, seed: int = 0) -> np.ndarray:
    return losses + np.random.default_rng(seed).normal(0, size, len(losses))


def lesson(lr: float, steps: int = 200):
    return descend(PROBLEM, make_engine("numpy", PROBLEM), lr, steps)


@pytest.mark.parametrize(
    ("lr", "steps", "outcomes"),
    [
        (1e-4, 200, {Outcome.TOO_SLOW}),
        (0.5, 200, {Outcome.CONVERGING, Outcome.PLATEAUED}),
        (0.77, 200, {Outcome.CONVERGING}),
        (0.77, 1000, {Outcome.CONVERGING, Outcome.PLATEAUED}),
        (0.78, 1000, {Outcome.DIVERGING}),
        (0.9, 1, {Outcome.DIVERGING}),
        (0.9, 200, {Outcome.DIVERGING}),
        (1, 200, {Outcome.NON_FINITE}),
        (10, 200, {Outcome.NON_FINITE}),
    ],
)
def test_the_lessons_runs_are_what_the_lesson_says(lr: float, steps: int, outcomes: set[Outcome]) -> None:
    assert lesson(lr, steps).outcome in outcomes


@pytest.mark.parametrize("losses", [[3.0, 2.0], [3.0, 2.0, 1.5]])
def test_few_losses_that_fall_show_a_direction_and_no_more(losses: list[float]) -> None:
    diagnosis = diagnose(losses, lr=0.1)
    assert diagnosis.outcome is Outcome.CONVERGING
    assert "slows" not in str(diagnosis)
    assert f"{len(losses)} losses show a direction and no more" in str(diagnosis)
    assert diagnosis.suggested_lr is None


def test_the_lessons_words_at_0_9() -> None:
    diagnosis = lesson(0.9).diagnosis
    assert str(diagnosis) == (
        "Diverging. 0.9 is above the limit 0.775: every step lands farther away; no number of steps will help. "
        "Try 0.388, half of the limit."
    )
    assert diagnosis.suggested_lr == pytest.approx(PROBLEM.max_stable_lr / 2)
    assert diagnosis.lr == 0.9


@pytest.mark.parametrize("lr", [0.78, 0.9, 1.0, 10.0])
def test_the_limit_follows_from_the_growth_alone(lr: float) -> None:
    # Nothing is told but the losses and the rate; the limit is 2 over the Hessian's eigenvalue.
    descent = lesson(lr)
    losses = np.where(np.isfinite(descent.path).all(axis=1), descent.losses, np.nan)
    diagnosis = diagnose(losses, lr)
    assert diagnosis.suggested_lr == pytest.approx(1 / PROBLEM.sharpness, rel=1e-3)
    assert "Under plain gradient descent on a quadratic" in str(diagnosis)
    assert "puts the limit at 0.775" in str(diagnosis)
    assert "no number of steps will help" in str(diagnosis)


@given(st.floats(1.02, 4.0), st.floats(1e-3, 1e3))
def test_the_rate_that_is_suggested_for_a_divergence_is_stable(ratio: float, curvature: float) -> None:
    lr = ratio * 2 / curvature
    suggested = diagnose(quadratic(lr, 60, curvatures=(curvature,)), lr).suggested_lr
    assert suggested == pytest.approx(1 / curvature, rel=1e-2)
    assert judge(quadratic(suggested, 60, curvatures=(curvature,))).outcome is Outcome.PLATEAUED


def test_at_the_limit_it_oscillates_if_the_limit_is_told() -> None:
    losses = quadratic(0.5)  # The steepest curvature is 4.
    assert diagnose(losses, 0.5).outcome is Outcome.PLATEAUED
    told = diagnose(losses, 0.5, max_stable_lr=0.5)
    assert told.outcome is Outcome.OSCILLATING
    assert told.suggested_lr == 0.25
    assert "0.5 is at the limit 0.5: it jumps from side to side" in str(told)


def test_above_the_limit_before_it_shows() -> None:
    losses = 1e-20 * quadratic(0.52, 60, curvatures=(4.0,)) + quadratic(0.52, 60, curvatures=(0.5,))
    diagnosis = diagnose(losses, 0.52, max_stable_lr=0.5)
    assert diagnosis.outcome is not Outcome.DIVERGING
    assert "Yet 0.52 is above the limit 0.5" in str(diagnosis)


def test_an_oscillation_asks_for_a_lower_rate() -> None:
    diagnosis = diagnose(1 + 0.5 * (-1.0) ** STEPS, 0.1)
    assert diagnosis.outcome is Outcome.OSCILLATING
    assert diagnosis.suggested_lr == 0.05
    assert "every 2 steps" in str(diagnosis)


def test_slowness_asks_for_a_higher_rate_or_more_steps() -> None:
    losses = noisy(1 - STEPS / 3000, 0.02)
    assert diagnose(losses, 0.1).suggested_lr == 1.0
    limited = diagnose(losses, 0.1, max_stable_lr=0.8)
    assert limited.suggested_lr == 0.4
    assert "4 times as far" in str(limited)
    hurried = diagnose(losses, 0.1, target_loss=0.5, budget=1250)
    assert hurried.steps_needed is not None
    assert hurried.steps_needed.low <= 501 <= hurried.steps_needed.high
    # Half as far again as it came, in a quarter of the time.
    assert hurried.suggested_lr == pytest.approx(0.2, rel=0.15)
    assert "more than the 250 steps that are left" in str(hurried)


def test_noise_on_a_plateau_asks_for_decay() -> None:
    diagnosis = diagnose(noisy(0.5 + np.exp(-STEPS / 30), 0.05), 0.1)
    assert diagnosis.outcome is Outcome.PLATEAUED
    assert diagnosis.suggested_lr == pytest.approx(0.01)
    assert "decay" in str(diagnosis)
    assert "scatters by 0.05" in str(diagnosis)
    assert diagnose(0.5 + np.exp(-STEPS / 30), 0.1).suggested_lr is None


def test_a_plateau_above_the_start_is_told_as_one() -> None:
    diagnosis = diagnose(noisy(np.append([1.0, 1.0, 1.0], np.full(200, 3.0)), 0.01), 0.1)
    assert diagnosis.outcome is Outcome.PLATEAUED
    assert "above its start" in str(diagnosis)
    assert diagnosis.suggested_lr == pytest.approx(0.01)


def test_a_sudden_blow_up_asks_for_warmup_clipping_or_a_lower_rate() -> None:
    losses = noisy(np.exp(-STEPS / 200), 0.02)
    losses[950:] += 1e-2 * 1.3 ** np.arange(50)
    diagnosis = diagnose(losses, 0.1)
    assert diagnosis.outcome is Outcome.DIVERGING
    assert diagnosis.evidence.growth == pytest.approx(1.3, abs=0.01)
    assert 945 <= diagnosis.evidence.grows_from <= 965
    assert "a warmup, clipping of the gradients, or a lower rate" in str(diagnosis)
    assert "warmup" not in str(diagnose(quadratic(0.55), 0.55))


def test_no_number_from_the_first_step_on_is_not_the_rate() -> None:
    diagnosis = diagnose([np.nan] * 5, 0.1)
    assert diagnosis.outcome is Outcome.NON_FINITE
    assert diagnosis.suggested_lr is None
    assert "not the rate: look at the data" in str(diagnosis)


def test_no_number_out_of_the_blue_names_no_rate() -> None:
    diagnosis = diagnose(np.append(1 - STEPS / 3000, np.nan), 0.1)
    assert diagnosis.outcome is Outcome.NON_FINITE
    assert diagnosis.suggested_lr is None
    assert "From step 1000 on" in str(diagnosis)
    assert "Nothing in the losses before announced it" in str(diagnosis)


def test_overfitting_is_an_aside() -> None:
    at = STEPS[::50]
    evaluations = np.exp(-at / 150) + at / 1000
    diagnosis = diagnose(noisy(np.exp(-STEPS / 200), 0.05), 0.1, evaluations, evaluated_at=at)
    assert diagnosis.outcome in (Outcome.CONVERGING, Outcome.PLATEAUED)
    assert f"lowest at step {at[np.argmin(evaluations)]}" in str(diagnosis)


def test_steps_in_any_order_with_gaps_and_restarts() -> None:
    losses = noisy(np.exp(-STEPS / 200), 0.01)
    order = np.random.default_rng(0).permutation(STEPS)
    assert diagnose(losses[order], 0.1, steps=order).to_dict() == diagnose(losses, 0.1).to_dict()
    # A run that broke off at step 600, blew up, and was resumed from step 500.
    broken = np.concatenate([losses[:500], np.full(100, 1e6), losses[500:]])
    steps = np.concatenate([np.arange(600), np.arange(500, 1000)])
    assert diagnose(broken, 0.1, steps=steps).to_dict() == diagnose(losses, 0.1).to_dict()


def test_one_rate_for_each_step() -> None:
    losses = noisy(np.exp(-STEPS / 400), 0.01)
    falling = diagnose(losses, 0.1 * (1 - STEPS / 1000), target_loss=0.01)
    assert falling.lr == pytest.approx(0.0001)
    assert falling.steps_needed is None
    assert "unknown, since the learning rate changed" in str(falling)
    exploding = np.concatenate([losses[:800], 2.0 ** np.arange(200)])
    schedule = np.where(STEPS < 850, 0.5, 1e-4)
    assert diagnose(exploding, schedule).suggested_lr == pytest.approx(0.05)


def test_a_curve_knows_its_rates_its_evaluations_and_who_stopped_it() -> None:
    losses = quadratic(0.1, 100)
    curve = Curve(np.full(100, 0.1), losses, evaluated_at=np.array([0, 50]), evaluations=np.array([2.0, 1.0]))
    diagnosis = diagnose(curve)
    assert diagnosis.lr == 0.1
    assert diagnosis.evaluations.tolist() == [2.0, 1.0]
    assert diagnosis.outcome is judge(losses).outcome
    assert diagnose(Curve(np.full(100, 0.1), losses, Stop.DIVERGED)).outcome is Outcome.DIVERGING


def test_the_json_has_its_keys_and_no_number_that_is_none() -> None:
    for losses in (quadratic(0.1), quadratic(2.0, 500), np.full(4, np.nan), noisy(np.exp(-STEPS / 400), 0.01)):
        result = json.loads(diagnose(losses, 0.1, target_loss=0.01).to_json())
        assert list(result) == ["outcome", "advice", "lr", "suggested_lr", "evidence", "steps_needed"]
        assert all(isinstance(sentence, str) and sentence.endswith(".") for sentence in result["advice"])
        assert {"growth", "period", "slope", "noise", "first_non_finite", "gain_left", "overfitting"} <= set(
            result["evidence"]
        )
    assert set(result["steps_needed"]) == {"steps", "low", "high"}


LOSSES = st.lists(st.floats(), min_size=2, max_size=30)
RATES = st.none() | st.floats(1e-6, 1e3)


@given(LOSSES, RATES, RATES, st.none() | st.floats(-1e3, 1e3), st.none() | st.integers(1, 100))
def test_there_is_an_answer_to_everything(losses, lr, limit, target, budget) -> None:
    diagnosis = diagnose(losses, lr, target_loss=target, max_stable_lr=limit, budget=budget)
    assert diagnosis.advice
    assert "nan" not in str(diagnosis).lower().replace("nan or", "")
    assert "None" not in str(diagnosis)
    assert diagnosis.suggested_lr is None or diagnosis.suggested_lr > 0
    json.loads(diagnosis.to_json())


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (([1.0],), EmptyDataError, "at least 2 losses, but there are 1"),
        (([[1.0, 2.0]],), InvalidValueError, "losses must be one sequence"),
        ((["a", "b"],), InvalidValueError, "losses must be numbers"),
        (([1.0, 2.0], -1), InvalidValueError, "lr must be a finite number above zero"),
        (([1.0, 2.0], [0.1]), InvalidValueError, "one for each of the 2 losses, but it is 1"),
        (([1.0, 2.0], [0.1, -1]), InvalidValueError, "one is -1"),
    ],
)
def test_what_cannot_be_diagnosed(arguments: tuple, error: type, sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        diagnose(*arguments)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"steps": [0]}, "steps must be as many as the losses, 3"),
        ({"steps": [0, 1, np.nan]}, "steps must be finite"),
        ({"steps": [1, 1, 1]}, "all of these are of one"),
        ({"evaluations": [1, 2], "evaluated_at": [1]}, "evaluated_at must be as many as the evaluations, 2"),
        ({"target_loss": np.nan}, "target_loss"),
        ({"max_stable_lr": 0}, "max_stable_lr"),
        ({"budget": 0}, "budget"),
    ],
)
def test_options_that_mean_nothing(options: dict, sentence: str) -> None:
    with pytest.raises((InvalidValueError, EmptyDataError), match=sentence):
        diagnose([1.0, 2.0, 3.0], **options)


def test_the_page_says_what_comes_out(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "diagnose.md").read_text(encoding="utf-8")
    [code], [written] = re.findall("```python\n(.*?)```", page, re.S), re.findall("```text\n(.*?)```", page, re.S)
    exec(code, {})
    assert capsys.readouterr().out.split() == written.split()
