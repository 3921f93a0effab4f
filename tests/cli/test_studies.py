"""`lrscout studies`: what is kept is seen, exported and deleted, and what goes wrong is said in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner, Result

from lrscout.cli.studies import studies
from lrscout.core.curve import Curve, Stop
from lrscout.store.store import Store, open_store
from lrscout.store.versions import versions

INPUTS = {"lrs": [0.1, 1.0], "steps": 20}


def run(store: Path, *arguments: object, answers: str | None = None) -> Result:
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(studies, [*words, "--store", str(store)], input=answers, env={"COLUMNS": "200"})


def one_sentence(result: Result, code: int) -> str:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("lrscout: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lrscout.db"


@pytest.fixture
def store(path: Path) -> Store:
    store = open_store(path)
    curves = [
        Curve(
            np.full(20, 0.1),
            np.geomspace(1, 0.25, 20),
            seed=4,
            evaluated_at=np.array([20]),
            evaluations=np.array([0.5]),
        ),
        Curve(np.full(3, 1.0), np.array([1, 30, np.nan]), Stop.NON_FINITE, seed=4),
    ]
    with store.begin("digits", kind="sweep", inputs=INPUTS, target="digits.py:make") as study:
        study.keep(0, curves)
        study.finish({"best": 0.1})
    with store.begin("[red]letters", kind="sweep", inputs=INPUTS, target=None) as study:
        study.keep(0, [])
    return store


def test_studies_are_listed(path: Path, store: Store) -> None:
    lines = run(path, "list").stdout.splitlines()
    assert lines[0].split() == ["study", "of", "target", "begun", "blocks", "curves"]
    created = store.studies()[0].created.strftime("%Y-%m-%d %H:%M UTC")
    assert lines[1].split() == ["digits", "sweep", "digits.py:make", *created.split(), "1", "2", "finished"]
    assert lines[2].split()[:3] == ["[red]letters", "sweep", "-"]
    assert lines[2].split()[-3:] == ["1", "0", "unfinished"]


def test_the_list_as_json(path: Path, store: Store) -> None:
    answer = json.loads(run(path, "list", "--json").stdout)
    assert answer["studies"][0] == {
        "name": "digits",
        "kind": "sweep",
        "target": "digits.py:make",
        "created": store.studies()[0].created.isoformat(),
        "finished": True,
        "blocks": 1,
        "curves": 2,
    }
    assert [study["name"] for study in answer["studies"]] == ["digits", "[red]letters"]


def test_an_empty_store(path: Path) -> None:
    open_store(path)
    assert run(path, "list").stdout == f"There are no studies in {path}.\n"
    assert json.loads(run(path, "list", "--json").stdout) == {"studies": []}


def test_a_study_is_shown(path: Path, store: Store) -> None:
    shown = run(path, "show", "digits").stdout
    assert "inputs: lrs=[0.1, 1.0], steps=20" in shown
    assert f"made with: lrscout {versions()['lrscout']}, python {versions()['python']}, numpy {np.__version__}" in shown
    rows = [line.split() for line in shown.splitlines()[-2:]]
    assert rows == [["0", "4", "0.1", "20", "0.25", "0.5", "completed"], ["0", "4", "1", "3", "nan", "-", "non_finite"]]


def test_a_study_as_json(path: Path, store: Store) -> None:
    answer = json.loads(run(path, "show", "digits", "--json").stdout)
    assert (answer["name"], answer["inputs"], answer["result"]) == ("digits", INPUTS, {"best": 0.1})
    assert answer["versions"]["numpy"] == np.__version__
    first, second = answer["curve_summaries"]
    assert (first["peak_lr"], first["last_loss"], first["last_evaluation"]) == (0.1, pytest.approx(0.25), 0.5)
    assert (second["last_loss"], second["lowest_loss"], second["stopped"]) == (None, 1.0, "non_finite")


@pytest.mark.parametrize("arguments", [["--out", "a.csv"], ["--out", "a.txt", "--format", "csv"]])
def test_a_study_is_exported(path: Path, store: Store, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    result = run(path, "export", "digits", *arguments)
    assert result.stdout == f"The curves of digits are in {arguments[1]}.\n"
    assert len(pd.read_csv(arguments[1])) == 24
    assert "is there already" in one_sentence(run(path, "export", "digits", *arguments), 1)
    answer = json.loads(run(path, "export", "digits", *arguments, "--overwrite", "--json").stdout)
    assert answer == {"study": "digits", "path": arguments[1], "format": "csv"}


def test_a_study_is_exported_for_tensorboard(path: Path, store: Store) -> None:
    pytest.importorskip("tensorboard")
    runs = path.parent / "runs"
    assert json.loads(run(path, "export", "digits", "--out", runs, "--json").stdout)["format"] == "tensorboard"
    assert sorted(folder.name for folder in runs.iterdir()) == ["seed=4,lr=0.1", "seed=4,lr=1"]


def test_a_study_is_deleted(path: Path, store: Store) -> None:
    assert run(path, "delete", "digits", "--yes").stdout == "Deleted 'digits' and its 2 curves.\n"
    assert json.loads(run(path, "delete", "[red]letters", "--yes", "--json").stdout)["deleted"] == "[red]letters"
    assert store.studies() == []


@pytest.mark.parametrize(("answers", "left"), [("y\n", 1), ("n\n", 2), ("", 2)])
def test_a_person_is_asked_before(
    path: Path, store: Store, answers: str, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lrscout.cli.studies._somebody_is_there", lambda: True)
    result = run(path, "delete", "digits", answers=answers)
    assert result.exit_code == 0
    assert "Delete 'digits' and its 2 curves?" in result.stdout
    assert ("Nothing was deleted." in result.stdout) == (left == 2)
    assert len(store.studies()) == left


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_script_must_say_yes(path: Path, store: Store, options: list[str]) -> None:
    assert "Say --yes to delete 'digits' and its 2 curves." in one_sentence(run(path, "delete", "digits", *options), 2)
    assert len(store.studies()) == 2


@pytest.mark.parametrize("command", ["show", "delete", "export"])
def test_a_study_that_is_not_there(path: Path, store: Store, command: str) -> None:
    options = {"delete": ["--yes"], "export": ["--out", path.parent / "x.csv"], "show": []}[command]
    sentence = one_sentence(run(path, command, "digit", *options), 1)
    assert "There is no study 'digit' in" in sentence
    assert "Did you mean 'digits'?" in sentence


def test_a_store_that_is_not_there_is_not_made(path: Path) -> None:
    assert f"There is no store in {path}." in one_sentence(run(path, "list"), 1)
    assert not path.exists()


def test_a_study_that_is_being_written(path: Path, store: Store) -> None:
    with store.begin("digits", kind="sweep", inputs=INPUTS, target="digits.py:make"):
        assert "is writing the study 'digits'" in one_sentence(run(path, "delete", "digits", "--yes"), 1)
        assert run(path, "show", "digits").exit_code == 0


def test_wrong_usage(path: Path, store: Store) -> None:
    assert run(path, "export", "digits").exit_code == 2
    assert run(path, "export", "digits", "--out", "x", "--format", "xlsx").exit_code == 2


def test_it_is_a_command_among_others(path: Path, store: Store) -> None:
    main = typer.Typer()
    main.add_typer(studies)
    assert CliRunner().invoke(main, ["studies", "list", "--store", str(path)]).exit_code == 0
