"""The benchmark's own machinery: PyTorch takes the task's steps, and the judge comes to the oracle's numbers."""

from __future__ import annotations

import math
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
import torch
from jax.flatten_util import ravel_pytree

from benchmarks.lr_regret import records
from benchmarks.lr_regret.judge import Ending, Pick, Row, floor, judge, score
from benchmarks.lr_regret.oracle import Oracle
from benchmarks.lr_regret.peers.ktrain import _longest_valley
from benchmarks.lr_regret.peers.model import Model, loader_of, loss_of, optimizer_of
from benchmarks.lr_regret.summary import figures_of
from benchmarks.lr_regret.task import OPTIMIZERS
from benchmarks.lr_regret.tasks import TASKS

CHEAP = "linear-diabetes-sgd"


@pytest.mark.parametrize("name", ["linear-diabetes-sgd", "linear-diabetes-momentum", "shallow-network-diabetes-adamw"])
def test_pytorch_and_optax_take_the_same_steps(name: str) -> None:
    task, lr = TASKS[name], 0.03
    torch.manual_seed(0)
    model = Model(task, seed=1)
    mine = optimizer_of(task, model, lr)
    problem = task.problem(1)
    theirs = OPTIMIZERS[task.optimizer](lr)
    gradient = jax.jit(jax.value_and_grad(problem.loss))
    params, state = problem.params, theirs.init(problem.params)
    for places, unused in [batch for _ in range(8) for batch in loader_of(task, 1)][:8]:
        loss = loss_of(model(places), unused)
        mine.zero_grad()
        loss.backward()
        mine.step()
        examples = tuple(array[places.numpy()] for array in problem.training)
        expected, direction = gradient(params, examples)
        assert loss.item() == pytest.approx(float(expected), rel=1e-4)
        updates, state = theirs.update(direction, state, params)
        params = optax.apply_updates(params, updates)
    start, end = ravel_pytree(problem.params)[0], ravel_pytree(params)[0]
    assert np.abs(np.asarray(end - start)).max() > 0.01
    np.testing.assert_allclose(model.position.detach().numpy(), end, rtol=2e-4, atol=2e-5)
    assert model.steps == 8


def test_a_pick_on_the_grid_comes_to_the_oracles_number() -> None:
    oracle = Oracle.load(CHEAP)
    places = [8, 20, len(oracle.lrs) - 1]
    rows = judge(
        [
            Pick("grid", CHEAP, 2, 100, schedule, float(oracle.lrs[place]), 0.0)
            for place in places
            for schedule in ("linear", "constant")
        ]
    )
    for row, (place, schedule) in zip(
        rows, [(place, schedule) for place in places for schedule in ("linear", "constant")], strict=True
    ):
        expected = oracle.losses(schedule, 100)[1]
        assert row.final == pytest.approx(expected[place], rel=1e-4)
        fall = oracle.start[1] - expected.min()
        assert row.signed_regret == pytest.approx((expected[place] - expected.min()) / fall, rel=1e-3, abs=1e-4)


def test_the_best_of_the_grid_has_no_regret_and_no_rate_has_it_all() -> None:
    oracle = Oracle.load(CHEAP)
    losses = oracle.losses("linear", 300)[0]
    best = Pick("grid", CHEAP, 1, 300, "linear", float(oracle.lrs[np.argmin(losses)]), 0.0)
    row = score(best, Ending(float(losses.min()), 1.0))
    assert (row.regret, row.octaves, row.disaster) == (0.0, 0.0, False)
    assert score(best, Ending(oracle.start[0], 1.0)).regret == pytest.approx(1.0)
    better = score(best, Ending(float(losses.min()) - 0.01, 1.0))
    assert better.signed_regret < 0 == better.regret
    (none,) = judge([Pick("silent", CHEAP, 1, 300, "linear", None, 12.0)])
    assert (none.regret, none.disaster, none.cost, none.octaves) == (1.0, True, 12.0, None)


def test_the_floor_is_the_choice_of_the_other_seeds() -> None:
    losses = Oracle.load(CHEAP).losses("constant", 1000)
    row = next(row for row in floor(CHEAP) if (row.seed, row.horizon, row.schedule) == (3, 1000, "constant"))
    chosen = np.argmin(losses[0] + losses[1])
    assert row.final == losses[2, chosen]


def _row(task: str, final_regret: float, finder: str = "some") -> Row:
    return Row(finder, task, 1, 100, "constant", 0.1, 5.0, 1.0, 1.0, final_regret, 0.0, -1.5, 0.5, math.inf)


def test_rows_are_kept_by_finder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "PICKS", tmp_path)
    first, second = _row(CHEAP, 0.25), _row(CHEAP, math.inf, "other")
    records.keep(CHEAP, [first])
    records.keep(CHEAP, [second])
    assert records.load(CHEAP) == [first, second]
    records.keep(CHEAP, [_row(CHEAP, 0.5)])
    assert [row.signed_regret for row in records.load(CHEAP)] == [0.5, math.inf]
    assert records.finders_of(CHEAP) == {"some", "other"}


def test_families_weigh_the_same_however_many_tasks_they_have() -> None:
    rows = [
        _row("linear-diabetes-sgd", 0.0),
        _row("linear-diabetes-adamw", 0.2),
        _row("teacher-tanh-sgd", 0.5),
    ]
    figures = figures_of(rows, rows)
    assert figures.regret.mean == pytest.approx((0.1 + 0.5) / 2)
    assert (figures.regret.low, figures.regret.high) == pytest.approx((0.1, 0.5))
    assert figures.disasters.mean == 0.5
    assert figures.times_the_floor is not None
    assert figures.times_the_floor.mean == pytest.approx(1.0)
    assert (figures.total_cost, figures.never) == (math.inf, 1.0)


def test_the_longest_valley_lies_half_way_through_a_straight_fall() -> None:
    falling = np.linspace(3, 1, 90)
    rising = np.linspace(1, 9, 30)
    assert _longest_valley(np.concatenate([falling, rising])) == -1 + 30 + 15
