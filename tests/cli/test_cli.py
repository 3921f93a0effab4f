"""The command line: its answers, and every way to go wrong in one sentence with the right exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import lrscout
from lrscout.cli.app import main

LOOPS = Path(__file__).parent / "loops.py"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def one_sentence(result: Result, code: int) -> str:
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("lrscout: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.output
    return result.stderr


def test_a_range_test_prints_its_suggestion_and_its_reason() -> None:
    result = run("range-test", f"{LOOPS}:good")
    assert result.exit_code == 0
    assert "Use a learning rate of" in result.stdout
    assert "a tenth of the rate at which the loss was lowest" in result.stdout


def test_json_is_one_object_and_nothing_else() -> None:
    result = run("range-test", f"{LOOPS}:good", "--json", "--steps", 80, "--min-lr", 1e-5, "--max-lr", 20)
    answer = json.loads(result.stdout)
    assert answer["suggestions"]["minimum"]["low"] < answer["suggested_lr"]
    assert answer["lrs"][0] == 1e-5


def test_options_reach_the_verb() -> None:
    arguments = ["--repeats", 2, "--ladder", "exponential", "--loss", "evaluation", "--rule", "steepest", "--seed", 3]
    answer = json.loads(run("range-test", f"{LOOPS}:good", "--json", *arguments).stdout)
    assert answer["suggested_lr"] == answer["suggestions"]["steepest"]["lr"]
    assert answer["cost"]["evaluations"] > 0


def test_a_module_as_target() -> None:
    assert run("range-test", "tests.cli.loops:good", "--json").exit_code == 0


def test_pictures_and_figures_are_written(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    result = run("range-test", f"{LOOPS}:good", "--out", out)
    assert result.exit_code == 0
    assert (out / "range_test.png").stat().st_size > 5000
    assert json.loads((out / "range_test.json").read_text())["suggested_lr"]
    assert sorted(path.name for path in out.iterdir()) == ["range_test.json", "range_test.png"]


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("nothing", "TARGET must be file.py:function or package.module:function, but it is 'nothing'"),
        ("nowhere.py:make", "the file nowhere.py, which does not exist"),
        ("no.such.module:make", "the module no.such.module, which does not exist"),
        (f"{LOOPS}:make", "names 'make'"),
        (f"{LOOPS}:number", "is a int"),
        (f"{LOOPS}:not_a_loop", "must return a loop"),
        (f"{LOOPS}:_loop", "needs no arguments"),
        (".relative:make", "is a relative one"),
    ],
)
def test_a_target_that_leads_nowhere(target: str, sentence: str) -> None:
    assert sentence in one_sentence(run("range-test", target), 2)


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (f"{LOOPS}:raises_at_once", "RuntimeError: no data on this machine (loops.py, line"),
        (f"{LOOPS}:nan_at_once", "not finite from the first step"),
        (f"{LOOPS}:constant", "flat"),
        (f"{LOOPS}:rising", "rose from the start"),
        (f"{LOOPS}:vector", "must return one number"),
        (f"{LOOPS}:jax_vector", "array of shape (3,). Reduce it, for example with .mean()."),
        (f"{LOOPS}:leaves", "ended the program: sys.exit(3)"),
        (f"{LOOPS}:empty", "The data has no batches"),
        (f"{LOOPS}:breaks", "the third layer is tired (loops.py, line"),
        (f"{LOOPS}:breaks", "at step 51 of 100, at lr 0.0011."),
        (f"{LOOPS}:interrupted", "Interrupted. Nothing was changed, and nothing is kept; with --study NAME"),
    ],
)
def test_work_that_fails(target: str, sentence: str) -> None:
    assert sentence in one_sentence(run("range-test", target), 1)


def test_json_stays_pure_when_the_users_code_prints() -> None:
    result = run("range-test", f"{LOOPS}:talks", "--json")
    assert json.loads(result.stdout)["suggested_lr"]
    assert "hello" in result.stderr


@pytest.mark.parametrize("target", ["does_not_import.py:make", "does_not_import:make"])
def test_a_target_that_does_not_import(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "does_not_import.py").write_text("import a_module_that_nobody_has")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    sentence = one_sentence(run("range-test", target), 1)
    assert "No module named 'a_module_that_nobody_has' (does_not_import.py, line 1)" in sentence


@pytest.mark.parametrize(
    "arguments",
    [
        ["--min-lr", 1, "--max-lr", 0.1],
        ["--min-lr", 1, "--max-lr", 1],
        ["--min-lr", 0],
        ["--min-lr", -1],
        ["--max-lr", "nan"],
        ["--steps", 4],
        ["--repeats", 0],
        ["--seed", -1],
    ],
)
def test_values_that_no_test_could_use(arguments: list) -> None:
    one_sentence(run("range-test", f"{LOOPS}:good", *arguments), 2)


@pytest.mark.parametrize("arguments", [["--steps", "many"], ["--rule", "fastest"], ["--nonsense"], []])
def test_wrong_usage(arguments: list) -> None:
    assert run("range-test", *([f"{LOOPS}:good"] if arguments else []), *arguments).exit_code == 2


def test_json_without_an_answer_is_still_json() -> None:
    result = run("range-test", f"{LOOPS}:constant", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["suggested_lr"] is None
    assert "flat" in result.stderr


def test_a_folder_that_cannot_be_made_is_noticed_before_the_work(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    for command in (["range-test", f"{LOOPS}:breaks"], ["lesson", "--engine", "numpy"]):
        sentence = one_sentence(run(*command, "--out", taken / "below"), 1)
        assert "Not a directory" in sentence
        assert str(taken) in sentence


def test_a_full_disk() -> None:
    # /dev/full takes a file's name and refuses every byte.
    if not Path("/dev/full").exists():
        return
    code = (
        "import lrscout.cli.range_test as m, pathlib, json;"
        "m.make_folder = lambda folder: None;"
        "from lrscout.cli.app import main; from lrscout.pictures import style;"
        f"import lrscout.pictures as p; p.save = lambda test, path: open('/dev/full', 'w').write('x' * 10**6);"
        f"main(['range-test', {str(LOOPS) + ':good'!r}, '--out', 'x'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_real_control_c_in_a_real_process() -> None:
    command = [sys.executable, "-m", "lrscout", "range-test", f"{LOOPS}:interrupted"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("lrscout: Interrupted. Nothing was changed, and nothing is kept; with --study NAME")
    assert done.stderr.count("\n") == 1


def test_the_lesson_is_told() -> None:
    result = run("lesson", "--engine", "numpy")
    assert result.exit_code == 0
    for number in range(1, 10):
        assert f"\n{number}. " in "\n" + result.stdout
    assert "0.775" in result.stdout
    assert "jumps away" in result.stdout


KEYS = {"engine", "lr", "steps", "w", "b", "loss", "path", "outcome", "sharpness", "max_stable_lr", "least_squares"}


@pytest.mark.parametrize("engine", ["jax", "tensorflow", "torch", "numpy"])
def test_one_run_as_json(engine: str) -> None:
    answer = json.loads(run("lesson", "--engine", engine, "--lr", 0.9, "--steps", 3, "--json").stdout)
    assert set(answer) == KEYS
    assert answer["w"] == pytest.approx(1.991, abs=1e-3)
    assert answer["path"][0] == [0, -1]
    assert len(answer["path"]) == 4
    assert answer["max_stable_lr"] == pytest.approx(0.7753, abs=1e-3)
    assert answer["outcome"] == "diverging"


def test_numbers_that_are_none_are_null() -> None:
    answer = json.loads(run("lesson", "--engine", "numpy", "--lr", 10, "--json").stdout)
    assert (answer["w"], answer["outcome"], answer["steps"]) == (None, "non_finite", 200)


def test_one_run_in_words() -> None:
    assert "above the limit 0.775" in run("lesson", "--engine", "numpy", "--lr", 0.9).stdout


@pytest.mark.parametrize(
    "arguments", [["--lr", 0], ["--lr", "nan"], ["--steps", 0], ["--samples", 1], ["--noise", -1], ["--w0", "nan"]]
)
def test_a_lesson_that_cannot_be_taught(arguments: list) -> None:
    one_sentence(run("lesson", "--engine", "numpy", *arguments), 2)


def test_the_lessons_pictures(tmp_path: Path) -> None:
    assert run("lesson", "--engine", "numpy", "--out", tmp_path).exit_code == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"data.png", "lines.png", "losses.png", "range_test.png", "surface.png", "contours.png"}


def test_the_version() -> None:
    assert run("--version").stdout == f"{lrscout.__version__}\n"
