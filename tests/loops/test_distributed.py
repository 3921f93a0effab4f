"""Two processes under torchrun that train one model: one rate, one loss, one decision."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> dict:
    path = tmp_path_factory.mktemp("distributed") / "report.json"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, "--module", "tests.loops.distributed", str(path)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_process_sees_the_same_losses_and_suggestion(report) -> None:
    for name in ("losses", "curves", "lr", "evaluation", "first_parameter"):
        first, second = report[name]
        assert first == second, name
    assert report["own"][0] != report["own"][1]  # By themselves they would not: each has dropout of its own.


def test_every_process_comes_home(report) -> None:
    assert report["at_home"] == [True, True]


def test_a_nan_in_one_process_stops_both_at_the_same_step(report) -> None:
    (first, second) = report["poisoned"]
    assert first == second
    stopped, steps = first
    assert stopped == "non_finite"
    assert steps == 4  # Each pass has four batches, and the last example comes last.


def test_each_process_draws_batches_of_its_own_and_repeats_draw_others(report) -> None:
    assert report["batches"][0] != report["batches"][1]
    first, second = report["curves"][0]
    assert not any(math.isclose(left, right, rel_tol=1e-9) for left, right in zip(first[:4], second[:4], strict=True))
