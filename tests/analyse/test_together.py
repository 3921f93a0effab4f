"""What the runs at other rates tell about one, on three rates of which the middle one is the best."""

from __future__ import annotations

import numpy as np
import pytest

from lrscout import Outcome
from lrscout.analyse.together import judge_together

P, D, OSC, S, C = (
    Outcome.PLATEAUED,
    Outcome.DIVERGING,
    Outcome.OSCILLATING,
    Outcome.TOO_SLOW,
    Outcome.CONVERGING,
)


def settled(alone: list[Outcome], losses: list[float], start: float = 1.0, training: list[float] | None = None) -> list:
    def shaped(values: list) -> np.ndarray:
        return np.array(values, object if isinstance(values[0], Outcome) else float).reshape(1, 3, 1)

    outcomes = shaped(alone)
    together = judge_together(
        outcomes,
        shaped(losses),
        start,
        below_best=np.array([[True], [False], [False]]),
        training=shaped(losses if training is None else training),
        training_start=np.full((1, 1, 1), start),
    )
    assert outcomes.ravel().tolist() == alone
    return together.ravel().tolist()


@pytest.mark.parametrize("alone", [P, D, OSC])
def test_a_low_rate_that_hardly_moved_is_too_slow_whatever_its_noise(alone: Outcome) -> None:
    assert settled([alone, C, C], [0.99, 0.0, 0.1]) == [S, C, C]


@pytest.mark.parametrize("alone", [D, OSC])
def test_a_low_rate_that_fell_does_not_diverge(alone: Outcome) -> None:
    assert settled([alone, C, C], [0.5, 0.0, 0.1]) == [P, C, C]


def test_a_high_rate_that_stands_above_the_start_diverges() -> None:
    assert settled([C, C, P], [0.5, 0.0, 1.5]) == [C, C, D]
    assert settled([C, C, P], [0.5, 0.0, np.inf]) == [C, C, D]


def test_a_high_rate_whose_evaluation_alone_stands_there_overfits() -> None:
    assert settled([C, C, P], [0.5, 0.0, 1.5], training=[0.5, 0.1, 0.0]) == [C, C, P]


def test_where_nothing_falls_each_run_speaks_for_itself() -> None:
    assert settled([P, D, OSC], [1.0, 1.1, 1.2]) == [P, D, OSC]
    assert settled([P, D, OSC], [1.0, 0.5, 1.2], start=np.nan) == [P, D, OSC]
