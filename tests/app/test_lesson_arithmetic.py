"""The browser's arithmetic of the lesson is Python's, step by step."""

from __future__ import annotations

import json
import re
import subprocess
from itertools import product

import numpy as np
import pytest

from lrscout.app.lesson import lesson_points
from lrscout.lesson.descent import descend
from lrscout.lesson.engines import numpy_engine
from lrscout.lesson.problem import TRUE_B, TRUE_W, Problem, sample_problem
from lrscout.lesson.story import tell

SCRIPT = """
const { arithmetic } = await import(process.argv[1]);
const input = await new Promise((resolve) => {
  let text = "";
  process.stdin.on("data", (part) => { text += part; }).on("end", () => resolve(JSON.parse(text)));
});
const spelled = (key, value) => {
  if (ArrayBuffer.isView(value)) value = Array.from(value);
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
};
const results = input.calls.map(({ noise, name, given }) => {
  const problem = arithmetic.problemOf(input.draw, noise);
  return name === "problemOf" ? problem : arithmetic[name](problem, ...given);
});
console.log(JSON.stringify(results, spelled));
"""

CASES = [
    (lr, start, noise)
    for lr in (0.001, 0.02, 0.1, 0.5, 0.77, 0.78, 0.9, 1.0, 10.0)
    for start, noise in (((0.0, -1.0), 1), ((1.3, 2.1), 1), ((-2.0, 0.5), 2.5), ((0.4, 3.0), 0))
]
CLOSE = {"rtol": 1e-6, "atol": 0}


@pytest.fixture(scope="module")
def compute(static, node):
    """Return a function that makes calls of the built module: each a noise, a function's name and its arguments."""

    def compute(*calls):
        named = [dict(zip(("noise", "name", "given"), call, strict=True)) for call in calls]
        run = subprocess.run(
            [node, "--input-type=module", "--eval", SCRIPT, str(static / "lrscout.js")],
            input=json.dumps({"draw": lesson_points(), "calls": named}),
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(run.stdout)

    return compute


def numbers(values) -> np.ndarray:
    """Return numbers that came as JSON, in which NaN and infinity are spelled."""
    return np.array([float(value) for value in values])


def path_of(result) -> np.ndarray:
    return np.stack([numbers(result["w"]), numbers(result["b"])], axis=1)


def choice(lr, start, steps, momentum=0.0):
    return {"lr": lr, "steps": steps, "start": {"w": start[0], "b": start[1]}, "momentum": momentum}


def noisy(scale: float) -> Problem:
    """Return the lesson's points with their noise made larger or smaller, as the page does it."""
    points = lesson_points()
    x, errors = np.array(points["x"]), np.array(points["noise"])
    return Problem(x.astype(np.float32), (TRUE_W * x + TRUE_B + scale * errors).astype(np.float32))


def test_points_are_the_lessons():
    np.testing.assert_array_equal(noisy(1).y, sample_problem().y)


def test_problem(compute):
    for scale, found in zip(
        (0, 0.5, 1, 3), compute(*((scale, "problemOf", []) for scale in (0, 0.5, 1, 3))), strict=True
    ):
        problem = noisy(scale)
        np.testing.assert_array_equal(numbers(found["y"]), problem.y)
        # Without noise, least squares is as exact as the points' single precision.
        np.testing.assert_allclose(list(found["leastSquares"].values()), problem.least_squares, rtol=1e-9)
        assert found["lowestLoss"] == pytest.approx(problem.lowest_loss, rel=1e-6, abs=1e-15)
        assert [found["curvatures"]["flat"], found["curvatures"]["steep"]] == pytest.approx(
            problem.eigenvalues, rel=1e-12
        )


@pytest.mark.parametrize("steps", [1, 3, 50, 1000])
def test_descent_is_the_numpy_engines(compute, steps):
    calls = [(noise, "descend", [choice(lr, start, steps)]) for lr, start, noise in CASES]
    for (lr, start, noise), found in zip(CASES, compute(*calls), strict=True):
        run = descend(noisy(noise), numpy_engine(noisy(noise), *start), lr, steps)
        finite = np.isfinite(run.path).all(axis=1)
        np.testing.assert_array_equal(np.isfinite(path_of(found)).all(axis=1), finite)
        np.testing.assert_allclose(path_of(found)[finite], run.path[finite], **CLOSE)
        np.testing.assert_allclose(
            numbers(found["losses"]), np.where(finite, run.losses, np.nan), rtol=1e-6, atol=1e-15
        )


def limit_with(momentum: float) -> float:
    return (1 + momentum) * sample_problem().max_stable_lr


def momentum_loop(problem, lr, start, momentum, steps):
    """Descend with momentum in NumPy's single precision."""
    position, speed = np.array(start, np.float32), np.zeros(2, np.float32)
    path = [position.copy()]
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps):
            mistakes = position[0] * problem.x + position[1] - problem.y
            slope = 2 * np.array([np.mean(mistakes * problem.x), np.mean(mistakes)])
            speed = np.float32(momentum) * speed + slope
            position = position - np.float32(lr) * speed
            path.append(position)
    return np.array(path)


def torch_loop(problem, lr, start, momentum, steps):
    """Descend with PyTorch's own momentum."""
    torch = pytest.importorskip("torch")
    position = torch.tensor(start, dtype=torch.float32, requires_grad=True)
    optimizer = torch.optim.SGD([position], lr=lr, momentum=momentum)
    x, y = torch.from_numpy(problem.x), torch.from_numpy(problem.y)
    path = [position.detach().clone()]
    for _ in range(steps):
        optimizer.zero_grad()
        torch.mean((position[0] * x + position[1] - y) ** 2).backward()
        optimizer.step()
        path.append(position.detach().clone())
    return torch.stack(path).numpy()


@pytest.mark.parametrize("loop", [momentum_loop, torch_loop])
def test_momentum(compute, loop):
    steps = 200
    cases = [(lr, momentum) for lr in (0.01, 0.1, 0.5, 1.2) for momentum in (0.3, 0.8, 0.95)]
    calls = [(1, "descend", [choice(lr, (0.5, -1), steps, momentum)]) for lr, momentum in cases]
    for (lr, momentum), found in zip(cases, compute(*calls), strict=True):
        expected = loop(sample_problem(), lr, (0.5, -1.0), momentum, steps)
        # Where single precision ends, the order of operations shows; before that it does not.
        counted = np.abs(expected).max(axis=1) < 1e30
        # A coordinate passes through zero on its way, so what counts is the size of the position.
        size = np.maximum.accumulate(np.abs(expected[counted]).max(axis=1, keepdims=True))
        # A run that grows carries the rounding of every step along.
        allowed = 1e-6 + 2.0**-24 * np.arange(len(size))[:, np.newaxis] * (lr > limit_with(momentum))
        assert (np.abs(path_of(found)[counted] - expected[counted]) <= allowed * size).all()
        assert np.isfinite(path_of(found)[-1]).all() == np.isfinite(expected[-1]).all()


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_limit_parts_descents_that_arrive_from_those_that_fly_away(compute, momentum):
    (limit,) = compute((1, "limitOf", [momentum]))
    assert limit == pytest.approx(limit_with(momentum), rel=1e-12)
    below, above = (momentum_loop(sample_problem(), limit * by, (0, -1), momentum, 4000) for by in (0.99, 1.01))
    np.testing.assert_allclose(below[-1], sample_problem().least_squares, atol=1e-3)
    assert not np.abs(above[-1]).max() < 1e3


@pytest.mark.parametrize(("start", "noise", "momentum"), [((0, -1), 1, 0.0), ((1.5, 2), 2, 0.0), ((0, -1), 1, 0.8)])
def test_map_foretells_every_descent(compute, start, noise, momentum):
    line = dict(zip("wb", start, strict=True))
    (found,) = compute((noise, "lessonMap", [line, momentum]))
    losses = numbers(found["losses"]).reshape(len(found["lrs"]), len(found["steps"]))
    rows = range(0, len(found["lrs"]), 9)
    problem = noisy(noise)
    for row in rows:
        path = momentum_loop(problem, found["lrs"][row], start, momentum, 1000)[found["steps"]]
        expected = np.where(np.isfinite(path).all(axis=1), problem.loss(path[:, 0], path[:, 1]), np.nan)
        known = np.isfinite(expected) & np.isfinite(losses[row])
        # The step at which single precision runs out may be one more or one less in exact arithmetic.
        assert np.sum(np.isfinite(expected) != np.isfinite(losses[row])) <= 1
        # Single precision comes no nearer to the lowest loss than its own rounding; and a growing error carries the
        # rounding of the rate along, once for each step.
        np.testing.assert_allclose(losses[row][known], expected[known], rtol=1e-3, atol=1e-7)


def test_words_are_the_lessons(compute):
    story = tell(sample_problem(), numpy_engine(sample_problem()))
    runs = [run.first(steps) for run in story.descents for steps in (1, 2, 3, 20, 200, 1000)]
    found = compute(*[(1, "runOf", [choice(run.lr, (0, -1), run.steps)]) for run in runs])
    assert [result["verdict"]["words"] for result in found] == [run.words for run in runs]


@pytest.mark.parametrize(
    ("lr", "steps", "momentum", "sentence"),
    [
        (0.9, 3, 0, "0.9 is above the limit 0.775: every step lands farther away; no number of steps will help."),
        (0.5, 200, 0, "0.5 is below the limit 0.775: after 200 steps it has arrived at the best line."),
        (0.9, 200, 0.8, "0.9 is below the limit 1.4: after 200 steps it has arrived at the best line."),
    ],
)
def test_sentences(compute, lr, steps, momentum, sentence):
    (found,) = compute((1, "runOf", [choice(lr, (0, -1), steps, momentum)]))
    assert found["verdict"]["sentence"] == sentence


@pytest.mark.parametrize("lr", [0.002, 0.05, 0.3, 0.77])
def test_promised_steps_are_enough(compute, lr):
    """The number of steps that the verdict of a short run promises brings a longer one home."""
    (short,) = compute((1, "runOf", [choice(lr, (0, -1), 2)]))
    promised = int(
        re.search(r"about ([\d\u2009]+) would arrive", short["verdict"]["sentence"])[1].replace("\u2009", "")
    )
    run = descend(sample_problem(), numpy_engine(sample_problem()), lr, promised)
    assert run.arrived
    assert not run.first(int(0.85 * promised)).arrived


MOMENTA = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)
RATES = (0.001, 0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.77, 0.7747, 0.776, 0.78, 0.9, 1.5, 2.0, 3.0, 10.0)
BUDGETS = (1, 2, 3, 5, 10, 20, 30, 40, 60, 80, 100, 150, 200, 400, 1000)


def test_nobody_is_told_to_take_fewer_steps_than_they_took(compute):
    choices = list(product(RATES, BUDGETS, MOMENTA))
    found = compute(*((1, "runOf", [choice(lr, (0, -1), steps, momentum)]) for lr, steps, momentum in choices))
    promises = 0
    for (_, steps, _), result in zip(choices, found, strict=True):
        verdict = result["verdict"]
        promised = re.search(r"about ([\d\u2009]+) would", verdict["sentence"])
        promises += promised is not None
        assert promised is None or int(promised[1].replace("\u2009", "")) > steps, verdict["sentence"]
        assert verdict["words"] != "arrived" or "%" not in verdict["detail"]
        assert "99\u2009%" not in verdict["detail"] or verdict["words"] == "close"
    assert promises > 200


@pytest.mark.parametrize(("lr", "momentum"), [(0.5, 0.9), (0.05, 0.9), (0.9, 0.8), (0.7, 0.95), (0.9, 0.99), (0.3, 0)])
def test_after_the_promised_steps_nobody_swings_out_again(compute, lr, momentum):
    (short,) = compute((1, "runOf", [choice(lr, (0, -1), 2, momentum)]))
    promised = int(
        re.search(r"about ([\d\u2009]+) would arrive", short["verdict"]["sentence"])[1].replace("\u2009", "")
    )
    problem = sample_problem()
    path = momentum_loop(problem, lr, (0, -1), momentum, 2 * promised)
    losses = problem.loss(path[:, 0], path[:, 1])
    outside = losses - problem.lowest_loss > 1e-5 * (losses[0] - problem.lowest_loss)
    last_outside = np.flatnonzero(outside)[-1]
    # The promise is rounded up to two digits.
    assert 0.89 * promised < last_outside + 1 <= promised


def test_passing_the_best_line_is_not_staying_there(compute):
    (found,) = compute((1, "runOf", [choice(0.5, (0, -1), 40, 0.8)]))
    assert "after 40 steps it just passes the best line; about 52 would stay there" in found["verdict"]["sentence"]


@pytest.mark.parametrize(("lr", "steps"), [(0.9, 3), (0.9, 200), (0.001, 3), (0.5, 1)])
def test_a_start_at_the_best_line_has_nothing_to_do(compute, lr, steps):
    (found,) = compute((0, "runOf", [choice(lr, (0.1, 0.5), steps)]))
    assert found["verdict"]["words"] == "arrived"
    assert found["verdict"]["sentence"] == "It starts at the best line: there is nothing to do."
    assert "%" not in found["verdict"]["detail"]
    run = descend(noisy(0), numpy_engine(noisy(0), 0.1, 0.5), lr, steps)
    assert run.words == "arrived"


def test_rounding_is_pythons(compute):
    for scale, found in zip((0, 1, 3), compute(*((scale, "problemOf", []) for scale in (0, 1, 3))), strict=True):
        assert found["rounding"] == pytest.approx(noisy(scale).rounding, rel=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 0.99])
def test_a_tenth_is_held_against_the_steps_that_it_takes(compute, momentum):
    (found,) = compute((1, "rangeTest", [{"w": 0, "b": -1}, momentum]))
    path = momentum_loop(sample_problem(), found["tenth"], (0, -1), momentum, 2 * found["arrival"])
    losses = sample_problem().loss(path[:, 0], path[:, 1]) - sample_problem().lowest_loss
    assert np.flatnonzero(losses > 1e-5 * losses[0])[-1] + 1 == pytest.approx(found["arrival"], abs=2)
    # The slider ends at 1000 steps, and with a momentum of 0.99 the rule does not get there.
    assert (found["arrival"] <= 1000) == (momentum < 0.99)


def test_range_test_is_pythons(compute):
    (found,) = compute((1, "rangeTest", [{"w": 0, "b": -1}, 0.0]))
    ladder = tell(sample_problem(), numpy_engine(sample_problem())).ladder
    count = len(ladder.lrs)
    np.testing.assert_allclose(numbers(found["lrs"])[:count], ladder.lrs, rtol=1e-9)
    np.testing.assert_allclose(numbers(found["losses"])[:count], ladder.losses, rtol=1e-5)
    assert found["minimum"]["lr"] == pytest.approx(2.33, abs=0.005)
    assert found["tenth"] == pytest.approx(0.233, abs=0.0005)
