"""What the server answers of a range test is what Python itself says of it, also while its repeats are under way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from lrscout import RangeTest
from lrscout.analyse.smoothing import smooth, smoothing_for, without_spikes
from lrscout.core.curve import Curve, Stop
from lrscout.store.store import open_store
from tests.app.kept import asked, begun, client_of
from tests.measure.range_tester import REPEATS, Noisy, range_tested

OPTIONS: dict[str, dict[str, Any]] = {
    "repeated": {},
    "single": {"repeats": 1, "rule": "valley"},
    "evaluated": {"loss": "evaluation", "repeats": 2, "smoothing": 0.5},
    "refused": {"repeats": 1, "max_lr": 1e-2},
    "long": {"repeats": 1, "steps": 2000},
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "lrscout.db"


@pytest.fixture(scope="module")
def results(path: Path) -> dict[str, RangeTest]:
    return {name: range_tested(Noisy(), store=path, study=name, **options) for name, options in OPTIONS.items()}


@pytest.fixture(scope="module")
def client(path: Path, results: dict[str, RangeTest]) -> TestClient:
    return client_of(path)


def with_null(losses: Any) -> list[float | None]:
    return [loss if np.isfinite(loss) else None for loss in losses.tolist()]


@pytest.mark.parametrize("name", OPTIONS)
def test_a_study_says_what_its_range_test_said(client: TestClient, results: dict[str, RangeTest], name: str) -> None:
    test, answer = results[name], asked(client, "/api/study", name=name)
    assert " ".join(answer["sentences"]) == str(test)
    assert answer["cost"] == test.to_dict()["cost"]
    assert answer["suggestions"] == [
        {"rule": rule, **suggestion.to_dict(), "chosen": rule == test.rule}
        for rule, suggestion in test.suggestions.items()
    ]
    assert sum(told["chosen"] for told in answer["suggestions"]) == 1
    entry = (answer["kind"], answer["state"], answer["curves"], answer["planned"])
    assert entry == ("range-test", "finished", len(test.curves), len(test.curves))
    assert (answer["recommendation"], answer["rates"]) == (None, [])


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "long"])
def test_its_lines_are_those_of_the_range_test(client: TestClient, results: dict[str, RangeTest], name: str) -> None:
    test, answer = results[name], asked(client, "/api/study/range-test", name=name)
    assert answer["watched"] == OPTIONS[name].get("loss", "training")
    for shown, curve in zip(answer["repeats"], test.curves, strict=True):
        losses = curve.losses if answer["watched"] == "training" else curve.evaluations
        assert (shown["seed"], shown["lrs"]) == (curve.seed, curve.lrs.tolist())
        assert shown["losses"] == with_null(losses)
    mean = without_spikes(np.mean([shown["losses"][: len(test.lrs)] for shown in answer["repeats"]], axis=0))
    weight = OPTIONS[name].get("smoothing", smoothing_for(mean))
    np.testing.assert_allclose(answer["smoothed"]["losses"], smooth(mean, weight), rtol=1e-9)
    assert answer["smoothed"]["lrs"] == test.lrs.tolist()
    assert (answer["stopped"], answer["stopped_at"]) == (str(test.stopped), test.lrs[-1])
    assert answer["low"] < min(answer["smoothed"]["losses"])
    for told in answer["suggestions"]:
        assert (told["level"] is None) == (told["lr"] is None)
        if told["lr"] is not None:
            level = np.interp(np.log(told["lr"]), np.log(answer["smoothed"]["lrs"]), answer["smoothed"]["losses"])
            assert told["level"] == pytest.approx(level)


def test_long_lines_are_thinned(client: TestClient, results: dict[str, RangeTest]) -> None:
    (curve,), answer = results["long"].curves, asked(client, "/api/study/range-test", name="long")
    (shown,) = answer["repeats"]
    assert curve.steps > 1000
    assert 300 < len(shown["lrs"]) <= 600
    assert {min(shown["losses"]), max(shown["losses"])} == {curve.losses.min(), curve.losses.max()}
    assert 300 < len(answer["smoothed"]["lrs"]) <= 600


def test_curves_come_with_their_rising_rates(client: TestClient, results: dict[str, RangeTest]) -> None:
    (shown,) = asked(client, "/api/study/curves", name="long", points=100)["curves"]
    (curve,) = results["long"].curves
    assert len(shown["steps"]) <= 100
    assert shown["lrs"] == curve.lrs[shown["steps"]].tolist()
    assert (np.diff(shown["lrs"]) > 0).all()
    assert shown["lr"] == curve.lrs[-1]


def test_a_running_range_test_grows(tmp_path: Path, results: dict[str, RangeTest], path: Path) -> None:
    client, record = client_of(tmp_path / "a.db"), open_store(path).load("repeated")
    store, revisions = open_store(tmp_path / "a.db"), set[str]()
    with store.begin("growing", kind="range-test", inputs=record.inputs, target=None) as study:
        told = asked(client, "/api/study", name="growing")
        assert told["sentences"] == [f"It is under way: 0 of {REPEATS} repeats are done."]
        assert (told["suggestions"], told["cost"]) == ([], None)
        assert client.get("/api/study/range-test", params={"name": "growing"}).status_code == 404
        for number, curve in enumerate(results["repeated"].curves):
            study.keep(number, [curve])
            so_far = RangeTest(results["repeated"].curves[: number + 1], "minimum", None, "training", None)  # pyright: ignore
            told = asked(client, "/api/study", name="growing")
            assert told["sentences"][0] == f"It is under way: {number + 1} of {REPEATS} repeats are done."
            assert told["sentences"][1].startswith(f"So far it suggests {so_far.lr:.2g} (")
            assert [one["lr"] for one in told["suggestions"]] == [one.lr for one in so_far.suggestions.values()]
            assert told["cost"]["steps"] == sum(curve.steps for curve in so_far.curves)
            revisions.add(told["revision"])
            shown = asked(client, "/api/study/range-test", name="growing")
            assert (shown["revision"], len(shown["repeats"])) == (told["revision"], number + 1)
    assert len(revisions) == REPEATS
    assert asked(client, "/api/study", name="growing")["state"] == "stopped"


def test_a_range_test_that_found_nothing_yet_says_why(
    tmp_path: Path, path: Path, results: dict[str, RangeTest]
) -> None:
    inputs = open_store(path).load("refused").inputs
    with open_store(tmp_path / "a.db").begin("open", kind="range-test", inputs=inputs, target=None) as study:
        study.keep(0, results["refused"].curves)
        told = asked(client_of(tmp_path / "a.db"), "/api/study", name="open")
    assert " ".join(told["sentences"][1:]) == (
        f"So far there is no learning rate to suggest. {results['refused'].suggestion.reason}"
    )


@pytest.mark.parametrize("address", ["/api/study", "/api/study/range-test"])
@pytest.mark.parametrize(
    ("inputs", "curve"),
    [
        ({}, Curve(np.full(3, 0.1), np.ones(3))),
        ({"rule": "best", "smoothing": None, "loss": "training"}, Curve(np.full(9, 0.1), np.ones(9))),
        ({"rule": "minimum", "smoothing": "much", "loss": "training"}, Curve(np.full(9, 0.1), np.ones(9))),
        ({"rule": "minimum", "smoothing": None, "loss": "evaluation"}, Curve(np.full(9, 0.1), np.ones(9))),
        ({"rule": "minimum", "smoothing": None, "loss": "training"}, Curve(np.zeros(0), np.zeros(0), Stop.DIVERGED)),
    ],
)
def test_what_is_no_range_test_though_it_says_so(
    tmp_path: Path, address: str, inputs: dict[str, Any], curve: Curve
) -> None:
    with open_store(tmp_path / "a.db").begin("odd", kind="range-test", inputs=inputs, target=None) as study:
        study.keep(0, [curve])
    client = client_of(tmp_path / "a.db")
    found = client.get(address, params={"name": "odd"})
    assert found.status_code == 422
    assert found.json()["error"] == "The runs of the study 'odd' do not fit what it was begun with."
    (entry,) = asked(client, "/api/studies")["studies"]
    assert (entry["planned"], entry["curves"]) == (None, 1)


def test_another_study_is_no_range_test(tmp_path: Path) -> None:
    begun(tmp_path / "a.db")
    found = client_of(tmp_path / "a.db").get("/api/study/range-test", params={"name": "open"})
    assert found.status_code == 404
    assert found.json()["error"] == "The study 'open' is no range test."
