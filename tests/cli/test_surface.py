"""`lrscout surface`, as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lrscout.examples import line
from lrscout.measure.surface import surface
from tests.cli.test_cli import LOOPS, one_sentence, run

LINE = "lrscout.examples:line"


def test_the_surface_in_words() -> None:
    result = run("surface", LINE, "--lr", "0.5,0.9", "--resolution", 9)
    assert result.exit_code == 0
    assert "The loss over b and w, at 9 x 9 points" in result.stdout
    assert (
        "At lr 0.9, from a loss of 2.34, every step lands farther away; no number of steps will help." in result.stdout
    )
    assert "The limit of stability is a learning rate of 0.775." in result.stdout


def test_json_is_the_verbs_own() -> None:
    arguments = ["--lr", "0.1", "--steps", 20, "--resolution", 7, "--span", 2, "--batches", 1, "--seed", 3]
    told = json.loads(run("surface", LINE, "--directions", "path", *arguments, "--json").stdout)
    shown = surface(line(), directions="path", lr=0.1, steps=20, resolution=7, span=2.0, batches=1, seed=3)
    expected = shown.to_dict()
    told["cost"].pop("seconds")
    expected["cost"].pop("seconds")
    assert told == expected
    assert np.shape(told["losses"]) == (7, 7)
    assert told["kind"] == "path"


def test_the_picture_and_the_figures_are_written(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    result = run("surface", LINE, "--out", out, "--resolution", 9, "--steps", 10)
    assert result.exit_code == 0
    assert (out / "surface.png").stat().st_size > 20000
    assert json.loads((out / "surface.json").read_text())["paths"][0]["lr"] == 0.5


def test_a_limit_that_is_known_is_told() -> None:
    result = run("surface", LINE, "--max-stable-lr", "0.6", "--steps", 0, "--resolution", 5, "--json")
    told = json.loads(result.stdout)
    assert (told["max_stable_lr"], told["paths"]) == (0.6, [])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--lr", "fast"], "--lr must be a rate or a list such as 0.1,0.5, but it is 'fast'"),
        (["--lr", "0"], "must be a finite number above zero"),
        (["--steps", 1], "steps must be at least 2"),
        (["--resolution", 2], "resolution must be at least 5"),
        (["--span", -1], "span must be a finite number above zero"),
        (["--directions", "path", "--steps", 0], "needs a run, but steps is 0"),
    ],
)
def test_values_that_no_surface_could_use(arguments: list, sentence: str) -> None:
    assert sentence in one_sentence(run("surface", LINE, *arguments), 2)


def test_a_loop_without_a_landscape() -> None:
    sentence = one_sentence(run("surface", f"{LOOPS}:good"), 1)
    assert "parameters, loss_at and gradient_at" in sentence
