"""`lrscout sweep`, as a user calls it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lrscout
from lrscout.store.store import open_store
from tests.cli.test_cli import LOOPS, one_sentence, run
from tests.measure.sweeper import LRS, noisy

SWEEPER = Path(__file__).parents[1] / "measure" / "sweeper.py"
RATES = ",".join(map(str, LRS))


def test_the_map_in_words() -> None:
    result = run("sweep", f"{LOOPS}:good", "--lrs", "0.01:1:5", "--steps", 50)
    assert result.exit_code == 0
    assert "For 50 steps use a learning rate of" in result.stdout
    assert "steps  best lr" in result.stdout


def test_json_is_the_verbs_own() -> None:
    result = run("sweep", f"{SWEEPER}:noisy", "--lrs", RATES, "--steps", 40, "--seeds", 2, "--json")
    told = json.loads(result.stdout)
    expected = lrscout.sweep(noisy, LRS, 40, seeds=2).to_dict()
    told["cost"].pop("seconds")
    expected["cost"].pop("seconds")
    assert told == expected
    assert {"lrs", "checkpoints", "loss", "outcome", "best", "runner", "cost", "study"} <= set(told)
    assert np.shape(told["loss"]) == (len(LRS), len(told["checkpoints"]))
    assert told["study"] is None


def test_pictures_and_figures_are_written(tmp_path: Path) -> None:
    out = tmp_path / "pictures"
    result = run("sweep", f"{LOOPS}:good", "--lrs", "0.1", "--steps", 10, "--schedule", "linear", "--out", out)
    assert result.exit_code == 0
    assert (out / "map.png").stat().st_size > 5000
    assert json.loads((out / "map.json").read_text())["schedule"] == "linear"


def test_a_study_is_kept_and_continued(tmp_path: Path) -> None:
    place = tmp_path / "kept.db"
    arguments = [
        "sweep",
        f"{SWEEPER}:noisy",
        "--lrs",
        RATES,
        "--steps",
        40,
        "--store",
        place,
        "--study",
        "mine",
        "--json",
    ]
    first, again = (json.loads(run(*arguments).stdout) for _ in range(2))
    assert first["study"] == again["study"] == "mine"
    assert first["loss"] == again["loss"]
    (summary,) = open_store(place).studies()
    assert summary.finished


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--lrs", "fast"], "--lrs must be LOWEST:HIGHEST:NUMBER or a list"),
        (["--lrs", "1:2"], "--lrs must be LOWEST:HIGHEST:NUMBER or a list"),
        (["--lrs", "1:0.1:4"], "from a lower to a higher one"),
        (["--lrs", "0:1:4"], "must be a finite number above zero"),
        (["--lrs", "nan"], "must be a finite number above zero"),
        (["--steps", 0], "steps must be at least 2"),
        (["--seeds", 0], "seeds must be at least 1"),
        (["--ray-address", "auto"], "are for --runner ray"),
    ],
)
def test_values_that_no_sweep_could_use(arguments: list, sentence: str) -> None:
    given = dict(zip(["--lrs", "--steps"], ["0.1", 10], strict=True)) | {arguments[0]: arguments[1]}
    assert sentence in one_sentence(
        run("sweep", f"{LOOPS}:good", *[part for pair in given.items() for part in pair]), 2
    )


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (f"{LOOPS}:breaks", "the third layer is tired (loops.py, line"),
        (f"{LOOPS}:nan_at_once", "No learning rate to recommend"),
        (f"{LOOPS}:interrupted", "Interrupted. Nothing was changed, and nothing is kept; with --study NAME"),
    ],
)
def test_work_that_fails(target: str, sentence: str) -> None:
    assert sentence in one_sentence(run("sweep", target, "--lrs", "0.01,0.1", "--steps", 20), 1)


def test_a_store_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("This is not a database, and longer than a header of one would be." * 3)
    arguments = ["sweep", f"{LOOPS}:good", "--lrs", "0.1", "--steps", 10]
    assert "text.db" in one_sentence(run(*arguments, "--store", tmp_path / "text.db"), 1)
    assert "nowhere" in one_sentence(run(*arguments, "--store", tmp_path / "nowhere" / "lrscout.db"), 1)


def test_nobody_answers_at_the_address() -> None:
    pytest.importorskip("ray")
    arguments = ["--lrs", "0.1", "--steps", 10, "--runner", "ray", "--ray-address", "127.0.0.1:1"]
    assert "No Ray cluster answers at '127.0.0.1:1'" in one_sentence(run("sweep", f"{LOOPS}:good", *arguments), 1)


def test_a_real_control_c_keeps_what_is_finished(tmp_path: Path) -> None:
    target = tmp_path / "slow.py"
    target.write_text(
        "import lrscout, sys\n"
        "def make(seed):\n"
        "    if seed:\n"
        "        print('second', file=sys.stderr, flush=True)\n"
        "    def step(lr):\n"
        "        while seed:\n"
        "            pass\n"
        "        return lr\n"
        "    return lrscout.from_functions(step, lambda: None, lambda _: None, lr=0.1)\n"
    )
    arguments = ["--lrs", "0.1,0.2", "--steps", "5", "--seeds", "2", "--study", "mine"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lrscout", "sweep", f"{target}:make", *arguments, "--store", tmp_path / "kept.db"],
        cwd=Path(__file__).parents[2],
        env=os.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "second\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 1
    assert "What was finished is kept: the same command with --study mine goes on from there." in said
    (summary,) = open_store(tmp_path / "kept.db").studies()
    assert summary.blocks == 2
