"""Sweeps of problems whose answers are known."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import lrscout
from lrscout import Outcome
from lrscout.core.errors import InvalidValueError, TargetError, UnsupportedLoopError
from tests.problems import quadratic_loop, scripted_loop


def descent(curvature: float = 1.0, start: float = 1.0):
    """Gradient descent on `curvature x^2 / 2`, evaluated exactly: after n steps x = (1 - lr curvature)^n."""
    position = [start]

    def loss() -> float:
        return curvature * position[0] ** 2 / 2 if abs(position[0]) < 1e150 else math.inf

    def step(lr: float) -> float:
        before = loss()
        position[0] -= lr * curvature * position[0]
        return before

    return lrscout.from_functions(step, position.copy, lambda copy: position.__setitem__(0, copy[0]), loss, lr=0.1)


def seeded(seed: int):
    return descent(curvature=1.0 + seed)


def test_every_loss_is_the_closed_form() -> None:
    lrs, steps = [0.1, 0.5, 1.5, 1.9], 40
    lr_map = lrscout.sweep(descent(), lrs, steps)
    expected = [[(1 - lr) ** (2 * n) / 2 for n in lr_map.checkpoints] for lr in lrs]
    assert lr_map.watched == "evaluation"
    np.testing.assert_allclose(lr_map.loss, expected, rtol=1e-9)
    assert lr_map.start == 0.5
    assert lr_map.checkpoints[0] == 1
    assert lr_map.checkpoints[-1] == steps


def test_a_constant_rate_is_one_run_for_all_budgets_and_a_decaying_one_a_run_for_each() -> None:
    constant = lrscout.sweep(descent(), [0.1, 0.5], 64)
    assert constant.one_run_serves_all
    assert constant.cost.steps == 2 * 64
    assert "one run for each rate and seed serves all" in str(constant)
    decaying = lrscout.sweep(descent(), [0.1, 0.5], 64, schedule="linear")
    assert not decaying.one_run_serves_all
    assert decaying.checkpoints.tolist() == [8, 16, 32, 64]
    assert decaying.cost.steps == 2 * (8 + 16 + 32 + 64)
    assert "each of the 4 budgets is a run of its own" in str(decaying)
    for place, steps in enumerate(decaying.checkpoints):
        rates = 0.5 * (1 - np.arange(steps) / steps)
        np.testing.assert_allclose(decaying.loss[1, place], np.prod(1 - rates) ** 2 / 2, rtol=1e-9)


def test_a_schedule_of_ones_own() -> None:
    def halved(step, total):
        return np.full(np.shape(step), 0.5)

    lr_map = lrscout.sweep(descent(), [0.4], 16, schedule=halved, checkpoints=[4])
    np.testing.assert_allclose(lr_map.loss, [[0.8**8 / 2, 0.8**32 / 2]])
    assert lr_map.schedule.endswith("halved()")


def test_a_schedule_of_ones_own_is_never_taken_for_a_constant_one() -> None:
    def constant(step, total):
        return 1 - np.asarray(step) / total

    constant.__qualname__ = "constant"
    assert not lrscout.sweep(descent(), [0.4], 16, schedule=constant).one_run_serves_all


def test_the_training_loss_is_the_mean_of_the_last_tenth() -> None:
    losses = list(np.linspace(10, 1, 100))
    lr_map = lrscout.sweep(scripted_loop(losses), [0.1], 100, checkpoints=[5, 50])
    assert lr_map.watched == "training"
    np.testing.assert_allclose(lr_map.loss[0], [losses[4], np.mean(losses[45:50]), np.mean(losses[90:])])
    assert lr_map.evaluation is None


def test_outcomes_and_what_lies_above_the_limit() -> None:
    lr_map = lrscout.sweep(descent(), [1e-4, 0.3, 1.9, 2.2, 1e3], 1000)
    slow, fast, _, diverging, exploding = lr_map.outcomes[:, -1]
    assert slow is Outcome.TOO_SLOW
    assert fast in (Outcome.CONVERGING, Outcome.PLATEAUED)
    assert diverging is Outcome.DIVERGING
    assert exploding in (Outcome.DIVERGING, Outcome.NON_FINITE)
    assert np.isinf(lr_map.loss[3:, -1]).all()
    assert "From 2.2 up, the loss diverges" in str(lr_map)
    never = lr_map.steps_to(1e-3, lr=2.2)
    assert never.steps is None
    assert "no number of steps will help" in str(never)


def test_the_frontier_and_the_steps_to_a_loss() -> None:
    lrs = [0.03, 0.3, 1.0, 1.8]
    lr_map = lrscout.sweep(descent(), lrs, 100, checkpoints=range(1, 101))
    assert [best.lr for best in lr_map.frontier()] == [1.0] * 100  # One Newton step.
    assert lr_map.best_lr(100).loss == 0
    arrival = lr_map.steps_to(0.5001 * 0.7**20, lr=0.3)
    assert arrival.steps == 10
    assert lr_map.steps_to(1e-6).lr == 1.0
    assert lr_map.steps_to(1e-6).steps == 1
    assert lr_map.steps_to(0.4).lr == 1.0  # Both 0.3 and 1.0 are there after one step; this one has come lower.
    assert "does not come down" in str(lr_map.steps_to(1e-6, lr=0.03))
    assert "the lowest is" in str(lr_map.steps_to(-1.0))


def test_a_budget_between_checkpoints_is_answered_by_the_nearest() -> None:
    lr_map = lrscout.sweep(descent(), [0.1, 0.5], 100, checkpoints=[10])
    assert lr_map.best_lr(12).steps == 10
    assert lr_map.best_lr(90).steps == 100
    with pytest.raises(InvalidValueError, match="at most 100"):
        lr_map.best_lr(101)
    with pytest.raises(InvalidValueError, match=r"0\.5 is nearest"):
        lr_map.steps_to(0.1, lr=0.4)


def test_seeds_of_a_factory_give_an_interval() -> None:
    # With curvatures 1, 2 and 3 the best rates are 1, 1/2 and 1/3.
    lrs = [1 / 3, 1 / 2, 1.0]
    lr_map = lrscout.sweep(seeded, lrs, 10, seeds=3)
    best = lr_map.best_lr(10)
    assert (best.lr, best.low, best.high) == (1 / 3, 1 / 3, 1.0)  # Its median is the lowest.
    assert lr_map.losses.shape == (3, 3, len(lr_map.checkpoints))
    single = lrscout.sweep(seeded, lrs, 10, seeds=[2]).best_lr(10)
    assert (single.lr, single.low, single.high) == (1 / 3, None, None)


def test_the_loop_comes_home() -> None:
    loop = quadratic_loop(momentum=0.9)
    expected = [loop.step(0.1) for _ in range(6)]
    again = quadratic_loop(momentum=0.9)
    losses = [again.step(0.1) for _ in range(3)]
    lrscout.sweep(again, [0.01, 0.1, 100.0], 30, seeds=2)
    assert losses + [again.step(0.1) for _ in range(3)] == expected


def test_early_stopping_ends_hopeless_runs_and_changes_no_other() -> None:
    lrs = [0.1, 1.9, 2.5, 3.0]
    stopped = lrscout.sweep(descent(), lrs, 200)
    complete = lrscout.sweep(descent(), lrs, 200, early_stopping=False)
    assert stopped.cost.steps < complete.cost.steps
    np.testing.assert_array_equal(stopped.loss[:2], complete.loss[:2])
    assert (complete.loss[2:, -1] > 1e6 * complete.start).all()
    assert stopped.outcomes[2:, -1].tolist() == [Outcome.DIVERGING] * 2


def test_a_run_that_jumps_away_and_comes_back_is_not_stopped() -> None:
    catapult = [1.0, 1.5, 2.5, 4.0, 9.0, 30.0, 100.0, 300.0, 500.0, 800.0, *np.geomspace(900, 1e-3, 60)]
    lr_map = lrscout.sweep(scripted_loop(catapult), [0.1], len(catapult))
    assert lr_map.curves[0][0][0].steps == len(catapult)


def test_nothing_finite_is_told() -> None:
    lr_map = lrscout.sweep(scripted_loop([math.nan]), [0.1, 0.2], 10)
    assert lr_map.best_lr(10).lr is None
    assert str(lr_map).startswith("No learning rate to recommend")
    assert lr_map.to_dict()["best"][-1]["lr"] is None
    assert lr_map.to_dict()["outcome"] == ["non_finite"] * 2
    assert str(lr_map.steps_to(0.1)).endswith("none is finite.")


def test_a_rate_that_does_not_bring_the_loss_down_is_not_recommended() -> None:
    lr_map = lrscout.sweep(descent(), [2.1, 2.2], 20)
    assert lr_map.lr is None
    assert str(lr_map).startswith(
        "No learning rate to recommend: none brings the evaluation loss below its start, 0.5;"
    )
    assert lr_map.best_lr(20).lr == 2.1  # The least bad, for who asks.
    assert lrscout.sweep(scripted_loop([3.0]), [0.1, 1.0], 20).lr is None
    assert lrscout.sweep(descent(), [0.5, 2.2], 20).lr == 0.5


def test_noise_does_not_make_a_slow_run_a_diverging_one() -> None:
    generator = np.random.default_rng(1)
    position = [1.0]

    def step(lr: float) -> float:
        loss = position[0] + generator.normal(0, 2)
        position[0] *= 1 - lr
        return loss

    def make(seed: int):
        generator.bit_generator.state = np.random.default_rng(seed).bit_generator.state
        restore = lambda copy: position.__setitem__(0, copy[0])  # noqa: E731
        return lrscout.from_functions(step, position.copy, restore, lambda: position[0], lr=0.1)

    lr_map = lrscout.sweep(make, [1e-4, 1e-3, 0.5], 100, seeds=6)
    assert not {"diverging", "oscillating"} & {str(outcome) for outcome in lr_map.seed_outcomes[:, :2].ravel()}


def test_a_run_that_stands_still_at_first_is_not_stopped() -> None:
    for losses in ([0.0] * 10 + [1.0] * 30, [2.3] * 10 + [2.6, 2.7, 2.6] + [0.1] * 30):
        lr_map = lrscout.sweep(scripted_loop(losses), [0.1], 40)
        assert lr_map.curves[0][0][0].steps == 40


def test_overfitting_is_not_divergence() -> None:
    taken = [0]

    def step(lr: float) -> float:
        taken[0] += 1
        return math.exp(-lr * taken[0])

    loop = lrscout.from_functions(
        step, taken.copy, lambda copy: taken.__setitem__(0, copy[0]), lambda: 1.0 + (taken[0] - 5) ** 2 / 25, lr=0.1
    )
    lr_map = lrscout.sweep(loop, [0.1, 0.2], 100)
    assert not {Outcome.DIVERGING, Outcome.NON_FINITE} & set(lr_map.outcomes.ravel())


def test_a_jax_loop_that_cannot_be_vectorized_goes_one_by_one() -> None:
    def loss(w, batch):
        scale = jax.pure_callback(
            lambda x: np.float32(2), jax.ShapeDtypeStruct((), jnp.float32), jax.lax.stop_gradient(w)
        )
        return scale * w**2

    loop = lrscout.from_jax(jnp.float32(1.0), optax.sgd, loss, [None], lr=0.1)
    lr_map = lrscout.sweep(loop, [0.01, 0.1], 10)
    assert "one after another, not as a fleet: its step cannot be vectorized" in str(lr_map)
    np.testing.assert_allclose(lr_map.loss[:, -1], [2 * 0.96**20, 2 * 0.6**20], rtol=1e-5)


def test_a_loss_that_is_there_from_the_start() -> None:
    lr_map = lrscout.sweep(descent(), [0.1], 2, checkpoints=[])
    assert "from the start" in str(lr_map.steps_to(1e9))
    assert "serves the budget." in str(lr_map)


@pytest.mark.parametrize("seeds", [[0, 1, 2], [1], [2]])
def test_every_runner_evaluates_on_the_same_batches(seeds: list) -> None:
    def make(seed: int):
        torch.manual_seed(seed)
        x = torch.randn(64, 3)
        data = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True) + torch.randn(64, 1))
        loader = torch.utils.data.DataLoader(data, batch_size=4, shuffle=True)
        model = torch.nn.Linear(3, 1)
        return lrscout.from_torch(model, torch.optim.SGD(model.parameters(), lr=0.1), torch.nn.MSELoss(), loader)

    fleet, serial = (
        lrscout.sweep(make, [1e-3, 0.01], 10, seeds=seeds, runner=runner) for runner in ("fleet", "serial")
    )
    assert fleet.notes == ()
    np.testing.assert_allclose(fleet.losses, serial.losses, rtol=1e-5)


def test_the_table() -> None:
    lr_map = lrscout.sweep(seeded, [0.1, 0.5], 10, seeds=2)
    table = lr_map.to_pandas()
    assert len(table) == 2 * 2 * len(lr_map.checkpoints)
    row = table[(table.lr == 0.5) & (table.seed == 1) & (table.steps == 10)].iloc[0]
    assert row.evaluation_loss == lr_map.losses[1, 1, -1]
    assert set(table.columns) == {"lr", "seed", "steps", "training_loss", "evaluation_loss", "outcome"}


def test_the_fleet_gives_the_map_of_single_runs() -> None:
    lrs = np.geomspace(1e-3, 3, 10)
    for schedule in ("constant", "cosine"):
        maps = [
            lrscout.sweep("lrscout.examples:digits", lrs, 40, seeds=2, schedule=schedule, runner=runner)
            for runner in ("fleet", "serial")
        ]
        assert [lr_map.runner for lr_map in maps] == ["fleet", "serial"]
        fleet, serial = maps
        stable = lrs < 0.5
        np.testing.assert_allclose(fleet.losses[:, stable], serial.losses[:, stable], rtol=1e-4)
        assert fleet.cost.steps == serial.cost.steps
        assert fleet.notes == ()


def test_a_loop_that_cannot_be_a_fleet_is_run_one_by_one_and_says_so() -> None:
    lr_map = lrscout.sweep(descent(), [0.1, 0.2], 10)
    assert "one after another, not as a fleet: a FunctionLoop takes one step at a time." in str(lr_map)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"lrs": []}, "at least one learning rate"),
        ({"lrs": [0.1, 0.0]}, "above zero"),
        ({"lrs": [math.nan]}, "above zero"),
        ({"steps": 1}, "at least 2"),
        ({"steps": 2.5}, "whole number"),
        ({"seeds": 0}, "at least 1"),
        ({"seeds": [1, 1]}, "different"),
        ({"schedule": "fast"}, "must be one of constant, linear"),
        ({"checkpoints": [11]}, "at most steps"),
        ({"checkpoints": [0]}, "at least 1"),
        ({"loss": "best"}, "must be one of"),
        ({"runner": "horse"}, "must be one of fleet, serial, ray"),
        ({"runner": 5}, "or a runner such as Ray"),
        ({"runner": lrscout.runners.SerialRunner}, "or a runner such as Ray"),
        ({"lrs": 0.1}, "lrs must be learning rates"),
        ({"lrs": "0.1"}, "lrs must be learning rates"),
        ({"schedule": None}, "must be one of constant, linear"),
        ({"schedule": lambda step, total: 1.0}, "a finite factor, not below zero, for each step"),
        ({"schedule": lambda step, total: np.full(total, np.nan)}, "a finite factor, not below zero"),
        ({"schedule": lambda step, total: np.full(total, -1.0)}, "a finite factor, not below zero"),
    ],
)
def test_values_that_no_sweep_could_use(arguments: dict, sentence: str) -> None:
    with pytest.raises(InvalidValueError, match=sentence):
        lrscout.sweep(descent(), **{"lrs": [0.1], "steps": 10, **arguments})


def test_loops_that_are_none() -> None:
    with pytest.raises(UnsupportedLoopError, match="but it is a int"):
        lrscout.sweep(3, [0.1], 10)  # type: ignore[arg-type]
    with pytest.raises(TargetError, match="does not exist"):
        lrscout.sweep("nowhere.py:make", [0.1], 10)
    with pytest.raises(UnsupportedLoopError, match="no evaluate function"):
        lrscout.sweep(quadratic_loop(), [0.1], 10, loss="evaluation")
