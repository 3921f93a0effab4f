"""Steps to a target, on curves whose law is known."""

from __future__ import annotations

import numpy as np
import pytest

from lrscout.analyse.extrapolate import StepsNeeded, steps_to_target

SEEN = np.arange(1000.0)


def test_an_exponential_approach_without_noise_is_foretold() -> None:
    needed = steps_to_target(5 + np.exp(-SEEN / 500), SEEN, 5 + np.exp(-3.0))
    assert isinstance(needed, StepsNeeded)
    assert needed.steps == pytest.approx(501, rel=0.02)


def test_a_power_law_without_noise_is_foretold() -> None:
    needed = steps_to_target(2 * (SEEN + 30) ** -0.5, SEEN, 2 * 1530**-0.5)
    assert isinstance(needed, StepsNeeded)
    assert needed.steps == pytest.approx(501, rel=0.15)


@pytest.mark.parametrize("law", ["exponential", "power"])
def test_the_interval_holds_the_truth_four_times_in_five(law: str) -> None:
    held = known = 0
    generator = np.random.default_rng(5)
    for _ in range(60):
        if law == "exponential":
            scale = generator.uniform(300, 1500)
            losses, target = 0.3 + 2 * np.exp(-SEEN / scale), 0.3 + 2 * np.exp(-1500 / scale)
        else:
            power = generator.uniform(0.2, 1)
            losses, target = 0.3 + 2 * (SEEN + 5) ** -power, 0.3 + 2 * 1505**-power
        needed = steps_to_target(losses * (1 + generator.normal(0, 0.02, 1000)), SEEN, target)
        if isinstance(needed, StepsNeeded):
            known += 1
            held += needed.low <= 501 <= needed.high
    assert known >= 45
    assert held >= 0.75 * known


def test_steps_that_are_counted_in_hundreds() -> None:
    few = steps_to_target(np.exp(-SEEN / 500), SEEN, np.exp(-3.0))
    many = steps_to_target(np.exp(-SEEN / 500), 100 * SEEN, np.exp(-3.0))
    assert isinstance(few, StepsNeeded)
    assert isinstance(many, StepsNeeded)
    assert many.steps == pytest.approx(100 * few.steps, rel=0.01)


def test_a_loss_that_is_there_needs_no_steps() -> None:
    assert steps_to_target(np.exp(-SEEN / 500), SEEN, 0.5) == StepsNeeded(0, 0, 0)


def test_what_cannot_be_foretold_is_unknown_with_the_reason() -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, 1000)
    below_the_floor = steps_to_target(0.3 + np.exp(-SEEN / 100) + noise, SEEN, 0.1)
    assert "come to rest above it" in str(below_the_floor)
    # Flat for most of the run, and then a cliff: no law of those tried.
    cliff = steps_to_target(2 - np.clip(SEEN - 850, 0, None) / 150 + noise, SEEN, 0.0)
    assert "foretells the end" in str(cliff)
    assert "too few" in str(steps_to_target(np.array([3.0, 2.0, 1.5, 1.2]), np.arange(4.0), 0.1))
    assert "more than 20 times as far below" in str(steps_to_target(1 - SEEN / 1e5, SEEN, -5.0))
    assert "more than 20 times those" in str(steps_to_target((SEEN + 100) ** -0.2, SEEN, 90_000**-0.2))


def test_the_unit_and_the_zero_of_the_loss_do_not_matter() -> None:
    losses = np.exp(-SEEN / 500) + np.random.default_rng(0).normal(0, 0.02, 1000)
    assert steps_to_target(losses, SEEN, 0.05) == steps_to_target(1e6 * losses - 4e6, SEEN, 1e6 * 0.05 - 4e6)
