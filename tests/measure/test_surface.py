"""The loss surface: what is on it is what closed forms say, and the loop comes home."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrscout
from lrscout import Outcome
from lrscout.core.errors import InvalidValueError, LandscapeUnavailableError, UnsupportedLoopError
from lrscout.lesson.engines import numpy_engine
from lrscout.lesson.problem import sample_problem
from lrscout.measure import ground
from lrscout.measure.surface import surface
from tests.measure.bowls import STEEP, Weights, bowl, descent, filters_of, on_axes, quadratic
from tests.problems import quadratic_loop

# Over two parameters


def test_over_two_parameters_the_losses_are_exact() -> None:
    shown = surface(bowl(STEEP, [1.0, -2.0]), steps=20)
    assert shown.kind == "parameters"
    np.testing.assert_allclose(shown.losses, on_axes(shown, lambda x: x @ STEEP @ x / 2), rtol=1e-12)
    np.testing.assert_array_equal(shown.home, [1.0, -2.0])


@pytest.mark.parametrize("lr", [0.05, 0.9])
def test_the_path_is_the_descents(lr: float) -> None:
    shown = surface(bowl(STEEP, [1.0, -2.0]), lr=lr, steps=30)
    (path,) = shown.paths
    truth = descent(STEEP, np.array([1.0, -2.0]), lr, 30)
    np.testing.assert_allclose(path.places, truth, atol=1e-13)
    np.testing.assert_allclose(path.losses, np.einsum("pi,ij,pj->p", truth, STEEP, truth) / 2, atol=1e-13)
    np.testing.assert_array_equal(path.steps, np.arange(31))
    assert (path.taken, path.share, path.shown) == (30, 1.0, 31)


def test_the_limit_and_the_minimum_are_those_of_thequadratic() -> None:
    shown = surface(bowl(STEEP, [1.0, -2.0]), steps=10)
    assert shown.max_stable_lr == pytest.approx(2 / np.linalg.eigvalsh(STEEP)[-1], rel=1e-6)
    np.testing.assert_allclose(shown.minimum, [0, 0], atol=1e-6)
    assert shown.cost.products == 4
    assert "The limit of stability is a learning rate of 0.909." in str(shown)


def test_the_limit_is_that_of_the_optimizer() -> None:
    limit = 3.8 / np.linalg.eigvalsh(STEEP)[-1]
    assert surface(bowl(STEEP, [1.0, -2.0], momentum=0.9), steps=10).max_stable_lr == pytest.approx(limit, rel=1e-6)
    plain = surface(bowl(STEEP, [1.0, -2.0], updates_of=None), steps=10).max_stable_lr
    assert plain == pytest.approx(2 / np.linalg.eigvalsh(STEEP)[-1], rel=1e-6)
    assert surface(bowl(STEEP, [1.0, -2.0], momentum=0.9, updates_of=None), steps=10).max_stable_lr is None
    assert surface(bowl(STEEP, [1.0, -2.0], updates_of=None), steps=10, max_stable_lr=0.9).max_stable_lr == 0.9


def test_what_is_no_bowl_has_no_minimum_to_show() -> None:
    def quartic(x):
        return float(np.sum(x**4) + np.sum(x**2))

    loop = bowl(STEEP, [1.0, -2.0], loss_at=quartic, gradient_at=lambda x: 4 * x**3 + 2 * x)
    assert surface(loop, steps=0).minimum is None
    saddle = surface(bowl([[2.0, 0.0], [0.0, -1.0]], [1.0, 0.5]), steps=0)
    assert saddle.minimum is None
    assert saddle.max_stable_lr == pytest.approx(1.0, rel=1e-6)
    assert surface(bowl([[-2.0, 0.0], [0.0, -1.0]], [1.0, 0.5]), steps=0).max_stable_lr is None


def test_one_parameter_makes_a_line() -> None:
    shown = surface(bowl([[3.0]], [2.0]), lr=0.1, steps=10)
    np.testing.assert_allclose(shown.losses, 1.5 * shown.axes[0] ** 2, rtol=1e-12)
    np.testing.assert_allclose(shown.paths[0].places[:, 0], 2.0 * 0.7 ** np.arange(11))
    assert len(shown.axes) == 1


def test_the_lessons_surface_is_the_formulas() -> None:
    problem = sample_problem()
    shown = surface(numpy_engine(problem).loop, lr=[0.1, 0.5, 0.75, 0.9])
    weights, biases = shown.axes
    np.testing.assert_allclose(shown.losses, problem.loss(weights[:, np.newaxis], biases), rtol=1e-5)
    np.testing.assert_allclose(shown.minimum, problem.least_squares, atol=1e-4)
    assert shown.max_stable_lr == pytest.approx(problem.max_stable_lr, rel=1e-4)
    assert [path.astray for path in shown.paths] == [False, False, False, True]
    for path in shown.paths:
        for axis, places in zip(shown.axes, path.seen.T, strict=True):
            assert axis[0] < places.min()
            assert places.max() < axis[-1]
    np.testing.assert_allclose(shown.paths[-1].seen[1], [1.448, 1.747], atol=1e-3)
    assert shown.paths[-1].shown == 4


# Planes in more dimensions


def test_the_plane_of_a_path_in_a_plane_holds_all_of_it() -> None:
    generator = np.random.default_rng(3)
    turned = np.linalg.qr(generator.normal(size=(10, 10)))[0]
    hessian = turned @ np.diag([2.0, 0.5, *np.linspace(0.1, 1, 8)]) @ turned.T
    start = turned[:, 0] + 2 * turned[:, 1]  # The other eight directions are never entered.
    shown = surface(bowl(hessian, start), lr=0.4, steps=30)
    (path,) = shown.paths
    assert shown.kind == "path"
    assert path.share == pytest.approx(1, abs=1e-12)
    positions = shown.origin + path.places @ shown.directions
    np.testing.assert_allclose(positions, descent(hessian, start, 0.4, 30), atol=1e-12)
    np.testing.assert_allclose(shown.directions @ shown.directions.T, np.eye(2), atol=1e-12)
    expected = on_axes(shown, lambda place: quadratic(hessian, shown.origin + place @ shown.directions))
    np.testing.assert_allclose(shown.losses, expected, rtol=1e-10)


def test_the_share_in_view_is_that_of_the_largest_singular_values() -> None:
    hessian = np.diag([2.0, 1.0, 0.5, 0.2, 0.1])
    shown = surface(bowl(hessian, np.ones(5)), lr=0.3, steps=25)
    truth = descent(hessian, np.ones(5), 0.3, 25)
    values = np.linalg.svd(truth - truth[-1], compute_uv=False) ** 2
    assert shown.share == pytest.approx(values[:2].sum() / values.sum(), rel=1e-9)
    assert f"holds {100 * shown.share:.3g} % of the way of the path" in str(shown)


def test_a_path_along_a_line_is_shown_with_a_random_direction_across() -> None:
    shown = surface(bowl(np.diag([1.0, 2.0, 3.0]), [1.0, 0.0, 0.0]), lr=0.1, steps=10)
    assert shown.names == ("first principal direction", "random direction")
    np.testing.assert_allclose(np.abs(shown.directions[0]), [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(shown.directions @ shown.directions.T, np.eye(2), atol=1e-12)


def test_a_path_that_does_not_move_is_shown_on_random_directions() -> None:
    shown = surface(bowl(np.eye(4), np.zeros(4)), lr=0.1, steps=5)
    assert shown.names == ("random direction", "another random direction")
    assert np.isfinite(shown.losses).all()
    np.testing.assert_allclose(np.linalg.norm(shown.directions, axis=1), 1)


def test_random_directions_have_the_norms_of_the_filters() -> None:
    loop = Weights()
    shown = surface(loop, directions="random", resolution=5)
    for direction in shown.directions:
        for found, expected in zip(filters_of(direction, loop.blocks), filters_of(loop.x, loop.blocks), strict=True):
            np.testing.assert_allclose(found, expected)
        np.testing.assert_array_equal(direction[-3:], 0)
    assert shown.paths == ()
    assert [axis[[0, 2, 4]].tolist() for axis in shown.axes] == [[-1, 0, 1]] * 2
    assert shown.losses[2, 2] == pytest.approx(float(loop.losses(loop.x[np.newaxis])[0]))


def test_random_directions_follow_the_seed() -> None:
    first, again, other = (surface(Weights(), directions="random", seed=seed, resolution=5) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.directions, again.directions)
    assert not np.allclose(first.directions, other.directions)


def test_parameters_that_are_all_zero_have_random_directions_of_length_one() -> None:
    shown = surface(bowl(np.eye(3), np.zeros(3)), directions="random")
    np.testing.assert_allclose(np.linalg.norm(shown.directions, axis=1), 1)


def test_given_directions_are_taken_as_they_are() -> None:
    loop = Weights()
    directions = np.array([np.eye(27)[3], np.eye(27)[3] + 2 * np.eye(27)[5]])
    shown = surface(loop, directions=directions, lr=0.1, steps=4)
    np.testing.assert_array_equal(shown.directions, directions)
    np.testing.assert_array_equal(shown.origin, loop.x)
    moved = loop.x - 0.1 * (np.arange(27.0) + 2 * loop.x)
    across = (moved - loop.x)[5] / 2
    np.testing.assert_allclose(shown.paths[0].places[1], [(moved - loop.x)[3] - across, across])
    assert len(surface(loop, directions=[directions[0]]).axes) == 1
    assert surface(loop, directions=directions).paths == ()


# Paths that diverge, and numbers that are none


def test_the_first_leaps_of_a_path_that_diverges_are_seen() -> None:
    shown = surface(bowl([[2.0, 0.0], [0.0, 0.1]], [1.0, 1.0]), lr=1.4, steps=100)
    (path,) = shown.paths
    assert path.outcome is Outcome.DIVERGING
    assert path.shown == 4
    np.testing.assert_allclose(path.seen[:, 0], [1, -1.8, 3.24, -5.832])
    assert shown.axes[0][0] < -5.832 < 3.24 < shown.axes[0][-1] < 10


def test_a_path_that_leaves_far_does_not_make_the_others_a_dot() -> None:
    alone = surface(bowl(STEEP, [1.0, -2.0]), lr=0.5, steps=40)
    shown = surface(bowl(STEEP, [1.0, -2.0]), lr=[0.5, 50.0], steps=40)
    for axis, expected in zip(shown.axes, alone.axes, strict=True):
        np.testing.assert_allclose(axis, expected)
    assert shown.paths[1].shown == 2  # The leap is drawn as far as the window goes.


@pytest.mark.parametrize("lr", [1e3, 1e60, 1e200])
def test_a_path_that_explodes_ends_where_numbers_do(lr: float) -> None:
    shown = surface(bowl(STEEP, [1.0, -2.0]), lr=lr, steps=50)
    assert shown.paths[0].astray
    assert np.isfinite(shown.paths[0].places).all()
    assert np.isfinite(np.concatenate(shown.axes)).all()
    assert json.loads(shown.to_json())["paths"][0]["outcome"] in ("diverging", "non_finite")


def test_a_loss_that_is_not_finite_leaves_holes() -> None:
    def loss_at(x):
        return float(np.log(x[0])) if x[0] > 0 else np.nan

    loop = bowl(STEEP, [1.0, 0.0], loss_at=loss_at, gradient_at=lambda x: np.array([1 / x[0], 0.0]))
    shown = surface(loop, steps=0, span=2.0, resolution=9)
    assert np.isnan(shown.losses).all(axis=1).tolist() == [True] * 3 + [False] * 6
    assert "At 27 points it is not finite." in str(shown)
    assert json.loads(shown.to_json())["losses"][0][0] is None


def test_a_loss_that_is_nowhere_finite_is_said_to_be_so() -> None:
    loop = bowl(STEEP, [1.0, 0.0], loss_at=lambda x: np.inf)
    assert "is finite at none" in str(surface(loop, steps=0))


@settings(max_examples=8, deadline=None)
@given(scale=st.sampled_from([1e-30, 1e-3, 1.0, 1e20]), level=st.sampled_from([0.0, -5.0, 100.0]))
def test_what_is_seen_does_not_depend_on_the_scale_or_the_level_of_the_loss(scale: float, level: float) -> None:
    plain, other = (
        surface(bowl(STEEP, [1.0, -2.0], **change), lr=[0.3, 1.1], steps=30, resolution=9)
        for change in ({}, {"scale": scale, "level": level * scale})
    )
    for axis, expected in zip(other.axes, plain.axes, strict=True):
        np.testing.assert_allclose(axis, expected, rtol=1e-3)
    assert [path.shown for path in other.paths] == [path.shown for path in plain.paths]
    np.testing.assert_allclose((other.losses - level * scale) / scale, plain.losses, rtol=1e-2, atol=1e-9)


# Home, cost, memory


@pytest.mark.parametrize("directions", ["auto", "path", "random", "parameters"])
def test_the_loop_comes_home_bit_for_bit(directions: str) -> None:
    visited, straight = (bowl(STEEP, [1.0, -2.0], momentum=0.9) for _ in range(2))
    for loop in (visited, straight):
        loop.step(0.1)
    surface(visited, directions=directions, lr=[0.1, 1.0], steps=20, resolution=7)
    assert [visited.step(0.1) for _ in range(20)] == [straight.step(0.1) for _ in range(20)]


def test_a_network_comes_home_bit_for_bit_and_its_path_goes_down() -> None:
    digits = pytest.importorskip("lrscout.examples").digits
    visited, straight = digits(hidden=8), digits(hidden=8)
    shown = surface(visited, steps=40, resolution=11)
    (path,) = shown.paths
    assert path.losses[-1] < 0.5 * path.losses[0]
    assert 0.5 < path.share <= 1
    assert shown.losses.min() < path.losses[0] < shown.losses.max()
    assert [visited.step(0.1) for _ in range(5)] == [straight.step(0.1) for _ in range(5)]


def test_an_error_and_an_interrupt_leave_the_loop_at_home() -> None:
    for fall in (_raise, _interrupt):
        calls = [0]

        def loss_at(x, calls=calls, fall=fall):
            calls[0] += 1
            if calls[0] > 60:
                fall()
            return 1.0

        loop = bowl(STEEP, [1.0, -2.0], loss_at=loss_at)
        with pytest.raises((ValueError, KeyboardInterrupt)):
            surface(loop, steps=20)
        np.testing.assert_array_equal(loop.snapshot().state["x"], [1.0, -2.0])


def _raise() -> None:
    raise ValueError("tired")


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_an_error_in_a_step_says_where() -> None:
    def step(lr: float) -> float:
        raise ValueError("tired")

    functions = {"parameters": lambda: np.ones(2), "loss_at": lambda x: 1.0, "gradient_at": lambda x: x}
    loop = lrscout.from_functions(step, lambda: None, lambda copy: None, lr=0.1, **functions)
    with pytest.raises(ValueError, match="tired") as caught:
        surface(loop, steps=5)
    assert caught.value.__notes__ == ["The loop raised this at step 1 of 5, at lr 0.1."]


def test_the_cost_counts_every_place() -> None:
    shown = surface(bowl(np.eye(3), np.ones(3)), lr=[0.1, 0.2], steps=10, resolution=7)
    assert (shown.cost.steps, shown.cost.evaluations) == (20, 22 + 49)


def test_positions_are_held_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = surface(Weights(), steps=30, lr=0.1, resolution=9)
    monkeypatch.setattr(ground, "_CHUNK", 4 * 27 * 8)
    loop = Weights()
    parts = surface(loop, steps=30, lr=0.1, resolution=9)
    np.testing.assert_allclose(parts.losses, whole.losses, rtol=1e-12)
    np.testing.assert_allclose(parts.paths[0].losses, whole.paths[0].losses, rtol=1e-12)
    assert loop.most == 4


def test_of_a_long_run_the_start_is_kept_closely() -> None:
    shown = surface(bowl(STEEP, [1.0, -2.0]), lr=0.01, steps=1000, resolution=5)
    steps = shown.paths[0].steps
    assert len(steps) == 200
    assert steps[:100].tolist() == list(range(100))
    np.testing.assert_allclose(shown.paths[0].places, descent(STEEP, np.array([1.0, -2.0]), 0.01, 1000)[steps])


# Arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"directions": "north"}, "directions must be one of auto, parameters, path, random"),
        ({"directions": [[1.0, 2.0]]}, "for each of the loop's 3 parameters, but of its 2 numbers 2 are finite"),
        ({"directions": [[1.0, 2.0, np.nan]]}, "but of its 3 numbers 2 are finite"),
        ({"directions": [[0.0, 0.0, 0.0]]}, "must not be zero"),
        ({"directions": [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]]}, "not lie in one line"),
        ({"directions": np.eye(3)}, "one or two flat arrays of 3 numbers"),
        ({"directions": []}, "one or two flat arrays of 3 numbers"),
        ({"directions": [[1.0], [1.0, 2.0]]}, "one or two flat arrays of 3 numbers"),
        ({"directions": "parameters"}, "is for a loop of one or two parameters, but this one has 3"),
        ({"directions": "path", "steps": 0}, "needs a run, but steps is 0"),
        ({"lr": 0.0}, "lr must be a finite number above zero"),
        ({"lr": []}, "lr must hold at least one learning rate"),
        ({"lr": [0.1, -1]}, "Each of lr must be"),
        ({"lr": "fast"}, "Each of lr must be a number"),
        ({"lr": 0.1, "steps": 0}, "steps must be at least 2"),
        ({"steps": 1}, "steps must be at least 2"),
        ({"steps": -1}, "steps must be at least 0"),
        ({"batches": 0}, "batches must be at least 1"),
        ({"resolution": 4}, "resolution must be at least 5"),
        ({"span": 0.0}, "span must be a finite number above zero"),
        ({"span": np.inf}, "span must be a finite number above zero"),
        ({"max_stable_lr": -1.0}, "max_stable_lr must be"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_arguments_that_no_surface_could_use(arguments: dict, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        surface(bowl(np.eye(3), np.ones(3)), **arguments)


def test_loops_that_have_no_surface() -> None:
    with pytest.raises(UnsupportedLoopError, match="loop must be a loop, but it is a int"):
        surface(7)
    with pytest.raises(LandscapeUnavailableError, match="parameters, loss_at and gradient_at"):
        surface(quadratic_loop())
    with pytest.raises(LandscapeUnavailableError, match="Plain cannot tell its loss"):
        surface(Plain())
    with pytest.raises(InvalidValueError, match="1 of its 2 are not"):
        surface(bowl(STEEP, [1.0, np.nan]))
    with pytest.raises(InvalidValueError, match="but it has none"):
        surface(bowl(np.zeros((0, 0)), []))
    with pytest.raises(InvalidValueError, match=r'must be "parameters" for a loop of one'):
        surface(bowl([[1.0]], [1.0]), directions="random")


class Plain:
    """A loop without a landscape."""

    lr = 0.1
    step = evaluate = snapshot = restore = reseed = lambda self, *arguments: None


def test_a_span_sets_the_window() -> None:
    shown = surface(bowl(STEEP, [1.0, -2.0]), steps=0, span=0.5)
    middle = (np.array([1.0, -2.0]) + shown.minimum) / 2
    np.testing.assert_allclose(
        [axis[[0, -1]] - m for axis, m in zip(shown.axes, middle, strict=True)], [[-0.5, 0.5]] * 2
    )


def test_a_surface_in_json() -> None:
    told = json.loads(surface(bowl(STEEP, [1.0, -2.0]), lr=[0.1, 1.1], steps=20, resolution=5).to_json())
    assert set(told) == {
        "kind", "names", "axes", "losses", "home", "paths", "max_stable_lr", "minimum", "batches", "cost",
    }  # fmt: skip
    assert [path["outcome"] for path in told["paths"]][1] == "diverging"
    assert np.shape(told["losses"]) == (5, 5)
