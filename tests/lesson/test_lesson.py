"""The lesson's numbers, on every engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.optimize

import lrscout
from lrscout import Outcome
from lrscout.core.errors import InvalidValueError
from lrscout.lesson.descent import descend
from lrscout.lesson.engines import ENGINES, make_engine
from lrscout.lesson.problem import sample_problem
from lrscout.lesson.story import LRS, STEPS, tell

PROBLEM = sample_problem()


@pytest.fixture(scope="module", params=ENGINES)
def engine(request):
    return make_engine(request.param, PROBLEM)


@pytest.mark.parametrize(("steps", "w", "b"), [(1, 1.448, 1.747), (2, -0.593, -1.814), (3, 1.991, 2.956)])
def test_the_first_jumps_at_0_9(engine, steps: int, w: float, b: float) -> None:
    descent = descend(PROBLEM, engine, 0.9, steps)
    np.testing.assert_allclose(descent.path[-1], (w, b), atol=1e-3)
    assert descent.outcome is Outcome.DIVERGING


def test_200_steps_at_0_9(engine) -> None:
    w, b = descend(PROBLEM, engine, 0.9, 200).path[-1]
    assert w < 0
    assert b < 0
    assert np.log10(-w) == pytest.approx(np.log10(1.1e24), abs=1)
    assert np.log10(-b) == pytest.approx(np.log10(2.0e24), abs=1)


@pytest.mark.parametrize("lr", [1, 10])
def test_none_at_1_and_10(engine, lr: float) -> None:
    descent = descend(PROBLEM, engine, lr, 200)
    assert descent.outcome is Outcome.NON_FINITE
    assert descent.to_dict()["w"] is None
    assert descent.words == "NaN"


def test_the_engines_walk_one_path(engine) -> None:
    mine = descend(PROBLEM, engine, 0.5, 50).path
    plain = descend(PROBLEM, make_engine("numpy", PROBLEM), 0.5, 50).path
    np.testing.assert_allclose(mine, plain, atol=1e-5)


def test_the_engine_comes_back_to_its_start(engine) -> None:
    descend(PROBLEM, engine, 0.9, 7)
    lrscout.range_test(engine.loop, min_lr=1e-5, max_lr=10)
    assert engine.position() == (0.0, -1.0)


def test_the_range_test_has_its_minimum_near_2_33(engine) -> None:
    test = lrscout.range_test(engine.loop, min_lr=1e-5, max_lr=10, steps=200)
    # When the explosion begins depends on the last bits of single precision, so on the engine: two rungs either way.
    two_rungs = 2 * np.log(test.lrs[1] / test.lrs[0])
    assert abs(np.log(test.lr / 0.2327)) <= two_rungs * 1.01
    if engine.name in ("numpy", "tensorflow"):
        assert test.lr == pytest.approx(0.23, abs=0.005)


def test_the_exact_answer_and_the_limit() -> None:
    assert PROBLEM.least_squares == pytest.approx((0.0876, 0.4803), abs=5e-5)
    assert PROBLEM.eigenvalues == pytest.approx((0.113, 2.580), abs=1e-3)
    assert PROBLEM.max_stable_lr == pytest.approx(0.7753, abs=1e-3)


def test_the_exact_answer_agrees_with_a_general_minimiser() -> None:
    found = scipy.optimize.minimize(lambda p: PROBLEM.loss(p[0], p[1]), (0.0, -1.0), tol=1e-12)
    assert PROBLEM.least_squares == pytest.approx(tuple(found.x), abs=1e-5)
    assert PROBLEM.lowest_loss == pytest.approx(found.fun)


def test_below_the_limit_it_creeps_home_and_above_it_does_not() -> None:
    numpy = make_engine("numpy", PROBLEM)
    assert descend(PROBLEM, numpy, 0.77, 1000).arrived
    assert descend(PROBLEM, numpy, 0.78, 1000).words == "jumps away"


@pytest.mark.parametrize("lr", LRS[:5])
def test_who_has_arrived_lies_on_the_best_line(lr: float) -> None:
    run = descend(PROBLEM, make_engine("numpy", PROBLEM), lr, STEPS[-1])
    away = np.abs(run.path - PROBLEM.least_squares).max(axis=1)
    arrived = [run.first(steps).arrived for steps in range(1, run.steps + 1)]
    assert (away[1:][arrived] < 0.02).all()
    # Without momentum nobody leaves again, and nobody is held up who is there to four digits.
    assert sorted(arrived) == arrived
    assert all(np.array(arrived)[away[1:] < 5e-5])


def test_the_table_of_the_docs_is_the_storys() -> None:
    page = (Path(__file__).parents[2] / "docs" / "lesson.md").read_text(encoding="utf-8")
    for lr, words in tell(PROBLEM, make_engine("numpy", PROBLEM)).table:
        assert f"| {lr:g} | {' | '.join(words)} |" in page


@pytest.mark.parametrize(("lr", "steps"), [(0.001, 3), (0.5, 200), (0.9, 1)])
def test_a_start_at_the_best_line_has_nothing_to_do(lr: float, steps: int) -> None:
    problem = sample_problem(noise=0.0)
    run = descend(problem, make_engine("numpy", problem, 0.1, 0.5), lr, steps)
    assert (run.words, run.share_of_the_way) == ("arrived", 1.0)
    assert str(run).endswith("it starts at the least-squares line, there is nothing to do.")


def test_from_the_best_line_a_rate_far_too_large_still_flies_away() -> None:
    problem = sample_problem(noise=0.0)
    run = descend(problem, make_engine("numpy", problem, 0.1, 0.5), 10.0, 20)
    assert run.starts_at_the_best_line
    assert run.words == "jumps away"
    assert "nothing to do" not in str(run)


def test_the_story_from_the_best_line() -> None:
    problem = sample_problem(noise=0.0)
    story = tell(problem, make_engine("numpy", problem, 0.1, 0.5))
    told = " ".join(story.after_the_table)
    assert "the start is the best line, there is nothing to do" in told
    assert "from the best line itself 0.9 goes nowhere" in told


def test_the_start_of_the_lesson_is_not_the_best_line() -> None:
    for problem in (PROBLEM, sample_problem(noise=0.0)):
        assert not descend(problem, make_engine("numpy", problem), 0.5, 1).starts_at_the_best_line


def test_the_story_tells_all_nine_points() -> None:
    story = tell(PROBLEM, make_engine("numpy", PROBLEM))
    assert len(story.before_the_table) + 1 + len(story.after_the_table) == 9
    told = " ".join([*story.before_the_table, *story.after_the_table])
    for fact in ("50 points", "0.775", "2.580", "0.113", "0.0876", "0.4803", "-1.1e+24", "1.45, 1.75"):
        assert fact in told
    words = dict(story.table)
    assert list(words) == list(LRS)
    assert all(len(row) == len(STEPS) for row in words.values())
    assert words[0.5][STEPS.index(200)] == "arrived"
    assert set(words[0.9][:5]) == {"jumps away"}
    assert words[10.0][-1] == "NaN"


@pytest.mark.parametrize(
    ("lr", "sentence"),
    [(0.9, "0.9 is above the limit 0.775"), (0.0001, "0.0001 is below the limit"), (0.5, "has arrived")],
)
def test_a_run_says_what_became_of_it(lr: float, sentence: str) -> None:
    assert sentence in str(descend(PROBLEM, make_engine("numpy", PROBLEM), lr, 200))


def test_other_points_and_other_starts() -> None:
    problem = sample_problem(seed=1, samples=10, noise=0.0)
    assert problem.least_squares == pytest.approx((0.1, 0.5), abs=1e-5)
    engine = make_engine("numpy", problem, 3.0, 4.0)
    assert engine.position() == (3.0, 4.0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [({"samples": 1}, "samples must be at least 2"), ({"noise": -1}, "noise"), ({"noise": float("nan")}, "noise")],
)
def test_points_that_cannot_be_drawn(arguments, sentence: str) -> None:
    with pytest.raises(InvalidValueError, match=sentence):
        sample_problem(**arguments)


def test_an_engine_that_there_is_not() -> None:
    with pytest.raises(InvalidValueError, match="jax, tensorflow, torch, numpy"):
        make_engine("fortran", PROBLEM)
