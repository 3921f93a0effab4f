"""The judgement against curves that are labelled by how they were made; `benchmarks/diagnosis.py` counts more."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from lrscout import Outcome
from lrscout.analyse.diagnose import diagnose
from tests.descents import HELD_OUT, TUNED
from tests.labelled_curves import SEED, Labelled, healthy_curves, labelled_curves

EACH = 50
ROOT = Path(__file__).parents[2]


@cache
def judged() -> list[tuple[Labelled, Outcome]]:
    return [(curve, diagnose(curve.losses, **curve.told).outcome) for curve in labelled_curves(HELD_OUT, SEED, EACH)]


def test_at_least_95_percent_are_right_of_every_outcome_and_300_curves() -> None:
    labels = Counter(curve.label for curve, _ in judged())
    right = Counter(curve.label for curve, outcome in judged() if curve.label is outcome)
    assert labels == dict.fromkeys(Outcome, EACH)
    assert sum(labels.values()) >= 300
    assert sum(right.values()) >= 0.95 * sum(labels.values())
    assert min(right.values()) >= 0.9 * EACH


def test_no_healthy_curve_is_called_diverging() -> None:
    lost = (Outcome.DIVERGING, Outcome.NON_FINITE)
    healthy = [outcome for curve, outcome in judged() if curve.label not in (*lost, Outcome.OSCILLATING)]
    assert len(healthy) == 3 * EACH
    assert not set(lost) & set(healthy)


@pytest.mark.parametrize("families", [TUNED, HELD_OUT], ids=["tuned", "held-out"])
def test_no_rate_below_the_limit_is_called_diverging_labelled_or_not(families: tuple) -> None:
    wrong = [curve for curve in healthy_curves(families, SEED, 150) if diagnose(curve.losses).outcome in ("diverging",)]
    assert not wrong


def test_the_curves_are_shown_in_every_way() -> None:
    shown = [curve.showing for curve, _ in judged()]
    for name in ("noise", "heavy", "smoothing", "skipped", "spikes", "zero"):
        assert any(getattr(how, name) for how in shown)
    assert {how.every for how in shown} == {1, 10}
    assert {how.unit for how in shown} == {1, 1e-6, 1e6}
    assert min(how.kept for how in shown) < 1
    assert any(curve.losses.max() < 0 for curve, _ in judged())
    assert len({curve.truth.family for curve, _ in judged()}) == len(HELD_OUT)


def test_the_table_on_the_page_is_the_one_that_was_kept() -> None:
    kept = json.loads((ROOT / "benchmarks" / "results" / "diagnosis.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "diagnose.md").read_text(encoding="utf-8")
    for label, verdicts in kept["held-out families"]["confusion"].items():
        assert f"| {label} | {' | '.join(str(verdicts[outcome]) for outcome in Outcome)} |\n" in page
    for figures in (kept["held-out families"], kept["families it was built on"]):
        assert f"{figures['right']} of {figures['curves']}" in page
        assert figures["healthy curves called diverging"] == 0
