"""The lesson's map: on every engine the limit of stability is a straight edge that no budget crosses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from typer.testing import CliRunner, Result

from lrscout import Outcome
from lrscout.cli.app import main
from lrscout.core.errors import InvalidValueError
from lrscout.lesson.engines import make_engine
from lrscout.lesson.lr_map import LessonMap, lesson_map, rates_around
from lrscout.lesson.problem import sample_problem
from lrscout.pictures.style import WORSE
from tests.pictures.looking import told_map

PROBLEM = sample_problem()
LIMIT = PROBLEM.max_stable_lr
DIVERGED = [Outcome.DIVERGING, Outcome.NON_FINITE]


@pytest.fixture(scope="module", params=[("jax", 1000), ("numpy", 1000), ("torch", 30), ("tensorflow", 20)], ids=str)
def mapped(request) -> LessonMap:
    engine, steps = request.param
    return lesson_map(PROBLEM, make_engine(engine, PROBLEM), steps)


@pytest.mark.parametrize("limit", [LIMIT, 0.01, 3.0])
def test_the_limit_parts_two_rates_of_a_fine_grid_half_way(limit: float) -> None:
    rates = rates_around(limit)
    below, above = rates[rates < limit], rates[rates > limit]
    assert np.sqrt(below[-1] * above[0]) == pytest.approx(limit, rel=1e-12)
    np.testing.assert_allclose(rates[1:] / rates[:-1], 10 ** (1 / 24))
    assert (len(rates), len(above)) == (96, 24)


def test_the_edge_brackets_the_limit(mapped: LessonMap) -> None:
    highest, lowest = mapped.edge
    assert highest < LIMIT < lowest < 1.11 * highest
    assert round(LIMIT, 3) == 0.775


def test_every_rate_above_the_limit_diverges_and_none_below_it_at_any_budget(mapped: LessonMap) -> None:
    lr_map = mapped.lr_map
    diverged = np.isin(lr_map.outcomes, DIVERGED)
    np.testing.assert_array_equal(diverged, np.repeat((lr_map.lrs > LIMIT)[:, None], len(lr_map.checkpoints), axis=1))


def test_above_the_limit_no_budget_comes_below_the_start_and_below_it_every_budget_does(mapped: LessonMap) -> None:
    lr_map = mapped.lr_map
    assert lr_map.start == pytest.approx(PROBLEM.loss(0.0, -1.0), rel=1e-5)
    assert (lr_map.loss[lr_map.lrs > LIMIT] > lr_map.start).all()
    assert (lr_map.loss[lr_map.lrs < LIMIT] < lr_map.start).all()


def test_the_losses_are_those_of_gradient_descent_in_closed_form(mapped: LessonMap) -> None:
    # In the directions of the Hessian's eigenvectors each step multiplies the distance by 1 - lr * eigenvalue.
    lr_map, x = mapped.lr_map, PROBLEM.x.astype(float)
    values, vectors = np.linalg.eigh(2 * np.array([[np.mean(x * x), np.mean(x)], [np.mean(x), 1]]))
    away = vectors.T @ (np.array([0.0, -1.0]) - PROBLEM.least_squares)
    stable = lr_map.lrs < LIMIT
    left = (1 - lr_map.lrs[stable, None, None] * values) ** (2 * lr_map.checkpoints[:, None])
    exact = PROBLEM.lowest_loss + left @ (values / 2 * away**2)
    np.testing.assert_allclose(lr_map.loss[stable], exact, rtol=2e-4)


@pytest.mark.parametrize("engine", ["jax", "numpy"])
def test_the_engine_comes_home(engine: str) -> None:
    made = make_engine(engine, PROBLEM)
    lesson_map(PROBLEM, made, 20)
    assert made.position() == (0.0, -1.0)


def test_too_few_steps() -> None:
    with pytest.raises(InvalidValueError, match="steps must be at least 2"):
        lesson_map(PROBLEM, make_engine("numpy", PROBLEM), 1)


def test_the_sentences_name_the_limit_and_the_edge(mapped: LessonMap) -> None:
    told = str(mapped)
    assert told.startswith(str(mapped.lr_map))
    for fact in ("2 / 2.580 = 0.775", "has not diverged is 0.739", "the lowest that has is 0.813"):
        assert fact in told


@pytest.mark.parametrize(
    ("outcome", "edge", "ending"),
    [
        (Outcome.PLATEAUED, (10.0, None), "after 2 steps no learning rate has diverged."),
        (Outcome.NON_FINITE, (None, 0.001), "after 2 steps every learning rate has diverged."),
    ],
)
def test_a_map_without_an_edge(outcome: Outcome, edge: tuple, ending: str) -> None:
    mapped = LessonMap(PROBLEM, told_map(np.ones((3, 2)), np.full((3, 2), outcome, object)))
    assert mapped.edge == pytest.approx(edge)
    assert str(mapped).endswith(ending)
    assert mapped.to_dict()["lowest_diverged"] == mapped.edge[1]


@pytest.fixture(scope="module")
def drawn() -> Axes:
    mapped = lesson_map(PROBLEM, make_engine("jax", PROBLEM))
    return mapped.plot(Figure((6.8, 4.6), layout="constrained").add_subplot())


def test_the_picture_shows_a_straight_edge_at_the_limit(drawn: Axes) -> None:
    ax = drawn
    (limit,) = [line for line in ax.get_lines() if line.get_label() == "stability limit: 0.775"]
    assert set(limit.get_ydata()) == {LIMIT}
    (mesh,) = [artist for artist in ax.collections if isinstance(artist, QuadMesh)]
    corners = mesh.get_coordinates()
    up = corners[:, 0, 1]
    edge = int(np.argmin(np.abs(up - LIMIT)))
    assert up[edge] == pytest.approx(LIMIT, rel=1e-12)
    flat = (mesh.to_rgba(mesh.get_array().reshape(96, -1)) == to_rgba(WORSE)).all(axis=-1)
    assert flat[edge:].all()
    assert not flat[:edge].any()
    outlines = [artist for artist in ax.collections if isinstance(artist, LineCollection)][-1].get_segments()
    along = sorted(tuple(segment[:, 0]) for segment in outlines if (segment[:, 1] == up[edge]).all())
    assert along == list(zip(corners[0, :-1, 0], corners[0, 1:, 0], strict=True))
    assert not any(segment[:, 1].max() > up[edge] for segment in outlines)


def test_the_picture_says_what_it_shows(drawn: Axes) -> None:
    assert drawn.get_title(loc="left") == "Above a learning rate of 0.775 no number of steps will help"
    assert {"diverging", "converging", "plateaued", "too slow"} == {text.get_text() for text in drawn.texts}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["lesson", "--map", *[str(argument) for argument in arguments]])


def test_the_command_prints_the_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("--steps", 100)
    assert result.exit_code == 0, result.output
    assert "For 100 steps use a learning rate of" in result.stdout
    assert "the highest learning rate that has not diverged is 0.739" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_command_draws_the_map(tmp_path: Path) -> None:
    result = run("--steps", 100, "--out", tmp_path / "new")
    assert result.exit_code == 0, result.output
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["map.png"]
    assert (tmp_path / "new" / "map.png").stat().st_size > 20_000
    assert "map.png" in result.stdout


def test_the_command_prints_json_and_nothing_else(tmp_path: Path) -> None:
    answer = json.loads(run("--engine", "numpy", "--steps", 50, "--json", "--out", tmp_path).stdout)
    assert answer["max_stable_lr"] == pytest.approx(LIMIT)
    assert answer["highest_stable"] < LIMIT < answer["lowest_diverged"]
    assert np.shape(answer["loss"]) == (len(answer["lrs"]), len(answer["checkpoints"]))
    assert (tmp_path / "map.png").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(["--lr", 0.5], "--map shows every learning rate and --lr 0.5 one"), (["--steps", 1], "steps must be at least 2")],
)
def test_a_map_that_cannot_be_made(arguments: list, sentence: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
