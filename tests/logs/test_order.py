"""Rows out of order, resumed runs and several runs in one file come out as the runs that were."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrscout.logs.read import read_log
from tests.logs.written import evaluation_pairs, pairs, read_one, write

few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
numbers = st.floats(allow_nan=True, allow_infinity=True, width=64)


def table(rows: list[tuple], header: tuple[str, ...] = ("step", "loss")) -> str:
    file = StringIO()
    writer = csv.writer(file)
    writer.writerows([header, *rows])
    return file.getvalue()


@few
@given(steps=st.lists(st.integers(0, 10**9), min_size=2, max_size=40, unique=True))
def test_rows_out_of_order_are_sorted(tmp_path: Path, steps: list[int]) -> None:
    log = read_one(write(tmp_path, table([(step, -step) for step in steps])))
    assert pairs(log) == [(step, -step) for step in sorted(steps)]
    assert log.steps.dtype == np.int64
    assert bool(log.notes) == (steps != sorted(steps))


@few
@given(
    every=st.integers(1, 5),
    checkpoints_every=st.integers(1, 7),
    lives=st.lists(st.integers(1, 30), min_size=1, max_size=6),
)
def test_a_run_resumed_from_checkpoints(tmp_path: Path, every: int, checkpoints_every: int, lives: list[int]) -> None:
    """A run that dies again and again, told by a run that forgets what it has lost."""
    rows: list[tuple[int, int]] = []
    evaluated: list[tuple[int, int]] = []
    truth: dict[int, int] = {}
    truth_evaluated: dict[int, int] = {}
    step = 0
    for life, length in enumerate(lives):
        start = step - step % checkpoints_every
        step = start
        logged = [one for one in range(start, start + length) if one % every == 0]
        step += length
        if not logged:
            step = start  # A life that leaves no trace cannot be told from one that never was.
            continue
        truth = {one: value for one, value in truth.items() if one < logged[0]}
        truth_evaluated = {one: value for one, value in truth_evaluated.items() if one < logged[0]}
        for one in logged:
            rows.append((one, 1000 * life + one))
            truth[one] = 1000 * life + one
            if one % 3 == 0:
                evaluated.append((len(rows), one))
                truth_evaluated[one] = 1000 * life + one
    lines: list[tuple] = []
    for number, (one, value) in enumerate(rows, start=1):
        lines.append((one, value, ""))
        lines += [(one, "", value) for at, _ in evaluated if at == number]
    if not lines:
        return
    log = read_one(write(tmp_path, table(lines, ("step", "loss", "val_loss"))))
    assert pairs(log) == sorted(truth.items())
    assert evaluation_pairs(log) == sorted(truth_evaluated.items())


@few
@given(epochs=st.integers(2, 6), size=st.integers(2, 9), first=st.integers(0, 1))
def test_steps_that_begin_anew_in_every_epoch(tmp_path: Path, epochs: int, size: int, first: int) -> None:
    rows = [(epoch, step + first, epoch * size + step) for epoch in range(epochs) for step in range(size)]
    log = read_one(write(tmp_path, table(rows, ("epoch", "step", "loss"))))
    assert pairs(log) == [(number + first, number) for number in range(epochs * size)]
    assert "counted anew" in log.notes[0]


def test_an_epoch_that_is_resumed_is_no_new_one(tmp_path: Path) -> None:
    rows = [(0, 0, 1), (0, 1, 2), (1, 2, 3), (1, 3, 4), (1, 2, 5), (1, 3, 6)]
    log = read_one(write(tmp_path, table(rows, ("epoch", "step", "loss"))))
    assert pairs(log) == [(0, 1), (1, 2), (2, 5), (3, 6)]


@few
@given(data=st.data(), runs=st.integers(2, 4))
def test_runs_that_share_a_file(tmp_path: Path, data: st.DataObject, runs: int) -> None:
    expected = {f"seed={seed}": data.draw(st.lists(numbers, min_size=1, max_size=8)) for seed in range(runs)}
    rows = [(name[5:], step, loss) for name, losses in expected.items() for step, loss in enumerate(losses)]
    order = data.draw(st.permutations(range(len(rows))))
    shuffled = sorted(range(len(rows)), key=lambda index: (rows[index][1], order[index]))
    path = write(tmp_path, table([rows[index] for index in shuffled], ("seed", "step", "loss")))
    logs = {log.name: log for log in read_log(path)}
    assert set(logs) == set(expected)
    for name, losses in expected.items():
        np.testing.assert_array_equal(logs[name].losses, losses)
        np.testing.assert_array_equal(read_one(path, run=name).losses, losses)


@few
@given(losses=st.lists(numbers, min_size=2, max_size=30), rates=st.data())
def test_every_format_tells_the_same(tmp_path: Path, losses: list[float], rates: st.DataObject) -> None:
    lrs = rates.draw(st.lists(st.floats(1e-9, 1e3), min_size=len(losses), max_size=len(losses)))
    rows = [{"step": 5 * step, "loss": loss, "lr": lr} for step, (loss, lr) in enumerate(zip(losses, lrs, strict=True))]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    contents = [
        table([tuple(row.values()) for row in rows], tuple(rows[0])),
        table([tuple(row.values()) for row in rows], tuple(rows[0])).replace(",", "\t"),
        table([tuple(row.values()) for row in rows], tuple(rows[0])).replace(",", ";").replace(".", ","),
        "".join(json.dumps(row) + "\n" for row in rows),
        json.dumps(rows),
        json.dumps(rows, indent=2),
        json.dumps(columns),
        json.dumps(columns, indent=1),
        json.dumps({"epoch": 3, "log_history": rows}),
    ]
    for content in contents:
        log = read_one(write(tmp_path, content))
        np.testing.assert_array_equal(log.steps, columns["step"])
        np.testing.assert_array_equal(log.losses, losses)
        np.testing.assert_array_equal(log.lrs, lrs)
        assert log.notes == ()


def test_blocks_out_of_order_in_which_each_step_is_there_twice_are_no_resumed_runs(tmp_path: Path) -> None:
    log = read_one(write(tmp_path, table([(3, 1), (3, 2), (1, 3), (1, 4), (2, 5), (2, 6)])))
    assert pairs(log) == [(1, 4), (2, 6), (3, 2)]
    assert "sorted" in log.notes[0]
    assert "3 losses are followed by another of the same step" in log.notes[1]


def test_rows_that_do_not_repeat_the_name_of_their_run(tmp_path: Path) -> None:
    rows = [{"run": "a"}, {"loss": 1}, {"loss": 2}, {"run": "b", "loss": 3}, {"loss": 4}]
    logs = read_log(write(tmp_path, "".join(json.dumps(row) + "\n" for row in rows)))
    assert [(log.name, log.losses.tolist()) for log in logs] == [("run=a", [1, 2]), ("run=b", [3, 4])]


def test_a_rate_that_is_logged_less_often_stays_until_the_next(tmp_path: Path) -> None:
    rows = [(0, "", 0.5), (2, 7, ""), (4, 6, ""), (5, "", 0.25), (6, 5, "")]
    log = read_one(write(tmp_path, table(rows, ("step", "loss", "lr"))))
    np.testing.assert_array_equal(log.lrs, [0.5, 0.5, 0.25])
    assert "not logged at every step" in log.notes[0]


@pytest.mark.parametrize("rows", [50_000])
def test_values_that_cross_the_pieces_in_which_a_file_is_read(tmp_path: Path, rows: int) -> None:
    losses = np.random.default_rng(5).normal(size=rows)
    steps = np.arange(rows)
    objects = [{"step": int(step), "loss": float(loss)} for step, loss in zip(steps, losses, strict=True)]
    for content in (
        table(list(zip(steps, losses, strict=True))),
        json.dumps(objects),
        "".join(json.dumps(one) + "\n" for one in objects),
        json.dumps({"loss": losses.tolist(), "acc": losses.tolist()}),
    ):
        log = read_one(write(tmp_path, content))
        assert len(content) > 1_000_000
        np.testing.assert_array_equal(log.steps, steps)
        np.testing.assert_array_equal(log.losses, losses)
