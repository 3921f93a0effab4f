"""The picture of a diagnosis: what is drawn where, and that there is none which cannot be drawn."""

from __future__ import annotations

import numpy as np
import pytest

from lrscout.analyse.diagnose import Diagnosis, diagnose
from lrscout.pictures import draw
from lrscout.pictures.diagnosis import plot_diagnosis
from tests.pictures.looking import axes_for, legend, line, render

STEPS = np.arange(300)
FALL = 0.98**STEPS
NOISE = 0.05 * np.random.default_rng(0).normal(size=300)

RUNS = {
    "falling": lambda: diagnose(FALL),
    "noisy": lambda: diagnose(FALL + NOISE, lr=0.1, evaluations=FALL[::30], evaluated_at=STEPS[::30]),
    "negative": lambda: diagnose(FALL - 5),
    "growing": lambda: diagnose(1.1**STEPS),
    "growing below zero": lambda: diagnose(1.1**STEPS - 5),
    "huge": lambda: diagnose(np.geomspace(1, 1.7e308, 300)),
    "huge on both sides": lambda: diagnose(1.7e308 * np.linspace(-1, 1, 50)),
    "tiny": lambda: diagnose(FALL * 1e-300),
    "constant": lambda: diagnose(np.full(50, 3.0)),
    "zero": lambda: diagnose(np.zeros(50)),
    "ended": lambda: diagnose(np.where(STEPS < 200, FALL, np.nan)),
    "ended at the last step": lambda: diagnose(np.where(STEPS < 299, FALL, np.inf)),
    "never a number": lambda: diagnose(np.full(20, np.nan)),
    "evaluations that are none": lambda: diagnose(FALL, evaluations=[1.0, np.nan, np.inf]),
    "two": lambda: diagnose([2.0, 1.0]),
}


@pytest.mark.parametrize("kind", RUNS)
def test_every_diagnosis_can_be_drawn(kind: str) -> None:
    diagnosis: Diagnosis = RUNS[kind]()
    ax = plot_diagnosis(diagnosis, axes_for())
    render(ax)
    assert np.isfinite([*ax.get_xlim(), *ax.get_ylim()]).all()
    assert ax.get_ylim()[0] < ax.get_ylim()[1]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "loss")
    title = ax.get_title(loc="left").replace("\n", " ").removesuffix(" …")
    assert len(title) > 5
    assert str(diagnosis).startswith(title)


def test_the_losses_stand_at_their_steps() -> None:
    ax = plot_diagnosis(diagnose(FALL, steps=10 * STEPS), axes_for())
    np.testing.assert_array_equal(line(ax, "training loss").get_data(), (10 * STEPS, FALL))
    assert legend(ax) == ["training loss"]


def test_what_is_noisy_is_smoothed_and_what_is_evaluated_is_shown() -> None:
    ax = plot_diagnosis(RUNS["noisy"](), axes_for())
    level = line(ax, "smoothed").get_ydata()
    assert np.std(level - FALL) < np.std(NOISE)
    np.testing.assert_array_equal(line(ax, "evaluation loss").get_data(), (STEPS[::30], FALL[::30]))


def test_an_explosion_is_a_straight_line_or_leaves_the_picture() -> None:
    assert plot_diagnosis(RUNS["growing"](), axes_for()).get_yscale() == "log"
    explosion = np.where(STEPS < 290, FALL - 5, 10.0 ** (STEPS - 290.0))
    ax = plot_diagnosis(diagnose(explosion), axes_for())
    assert ax.get_yscale() == "linear"
    assert ax.get_ylim()[1] < 20


def test_the_first_loss_that_is_no_number_is_marked() -> None:
    ax = plot_diagnosis(RUNS["ended"](), axes_for())
    (text,) = ax.texts
    assert text.get_text() == "not finite from step 200"
    assert any(list(mark.get_xdata()) == [200, 200] for mark in ax.get_lines())
    assert len(line(ax, "training loss").get_xdata()) == 200


def test_a_million_losses_are_drawn_by_their_extremes() -> None:
    losses = np.random.default_rng(1).normal(size=1_000_000)
    losses[123_456], losses[654_321] = 9.0, -9.0
    ax = plot_diagnosis(diagnose(losses), axes_for())
    drawn = line(ax, "training loss")
    assert len(drawn.get_xdata()) <= 4100
    assert {9.0, -9.0} <= set(drawn.get_ydata())
    assert (np.diff(drawn.get_xdata()) >= 0).all()


def test_a_diagnosis_draws_itself() -> None:
    ax = axes_for()
    assert draw(diagnose(FALL), ax) is ax
