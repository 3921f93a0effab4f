"""The pictures of the curvature: what is drawn is what was measured."""

from __future__ import annotations

import numpy as np
import pytest

import lrscout
from tests.cli.loops import differentiable
from tests.pictures.looking import axes_for, legend, line, render


def test_a_track_is_drawn_with_its_limit_and_losses() -> None:
    found = lrscout.curvature(differentiable(), lr=0.3, track=12)
    ax = found.plot(axes_for())
    render(ax)
    assert line(ax, "sharpness").get_ydata() == pytest.approx(found.track.sharpness)
    assert line(ax, "limit of stability").get_ydata() == pytest.approx(np.full(13, 2 / 0.3))
    (beside,) = (other for other in ax.figure.axes if other is not ax)
    assert beside.get_lines()[0].get_ydata() == pytest.approx(found.track.losses)
    low, high = ax.get_ylim()
    assert low < found.track.sharpness.min() < found.track.sharpness.max() < high
    assert {"sharpness", "limit of stability", "training loss"} <= set(legend(ax))


def test_the_next_step_is_drawn_with_both_limits() -> None:
    found = lrscout.curvature(differentiable())
    ax = found.plot(axes_for())
    render(ax)
    assert list(zip(*line(ax, "loss after").get_data(), strict=True))[:3] == list(found.critical.looks)[:3]
    assert line(ax, "critical lr").get_xdata()[0] == found.critical_lr
    assert line(ax, "limit of stability").get_xdata()[0] == found.max_stable_lr
    assert ax.get_xscale() == "log"


def test_a_loss_that_no_step_raises_can_be_drawn() -> None:
    position = np.zeros(1)

    def step(lr):
        position[0] += lr
        return -float(position[0])

    loop = lrscout.from_functions(
        step, position.copy, lambda copy: position.__setitem__(0, copy[0]), lambda: -float(position[0]), lr=0.1
    )
    ax = lrscout.curvature(loop).plot(axes_for())
    render(ax)
    assert np.isfinite(ax.get_ylim()).all()
