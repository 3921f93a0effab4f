"""Probes: what they cost, what they come back with, and that they are the same whoever takes them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lrscout.core.curve import Curve, Outcome, Stop
from lrscout.core.errors import InvalidValueError
from lrscout.core.progress import progress
from lrscout.core.schedules import NAMED, constant
from lrscout.core.source import source_of
from lrscout.lesson.engines import torch_engine
from lrscout.lesson.problem import sample_problem
from lrscout.measure.probing import Prober, Trial, evaluation_steps, late
from lrscout.runners import FleetRunner
from lrscout.runners.choose import runner_named
from tests.measure.searched import Descent, error_of, in_the_bowl, on_batches

CURVATURE = 2.0


def parabola(**how) -> Descent:
    """After n steps at a rate, x = (1 - rate curvature)^n."""
    return Descent(lambda x, generator: (CURVATURE * x @ x / 2, CURVATURE * x), [1.0], **how)


class Ledger:
    """A prober, and what it has kept."""

    def __init__(self, loop, seeds=(0,), runner="serial", finished=None) -> None:
        self.kept: dict[int, tuple[Curve, ...]] = {}
        with progress("find", 100) as bar:
            who = runner_named(runner)
            self.prober = Prober(source_of(loop), seeds, who, finished or {}, self.kept.__setitem__, bar)


def test_every_loss_is_the_closed_form_and_the_loop_is_home() -> None:
    descent = parabola()
    before = descent.bits
    prober = Ledger(descent.loop).prober
    trials = prober.try_rates([-3.0, -2.0], 10, constant())
    assert descent.bits == before
    assert [trial.lr for trial in trials] == [0.125, 0.25]
    for trial in trials:
        expected = (1 - trial.lr * CURVATURE) ** (2 * np.arange(10))
        np.testing.assert_allclose(trial.losses, expected, rtol=1e-12)
        assert trial.completed
        assert trial.late_training == pytest.approx(expected[5:].mean())
        assert late(trial.losses) == trial.late_training


@pytest.mark.parametrize("name", NAMED)
def test_a_schedule_is_squeezed_into_the_probe(name: str) -> None:
    (trial,) = Ledger(parabola().loop).prober.try_rates([-2.0], 20, NAMED[name]())
    rates = 0.25 * NAMED[name]()(np.arange(20), 20)
    expected = np.concatenate([[1.0], np.cumprod((1 - rates * CURVATURE) ** 2)[:-1]])
    np.testing.assert_allclose(trial.losses, expected, rtol=1e-12)
    np.testing.assert_array_equal(trial.curves[0].lrs, rates)


def test_the_ledger_counts_every_step_and_every_evaluation() -> None:
    descent = on_batches(evaluate=error_of)
    ledger = Ledger(descent.loop, seeds=(0, 7, 9))
    prober = ledger.prober
    prober.try_rates([-8.0, -7.0], 12, constant(), (6, 12))
    assert (prober.seeds, prober.steps, prober.evaluations) == (3, 3 * 2 * 12, 3 * 2 * 2)
    assert descent.ever == prober.steps
    assert prober.spent == prober.steps + prober.evaluations * evaluation_steps(descent.loop)
    prober.stand_still(4)
    assert prober.steps == 72 + 12 == descent.ever
    assert sorted(ledger.kept) == list(range(9))
    assert all(len(curves) == 1 for curves in ledger.kept.values())


def test_a_run_that_breaks_off_costs_what_it_took() -> None:
    descent = parabola()
    prober = Ledger(descent.loop).prober
    (trial,) = prober.try_rates([300.0], 50, constant())
    assert not trial.completed
    assert (trial.late_training, trial.evaluation) == (math.inf, math.inf)
    assert prober.steps == len(trial.losses) == descent.ever < 50
    shown = trial.probe(trial.late_training, 2)
    assert (shown.outcome, shown.score, shown.steps, shown.rung) == (Outcome.NON_FINITE, math.inf, 50, 2)
    assert shown.curve is trial.curves[0]


def test_standing_still_moves_nothing_on_the_same_batches() -> None:
    descent = on_batches()
    prober = Ledger(descent.loop, seeds=(3,)).prober
    still = prober.stand_still(8)
    descent.loop.reseed(3)
    expected = []
    for _ in range(8):
        expected.append(descent.loop.step(0.0))
    np.testing.assert_allclose(still.losses, expected, rtol=1e-9)
    assert np.ptp(still.losses) > 0


def test_seeds_are_other_batches_and_a_trial_is_their_mean() -> None:
    descent = on_batches(evaluate=error_of)
    (both,) = Ledger(descent.loop, seeds=(1, 2)).prober.try_rates([-6.0], 9, constant(), (9,))
    singles = [Ledger(descent.loop, seeds=(seed,)).prober.try_rates([-6.0], 9, constant(), (9,))[0] for seed in (1, 2)]
    assert singles[0].losses.tolist() != singles[1].losses.tolist()
    np.testing.assert_allclose(both.losses, np.mean([single.losses for single in singles], axis=0))
    assert both.evaluation == pytest.approx(np.mean([single.evaluation for single in singles]))
    steps, losses = both.evaluations
    assert steps.tolist() == [9]
    assert losses[-1] == both.evaluation


def test_the_noise_is_that_of_independent_losses() -> None:
    generator = np.random.default_rng(0)
    losses = 5 + generator.normal(0, 0.3, 4000)
    curve = Curve(np.full(4000, 0.1), losses, Stop.COMPLETED)
    assert Trial(-3.0, 4000, (curve,)).noise == pytest.approx(0.3, rel=0.1)


def test_runs_that_are_kept_are_not_taken_again() -> None:
    first = Ledger(on_batches().loop, seeds=(0, 1))
    expected = first.prober.try_rates([-8.0, -7.0, -6.0], 10, constant())
    for known in (range(6), [0, 2, 5], [1]):
        descent = on_batches()
        finished = {number: first.kept[number] for number in known}
        again = Ledger(descent.loop, seeds=(0, 1), finished=finished)
        trials = again.prober.try_rates([-8.0, -7.0, -6.0], 10, constant())
        assert [trial.losses.tolist() for trial in trials] == [trial.losses.tolist() for trial in expected]
        assert descent.ever == 10 * (6 - len(finished))
        assert sorted({**again.kept, **finished}) == list(range(6))
        assert not again.kept.keys() & finished.keys()
        assert again.prober.steps == first.prober.steps  # What was spent on the answer, whenever that was.


@pytest.mark.parametrize("lanes", [1, 2, 8])
def test_a_fleet_of_any_size_takes_the_same_runs(lanes: int) -> None:
    serial = Ledger(torch_engine(sample_problem()).loop, seeds=(0, 1))
    expected = serial.prober.try_rates([-3.0, -2.0, -1.0], 15, constant())
    fleet = Ledger(torch_engine(sample_problem()).loop, seeds=(0, 1), runner=FleetRunner(lanes=lanes))
    trials = fleet.prober.try_rates([-3.0, -2.0, -1.0], 15, constant())
    for trial, other in zip(trials, expected, strict=True):
        np.testing.assert_allclose(trial.losses, other.losses, rtol=1e-5)
    assert fleet.prober.steps == serial.prober.steps
    assert fleet.kept.keys() == serial.kept.keys()
    for number, (curve,) in fleet.kept.items():
        (other,) = serial.kept[number]
        assert curve.seed == other.seed
        np.testing.assert_array_equal(curve.lrs, other.lrs)


def test_why_there_was_no_fleet_is_said_once() -> None:
    prober = Ledger(in_the_bowl().loop, runner="fleet").prober
    for _ in range(3):
        prober.try_rates([-3.0, -2.0], 4, constant())
    (note,) = prober.notes
    assert "not as a fleet" in note


def test_a_schedule_that_returns_too_few_factors() -> None:
    with pytest.raises(InvalidValueError, match="schedule must return"):
        Ledger(in_the_bowl().loop).prober.try_rates([-3.0], 10, lambda step, total: np.ones(3))
