"""What the server answers is what Python itself says of the same store."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

import lrscout
from lrscout.app.layout import Layout, nearest
from lrscout.app.lesson import lesson_points
from lrscout.app.maps import KeptSweep
from lrscout.core.curve import Curve
from lrscout.lesson.engines import numpy_engine
from lrscout.lesson.problem import sample_problem
from lrscout.measure.lr_map import LRMap
from lrscout.measure.recommendation import Recommendation
from lrscout.store.store import open_store
from tests.app.kept import LRS, asked, begun, client_of, curve, sweep_inputs

SHARED = ("sweep", "budgets", "seeds")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "lrscout.db"


@pytest.fixture(scope="module")
def results(path: Path) -> dict[str, Any]:
    """Real studies in one store, by their names."""

    def loop() -> Any:
        return numpy_engine(sample_problem()).loop

    where: dict[str, Any] = {"store": path}
    return {
        "sweep": lrscout.sweep(loop(), LRS, steps=60, study="sweep", **where),
        "budgets": lrscout.sweep(loop(), LRS, steps=64, schedule="linear", study="budgets", **where),
        "seeds": lrscout.sweep(loop(), LRS, steps=60, seeds=3, loss="training", study="seeds", **where),
        "find": lrscout.find(loop(), steps=200, study="find", **where),
        "target": lrscout.find(loop(), target_loss=0.05, study="target", **where),
        "worth": lrscout.find(loop(), study="worth", **where),
    }


@pytest.fixture(scope="module")
def client(path: Path, results: dict[str, Any]) -> TestClient:
    return client_of(path)


def with_null(values: Any) -> list[Any]:
    return [[value if np.isfinite(value) else None for value in row] for row in values.tolist()]


def test_the_lesson_is_that_of_python_bit_for_bit() -> None:
    problem, points = sample_problem(), asked(client_of(None), "/api/lesson")
    assert np.array_equal(np.array(points["x"], np.float32), problem.x)
    y = [
        struct.unpack("f", struct.pack("f", 0.1 * x + 0.5 + noise))[0]
        for x, noise in zip(points["x"], points["noise"], strict=True)
    ]
    assert np.array_equal(np.array(y, np.float32), problem.y)
    assert (points["true"], points["start"]) == ({"w": 0.1, "b": 0.5}, {"w": 0.0, "b": -1.0})
    assert points == lesson_points()


def test_studies_are_listed_newest_first(client: TestClient, results: dict[str, Any], path: Path) -> None:
    answer = asked(client, "/api/studies")
    assert answer["store"] == "lrscout.db"
    assert [study["name"] for study in answer["studies"]] == list(reversed(results))
    by_name = {study["name"]: study for study in answer["studies"]}
    assert [by_name[name]["planned"] for name in SHARED] == [4, 16, 12]
    assert [by_name[name]["curves"] for name in SHARED] == [4, 16, 12]
    assert {study["state"] for study in answer["studies"]} == {"finished"}
    created = {study.name: study.created for study in open_store(path).studies()}
    assert {name: pd.Timestamp(study["created"]) for name, study in by_name.items()} == created


def test_a_list_reads_no_array(client: TestClient, results: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("an array was read")

    monkeypatch.setattr("lrscout.store.records.decode", never)
    assert len(asked(client, "/api/studies")["studies"]) == len(results)


@pytest.mark.parametrize("name", SHARED)
def test_a_map_is_that_of_the_sweep(client: TestClient, results: dict[str, Any], name: str) -> None:
    lr_map: LRMap = results[name]
    answer = asked(client, "/api/study/map", name=name)
    assert answer["lrs"] == lr_map.lrs.tolist()
    assert answer["checkpoints"] == lr_map.checkpoints.tolist()
    assert answer["losses"] == with_null(lr_map.loss)
    assert answer["start"] == lr_map.start
    assert answer["outcomes"] == [[str(outcome) for outcome in row] for row in lr_map.outcomes]
    assert (answer["judged"], answer["seeds"]) == (True, len(lr_map.seeds))
    best = [None if best is None else best["lr"] for best in answer["best"]]
    assert best == [one.lr for one in lr_map.frontier()]
    assert answer["max_stable_lr"] == 7.0


@pytest.mark.parametrize("name", SHARED)
def test_a_map_without_its_outcomes_is_judged_again(
    client: TestClient, results: dict[str, Any], name: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the study was kept by a version that did not write them down, and time is short."""
    record = open_store(path).load(name)
    assert record.result is not None
    record.result.pop("outcomes")
    layout = Layout.of(record)
    assert layout is not None
    kept = KeptSweep(layout)
    monkeypatch.setattr("lrscout.app.maps._PATIENCE", 0.0)
    known, lr_map = 0, kept.map(record)
    assert lr_map is not None
    assert all(outcome is None for outcome in lr_map.outcomes.flat)
    monkeypatch.setattr("lrscout.app.maps._PATIENCE", 1e-3)
    while any(outcome is None for outcome in lr_map.outcomes.flat):
        lr_map = kept.map(record)
        now = sum(outcome is not None for outcome in lr_map.outcomes.flat)
        assert now >= known
        known = now
    assert lr_map.outcomes.tolist() == results[name].outcomes.tolist()


@pytest.mark.parametrize("name", SHARED)
def test_a_finished_sweep_says_what_it_said(client: TestClient, results: dict[str, Any], name: str) -> None:
    answer = asked(client, "/api/study", name=name)
    assert " ".join(answer["sentences"]) == str(results[name])
    assert len(answer["sentences"]) > 2
    assert answer["cost"] == results[name].to_dict()["cost"]
    assert answer["inputs"]["lrs"] == LRS
    assert answer["versions"]["numpy"] == np.__version__
    assert answer["recommendation"] is None
    assert [rate["lr"] for rate in answer["rates"]] == LRS
    assert [rate["outcome"] for rate in answer["rates"]] == results[name].to_dict()["outcome"]
    last = [loss if np.isfinite(loss) else None for loss in results[name].loss[:, -1].tolist()]
    assert [rate["last_loss"] for rate in answer["rates"]] == last


@pytest.mark.parametrize("name", ["find", "target", "worth"])
def test_a_recommendation_says_what_it_said(client: TestClient, results: dict[str, Any], name: str) -> None:
    recommendation: Recommendation = results[name]
    answer = asked(client, "/api/study", name=name)
    assert " ".join(answer["sentences"]) == str(recommendation)
    assert answer["recommendation"] == recommendation.to_dict()
    raced = {probe.lr for probe in recommendation.probes}
    shown = [rate["lr"] for rate in answer["rates"]]
    assert all(nearest(shown, lr) is not None for lr in raced)
    assert min(shown) > 1e-6  # Runs that were to stand still are no candidates.
    assert client.get("/api/study/map", params={"name": name}).status_code == 404


def test_curves_are_those_that_are_kept(client: TestClient, results: dict[str, Any]) -> None:
    answer = asked(client, "/api/study/curves", name="seeds", lr=[0.7, 0.0700001], points=5000)
    curves = [results["seeds"].curves[seed][rate][0] for rate in (1, 2) for seed in range(3)]
    assert len(answer["curves"]) == 6
    for shown, kept in zip(answer["curves"], curves, strict=True):
        assert shown["losses"] == kept.losses.tolist()
        assert shown["lrs"] == kept.lrs.tolist()
        assert shown["steps"] == list(range(kept.steps))
        assert (shown["seed"], shown["stopped"]) == (kept.seed, "completed")


def test_curves_of_a_run_that_ended_in_the_warmup_are_found_by_the_peak_it_was_for(tmp_path: Path) -> None:
    inputs = sweep_inputs([0.5, 5.0], steps=20, schedule="wsd", checkpoints=[10, 20])
    with open_store(tmp_path / "a.db").begin("warm", kind="sweep", inputs=inputs, target=None) as study:
        for block, lr in enumerate([0.5, 5.0, 0.5, 5.0]):
            study.keep(block, [Curve(np.array([0.1, 0.2]) * lr, np.array([1.0, 2.0]))])
    answer = asked(client_of(tmp_path / "a.db"), "/api/study/curves", name="warm", lr=5.0)
    assert [shown["lr"] for shown in answer["curves"]] == [5.0, 5.0]


@pytest.mark.parametrize("points", [20, 21, 77, 600])
def test_thinned_curves_keep_their_extremes(tmp_path: Path, points: int) -> None:
    generator = np.random.default_rng(points)
    losses = generator.lognormal(size=10_007)
    losses[[17, 5003]] = 1e6, -1e6
    losses[-1] = np.nan
    with open_store(tmp_path / "a.db").begin("long", kind="other", inputs={}, target=None) as study:
        study.keep(0, [Curve(np.full(len(losses), 0.1), losses)])
    (shown,) = asked(client_of(tmp_path / "a.db"), "/api/study/curves", name="long", points=points)["curves"]
    steps = np.array(shown["steps"])
    assert points / 3 <= len(steps) <= points
    assert (np.diff(steps) > 0).all()
    assert {0, 17, 5003, 10_006} <= set(steps.tolist())
    assert shown["losses"] == [None if np.isnan(loss) else loss for loss in losses[steps].tolist()]
    # Between two neighbours nothing is higher than all that is shown nearby, nor lower.
    size = -(-len(losses) // ((points - 2) // 2))
    for begin in range(0, len(losses) - size, size):
        stretch, inside = losses[begin : begin + size], steps[(steps >= begin) & (steps < begin + size)]
        assert (losses[inside].min(), losses[inside].max()) == (stretch.min(), stretch.max())


def test_without_rates_some_curves_of_all_are_shown(tmp_path: Path) -> None:
    lrs = np.geomspace(1e-3, 0.9, 100).tolist()
    inputs = sweep_inputs(lrs, steps=20, lanes=30)
    with open_store(tmp_path / "a.db").begin("many", kind="sweep", inputs=inputs, target=None) as study:
        for block in range(4):
            study.keep(block, [curve(lr, 20) for lr in lrs[30 * block : 30 * (block + 1)]])
    client = client_of(tmp_path / "a.db")
    shown = [one["lr"] for one in asked(client, "/api/study/curves", name="many")["curves"]]
    assert len(shown) == 24
    assert shown == sorted(shown)
    assert (shown[0], shown[-1]) == (lrs[0], lrs[-1])
    assert asked(client, "/api/study/map", name="many")["lrs"] == lrs


def test_a_running_study_grows(tmp_path: Path) -> None:
    path = tmp_path / "lrscout.db"
    store, client = open_store(path), client_of(path)
    lanes = [LRS[:2], LRS[2:]]
    revisions: list[str] = []
    inputs = sweep_inputs(LRS, steps=20, seeds=2, lanes=2)
    with store.begin("growing", kind="sweep", inputs=inputs, target="/home/me/digits.py:make") as study:
        (entry,) = asked(client, "/api/studies")["studies"]
        assert (entry["state"], entry["curves"], entry["planned"]) == ("running", 0, 8)
        assert entry["target"] == "digits.py:make"
        assert client.get("/api/study/map", params={"name": "growing"}).status_code == 404
        for block in range(4):
            seed, part = divmod(block, 2)
            study.keep(block, [curve(lr, 20, seed) for lr in lanes[part]])
            told, shown = (asked(client, f"/api/{what}", name="growing") for what in ("study", "study/map"))
            revisions.append(told["revision"])
            assert told["sentences"][0] == f"It is under way: {2 * (block + 1)} of 8 runs are done."
            assert told["cost"]["steps"] > 0
            assert shown["lrs"] == (LRS[:2] if block == 0 else LRS)
            assert shown["seeds"] == (2 if block == 3 else 1)
            expected = [[curve(lr, 20).evaluations[1 + place] for place in range(4)] for lr in shown["lrs"] if lr < 1]
            middle = 0.05 if block == 3 else 0.0
            assert np.allclose(shown["losses"][: len(expected)], np.array(expected) + middle, rtol=1e-12)
    assert len(set(revisions)) == 4
    (entry,) = asked(client, "/api/studies")["studies"]
    assert entry["state"] == "stopped"
    assert "goes on from there" in asked(client, "/api/study", name="growing")["sentences"][1]


def test_budgets_appear_as_their_runs_are_done(tmp_path: Path) -> None:
    inputs = sweep_inputs([0.1, 0.3], steps=20, schedule="linear", checkpoints=[5, 20])
    with open_store(tmp_path / "a.db").begin("budgets", kind="sweep", inputs=inputs, target=None) as study:
        client = client_of(tmp_path / "a.db")
        shapes = []
        for block, (length, lr) in enumerate([(5, 0.1), (5, 0.3), (20, 0.1), (20, 0.3)]):
            study.keep(block, [curve(lr, length, checkpoints=())])
            answer = asked(client, "/api/study/map", name="budgets")
            shapes.append((answer["lrs"], answer["checkpoints"]))
    assert shapes[0] == ([0.1], [5])
    assert shapes[1] == ([0.1, 0.3], [5])
    assert shapes[3] == ([0.1, 0.3], [5, 20])


def test_a_study_that_was_deleted_and_begun_again_is_another(tmp_path: Path) -> None:
    store, client = begun(tmp_path / "a.db"), client_of(tmp_path / "a.db")
    before = asked(client, "/api/study/map", name="open")
    store.delete("open")
    inputs = sweep_inputs([0.3], steps=20)
    with store.begin("open", kind="sweep", inputs=inputs, target=None) as study:
        study.keep(0, [curve(0.3, 20)])
    after = asked(client, "/api/study/map", name="open")
    assert (before["lrs"], after["lrs"]) == (LRS[:3], [0.3])
    assert before["revision"] != after["revision"]


def test_a_csv_export_is_what_is_kept(client: TestClient, results: dict[str, Any]) -> None:
    found = client.get("/api/study/export", params={"name": "sweep", "format": "csv"})
    assert found.headers["content-disposition"] == 'attachment; filename="sweep.csv"'
    table = pd.read_csv(io.BytesIO(found.content))
    kept = np.concatenate([runs[0].losses for runs in results["sweep"].curves[0]])
    assert np.array_equal(table["loss"].dropna(), kept[~np.isnan(kept)])


def test_a_parquet_export_is_what_is_kept(client: TestClient, results: dict[str, Any]) -> None:
    content = client.get("/api/study/export", params={"name": "sweep", "format": "parquet"}).content
    other = client.get("/api/study/export", params={"name": "sweep", "format": "csv"}).content
    expected = pd.read_csv(io.BytesIO(other))
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(content)), expected, check_dtype=False)


def test_json_and_npz_exports_are_what_is_kept(client: TestClient, results: dict[str, Any]) -> None:
    curves = [runs[0] for seed in results["seeds"].curves for runs in seed]
    read = json.loads(client.get("/api/study/export", params={"name": "seeds", "format": "json"}).content)
    assert read["result"] == results["seeds"].to_dict()
    assert [one["losses"] for one in read["curves"]] == [with_null(one.losses[None])[0] for one in curves]
    content = client.get("/api/study/export", params={"name": "seeds", "format": "npz"}).content
    arrays = np.load(io.BytesIO(content), allow_pickle=False)
    assert arrays["steps"].tolist() == [one.steps for one in curves]
    assert arrays["seed"].tolist() == [one.seed for one in curves]
    for name in ("lrs", "losses", "evaluations", "evaluated_at"):
        assert np.array_equal(arrays[name], np.concatenate([getattr(one, name) for one in curves]), equal_nan=True)


def test_an_export_leaves_no_file(
    client: TestClient, results: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for format in ("csv", "json", "npz", "parquet"):
        assert client.get("/api/study/export", params={"name": "sweep", "format": format}).content
    assert list(tmp_path.iterdir()) == []


def test_without_a_store_there_are_no_studies() -> None:
    answer = asked(client_of(None), "/api/studies")
    assert (answer["store"], answer["studies"]) == (None, [])
    assert "lrscout sweep" in answer["sentence"]
    # A link to what has yet to begin is no error, and a browser would take any other status for one.
    sentence = "There is no study 'a' yet; it appears here when it begins."
    assert asked(client_of(None), "/api/study", name="a") == {"error": sentence}


def test_a_store_that_comes_later_is_found(tmp_path: Path) -> None:
    client = client_of(tmp_path / "lrscout.db")
    assert asked(client, "/api/studies")["store"] is None
    assert asked(client, "/api/studies")["awaited"] == "lrscout.db"
    (tmp_path / "lrscout.db").touch()  # As it is for a moment while a driver makes it.
    assert asked(client, "/api/studies")["store"] is None
    begun(tmp_path / "lrscout.db")
    answer = asked(client, "/api/studies")
    assert (answer["store"], [study["name"] for study in answer["studies"]]) == ("lrscout.db", ["open"])
    assert answer["awaited"] is None


def test_a_store_that_goes_away_is_told_without_its_place(tmp_path: Path) -> None:
    begun(tmp_path / "lrscout.db")
    client = client_of(tmp_path / "lrscout.db")
    (tmp_path / "lrscout.db").write_bytes(b"no database at all, but a text that somebody wrote over it" * 100)
    for address in ("/api/studies", "/api/study?name=open", "/api/study/export?name=open&format=csv"):
        found = client.get(address)
        assert found.status_code == 422
        assert found.json()["error"].startswith("The store could not be read")
        assert str(tmp_path) not in found.text


def test_a_kind_of_study_that_the_page_does_not_know(tmp_path: Path) -> None:
    with open_store(tmp_path / "a.db").begin("odd", kind="sweep", inputs={"lrs": "many"}, target=None) as study:
        study.keep(0, [curve(0.3, 20), curve(3.0, 20)])
        study.finish({"best": 0.3})
    client = client_of(tmp_path / "a.db")
    told = asked(client, "/api/study", name="odd")
    assert told["sentences"] == ["It is finished: 2 runs are kept."]
    assert [(rate["lr"], rate["outcome"]) for rate in told["rates"]] == [(0.3, "plateaued"), (3.0, "non_finite")]
    assert len(asked(client, "/api/study/curves", name="odd")["curves"]) == 2
    assert client.get("/api/study/map", params={"name": "odd"}).status_code == 404


STEPS = np.arange(200)
NOISY = 3 * np.exp(-STEPS / 50) + np.random.default_rng(1).normal(0, 0.1, 200)


def send(client: TestClient, content: bytes, **query: str) -> Any:
    return client.post(
        "/api/diagnose", params=query, content=content, headers={"Content-Type": "application/octet-stream"}
    )


def logged(losses: Any, lr: float = 0.1, header: str = "step,loss,lr") -> bytes:
    rows = [f"{step},{loss!r},{lr}" for step, loss in enumerate(np.asarray(losses).tolist())]
    return "\n".join([header, *rows]).encode()


def test_a_log_is_diagnosed_as_python_does() -> None:
    answer = send(client_of(None), logged(NOISY), name="metrics.csv").json()
    diagnosis = lrscout.diagnose(NOISY, np.full(200, 0.1), steps=STEPS)
    assert answer["diagnosis"] == diagnosis.to_dict()
    assert " ".join(answer["sentences"]) == str(diagnosis)
    assert (answer["runs"], answer["run"]) == (["metrics.csv"], "metrics.csv")
    assert (answer["losses"], answer["loss"]) == (["loss"], "loss")
    assert answer["curve"]["losses"] == NOISY.tolist()
    assert answer["curve"]["lrs"] == [0.1] * 200
    assert len(answer["curve"]["smoothed"]) == 200
    assert np.std(np.diff(answer["curve"]["smoothed"])) < np.std(np.diff(NOISY)) / 3


def test_a_lost_run_is_diagnosed_with_its_nan_as_null() -> None:
    losses = [*(2.0 * 1.5 ** STEPS[:30]).tolist(), float("nan")]
    answer = send(client_of(None), logged(losses), name="lost.csv").json()
    assert answer["diagnosis"]["outcome"] == "non_finite"
    assert answer["curve"]["losses"][-1] is None
    assert answer["curve"]["smoothed"] is None


def test_runs_and_columns_are_chosen() -> None:
    rows = [f"{seed},{step},{2.0 * 1.4 ** (step * seed)},{9 - step / 10}" for seed in (0, 1) for step in range(40)]
    content = "\n".join(["seed,step,loss,reward", *rows]).encode()
    client = client_of(None)
    first = send(client, content, name="a.csv").json()
    assert (first["runs"], first["run"]) == (["seed=0", "seed=1"], "seed=0")
    assert first["losses"] == ["loss", "reward"]
    second = send(client, content, name="a.csv", run="seed=1", lr="0.5").json()
    assert (second["run"], second["diagnosis"]["outcome"]) == ("seed=1", "diverging")
    assert second["diagnosis"]["lr"] == 0.5
    other = send(client, content, name="a.csv", loss="reward").json()
    assert (other["loss"], other["curve"]["losses"][:2]) == ("reward", [9.0, 8.9])
    assert send(client, content, run="seed=2").json()["error"] == "There is no run 'seed=2' in the file."
    assert send(client, content, run="seed=2").json()["runs"] == ["seed=0", "seed=1"]


def test_a_log_whose_loss_is_not_told_offers_its_columns() -> None:
    refused = send(client_of(None), b"step,apples,pears\n1,2,3\n2,3,4\n", name="fruit.csv")
    assert refused.status_code == 200
    assert refused.json()["losses"] == ["apples", "pears"]
    assert refused.json()["error"].startswith("fruit.csv: No column could be the training loss")


def test_a_long_log_is_thinned() -> None:
    losses = np.random.default_rng(0).lognormal(size=20_000)
    losses[[7, 12_345]] = 50, 1e-9
    answer = send(client_of(None), logged(losses)).json()
    assert len(answer["curve"]["steps"]) <= 2000
    assert {7, 12_345} <= set(answer["curve"]["steps"])


def test_what_is_described_is_what_is_served() -> None:
    described = asked(client_of(None), "/api/openapi.json")["paths"]
    routes = {(route.path, method) for route in client_of(None).app.routes for method in route.methods - {"HEAD"}}
    assert {(path, method.upper()) for path, methods in described.items() for method in methods} == routes
