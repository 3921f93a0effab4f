"""Which columns are taken, and what is said where that cannot be known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lrscout.core.errors import InvalidValueError, LogError
from lrscout.logs.names import Meaning, Role, meaning_of
from lrscout.logs.read import read_log
from tests.logs.written import evaluation_pairs, pairs, read_one, write

NAMES = {
    Role.LOSS: """
        loss train_loss train/loss training_loss batch_loss train_loss_step Loss/train trainLoss loss_train epoch_loss
        TRAIN.LOSS metrics/train_loss running_loss nll step_loss box_loss""",
    Role.EVALUATION: """
        val_loss eval_loss valid_loss test_loss validation/loss eval/loss Loss/val evaluation valLoss dev_loss
        validation/epoch_loss val_loss_epoch eval_squad_loss""",
    Role.LR: """
        lr learning_rate learningRate lr-Adam lr-SGD/pg1 train/lr base_lr train/learning_rate lr/pg0 LearningRate
        epoch_learning_rate optimizer/lr""",
    Role.STEP: """
        step global_step iteration iter epoch Step _step train/global_step steps trainer/global_step Iterations
        train/epoch""",
    Role.RUN: "run seed trial run_id curve Trial",
}
NOTHING = """
    loss_scale grad_norm lr-Adam-momentum lr-SGD-weight_decay best_val_loss accuracy train_runtime steps_per_second
    epoch_time max_steps loss_weight floss total_flos eval_runtime weight bias timestamp eval_samples_per_second"""


@pytest.mark.parametrize(("role", "name"), [(role, name) for role, names in NAMES.items() for name in names.split()])
def test_the_names_of_columns(role: Role, name: str) -> None:
    assert (meaning_of(name) or Meaning(Role.RUN, 9)).role is role


@pytest.mark.parametrize("name", NOTHING.split())
def test_names_of_other_things(name: str) -> None:
    assert meaning_of(name) is None


def file(folder: Path, *names: str, rows: int = 3) -> Path:
    """A table in which row i of column j holds 10 j + i, so that every cell tells where it is from."""
    lines = [",".join(names), *(",".join(str(10 * j + i) for j in range(len(names))) for i in range(rows))]
    return write(folder, "\n".join(lines))


@pytest.mark.parametrize(
    ("names", "column"),
    [
        (("step", "train_loss_epoch", "train_loss_step"), 2),
        (("step", "running_loss", "loss"), 2),
        (("step", "box_loss", "loss", "class_loss"), 2),
        (("step", "loss_scale", "lr", "nll"), 3),
        (("step", "brave-sun-3 - train/loss", "brave-sun-3 - train/loss__MIN"), 1),
    ],
)
def test_the_plainest_of_several_losses_is_taken(tmp_path: Path, names: tuple[str, ...], column: int) -> None:
    log = read_one(file(tmp_path, *names))
    np.testing.assert_array_equal(log.losses, 10 * column + np.arange(3))


def test_columns_that_are_asked_for(tmp_path: Path) -> None:
    path = file(tmp_path, "a", "b", "c", "d", "loss", "lr", "step")
    log = read_one(path, loss="a", lr="b", step="c", evaluation="d")
    assert pairs(log) == [(20, 0), (21, 1), (22, 2)]
    np.testing.assert_array_equal(log.lrs, [10, 11, 12])
    assert evaluation_pairs(log) == [(20, 30), (21, 31), (22, 32)]


def test_columns_of_a_table_without_a_header(tmp_path: Path) -> None:
    path = write(tmp_path, "0 5 .1\n1 4 .1\n2 3 .1\n")
    with pytest.raises(LogError, match="Its columns are 1, 2 and 3"):
        read_log(path)
    assert pairs(read_one(path, step="1", loss="2")) == [(0, 5), (1, 4), (2, 3)]


@pytest.mark.parametrize("lr", [0.5, "0.5"])
def test_a_rate_for_the_whole_run(tmp_path: Path, lr: float | str) -> None:
    np.testing.assert_array_equal(read_one(file(tmp_path, "loss", "lr"), lr=lr).lrs, [0.5] * 3)


def test_the_first_parameter_group_is_the_learning_rate(tmp_path: Path) -> None:
    log = read_one(file(tmp_path, "loss", "lr-SGD/pg10", "lr-SGD/pg2"))
    np.testing.assert_array_equal(log.lrs, [20, 21, 22])
    assert "first of 2 parameter groups" in log.notes[0]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("loss", "train_loss"), "training loss: loss and train_loss.*--loss loss"),
        (("loss", "val_loss", "eval_loss"), "evaluation loss: val_loss and eval_loss.*--evaluation val_loss"),
        (("loss", "lr-Adam", "lr-SGD"), "learning rate: lr-Adam and lr-SGD.*--lr lr-Adam"),
        (("loss", "step", "Step"), "step: step and Step.*--step step"),
        (("step", "train loss", "loss"), "loss 'train loss'"),
        (("x", "y"), "Its columns are x and y"),
        (("x",), "Its only column is x"),
    ],
)
def test_what_cannot_be_known_is_asked(tmp_path: Path, names: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(LogError, match=sentence):
        read_log(file(tmp_path, *names))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"loss": "los"}, "no column 'los' for the training loss. The columns are step and loss"),
        ({"lr": "rate"}, "no column 'rate' for the learning rate"),
        ({"evaluation": "val"}, "no column 'val'"),
        ({"step": "s"}, "no column 's'"),
        ({"run": "seed=4"}, "no column and no run 'seed=4'"),
        ({"lr": 0.0}, "lr must be a finite number above zero"),
        ({"lr": "nan"}, "lr must be a finite number above zero"),
        ({"format": "xml"}, "format must be one of csv, jsonl, json, tensorboard"),
    ],
)
def test_options_that_fit_no_file(tmp_path: Path, options: dict, sentence: str) -> None:
    with pytest.raises(InvalidValueError, match=sentence):
        read_log(file(tmp_path, "step", "loss"), **options)


def test_which_column_tells_runs_apart(tmp_path: Path) -> None:
    path = write(tmp_path, "seed,kind,step,loss\n0,a,0,1\n0,b,0,2\n1,a,0,3\n1,b,0,4\n0,a,1,5\n")
    assert {log.name: pairs(log) for log in read_log(path, run="kind")} == {
        "kind=a": [(0, 3), (1, 5)],
        "kind=b": [(0, 4)],
    }
    assert [log.name for log in read_log(path)] == ["seed=0", "seed=1"]
    assert pairs(read_one(path, run="seed=1")) == [(0, 4)]
    path = write(tmp_path, "curve,seed,step,loss\n0,7,0,1\n1,7,0,2\n2,8,0,3\n")
    assert [log.name for log in read_log(path)] == ["curve=0, seed=7", "curve=1, seed=7", "curve=2, seed=8"]
    assert [log.name for log in read_log(path, run="seed=7")] == ["curve=0, seed=7", "curve=1, seed=7"]


def test_the_name_of_a_single_run_is_its_files(tmp_path: Path) -> None:
    assert read_one(write(tmp_path, "seed,loss\n3,1\n3,2\n", "my run.csv")).name == "my run.csv"


@pytest.mark.parametrize(
    ("format", "content"), [("csv", '[1],loss\n"{",2\n'), ("jsonl", ' {"loss": 2}'), ("json", ' [{"loss": 2}]')]
)
def test_a_format_can_be_given(tmp_path: Path, format: str, content: str) -> None:
    assert pairs(read_one(write(tmp_path, content), format=format)) == [(0, 2)]
