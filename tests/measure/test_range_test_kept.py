"""A range test that is kept gives what it gives without a store, however often it is interrupted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lrscout
from lrscout import RangeTest
from lrscout.core.errors import InvalidValueError, StoreError, UnsupportedLoopError
from lrscout.store.store import open_store
from tests.battery import Case, check_comes_home
from tests.loops import cases_functions
from tests.measure.range_tester import MAX_LR, MIN_LR, REPEATS, STEPS, Noisy, range_tested
from tests.problems import quadratic_loop

ROOT = Path(__file__).parents[2]
FINGERPRINT = 3
"""The steps by which a study is told from another of its name."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "lrscout.db"


def bits(test: RangeTest) -> list[tuple[Any, ...]]:
    arrays = ("lrs", "losses", "evaluated_at", "evaluations")
    return [(*(getattr(curve, name).tobytes() for name in arrays), curve.stopped, curve.seed) for curve in test.curves]


def told(test: RangeTest) -> dict[str, Any]:
    """What a test says, but for the time it took and the study that keeps it."""
    answer = json.loads(test.to_json())
    answer["cost"].pop("seconds")
    answer.pop("study")
    return answer


def same(one: RangeTest, other: RangeTest) -> bool:
    return bits(one) == bits(other) and told(one) == told(other) and one.suggestions == other.suggestions


@pytest.mark.parametrize("options", [{}, {"loss": "evaluation"}, {"repeats": 1, "ladder": "linear", "seed": 5}])
def test_a_store_changes_nothing(place: Path, options: dict[str, Any]) -> None:
    kept, alone = range_tested(Noisy(), store=place, study="one", **options), range_tested(Noisy(), **options)
    assert same(kept, alone)
    assert (kept.study, alone.study) == ("one", None)
    assert alone.lr is not None


def test_what_is_kept(place: Path) -> None:
    test = range_tested(Noisy(), store=place, study="one", rule="slide")
    (summary,) = open_store(place).studies()
    assert (summary.kind, summary.blocks, summary.curves, summary.finished) == ("range-test", REPEATS, REPEATS, True)
    record = open_store(place).load("one")
    assert record.result == test.to_dict()
    wanted = {"min_lr": MIN_LR, "max_lr": MAX_LR, "steps": STEPS, "repeats": REPEATS, "rule": "slide", "seed": 0}
    assert wanted.items() <= record.inputs.items()
    kept = [curve for _, (curve,) in record.blocks()]
    assert [curve.losses.tobytes() for curve in kept] == [curve.losses.tobytes() for curve in test.curves]


@pytest.mark.parametrize("make", cases_functions.CASES.values(), ids=cases_functions.CASES)
def test_comes_home_from_a_store(place: Path, make: Any) -> None:
    def begun_and_read(case: Case) -> None:
        for _ in range(2):
            lrscout.range_test(case.loop, repeats=2, store=place, study="one", **case.disturb_with)

    check_comes_home(make, begun_and_read)


def test_comes_home_when_the_second_repeat_is_interrupted(place: Path) -> None:
    def interrupt(repeat: int) -> None:
        if repeat == 1:
            raise KeyboardInterrupt

    loop = Noisy(interrupt)
    home = loop.snapshot()
    with pytest.raises(KeyboardInterrupt):
        range_tested(loop, store=place, study="one")
    assert loop.snapshot() == home
    assert open_store(place).studies()[0].blocks == 1


@pytest.mark.parametrize("after", range(REPEATS))
def test_an_interrupted_study_goes_on_with_the_repeats_that_are_missing(place: Path, after: int) -> None:
    def break_off(repeat: int) -> None:
        if repeat == after:
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        range_tested(Noisy(break_off), store=place, study="one")
    assert open_store(place).studies()[0].blocks == after
    loop = Noisy()
    assert same(range_tested(loop, store=place, study="one"), range_tested(Noisy()))
    assert loop.repeats == REPEATS - after


def test_a_killed_study_goes_on_where_it_was(place: Path) -> None:
    killed = subprocess.run([sys.executable, "-m", "tests.measure.range_tester", str(place)], cwd=ROOT)
    assert killed.returncode == -9
    assert open_store(place).studies()[0].blocks == 2
    loop = Noisy()
    assert same(range_tested(loop, store=place, study="killed"), range_tested(Noisy()))
    assert loop.repeats == REPEATS - 2


def test_a_finished_study_is_read_and_tells_what_it_cost_then(place: Path) -> None:
    first, loop = range_tested(Noisy(), store=place, study="one"), Noisy()
    again = range_tested(loop, store=place, study="one")
    assert same(again, first)
    assert again.cost == first.cost
    assert (loop.repeats, loop.steps) == (0, FINGERPRINT)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"min_lr": 2 * MIN_LR}, r"min_lr was 0\.001 and is now 0\.002"),
        ({"max_lr": 3.0}, r"max_lr was 30\.0 and is now 3\.0"),
        ({"steps": 61}, "steps was 60 and is now 61"),
        ({"ladder": "linear"}, "ladder was 'exponential' and is now 'linear'"),
        ({"repeats": 2}, "repeats was 4 and is now 2"),
        ({"loss": "evaluation"}, "loss was 'training' and is now 'evaluation'"),
        ({"rule": "valley"}, "rule was 'minimum' and is now 'valley'"),
        ({"smoothing": 0.5}, r"smoothing was None and is now 0\.5"),
        ({"seed": 1}, "seed was 0 and is now 1"),
    ],
)
def test_a_study_keeps_its_inputs(place: Path, options: dict[str, Any], sentence: str) -> None:
    range_tested(Noisy(), store=place, study="one")
    with pytest.raises(InvalidValueError, match=f"The study 'one' was begun with other inputs: .*{sentence}"):
        range_tested(Noisy(), store=place, study="one", **options)
    assert open_store(place).studies()[0].curves == REPEATS


def test_a_study_is_not_continued_with_another_loop_or_verb(place: Path) -> None:
    range_tested(Noisy(), store=place, study="one")
    with pytest.raises(InvalidValueError, match="losses of the first steps was"):
        range_tested(Noisy(curvature=2.0), store=place, study="one")
    with pytest.raises(InvalidValueError, match="kind was 'range-test' and is now 'sweep'"):
        lrscout.sweep(Noisy(), [0.1], 10, store=place, study="one")


def test_a_study_that_somebody_else_is_writing(place: Path) -> None:
    range_tested(Noisy(), store=place, study="one")
    inputs = open_store(place).load("one").inputs
    with (
        open_store(place).begin("one", kind="range-test", inputs=inputs, target=None),
        pytest.raises(StoreError, match="Another driver"),
    ):
        range_tested(Noisy(), store=place, study="one")


def test_a_loop_that_cannot_be_evaluated_begins_no_study(place: Path) -> None:
    with pytest.raises(UnsupportedLoopError, match="no evaluate function"):
        lrscout.range_test(quadratic_loop(), loss="evaluation", store=place, study="one")
    assert open_store(place).studies() == []


def test_names_and_places_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    range_tested(Noisy())
    assert list(tmp_path.iterdir()) == []
    named = range_tested(Noisy(), store="some.db").study
    assert named is not None
    assert named.startswith("range-test-2")
    assert [summary.name for summary in open_store("some.db").studies()] == [named]
    range_tested(Noisy(), study="mine")
    assert [summary.name for summary in open_store("lrscout.db").studies()] == ["mine"]


def test_a_target_is_made_for_each_seed_and_named_with_its_code(place: Path) -> None:
    target = "tests.measure.sweeper:noisy"
    test = lrscout.range_test(target, repeats=2, store=place, study="made")
    assert len({float(curve.losses[-1]) for curve in test.curves}) == 2
    (summary,) = open_store(place).studies()
    assert summary.target is not None
    assert summary.target.startswith("sweeper.py:noisy sha256:")
    other = lrscout.range_test(lambda seed: Noisy(curvature=1.0 + seed), repeats=2)
    assert np.diff([curve.losses[0] for curve in other.curves])[0] > 0.3, "a parabola of its own for each seed"
