"""A run has one outcome and a rate one line, wherever the page tells of them; and a study under way loses no word."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

import lrscout
from lrscout.app.layout import nearest
from lrscout.app.maps import KeptSweep
from lrscout.app.server import make_app
from lrscout.core.curve import Curve
from lrscout.lesson.engines import numpy_engine
from lrscout.lesson.problem import sample_problem
from lrscout.measure.recommendation import Recommendation
from lrscout.store.store import open_store
from tests.app.kept import LRS, begun, client_of, curve, sweep_inputs

SEARCHES = ["steps", "worth", "seeds"]


def loop() -> Any:
    return numpy_engine(sample_problem()).loop


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "lrscout.db"


@pytest.fixture(scope="module")
def results(path: Path) -> dict[str, Any]:
    where: dict[str, Any] = {"store": path}
    return {
        "steps": lrscout.find(loop(), steps=200, study="steps", **where),
        "worth": lrscout.find(loop(), study="worth", **where),
        "seeds": lrscout.find(loop(), steps=200, seeds=2, study="seeds", **where),
        "sweep": lrscout.sweep(loop(), LRS, steps=60, seeds=2, study="sweep", **where),
    }


@pytest.fixture(scope="module")
def client(path: Path, results: dict[str, Any]) -> TestClient:
    return client_of(path)


def asked(client: TestClient, address: str, **query: Any) -> Any:
    found = client.get(f"/api/{address}", params=query)
    assert found.status_code == 200, found.text
    return found.json()


@pytest.mark.parametrize("name", SEARCHES)
def test_a_run_of_a_search_has_the_outcome_of_its_probe_everywhere(
    client: TestClient, results: dict[str, Any], name: str
) -> None:
    recommendation: Recommendation = results[name]
    rates = asked(client, "study", name=name)["rates"]
    for probe in recommendation.probes:
        rate = rates[nearest([rate["lr"] for rate in rates], probe.lr) or 0]
        if probe.steps == rate["steps"]:
            assert rate["outcome"] == probe.outcome
        curves = asked(client, "study/curves", name=name, lr=probe.lr)["curves"]
        of_probe = [one for one in curves if one["steps"][-1] + 1 == len(probe.curve.losses) and one["seed"] == 0]
        assert probe.outcome in {one["outcome"] for one in of_probe}
    assert all(rate["outcome"] is not None for rate in rates)


@pytest.mark.parametrize("name", SEARCHES)
def test_the_runs_of_a_search_are_its_probes_and_its_test_runs(
    client: TestClient, results: dict[str, Any], name: str
) -> None:
    answer, seeds = asked(client, "study", name=name), len(asked(client, "study", name=name)["inputs"]["seeds"])
    assert answer["test_runs"] > 0
    assert answer["test_runs"] + seeds * len(answer["recommendation"]["probes"]) == answer["curves"]
    assert answer["best"] == results[name].lr


def test_a_run_of_a_sweep_has_the_outcome_of_its_map(client: TestClient, results: dict[str, Any]) -> None:
    rates = {rate["lr"]: rate["outcome"] for rate in asked(client, "study", name="sweep")["rates"]}
    curves = asked(client, "study/curves", name="sweep")["curves"]
    assert {(one["lr"], one["outcome"]) for one in curves} == set(rates.items())
    assert asked(client, "study", name="sweep")["best"] == results["sweep"].lr


def test_a_rate_that_a_rounding_parts_stands_there_once(tmp_path: Path) -> None:
    with open_store(tmp_path / "a.db").begin("search", kind="find", inputs={}, target=None) as study:
        study.keep(0, [curve(0.4, 6), curve(0.40000000000010855, 20), curve(0.2, 6)])
    client = client_of(tmp_path / "a.db")
    rates = asked(client, "study", name="search")["rates"]
    assert [(rate["lr"], rate["runs"], rate["steps"]) for rate in rates] == [
        (0.2, 1, 6),
        (0.40000000000010855, 2, 20),
    ]
    assert len(asked(client, "study/curves", name="search", lr=0.4)["curves"]) == 2


@pytest.mark.parametrize("name", SEARCHES)
def test_no_rate_of_a_search_stands_there_twice(client: TestClient, results: dict[str, Any], name: str) -> None:
    lrs = [rate["lr"] for rate in asked(client, "study", name=name)["rates"]]
    assert all(nearest([lower], higher) is None for lower, higher in pairwise(lrs))


def test_a_sweep_under_way_keeps_its_sentence_while_new_runs_are_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, client = sweep_inputs(LRS[:3], steps=20), client_of(tmp_path / "a.db")
    with open_store(tmp_path / "a.db").begin("slow", kind="sweep", inputs=inputs, target=None) as study:
        study.keep(0, [curve(LRS[0], 20)])
        first = asked(client, "study", name="slow")
        assert first["sentences"][1].startswith("So far the best of 1 rate for 20 steps is 0.01")
        monkeypatch.setattr(KeptSweep, "_outcome", lambda *_: None)
        study.keep(1, [curve(LRS[1], 20)])
        second = asked(client, "study", name="slow")
        assert second["rates"][-1]["outcome"] is None
        assert second["sentences"][1:] == first["sentences"][1:]


def test_what_a_sweep_under_way_has_cost_is_that_of_all_its_runs(tmp_path: Path) -> None:
    begun(tmp_path / "a.db")
    with open_store(tmp_path / "a.db").begin(
        "two", kind="sweep", inputs=sweep_inputs(LRS[:2], steps=20, seeds=2), target=None
    ) as study:
        # Of the second seed there is one rate, so it makes no map with the first, and has been paid for.
        study.keep(0, [curve(LRS[0], 20)])
        study.keep(1, [curve(LRS[1], 20)])
        study.keep(2, [curve(LRS[0], 20, seed=1)])
    assert asked(client_of(tmp_path / "a.db"), "study", name="two")["cost"]["steps"] == 60


def test_noisy_curves_come_with_their_level_and_a_spike_is_no_tower(tmp_path: Path) -> None:
    steps = np.arange(400)
    losses = 3 * np.exp(-steps / 100) + np.random.default_rng(0).normal(0, 0.2, 400)
    losses[200] = 30.0
    with open_store(tmp_path / "a.db").begin("noisy", kind="find", inputs={}, target=None) as study:
        study.keep(0, [Curve(np.full(400, 0.1), losses)])
    (found,) = asked(client_of(tmp_path / "a.db"), "study/curves", name="noisy")["curves"]
    level = np.array(found["smoothed"])
    assert np.std(np.diff(level)) < np.std(np.diff(losses)) / 3
    after = level[200:215] - level[199]
    assert after[0] == after.max()
    assert after[-1] < after[0] / 3, "the level comes down from a spike instead of standing on it"


def test_a_calm_curve_beside_a_noisy_one_has_its_level_too(tmp_path: Path) -> None:
    calm = 3 * np.exp(-np.arange(200) / 50)
    noisy = calm + np.random.default_rng(0).normal(0, 0.3, 200)
    with open_store(tmp_path / "a.db").begin("two", kind="find", inputs={}, target=None) as study:
        study.keep(0, [Curve(np.full(200, 0.1), calm), Curve(np.full(200, 0.2), noisy)])
    found = asked(client_of(tmp_path / "a.db"), "study/curves", name="two")["curves"]
    assert all(len(one["smoothed"]) == 200 for one in found)


def test_a_smooth_curve_is_its_own_level(client: TestClient, results: dict[str, Any]) -> None:
    assert all(one["smoothed"] is None for one in asked(client, "study/curves", name="sweep")["curves"])


def test_the_page_is_served_below_a_path(path: Path, results: dict[str, Any]) -> None:
    app = Starlette(routes=[Mount("/lab/one", app=make_app(path, token="a-token-of-many-letters-0123456789"))])
    client = TestClient(app, base_url="http://127.0.0.1:8050")
    found = client.get("/lab/one/?token=a-token-of-many-letters-0123456789", follow_redirects=False)
    assert (found.status_code, found.headers["location"]) == (303, "./")
    assert client.get("/lab/one/api/studies").status_code == 200
