"""The four rules: against closed forms, against fastai's own functions, and where those are not sound."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lrscout.analyse.rules import minimum, slide, steepest, valley
from tests.problems import range_test_curve

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # fastai's imports are not ours to mend.
    from fastai.callback import schedule as fastai

PAIRS = [(minimum, fastai.minimum), (steepest, fastai.steep), (valley, fastai.valley)]
SHAPES = [
    {"falls_at": falls_at, "rises_at": rises_at, "steps": steps}
    for falls_at in (1e-4, 1e-2, 3e-1)
    for rises_at in (1.0, 5.0)
    for steps in (60, 100)
    if falls_at < rises_at
]


def seen_by_fastai(curve):
    """fastai shows its rules the curve without its first tenth and its last five points; here with a fall of 1."""
    skipped = curve.steps // 10
    lrs, losses = curve.lrs[skipped:-5], curve.losses[skipped:-5]
    return lrs, losses / (losses[0] - losses.min())


def ask_fastai(rule, lrs, losses) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Its way of handing tensors to NumPy is deprecated.
        suggestion, _ = rule(torch.tensor(lrs), torch.tensor(losses), len(lrs))
    return suggestion


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda rule: rule.__name__)
def test_the_rules_agree_with_fastai_where_it_is_sound(ours, theirs, shape) -> None:
    lrs, losses = seen_by_fastai(range_test_curve(**shape))
    expected = ask_fastai(theirs, lrs, losses)
    rung = lrs[1] / lrs[0]
    found = ours(lrs, losses)
    # fastai counts the valley's start one point too early, which moves its middle by at most one.
    assert abs(np.log(found / expected)) <= (1.01 if ours is valley else 1e-4) * np.log(rung)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape["steps"] == 100], ids=str)
def test_slide_agrees_with_fastai_on_curves_of_the_length_that_its_constants_are_for(shape) -> None:
    lrs, losses = seen_by_fastai(range_test_curve(**shape))
    assert slide(lrs, losses) == pytest.approx(ask_fastai(fastai.slide, lrs, losses))


def test_the_minimum_is_a_tenth_of_the_lowest() -> None:
    assert minimum(np.array([1.0, 2.0, 4.0, 8.0]), np.array([3.0, 1.0, 0.5, 9.0])) == 0.4


def test_the_steepest_slope_of_a_known_fall() -> None:
    # 1 / (1 + (a / lr)^2) is steepest, per log lr, exactly at lr = a.
    curve = range_test_curve(2000, falls_at=1e-2, rises_at=1e9, max_lr=10)
    assert steepest(curve.lrs, curve.losses) == pytest.approx(1e-2, rel=0.02)


def test_slopes_per_linear_lr_would_land_far_too_low() -> None:
    """The mistake of PyTorch Lightning (issue 21141), which the noise of a real curve brings out."""
    curve = range_test_curve(noise=0.01)
    per_linear_lr = curve.lrs[np.argmin(np.gradient(curve.losses, curve.lrs))]
    assert per_linear_lr < 1e-6
    smooth = range_test_curve()
    assert steepest(smooth.lrs, smooth.losses) == pytest.approx(1e-2, rel=0.2)


def test_a_gap_does_not_move_the_valley() -> None:
    losses = np.array([9.0, 8.0, 7.0, 7.5, 7.6, 7.7, 7.8, 6.0, 5.0, 4.0, 8.0])
    lrs = np.geomspace(1e-5, 1, 11)
    # The longest decrease is 9 8 7 6 5 4, from the first point to the tenth.
    assert valley(lrs, losses) == lrs[4]
    assert ask_fastai(fastai.valley, lrs, losses) > lrs[4] * 2


def test_slide_does_not_depend_on_the_unit_of_the_loss_and_fastai_does() -> None:
    lrs, losses = seen_by_fastai(range_test_curve(falls_at=1e-4))
    assert slide(lrs, 1024 * losses) == slide(lrs, losses)
    plain, thousandfold = (ask_fastai(fastai.slide, lrs, unit * losses) for unit in (1.0, 1024.0))
    assert max(plain, thousandfold) > 10 * min(plain, thousandfold)


def test_a_slope_that_never_becomes_even_is_no_rate() -> None:
    lrs = np.geomspace(1e-5, 1, 60)
    assert slide(lrs, np.cumsum(np.where(np.arange(60) % 20 < 10, -1.0, 1.5) * np.arange(60))) is None


def test_a_rise_has_neither_a_valley_nor_a_steepest_fall() -> None:
    lrs = np.geomspace(1e-5, 1, 40)
    assert valley(lrs, np.arange(40.0)) is None
    assert steepest(lrs, np.arange(40.0)) is None
    assert slide(lrs, np.arange(40.0)) is None


@pytest.mark.parametrize("rule", [minimum, steepest, valley, slide], ids=lambda rule: rule.__name__)
@given(
    losses=st.lists(st.integers(-1000, 1000), min_size=5, max_size=60),
    unit=st.sampled_from([2.0**-20, 0.5, 4.0, 2.0**20]),
    zero=st.integers(-1000, 1000),
)
def test_the_rules_follow_neither_the_unit_nor_the_zero_of_the_loss(rule, losses, unit, zero) -> None:
    """Whole numbers and powers of two, so that the arithmetic is exact and nothing but the rule is tested."""
    lrs = np.geomspace(1e-6, 1, len(losses))
    plain = np.array(losses, float)
    assert rule(lrs, (plain + zero) * unit) == rule(lrs, plain)


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=40))
def test_the_valley_is_the_longest_decreasing_subsequence(losses) -> None:
    """Against the textbook's quadratic algorithm."""
    from lrscout.analyse.rules import _longest_decrease

    lengths = []
    for index, loss in enumerate(losses):
        lengths.append(1 + max((lengths[j] for j in range(index) if losses[j] > loss), default=0))
    start, end = _longest_decrease(np.array(losses, float))
    assert lengths[end] == max(lengths)
    assert start <= end
    inside = [1]
    for index in range(start + 1, end + 1):
        below = [inside[j - start] for j in range(start, index) if losses[j] > losses[index]]
        inside.append(1 + max(below, default=0))
    assert inside[-1] == max(lengths)
