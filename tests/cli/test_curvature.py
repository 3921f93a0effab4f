"""`lrscout curvature`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lrscout.cli.app import main

LOOPS = Path(__file__).parent / "loops.py"
QUADRATIC = f"{LOOPS}:differentiable"


def run(*arguments: str):
    return CliRunner().invoke(main, ["curvature", *arguments])


def test_it_says_the_limit() -> None:
    result = run(QUADRATIC)
    assert result.exit_code == 0, result.output
    assert "gradient descent is stable below lr 2 / 4 = 0.5" in result.output


def test_json_is_one_object() -> None:
    result = run(QUADRATIC, "--json", "--spectrum", "2", "--track", "3")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {"sharpness", "relative_error", "optimizer", "max_stable_lr", "critical_lr", "products"} <= found.keys()
    assert found["sharpness"] == pytest.approx(4, rel=1e-5)
    assert found["spectrum"] == {"largest": pytest.approx([4, 0.5], rel=1e-5), "smallest": pytest.approx([0.5, 4])}
    assert found["track"]["steps"] == [0, 1, 2, 3]


def test_the_picture_and_the_figures_are_saved(tmp_path: Path) -> None:
    result = run(QUADRATIC, "--out", str(tmp_path / "new"), "--lr", "0.6")
    assert result.exit_code == 0, result.output
    assert "0.6 is above the limit 0.5" in result.output
    assert (tmp_path / "new" / "curvature.png").stat().st_size > 5000
    assert json.loads((tmp_path / "new" / "curvature.json").read_text(encoding="utf-8"))["lr"] == 0.6


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere:loop"], 2, "does not exist"),
        ([QUADRATIC, "--lr", "0"], 2, "above zero"),
        ([QUADRATIC, "--track", "-1"], 2, "track must be at least 0"),
        ([QUADRATIC, "--spectrum", "-1"], 2, "--spectrum must be at least 0"),
        ([QUADRATIC, "--accuracy", "2"], 2, "accuracy must be in"),
        ([f"{LOOPS}:constant", "--spectrum", "1"], 1, "no evaluate function"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(arguments, code: int, message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert message in result.output
    assert "Traceback" not in result.output
