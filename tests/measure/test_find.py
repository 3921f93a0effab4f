"""What `find` answers, on problems whose answers are known."""

from __future__ import annotations

import itertools
import math
from functools import partial

import numpy as np
import pytest

import lrscout
from lrscout.core.schedules import NAMED
from lrscout.lesson.engines import ENGINES, make_engine
from lrscout.lesson.problem import sample_problem
from tests.measure.searched import LIMIT, Descent, bowl, error_of, final_loss, in_the_bowl, on_batches, regression

OCTAVE = 2.0
LEAST = 30
"""Steps that may be spent however small the budget is."""


def found(descent: Descent, steps: int = 300, **asked):
    return lrscout.find(descent.loop, steps, **asked)


def octaves_between(one: float | None, other: float | None) -> float:
    assert one is not None
    assert other is not None
    return abs(math.log2(one / other))


@pytest.mark.parametrize("schedule", NAMED)
def test_on_a_quadratic_the_rate_is_stable_and_nearly_as_good_as_the_best(schedule: str) -> None:
    steps = 400
    factors = NAMED[schedule]()(np.arange(steps), steps)
    recommendation = found(in_the_bowl(), steps, schedule=schedule)
    # A rate may be above the limit for the part of a schedule that is high, and yet end well.
    end = final_loss(in_the_bowl, recommendation.lr, factors)
    start = final_loss(in_the_bowl, 1.0, np.zeros(1))
    assert end < 1e-3 * start
    if schedule == "constant":
        assert recommendation.lr < LIMIT


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_on_batches_the_loss_at_the_end_is_near_that_of_the_best_rate_of_a_grid(schedule: str, seed: int) -> None:
    steps = 600
    factors = NAMED[schedule]()(np.arange(steps), steps)

    def end(lr: float) -> float:
        descent = on_batches()
        descent.loop.reseed(100 + seed)
        for factor in factors.tolist():
            descent.loop.step(lr * factor)
        error = error_of(descent.state["x"])
        return error if math.isfinite(error) else math.inf

    best = min(end(2.0**octave) for octave in np.arange(-10, 2, 0.5))
    recommendation = found(on_batches(evaluate=error_of), steps, schedule=schedule, seeds=[seed])
    start = error_of(np.zeros(6))
    assert end(recommendation.lr) - best < 0.05 * (start - best)
    assert recommendation.loss_name == "evaluation loss"
    assert recommendation.start == start


@pytest.mark.parametrize("steps", [60, 100, 300, 1000])
@pytest.mark.parametrize("budget", [0.05, 0.25, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_a_recommendation_hangs_together(steps: int, budget: float, schedule: str) -> None:
    for lr in (1e-4, 0.1, 30.0):
        descent = on_batches(lr=lr, evaluate=error_of if steps > 100 else None)
        recommendation = found(descent, steps, schedule=schedule, budget=budget)
        assert recommendation.lr is not None
        assert recommendation.low <= recommendation.lr <= recommendation.high
        assert recommendation.max_stable_lr is None or recommendation.max_stable_lr > recommendation.lr
        assert recommendation.cost.step_equivalents <= max(budget * steps, LEAST) + 1e-9
        assert all(probe.steps <= max(steps / 2, 4) for probe in recommendation.probes)
        shown = sum(probe.curve.steps for probe in recommendation.probes)
        evaluated = sum(len(probe.curve.evaluations) for probe in recommendation.probes)
        # What is not shown was spent on the rates that were tried for a few steps, and on standing still.
        assert shown < recommendation.cost.steps <= descent.ever
        assert evaluated <= recommendation.cost.evaluations
        last = max((probe.rung for probe in recommendation.probes), default=0)
        lost = [probe.lr for probe in recommendation.probes if probe.rung == last and not math.isfinite(probe.score)]
        assert recommendation.lr < min(lost, default=math.inf)
        assert recommendation.steps == recommendation.schedule.steps == steps
        assert str(recommendation).startswith(f"For {steps} steps")


def test_more_seeds_cost_no_more_than_is_allowed() -> None:
    recommendation = found(on_batches(evaluate=error_of), 1000, seeds=3)
    assert recommendation.cost.step_equivalents <= 500
    one = found(on_batches(evaluate=error_of), 1000)
    assert octaves_between(recommendation.lr, one.lr) < 2.0


@pytest.mark.parametrize("adam", [False, True], ids=["descent", "adam"])
@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_two_calls_give_the_same_answer(adam: bool, schedule: str) -> None:
    descent = on_batches(adam=adam)
    first, again = (found(descent, schedule=schedule).to_dict() for _ in range(2))
    first["cost"].pop("seconds")
    again["cost"].pop("seconds")
    assert first == again


def scaled(function, factor: float, level: float = 0.0):
    def times(x, generator):
        loss, gradient = function(x, generator)
        return factor * loss + level, factor * gradient

    return times


@pytest.mark.parametrize("function", [bowl, regression])
@pytest.mark.parametrize("factor", [1000.0, 1e-6, 2.0**70])
@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_the_rate_of_descent_goes_with_the_inverse_of_the_loss(function, factor: float, schedule: str) -> None:
    start = np.ones(3) if function is bowl else np.zeros(6)
    plain = found(Descent(function, start), schedule=schedule)
    other = found(Descent(scaled(function, factor), start, lr=0.1 / factor), schedule=schedule)
    assert other.lr * factor == pytest.approx(plain.lr, rel=1e-9)
    assert other.high * factor == pytest.approx(plain.high, rel=1e-9)
    assert [probe.steps for probe in other.probes] == [probe.steps for probe in plain.probes]


@pytest.mark.parametrize(("factor", "level"), [(1000.0, 0.0), (1e-6, 0.0), (1.0, -1000.0), (1.0, 1e4), (-0.0 + 5, -7)])
def test_the_rate_of_adam_does_not_depend_on_the_loss_or_its_level(factor: float, level: float) -> None:
    plain = found(on_batches(adam=True))
    other = found(Descent(scaled(regression, factor, level), np.zeros(6), adam=True))
    assert other.lr == pytest.approx(plain.lr, rel=1e-6)
    assert [probe.lr for probe in other.probes] == pytest.approx([probe.lr for probe in plain.probes])


@pytest.mark.parametrize("level", [-1000.0, 1e4])
@pytest.mark.parametrize("evaluated", [False, True])
def test_a_level_added_to_the_loss_changes_nothing(level: float, evaluated: bool) -> None:
    evaluate = error_of if evaluated else None
    raised = (lambda x, steps: error_of(x) + level) if evaluated else None
    plain = found(on_batches(evaluate=evaluate))
    other = found(Descent(scaled(regression, 1.0, level), np.zeros(6), evaluate=raised))
    assert other.lr == pytest.approx(plain.lr, rel=1e-6)


@pytest.mark.parametrize("scale", [8.0, 0.01])
@pytest.mark.parametrize("function", [bowl, regression])
def test_the_rate_goes_with_the_inverse_square_of_the_parameters_units(function, scale: float) -> None:
    def stretched(v, generator):
        loss, gradient = function(scale * v, generator)
        return loss, scale * gradient

    start = np.ones(3) if function is bowl else np.zeros(6)
    plain = found(Descent(function, start))
    other = found(Descent(stretched, start / scale, lr=0.1 / scale**2))
    assert other.lr * scale**2 == pytest.approx(plain.lr, rel=1e-6)


@pytest.mark.parametrize("adam", [False, True], ids=["descent", "adam"])
@pytest.mark.parametrize("function", [bowl, regression])
def test_the_users_own_rate_may_be_far_off(function, adam: bool) -> None:
    start = np.ones(3) if function is bowl else np.zeros(6)
    plain = found(Descent(function, start, adam=adam), 1000)
    for off in (1e-6, 1e-3, 0.3, 1e3):
        other = found(Descent(function, start, lr=0.1 * off, adam=adam), 1000)
        assert octaves_between(other.lr, plain.lr) < 1.0, off


def test_more_steps_never_take_a_much_higher_rate() -> None:
    rates = [found(on_batches(), steps, schedule="constant").lr for steps in (300, 1000, 3000)]
    assert all(longer < 1.5 * shorter for shorter, longer in itertools.pairwise(rates))


def test_a_model_that_was_trained_before() -> None:
    descent = on_batches(evaluate=error_of)
    for _ in range(2000):
        descent.loop.step(0.01)
    before, trained = descent.bits, error_of(descent.state["x"])
    recommendation = found(descent)
    assert descent.bits == before
    if recommendation.lr is None:
        assert recommendation.reasons
    else:
        for factor in recommendation.schedule.table:
            descent.loop.step(recommendation.lr * float(factor))
        assert error_of(descent.state["x"]) < 1.3 * trained


def test_a_schedule_of_ones_own() -> None:
    mine = lambda step, total: 1 - np.asarray(step) / total  # noqa: E731
    own = found(on_batches(), schedule=mine)
    assert own.lr == found(on_batches(), schedule="linear").lr
    assert own.schedule.name.endswith("<lambda>()")


@pytest.mark.parametrize("name", ENGINES)
def test_the_lessons_engines_agree(name: str) -> None:
    problem = sample_problem()
    engine = make_engine(name, problem)
    at = engine.position()
    recommendation = lrscout.find(engine.loop, 200, schedule="constant")
    assert engine.position() == at
    assert problem.max_stable_lr / 32 < recommendation.lr < problem.max_stable_lr
    numpy = lrscout.find(make_engine("numpy", problem).loop, 200, schedule="constant")
    assert octaves_between(recommendation.lr, numpy.lr) < 0.25


def test_the_scheduler_of_the_answer() -> None:
    engine = make_engine("torch", sample_problem())
    assert lrscout.find(engine.loop, 200).framework == "torch"
    assert found(in_the_bowl()).framework is None


def steps_until(make, lr: float, target: float) -> float:
    descent = make()
    for step in range(20_000):
        if descent.loop.step(lr) <= target:
            return step
    return math.inf


def descend(curvature: np.ndarray) -> Descent:
    return Descent(lambda x, generator: (curvature @ x**2 / 2, curvature * x), np.ones(len(curvature)))


def test_a_loss_to_reach_on_quadratics() -> None:
    right: list[bool] = []
    for curvatures, share in itertools.product(
        [(1.0, 0.3), (4.0, 0.2), (1.0, 0.01), (1.0, 0.1, 0.01)], [0.5, 1e-2, 1e-3, 1e-4]
    ):
        curvature = np.array(curvatures)
        make, target = partial(descend, curvature), share * curvature.sum() / 2
        recommendation = lrscout.find(make().loop, target_loss=target)
        assert recommendation.lr < 2 / curvature.max()
        truth, needed = steps_until(make, recommendation.lr, target), recommendation.steps_needed
        assert needed.low <= needed.value <= needed.high
        right.append(truth / 1.5 - 1 <= needed.value <= 1.5 * truth + 1)
        fastest = min(steps_until(make, 2.0**octave / curvature.max(), target) for octave in (-1, 0))
        assert truth <= 3 * fastest + 2
    assert np.mean(right) >= 0.8


def test_an_evaluation_loss_to_reach() -> None:
    make = partial(on_batches, evaluate=error_of)
    target = 0.1 * error_of(np.zeros(6))
    recommendation = lrscout.find(make().loop, target_loss=target)
    descent = make()
    steps = 0
    while error_of(descent.state["x"]) > target:
        descent.loop.step(recommendation.lr)
        steps += 1
    assert recommendation.loss_name == "evaluation loss"
    assert steps / 1.5 - 1 <= recommendation.steps_needed.value <= 1.5 * steps + 1


def test_what_training_is_worth() -> None:
    descent = on_batches(evaluate=error_of)
    before = descent.bits
    recommendation = lrscout.find(descent.loop)
    assert descent.bits == before
    lengths = [line.steps for line in recommendation.frontier]
    assert len(lengths) >= 3
    assert all(longer == 2 * shorter for shorter, longer in itertools.pairwise(lengths))
    losses = [line.loss for line in recommendation.frontier]
    assert losses[-1] < losses[0] < recommendation.start
    gains = {line.steps: line.gain for line in recommendation.frontier}
    assert recommendation.steps in gains
    # Two doublings beyond where it stops have not paid, and the one that led there has.
    beyond = [gain for steps, gain in gains.items() if steps > recommendation.steps]
    assert len(beyond) == 2
    assert all(gain < 0.05 for gain in beyond)
    assert gains[recommendation.steps] is None or gains[recommendation.steps] >= 0.05
    assert recommendation.low <= recommendation.lr <= recommendation.high
    assert "a doubling of the run adds less than 5 %" in str(recommendation)
