"""`lrscout diagnose`: a log file in, a judgement out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from lrscout.analyse.diagnose import diagnose
from lrscout.cli.app import main

KEYS = {"outcome", "advice", "lr", "suggested_lr", "evidence", "steps_needed"}
STEPS = np.arange(60)
GROWING, FALLING = 1.1**STEPS, 1 + 0.9**STEPS


def run(*arguments: object, **options) -> Result:
    return CliRunner().invoke(main, ["diagnose", *(str(argument) for argument in arguments)], **options)


def one_sentence(result: Result, code: int) -> str:
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert result.stderr.startswith("lrscout: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def table(losses: np.ndarray, lr: float = 0.9) -> str:
    return "step,loss,lr\n" + "".join(
        f"{step},{float(loss)!r},{lr}\n" for step, loss in zip(STEPS, losses, strict=True)
    )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "log.csv").write_text(table(GROWING))
    return tmp_path / "log.csv"


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    rows = [f"{seed},{float(loss)!r}\n" for seed, losses in enumerate((GROWING, FALLING)) for loss in losses]
    (tmp_path / "seeds.csv").write_text("seed,loss\n" + "".join(rows))
    return tmp_path / "seeds.csv"


def test_the_verdict_is_that_of_the_verb(log: Path) -> None:
    assert run(log).stdout == f"{diagnose(GROWING, np.full(60, 0.9), steps=STEPS)}\n"
    told = run(log, "--max-stable-lr", 0.775, "--target-loss", 0.5, "--budget", 100)
    verdict = diagnose(GROWING, np.full(60, 0.9), steps=STEPS, max_stable_lr=0.775, target_loss=0.5, budget=100)
    assert told.stdout == f"{verdict}\n"
    assert (told.exit_code, told.stderr) == (0, "")


def test_json_is_one_object_and_nothing_else(log: Path) -> None:
    answer = json.loads(run(log, "--json").stdout)
    assert answer == diagnose(GROWING, np.full(60, 0.9), steps=STEPS).to_dict()
    assert set(answer) == KEYS
    assert answer["outcome"] == "diverging"


@pytest.mark.parametrize("losses", [GROWING, FALLING, np.where(STEPS < 30, FALLING, np.nan), np.full(60, np.nan)])
def test_the_exit_code_is_0_whatever_became_of_the_run(losses: np.ndarray) -> None:
    result = run("-", "--json", input=table(losses))
    assert result.exit_code == 0
    assert json.loads(result.stdout)["outcome"] == diagnose(losses, steps=STEPS).outcome


def test_the_columns_that_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("a,b,c\n" + "".join(f"{loss},{step},{loss}\n" for step, loss in zip(STEPS, GROWING, strict=True)))
    arguments = ["--loss", "a", "--step", "b", "--evaluation", "c", "--lr", 0.3, "--format", "csv"]
    found = diagnose(GROWING, np.full(60, 0.3), GROWING, steps=STEPS, evaluated_at=STEPS)
    assert json.loads(run(path, *arguments, "--json").stdout) == found.to_dict()


def test_several_runs(seeds: Path) -> None:
    growing, falling = diagnose(GROWING), diagnose(FALLING)
    assert run(seeds).stdout == f"seed=0: {growing}\nseed=1: {falling}\n"
    answer = json.loads(run(seeds, "--json").stdout)
    runs = [{"run": "seed=0", **growing.to_dict()}, {"run": "seed=1", **falling.to_dict()}]
    assert answer == json.loads(json.dumps({"runs": runs}))
    assert json.loads(run(seeds, "--json", "--run", "seed=1").stdout)["outcome"] == falling.outcome


def test_a_run_too_short_to_judge_among_others(seeds: Path) -> None:
    with seeds.open("a") as file:
        file.write("2,1\n")
    result = run(seeds)
    assert result.exit_code == 0
    assert result.stdout.count("seed=") == 2
    assert result.stderr.startswith("lrscout: seed=2: ")
    one_sentence(run(seeds, "--run", "seed=2"), 1)


def test_notes_are_told_beside_the_answer(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(table(FALLING).replace("\n5,", "\nfive,"))
    result = run(tmp_path / "log.csv", "--json")
    assert set(json.loads(result.stdout)) == KEYS
    assert "'five' in row 6" in result.stderr


@pytest.mark.parametrize("content", ["step,loss\n1,2\n", "loss\n1\n", '{"loss": [1]}'])
def test_one_loss_is_no_run(content: str) -> None:
    assert "at least 2" in one_sentence(run("-", input=content), 1)


def test_a_rate_that_no_run_has_is_the_files_fault() -> None:
    assert "below zero" in one_sentence(run("-", input=table(FALLING, lr=-1)), 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--loss", "los"],
        ["--run", "seed=4"],
        ["--lr", 0],
        ["--lr", "rate"],
        ["--max-stable-lr", -1],
        ["--target-loss", "nan"],
        ["--budget", 0],
    ],
)
def test_options_that_cannot_be(log: Path, arguments: list) -> None:
    one_sentence(run(log, *arguments), 2)


@pytest.mark.parametrize("arguments", [["--format", "xml"], ["--budget", "many"], ["--nonsense"]])
def test_wrong_usage(log: Path, arguments: list) -> None:
    assert run(log, *arguments).exit_code == 2


def test_no_log_at_all() -> None:
    assert run().exit_code == 2


def test_pictures_and_figures_are_written(log: Path, seeds: Path, tmp_path: Path) -> None:
    assert run(log, "--out", tmp_path / "one").exit_code == 0
    assert {path.name for path in (tmp_path / "one").iterdir()} == {"diagnosis.png", "diagnosis.json"}
    assert json.loads((tmp_path / "one" / "diagnosis.json").read_text())["outcome"] == "diverging"
    assert run(seeds, "--out", tmp_path / "two", "--json").exit_code == 0
    assert len(list((tmp_path / "two").glob("diagnosis_*.png"))) == 2


def test_a_folder_that_cannot_be_made_is_noticed_first(log: Path) -> None:
    assert "Not a directory" in one_sentence(run(log, "--out", log / "below"), 1)
