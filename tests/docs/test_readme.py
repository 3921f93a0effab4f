"""Every command and every block of code in the README is run."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tomllib
import urllib.request
import warnings
from pathlib import Path

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from lrscout.cli.app import main
from lrscout.store.store import open_store
from tests.docs.reading import ROOT, assert_installs, blocks_of, commands_of, read, run

README = "README.md"
COMMANDS = [words for block in blocks_of(README, "console") for words in commands_of(block)]
PICTURED = [words.split() for words in re.findall(r"`(lrscout [^`]*--out pictures)`", " ".join(read(README).split()))]
"""The commands that the README says have drawn its pictures."""

TRAIN = """
from lrscout.examples import line


def make_loop():
    return line()
"""
METRICS = "step,loss\n" + "".join(f"{step},{0.01 * 1.75**step}\n" for step in range(40))


@pytest.mark.parametrize(
    ("code", "answer"),
    list(zip(blocks_of(README), ["For 400 steps with linear decay use a peak", "Use a"], strict=False)),
    ids=["torch", "jax"],
)
def test_the_loops_are_made_and_asked(code: str, answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    run([code], {})
    assert capsys.readouterr().out.startswith(f"{answer} learning rate of ")


def test_the_map_is_drawn_and_the_limit_told(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict = {}
    run(blocks_of(README)[1:], names, steps=100)
    out = capsys.readouterr().out
    assert "\nFor 100 steps use a learning rate of " in out
    assert "The sharpness that the optimizer sees is " in out
    assert "The loss has risen from 4 to 8.9" in out
    assert names["lr_map"].runner == "fleet"
    assert names["lr_map"].notes == ()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where someone works who has a `train.py` and a log."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "train.py").write_text(TRAIN)
    (folder / "metrics.csv").write_text(METRICS)
    return folder


def test_the_commands_answer_one_after_another(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for command in [*COMMANDS, *PICTURED]:
        if command[0] != "lrscout" or {"ray", "ui"} & {*command}:
            continue  # These have tests of their own.
        answer = CliRunner().invoke(main, command[1:])
        assert answer.exit_code == 0, f"{' '.join(command)}: {answer.output}"
        assert answer.stdout.strip()
        if "--out" in command:
            assert list((folder / "pictures").glob("*.png"))
    figures = list((folder / "pictures").glob("*.json"))
    assert {path.name for path in figures} >= {"map.json", "recommendation.json"}
    assert all(json.loads(path.read_text()) for path in figures)


def test_a_command_answers_from_a_cluster(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ray = pytest.importorskip("ray")
    (command,) = [words for words in COMMANDS if "ray" in words]
    monkeypatch.chdir(folder)
    # One cluster at a time, however many processes share the tests.
    with FileLock(tmp_path_factory.getbasetemp().parent / "ray.lock"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray and JAX warn of forks, and of the small machines that tests run on.
        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
        try:
            answer = CliRunner().invoke(main, command[1:])
        finally:
            ray.shutdown()
    assert answer.exit_code == 0, answer.output
    assert "For 1000 steps use a learning rate of " in answer.stdout


def test_the_page_is_served(tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    (command,) = [words for words in COMMANDS if words[:2] == ["lrscout", "ui"]]
    store = tmp_path / command[command.index("--store") + 1]
    open_store(store)
    # As the README has it, but on a port that is free, and without a browser.
    here = [sys.executable, "-m", *command, "--port", "0", "--no-browser", "--json"]
    with subprocess.Popen(here, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = json.loads(server.stdout.readline())["address"]
            with urllib.request.urlopen(f"{address}api/studies") as answer:
                assert json.load(answer)["store"] == "lrscout.db"
        finally:
            server.send_signal(signal.SIGINT)


def test_every_command_is_of_a_kind_that_is_tested_here() -> None:
    assert {words[0] for words in COMMANDS} == {"lrscout", "make", "pip"}
    assert len(PICTURED) == 1


@pytest.mark.parametrize("command", [words for words in COMMANDS if words[0] == "pip"], ids=" ".join)
def test_what_it_installs_can_be_installed(command: list[str]) -> None:
    assert_installs(command)


def test_the_extras_that_it_names_exist() -> None:
    known = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
    installing = [
        line for block in blocks_of(README, "console") for line in block.splitlines() if line.startswith("pip ")
    ]
    named = {word for line in installing for word in re.findall(r"\w+", line.partition("#")[2])}
    assert {"jax", "keras", "all", "postgres", "tensorboard"} <= named
    assert named - {"or", "for", "sweeps", "also", "the", "page", "in", "Jupyter"} <= set(known)


@pytest.mark.parametrize("command", [words for words in COMMANDS if words[0] == "make"], ids=" ".join)
def test_make_knows_the_target_and_what_it_runs(command: list[str]) -> None:
    """The targets run these very tests, so here they are only asked for what they would do."""
    done = subprocess.run([*command, "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if command[1] == "demo":
        steps = [words[1:] for words in commands_of(done.stdout) if words[0].endswith("bin/lrscout")]
        assert len(steps) >= 7
        for words in steps:
            known = CliRunner().invoke(main, [words[0], "--help"])
            options = set(re.findall(r"--[\w-]+", known.output))
            assert {word for word in words if word.startswith("--")} <= options, words
