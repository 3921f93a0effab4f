"""`lrscout find`, as a user calls it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import lrscout
from lrscout.store.store import open_store
from tests.cli.test_cli import LOOPS, one_sentence, run
from tests.measure.recommended import FRONTIER, probe, recommendation

REFUSED = recommendation(
    lr=None,
    low=None,
    high=None,
    predicted_loss=None,
    max_stable_lr=None,
    probes=[probe(0.1, math.inf)],
    reasons=("The loss is not finite from the first step.",),
)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let the verb give a recommendation that is told, and remember what it was asked."""
    asked: dict[str, Any] = {"answer": recommendation()}

    def find(target, **arguments):
        asked.update(arguments, target=target)
        print(end=asked.get("said", ""))
        return asked["answer"]

    monkeypatch.setitem(vars(lrscout), "find", find)
    return asked


def test_the_recommendation_in_sentences(told: dict[str, Any]) -> None:
    told["said"] = "the user's code prints this\n"
    result = run("find", f"{LOOPS}:good", "--steps", 1000)
    assert result.exit_code == 0
    assert result.stdout == f"{recommendation()}\n"
    assert "the user's code prints this" in result.stderr


def test_what_is_asked_by_default(told: dict[str, Any]) -> None:
    run("find", f"{LOOPS}:good")
    assert told.pop("answer")
    assert told == {
        "target": f"{LOOPS}:good",
        "steps": None,
        "target_loss": None,
        "schedule": None,
        "budget": 0.5,
        "seeds": 1,
        "runner": "fleet",
        "store": None,
        "study": None,
    }


def test_options_reach_the_verb(told: dict[str, Any]) -> None:
    options = ["--schedule", "one-cycle", "--budget", 0.1, "--target-loss", -3.5, "--seeds", 2, "--runner", "serial"]
    assert run("find", "mine.py:loop", *options, "--store", "kept.db", "--study", "mine").exit_code == 0
    assert (
        told.items()
        >= {
            "target": "mine.py:loop",
            "schedule": "one-cycle",
            "budget": 0.1,
            "target_loss": -3.5,
            "seeds": 2,
            "runner": "serial",
            "store": "kept.db",
            "study": "mine",
        }.items()
    )


def test_a_store_gives_the_study_a_name(told: dict[str, Any]) -> None:
    run("find", f"{LOOPS}:good", "--store", "kept.db")
    assert told["study"].startswith("find-2")


def test_the_frontier_is_a_table(told: dict[str, Any]) -> None:
    told["answer"] = recommendation(frontier=FRONTIER)
    lines = run("find", f"{LOOPS}:good").stdout.splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["steps", "best", "lr", "loss", "gain"],
        ["125", "0.5", "0.21", "-"],
        ["250", "0.42", "0.12", "4.1", "%"],
    ]
    assert lines[-1] == str(told["answer"])


def test_json_is_the_verbs_own_and_nothing_else(told: dict[str, Any]) -> None:
    result = run("find", f"{LOOPS}:good", "--steps", 1000, "--json")
    assert json.loads(result.stdout) == recommendation().to_dict()


def test_pictures_and_figures_are_written(told: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "new" / "pictures"
    result = run("find", f"{LOOPS}:good", "--steps", 1000, "--out", out)
    assert result.exit_code == 0
    assert "recommendation.png" in result.stdout
    assert (out / "recommendation.png").stat().st_size > 5000
    assert json.loads((out / "recommendation.json").read_text()) == recommendation().to_dict()


def test_no_rate_is_a_failure_with_its_reason(told: dict[str, Any], tmp_path: Path) -> None:
    told["answer"] = REFUSED
    result = run("find", f"{LOOPS}:good", "--steps", 1000, "--out", tmp_path)
    assert one_sentence(result, 1).startswith("lrscout: No learning rate: the loss is not finite from the first step.")
    assert (tmp_path / "recommendation.png").exists()


def test_no_rate_is_still_json(told: dict[str, Any]) -> None:
    told["answer"] = REFUSED
    result = run("find", f"{LOOPS}:good", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["lr"] is None
    assert "No learning rate" in result.stderr


@pytest.mark.parametrize(
    "arguments", [["--steps", "many"], ["--schedule", "steep"], ["--runner", "foot"], ["--budget"]]
)
def test_wrong_usage(arguments: list[str]) -> None:
    assert run("find", f"{LOOPS}:good", *arguments).exit_code == 2


def test_a_folder_that_cannot_be_made_is_noticed_before_the_work(told: dict[str, Any], tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    assert "Not a directory" in one_sentence(run("find", f"{LOOPS}:good", "--out", taken / "below"), 1)
    assert "target" not in told


def test_the_real_verb_answers() -> None:
    result = run("find", f"{LOOPS}:good", "--steps", 200)
    assert result.exit_code == 0
    assert result.stdout.startswith("For 200 steps with linear decay use a peak learning rate of ")


def test_json_is_what_the_real_verb_tells() -> None:
    result = run("find", f"{LOOPS}:good", "--steps", 200, "--schedule", "constant", "--json")
    told = json.loads(result.stdout)
    expected = lrscout.find(f"{LOOPS}:good", steps=200, schedule="constant").to_dict()
    told["cost"].pop("seconds")
    expected["cost"].pop("seconds")
    assert told == expected
    assert told["probes"]
    assert told["lr"] is not None


def test_a_loss_to_reach() -> None:
    result = run("find", f"{LOOPS}:good", "--target-loss", 0.01, "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 0
    assert told["schedule"] == "constant"
    # The loss is w**2 from w = 1, and a step at rate lr makes w (1 - 2 lr) times what it was.
    factor = abs(1 - 2 * told["lr"])
    exact = math.ceil(math.log(0.01) / math.log(factor**2)) if factor else 1
    assert told["steps_needed"]["low"] <= exact <= told["steps_needed"]["high"]


def test_a_study_is_kept_and_continued(tmp_path: Path) -> None:
    arguments = ["find", f"{LOOPS}:good", "--steps", 200, "--store", tmp_path / "kept.db", "--study", "mine", "--json"]
    first, again = (json.loads(run(*arguments).stdout) for _ in range(2))
    assert first == again
    assert first["study"] == "mine"
    (summary,) = open_store(tmp_path / "kept.db").studies()
    assert summary.finished


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--steps", 0], "steps must be at least 1"),
        (["--steps", 100, "--budget", -0.5], "budget must be"),
        (["--steps", 100, "--budget", "nan"], "budget must be"),
        (["--steps", 100, "--seeds", 0], "seeds must be at least 1"),
        (["--target-loss", "nan"], "target_loss must be a finite number"),
        (["--target-loss", 0.1, "--schedule", "cosine"], "With target_loss the rate is constant"),
    ],
)
def test_values_that_no_search_could_use(arguments: list, sentence: str) -> None:
    assert sentence in one_sentence(run("find", f"{LOOPS}:good", *arguments), 2)


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (f"{LOOPS}:breaks", "the third layer is tired (loops.py, line"),
        (f"{LOOPS}:raises_at_once", "no data on this machine"),
        (f"{LOOPS}:nan_at_once", "No learning rate: "),
        (f"{LOOPS}:interrupted", "Interrupted. Nothing was changed, and nothing is kept; with --study NAME"),
    ],
)
def test_work_that_fails(target: str, sentence: str) -> None:
    assert sentence in one_sentence(run("find", target, "--steps", 100), 1)
