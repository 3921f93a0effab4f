"""A guarded run: a bare one where nothing goes wrong, and one that gets home where something does."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

import lrscout
from lrscout.analyse.guarding import Guarding
from lrscout.core.curve import Stop
from lrscout.core.errors import InvalidValueError, UnsupportedLoopError
from lrscout.core.schedules import NAMED
from lrscout.measure.guard import guard
from lrscout.measure.planned_schedule import PlannedSchedule
from lrscout.measure.safeguard import Safeguard
from lrscout.pictures import draw
from tests.battery import BreaksInTheMiddle, bits
from tests.loops import cases_functions, cases_jax, cases_keras, cases_sklearn, cases_tensorflow, cases_torch
from tests.pictures.looking import axes_for, render
from tests.problems import quadratic_loop, scripted_loop

CASES = {
    f"{module.__name__.rpartition('_')[2]}-{name}": module.CASES[name]
    for module in (cases_functions, cases_jax, cases_keras, cases_sklearn, cases_tensorflow, cases_torch)
    for name in list(module.CASES)[:1]
}


@dataclass
class Recommendation:
    """The attributes that `guard` reads."""

    lr: float | None = 0.1
    steps: int | None = 20
    schedule: Any = "constant"
    max_stable_lr: float | None = None


def state_of(case: Any) -> dict[str, Any]:
    return {name: bits(part.read()) for name, part in case.parts.items() if name != "place"}


@pytest.mark.parametrize("name", CASES)
def test_where_nothing_goes_wrong_every_step_is_a_bare_one(name: str) -> None:
    guarded = CASES[name]()
    factors = NAMED["linear"]()(np.arange(24), 24).tolist()
    run = guard(guarded.loop, lr=1e-4, steps=24, schedule="linear", every=8, say=None)
    assert run.rollbacks == ()
    state = state_of(guarded)
    bare = CASES[name]()  # Only now, since both draw from the same global generators.
    assert bits(run.curve.losses.tolist()) == bits([bare.loop.step(1e-4 * factor) for factor in factors])
    assert state == state_of(bare)


def recording(loop: Any) -> list[str]:
    """Note what a loop is asked, and how many snapshots there are of it at a time."""
    told: list[str] = []
    for name in ("snapshot", "restore", "reseed", "evaluate"):
        own = getattr(loop, name)
        setattr(loop, name, lambda *given, name=name, own=own: (told.append(name), own(*given))[1])
    return told


def test_there_is_never_more_than_one_snapshot_and_never_a_new_seed() -> None:
    alive, most = [0], [0]

    class Copy:
        def __init__(self, place: float) -> None:
            self.place = place
            alive[0] += 1
            most[0] = max(most[0], alive[0])

        def __del__(self) -> None:
            alive[0] -= 1

    place = [1.0]

    def step(lr: float) -> float:
        loss = place[0] ** 2
        place[0] -= 2 * lr * place[0]
        return loss

    loop = lrscout.from_functions(step, lambda: Copy(place[0]), lambda copy: place.__setitem__(0, copy.place), lr=0.1)
    told = recording(loop)
    run = guard(loop, lr=0.01, steps=640, schedule="constant", every=64, say=None)
    assert told.count("snapshot") > 5
    assert most[0] == 1
    assert "reseed" not in told
    assert "restore" not in told
    assert run.cost.steps == run.curve.steps == 640


@pytest.mark.parametrize(("over", "halvings"), [(1.5, 1), (3.0, 2), (6.0, 3), (1000.0, 10)])
def test_a_quadratic_ends_at_the_first_stable_half(over: float, halvings: int) -> None:
    limit = 2 / 4.0
    said: list[str] = []
    loop = quadratic_loop((4.0, 0.5))
    run = guard(loop, lr=over * limit, steps=400, schedule="constant", halvings=12, say=said.append)
    assert len(run.rollbacks) == halvings == len(said)
    assert run.lr == over * limit / 2**halvings < limit
    assert run.curve.stopped is Stop.COMPLETED
    assert run.curve.steps == 400
    assert run.cost.steps == 400 + run.retaken == 400 + sum(rollback.lost for rollback in run.rollbacks)
    expected = quadratic_loop((4.0, 0.5))
    np.testing.assert_array_equal(run.curve.losses, [expected.step(run.lr) for _ in range(400)])
    assert said[0] == str(run.rollbacks[0])
    assert "goes back by" in said[0]


def deviation_loop(width: float = 0.03, seed: int = 0):
    """A density whose width is learned: the curvature rises as the width shrinks, with its square."""
    state: dict[str, Any] = {"generator": np.random.default_rng(seed), "mean": 0.0, "width": 0.0}

    def snapshot() -> Any:
        return state["generator"].bit_generator.state, state["mean"], state["width"]

    def restore(copy: Any) -> None:
        state["generator"].bit_generator.state, state["mean"], state["width"] = copy

    def step(lr: float) -> float:
        sample = state["generator"].normal(1.0, width, 64)
        with np.errstate(all="ignore"):
            away = (sample - state["mean"]) * np.exp(-state["width"])
            loss = float(np.mean(away**2 / 2) + state["width"])
            state["mean"] += lr * float(np.mean(away) * np.exp(-state["width"]))
            state["width"] -= lr * float(1 - np.mean(away**2))
        return loss

    return lrscout.from_functions(step, snapshot, restore, lr=0.01)


def factorisation_loop(seed: int = 0):
    """A matrix as a product of two that begin near zero: its curvature at the saddle is the smallest of the way."""
    generator = np.random.default_rng(seed)
    target = np.diag(np.geomspace(5.0, 0.05, 10))
    state = {"first": 0.03 * generator.normal(size=(10, 10)), "second": 0.03 * generator.normal(size=(10, 10))}

    def step(lr: float) -> float:
        with np.errstate(all="ignore"):
            away = state["first"] @ state["second"] - target
            first, second = away @ state["second"].T, state["first"].T @ away
            loss = float((away**2).sum() / 2)
            state["first"], state["second"] = state["first"] - lr * first, state["second"] - lr * second
        return loss

    return lrscout.from_functions(step, state.copy, state.update, lr=0.1)


def end_of(losses: np.ndarray) -> float:
    return float(np.median(losses[-len(losses) // 10 :]))


@pytest.mark.parametrize("octaves", [1, 2, 3])
@pytest.mark.parametrize(
    ("make", "good", "schedule"),
    [(factorisation_loop, 0.2, "constant"), (factorisation_loop, 0.25, "linear"), (deviation_loop, 0.0625, "linear")],
)
def test_where_curvature_rises_late_it_ends_close_to_what_a_good_rate_gets(
    make: Callable, good: float, schedule: str, octaves: int
) -> None:
    best = guard(make(), lr=good, steps=300, schedule=schedule, say=None, every=64)
    assert best.rollbacks == ()
    run = guard(make(), lr=good * 2**octaves, steps=300, schedule=schedule, say=None, every=64)
    start, end = best.curve.losses[0], end_of(best.curve.losses)
    assert end_of(run.curve.losses) < end + 0.2 * (start - end)
    assert run.curve.stopped is Stop.COMPLETED


def test_a_jump_to_a_high_plateau_is_lost_though_nothing_rises_any_more() -> None:
    """As where every unit of a network has died: high above the best, below the start, finite, and still."""
    state = {"step": 0, "dead": False}

    def step(lr: float) -> float:
        place = state["step"]
        state["step"] += 1
        state["dead"] = state["dead"] or (place >= 150 and lr > 0.3)
        noise = 0.01 * math.sin(1.7 * place * place)
        return (2.0 if state["dead"] else 2.3 * 0.98**place + 0.1) + noise

    loop = lrscout.from_functions(step, state.copy, state.update, lr=1.0)
    run = guard(loop, lr=1.0, steps=600, schedule="constant", say=None, every=64)
    assert [rollback.back_to for rollback in run.rollbacks] == [128, 128]
    assert all("stayed" in rollback.reason for rollback in run.rollbacks)
    assert run.lr == 0.25
    assert run.curve.losses[-1] < 0.2


def test_a_jump_in_the_last_steps_is_taken_back_before_the_run_returns() -> None:
    def losses(lr: float, place: int) -> float:
        return 5.0 + 3.0 * (place - 196) if place > 196 and lr > 0.6 else 0.99**place

    place = [0]

    def step(lr: float) -> float:
        place[0] += 1
        return losses(lr, place[0] - 1)

    loop = lrscout.from_functions(step, place.copy, lambda copy: place.__setitem__(0, copy[0]), lr=1.0)
    run = guard(loop, lr=1.0, steps=200, schedule="constant", say=None, every=64)
    assert [(rollback.step, rollback.back_to) for rollback in run.rollbacks] == [(199, 192)]
    np.testing.assert_allclose(run.curve.losses, 0.99 ** np.arange(200))
    assert run.retaken == 8


def evaluated_loop(evaluate: Callable[[int, float], float]):
    """A loop whose losses fall, and whose evaluation depends on the step and on the last rate."""
    state = {"step": 0, "lr": 0.0}

    def step(lr: float) -> float:
        state["step"] += 1
        state["lr"] = lr
        return 0.99 ** (state["step"] - 1)

    return lrscout.from_functions(step, state.copy, state.update, lambda: evaluate(state["step"], state["lr"]), lr=1.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 50.0])
def test_the_last_update_is_judged_by_the_evaluation(bad: float) -> None:
    loop = evaluated_loop(lambda step, lr: bad if step == 200 and lr > 0.3 else 0.99**step)
    run = guard(loop, lr=1.0, steps=200, schedule="constant", say=None, every=64)
    assert [rollback.back_to for rollback in run.rollbacks] == [192, 192]
    assert run.loss == 0.99**200
    assert run.curve.evaluated_at.tolist() == [0, 192, 200]
    unseen = guard(evaluated_loop(lambda *_: bad), lr=1.0, steps=200, schedule="constant", say=None, evaluate=False)
    assert unseen.rollbacks == ()


def test_overfitting_is_no_divergence() -> None:
    run = guard(evaluated_loop(lambda step, lr: 1 + 0.02 * step), lr=1.0, steps=200, schedule="constant", say=None)
    assert run.rollbacks == ()


def test_a_batch_that_is_bad_once_costs_one_halving() -> None:
    bad = [True]

    def step(lr: float) -> float:
        place[0] += 1
        if place[0] == 101 and bad[0]:
            bad[0] = False
            return math.nan
        return 0.99 ** place[0]

    place = [0]
    loop = lrscout.from_functions(step, place.copy, lambda copy: place.__setitem__(0, copy[0]), lr=1.0)
    run = guard(loop, lr=1.0, steps=200, say=None, every=64)
    assert [(rollback.step, rollback.back_to, rollback.reason) for rollback in run.rollbacks] == [
        (100, 64, "the loss was not finite")
    ]
    np.testing.assert_allclose(run.curve.losses, 0.99 ** np.arange(1, 201.0), rtol=1e-12)
    np.testing.assert_array_equal(
        run.curve.lrs, np.where(np.arange(200) < 64, 1, 0.5) * NAMED["linear"]()(np.arange(200), 200)
    )


def test_what_no_rate_mends_is_given_up_at_the_last_good_snapshot() -> None:
    losses = [0.99**step for step in range(100)] + [math.nan]
    said: list[str] = []
    loop = scripted_loop(losses)
    run = guard(loop, lr=1.0, steps=200, say=said.append, every=64, halvings=3)
    assert run.curve.stopped is Stop.DIVERGED
    assert run.curve.steps == 64
    assert loop.step(1.0) == losses[64]
    assert [rollback.new_lr for rollback in run.rollbacks] == [0.5, 0.25, 0.125, None]
    assert run.lr == 0.125
    assert said[-1].endswith("ends there.")
    assert "given up after 64 good steps" in str(run)


def test_a_loss_that_is_none_from_the_first_step_on_is_soon_given_up() -> None:
    run = guard(scripted_loop([math.nan]), lr=1.0, steps=200, say=None)
    assert run.curve.steps == 0
    assert run.cost.steps == 3
    assert run.loss is None
    assert run.curve.stopped is Stop.DIVERGED


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("break_off", "kind"),
    [
        (lambda: _raise(RuntimeError("a layer broke")), RuntimeError),
        (lambda: signal.raise_signal(signal.SIGINT), KeyboardInterrupt),
    ],
    ids=["error", "control-c"],
)
def test_a_loop_that_raises_stays_where_it_is_and_the_error_holds_the_run(break_off: Callable, kind: type) -> None:
    own = quadratic_loop()
    with pytest.raises(kind) as caught:
        guard(BreaksInTheMiddle(own, break_off), lr=0.1, steps=50, schedule="constant", say=None)  # pyright: ignore
    bare = quadratic_loop()
    losses = [bare.step(0.1) for _ in range(10)]
    run = caught.value.guarded_run
    np.testing.assert_array_equal(run.curve.losses, losses[:9])
    assert own.step(0.1) == bare.step(0.1)


@cache
def late_divergence(unit: float, zero: float) -> list[tuple[int, int, float | None]]:
    own = factorisation_loop()
    step = own.step
    loop = lrscout.from_functions(lambda lr: zero + unit * step(lr), own._snapshot, own._restore, lr=0.1)
    run = guard(loop, lr=2.0, steps=300, schedule="constant", say=None, every=64)
    return [(rollback.step, rollback.back_to, rollback.new_lr) for rollback in run.rollbacks]


@pytest.mark.parametrize(("unit", "zero"), [(2.0**20, 0.0), (2.0**-20, 0.0), (1e6, 0.0), (1.0, -64.0), (1.0, 1e3)])
def test_neither_the_unit_nor_the_zero_of_the_loss_matters(unit: float, zero: float) -> None:
    expected = late_divergence(1.0, 0.0)
    assert len(expected) >= 2
    assert late_divergence(unit, zero) == expected


def test_dear_snapshots_come_more_rarely_unless_a_number_is_asked_for() -> None:
    now = [0.0]

    def save() -> None:
        now[0] += 5.0  # As long as five steps.

    def kept(*, may_put_off: bool) -> int:
        taken = []
        guarding = Guarding(4096, every=64)
        safeguard = Safeguard(
            guarding,
            lambda: taken.append(save()),
            lambda snapshot: None,
            halvings=1,
            say=None,
            may_put_off=may_put_off,
            clock=lambda: now[0],
        )
        safeguard.begin()
        for step in range(4096):
            now[0] += 1.0
            assert safeguard.update(step, 0.1, 0.999**step) is None
        assert (safeguard.every == 64) is not may_put_off
        return len(taken)

    assert kept(may_put_off=False) == 64
    assert 5 * kept(may_put_off=True) < 0.025 * 4096


def test_what_is_recommended_is_taken_unless_it_is_told_apart() -> None:
    run = guard(quadratic_loop(), Recommendation(lr=0.1, steps=12), say=None)
    np.testing.assert_array_equal(run.curve.lrs, np.full(12, 0.1))
    run = guard(quadratic_loop(), Recommendation(), lr=0.2, steps=4, schedule="linear", say=None)
    np.testing.assert_allclose(run.curve.lrs, [0.2, 0.15, 0.1, 0.05])
    planned = PlannedSchedule("wsd", NAMED["wsd"](), 40)
    run = guard(quadratic_loop(), Recommendation(schedule=planned), say=None)
    np.testing.assert_allclose(run.curve.lrs, 0.1 * NAMED["wsd"]()(np.arange(20), 20))
    run = guard(quadratic_loop(), Recommendation(schedule=NAMED["cosine"]()), say=None)
    np.testing.assert_allclose(run.curve.lrs, 0.1 * NAMED["cosine"]()(np.arange(20), 20))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"lr": 0.1}, "steps is None"),
        ({"steps": 5}, "lr is None"),
        ({"lr": -1.0, "steps": 5}, "lr must be"),
        ({"lr": 1.0, "steps": 0}, "steps must be"),
        ({"lr": 1.0, "steps": 5, "schedule": "spiral"}, "schedule must be one of"),
        ({"lr": 1.0, "steps": 5, "schedule": lambda step, total: -step}, "not below zero"),
        ({"lr": 1.0, "steps": 5, "every": 0}, "every must be"),
        ({"lr": 1.0, "steps": 5, "halvings": -1}, "halvings must be"),
    ],
)
def test_what_is_wrong_is_told_before_the_first_step(given: dict, words: str) -> None:
    loop = quadratic_loop()
    told = recording(loop)
    with pytest.raises(InvalidValueError, match=words):
        guard(loop, **given)
    assert told == []
    with pytest.raises(UnsupportedLoopError):
        guard(object(), lr=0.1, steps=5)  # pyright: ignore


def test_the_result_says_itself_in_every_way() -> None:
    quiet = guard(quadratic_loop(), lr=0.1, steps=50, say=None)
    assert str(quiet).startswith("The run took its 50 steps at lr 0.1, and nothing had to be taken back.")
    run = guard(quadratic_loop(), lr=1.0, steps=400, schedule="constant", say=None)
    told = run.to_dict()
    assert told["cost"]["retaken"] == run.retaken > 0
    assert told["rollbacks"][0]["back_to"] == 0
    assert told["losses"] == run.curve.losses.tolist()
    assert run.to_json()
    assert f"{run.retaken} of the steps were taken back" in str(run)
    given_up = guard(scripted_loop([math.nan]), lr=1.0, steps=20, say=None)
    for one in (quiet, run, given_up):
        render(draw(one, axes_for()))
