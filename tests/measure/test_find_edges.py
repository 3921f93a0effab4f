"""`find` where there is no answer, or hardly one: each time a sentence, and a loop that is at home."""

from __future__ import annotations

import math
import signal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lrscout
from lrscout.core.errors import InvalidValueError, StoreError, UnsupportedLoopError
from lrscout.lesson.engines import torch_engine
from lrscout.lesson.problem import sample_problem
from lrscout.runners import FleetRunner
from lrscout.store.store import open_store
from tests.measure.searched import (
    INPUTS,
    TARGETS,
    Descent,
    bowl,
    error_of,
    in_the_bowl,
    on_batches,
    regression,
)

WAYS: dict[str, dict[str, Any]] = {
    "steps": {"steps": 300},
    "constant": {"steps": 300, "schedule": "constant"},
    "target": {"target_loss": 1e-3},
    "worth": {},
}


@pytest.fixture(params=WAYS)
def asked(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What is asked of `find`."""
    return WAYS[request.param]


def answer(descent: Descent, **asked: Any) -> lrscout.Recommendation:
    """Find a rate, and check that the loop stands where it stood."""
    for _ in range(3):
        descent.loop.step(1e-4)
    before = descent.bits
    try:
        return lrscout.find(descent.loop, **asked)
    finally:
        assert descent.bits == before


def refused(descent: Descent, **asked: Any) -> str:
    recommendation = answer(descent, **asked)
    assert (recommendation.lr, recommendation.low, recommendation.high) == (None, None, None)
    assert recommendation.to_dict()["lr"] is None
    assert str(recommendation).startswith("No learning rate: ")
    return recommendation.reasons[0]


class BreaksAtABatch(Descent):
    """A bowl with a batch whose loss is not finite, whatever the rate."""

    def __init__(self, batch: int, **how: Any) -> None:
        super().__init__(lambda x, generator: self._loss(x), np.ones(3), **how)
        self._batch = batch + 3  # `answer` takes three steps before.

    def _loss(self, x: np.ndarray) -> tuple[Any, np.ndarray]:
        loss, gradient = bowl(x, self._generator)
        return (math.nan if self.state["steps"] >= self._batch else loss), gradient


def test_a_loss_that_is_not_finite_from_the_first_step(asked: dict[str, Any]) -> None:
    for loss in (math.nan, math.inf, -math.inf):
        reason = refused(Descent(partial(lambda x, generator, loss: (loss, x), loss=loss), np.ones(3)), **asked)
        assert reason == "The loss is not a finite number before anything has moved. Look at the data and the loss."


def test_a_gradient_that_is_not_finite(asked: dict[str, Any]) -> None:
    descent = Descent(lambda x, generator: (bowl(x, generator)[0], x * math.nan), np.ones(3))
    recommendation = lrscout.find(descent.loop, **asked)
    assert recommendation.lr is None
    assert "is not a finite number at step 2, even at a rate too small to move" in recommendation.reasons[0]


@pytest.mark.parametrize("batch", [4, 9, 20])
def test_a_batch_that_is_not_finite_is_not_the_rates_fault(batch: int, asked: dict[str, Any]) -> None:
    recommendation = answer(BreaksAtABatch(batch), **asked)
    if recommendation.lr is None:
        assert f"not a finite number at step {batch + 1}, even at a rate too small" in recommendation.reasons[0]
    else:
        # It did not come as far as the batch.
        assert all(probe.steps <= batch + 1 for probe in recommendation.probes)
    assert recommendation.cost.steps < 1000


def test_a_loss_that_never_moves(asked: dict[str, Any]) -> None:
    still = Descent(lambda x, generator: (2.0, 0 * x), np.ones(3))
    noisy = Descent(lambda x, generator: (2.0 + generator.normal(), 0 * x), np.ones(3))
    at_rest = Descent(bowl, np.zeros(3))
    for descent in (still, noisy, at_rest):
        assert refused(descent, **asked).startswith("The loss takes the same course at every rate up to ")


def test_a_loop_that_ignores_the_rate(asked: dict[str, Any]) -> None:
    state = {"x": 1.0}

    def step(lr: float) -> float:
        loss = state["x"]
        state["x"] *= 0.9
        return loss

    recommendation = lrscout.find(lrscout.from_functions(step, state.copy, state.update, lr=0.1), **asked)
    assert recommendation.lr is None
    assert "whether the step uses the rate" in recommendation.reasons[0]
    assert state == {"x": 1.0}


def test_a_loss_that_falls_at_every_rate(asked: dict[str, Any]) -> None:
    linear = Descent(lambda x, generator: (x.sum(), np.ones(3)), np.ones(3))
    on_noise = Descent(lambda x, generator: (x.sum() + generator.normal(), np.ones(3)), np.ones(3))
    concave = Descent(lambda x, generator: (-(x @ x), -2 * x), np.ones(3))
    for descent in (linear, on_noise, concave):
        reason = refused(descent, **{**asked, **({"target_loss": -1e9} if "target_loss" in asked else {})})
        assert reason.startswith("The loss falls, or stays, at every rate up to ")


def test_a_loss_that_rises_at_every_rate(asked: dict[str, Any]) -> None:
    uphill = Descent(lambda x, generator: (bowl(x, generator)[0], -bowl(x, generator)[1]), np.ones(3))
    assert refused(uphill, **asked).startswith("The first steps raise the loss at every rate that was tried, down to ")


def brier(x: np.ndarray, generator: np.random.Generator) -> tuple[Any, np.ndarray]:
    """Squared errors of probabilities, which stay below 1 at any rate."""
    told = (TARGETS > 0) * 1.0
    shares = 1 / (1 + np.exp(-INPUTS @ x))
    return np.mean((shares - told) ** 2), INPUTS.T @ (2 * (shares - told) * shares * (1 - shares)) / len(INPUTS)


def test_a_bounded_loss_that_no_rate_harms_is_answered() -> None:
    recommendation = answer(Descent(brier, np.zeros(6)), steps=300, schedule="constant")
    assert recommendation.lr is not None
    ends = {lr: Descent(brier, np.zeros(6)) for lr in (recommendation.lr, *2.0 ** np.arange(-8, 16, 2.0))}
    losses = {lr: [descent.loop.step(lr) for _ in range(300)][-1] for lr, descent in ends.items()}
    assert losses[recommendation.lr] - min(losses.values()) < 0.05 * (0.25 - min(losses.values()))


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("budget", [0.01, 0.5, 100.0])
@pytest.mark.parametrize("schedule", ["constant", "linear", "wsd", "one-cycle"])
def test_few_steps(steps: int, budget: float, schedule: str) -> None:
    recommendation = answer(in_the_bowl(), steps=steps, budget=budget, schedule=schedule)
    assert recommendation.lr is not None
    assert recommendation.lr < 0.5  # The limit of stability.
    assert recommendation.low <= recommendation.lr <= recommendation.high
    assert recommendation.cost.step_equivalents <= max(30, budget * steps)
    assert str(recommendation).startswith("For 1 step " if steps == 1 else f"For {steps} steps ")


def test_a_budget_of_nothing_spends_nothing() -> None:
    descent = in_the_bowl()
    assert "budget of 0" in refused(descent, steps=100, budget=0)
    assert descent.ever == 3  # Those of `answer`.


def test_a_budget_too_small_for_a_race_says_so() -> None:
    recommendation = answer(on_batches(), steps=100, budget=1e-9)
    assert recommendation.lr is not None
    assert recommendation.probes == ()
    assert "too small for a race" in recommendation.reasons[0]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"steps": 2.5}, "steps must be a whole number"),
        ({"steps": "many"}, "steps must be a whole number"),
        ({"steps": 100, "budget": math.nan}, "budget must be a share"),
        ({"steps": 100, "budget": -0.5}, "budget must be a share"),
        ({"steps": 100, "budget": math.inf}, "budget must be a share"),
        ({"steps": 100, "budget": "half"}, "budget must be a share"),
        ({"steps": 100, "budget": None}, "budget must be a share"),
        ({"steps": 100, "seeds": 0}, "seeds must be at least 1"),
        ({"steps": 100, "seeds": [1, 1]}, "seeds must be different"),
        ({"steps": 100, "schedule": "steep"}, "schedule must be one of"),
        ({"steps": 100, "schedule": lambda step, total: np.zeros(len(step))}, "schedule must let some step move"),
        ({"steps": 100, "schedule": lambda step, total: -np.ones(len(step))}, "schedule must return a finite factor"),
        ({"steps": 100, "schedule": lambda step, total: 1.0}, "schedule must return a finite factor"),
        ({"steps": 100, "runner": "foot"}, "runner must be one of"),
        ({"target_loss": math.nan}, "target_loss must be a finite number"),
        ({"target_loss": "low"}, "target_loss must be a finite number"),
        ({"target_loss": 0.1, "schedule": "linear"}, "With target_loss the rate is constant"),
    ],
)
def test_values_that_no_search_could_use(asked: dict[str, Any], sentence: str) -> None:
    descent = in_the_bowl()
    with pytest.raises(InvalidValueError, match=sentence):
        answer(descent, **asked)
    assert descent.ever == 3  # Those of `answer`.


def test_a_schedule_that_fails_for_another_length_is_told_from_a_broken_loop() -> None:
    def only_for(step: np.ndarray, total: int) -> np.ndarray:
        return np.ones(2) if total < 1000 else 1 - step / total

    with pytest.raises(InvalidValueError, match="schedule must return a finite factor"):
        answer(on_batches(), steps=1000, schedule=only_for)


class InAWarmup:
    """A loop whose own rate is still zero."""

    lr = 0.0

    def __init__(self, loop: Any) -> None:
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


def test_a_loop_whose_own_rate_is_zero(asked: dict[str, Any], tmp_path: Path) -> None:
    recommendation = lrscout.find(InAWarmup(on_batches().loop), store=tmp_path / "kept.db", **asked)
    expected = answer(on_batches(), **asked)
    if expected.lr is not None:
        assert abs(math.log2(recommendation.lr / expected.lr)) < 1.5


def test_numbers_of_numpy_are_numbers() -> None:
    plain = answer(in_the_bowl(), steps=300, budget=0.25)
    assert answer(in_the_bowl(), steps=np.int64(300), budget=np.float32(0.25)).lr == plain.lr


def test_what_is_no_loop() -> None:
    with pytest.raises(UnsupportedLoopError, match="loop must be a loop"):
        lrscout.find(42, 100)


def test_a_target_below_what_can_be_reached() -> None:
    raised = Descent(lambda x, generator: (bowl(x, generator)[0] + 1, bowl(x, generator)[1]), np.ones(3))
    recommendation = answer(raised, target_loss=0.5)
    (reason,) = recommendation.reasons
    assert recommendation.lr is None
    assert recommendation.cost.steps < 1000
    assert reason.startswith("A loss of 0.5 cannot be promised: the last 2 races, each three times as long, came less")
    assert "The lowest that was seen is 1," in reason


def test_a_target_that_is_reached_already() -> None:
    recommendation = answer(in_the_bowl(), target_loss=100)
    assert recommendation.lr is None
    assert recommendation.steps_needed.value == 0
    assert "so nothing has to be trained to reach 100." in str(recommendation)


def test_a_target_within_too_few_steps() -> None:
    reason = refused(on_batches(), target_loss=0.1, steps=5)
    assert "probes of at most 5 steps are too short to tell" in reason


def test_an_evaluation_that_is_not_possible_leaves_the_training_loss(asked: dict[str, Any]) -> None:
    def evaluate(x: np.ndarray, steps: int) -> float:
        raise UnsupportedLoopError("There is nothing to evaluate on.")

    without, unable = answer(in_the_bowl(), **asked), answer(in_the_bowl(evaluate=evaluate), **asked)
    assert unable.lr == without.lr
    assert unable.loss_name == "training loss"


def test_an_evaluation_that_raises(asked: dict[str, Any]) -> None:
    def evaluate(x: np.ndarray, steps: int) -> float:
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        answer(in_the_bowl(evaluate=evaluate), **asked)


def test_an_evaluation_that_raises_on_the_way(asked: dict[str, Any]) -> None:
    def evaluate(x: np.ndarray, steps: int) -> float:
        if steps > 20:
            raise OSError("the disk is gone")
        return error_of(x)

    asked = {**asked, **({"target_loss": 1e-9} if "target_loss" in asked else {"steps": 1000})}
    with pytest.raises(OSError, match="the disk is gone"):
        answer(on_batches(evaluate=evaluate), **asked)


def test_an_evaluation_that_is_not_finite(asked: dict[str, Any]) -> None:
    without = answer(in_the_bowl(), **asked)
    never = answer(in_the_bowl(evaluate=lambda x, steps: math.nan), **asked)
    assert never.lr == without.lr
    assert never.loss_name == "training loss"


@pytest.mark.parametrize("evaluate", [lambda x, steps: 5.0, lambda x, steps: math.nan if steps > 9 else error_of(x)])
def test_an_evaluation_that_tells_nothing(evaluate) -> None:
    recommendation = answer(on_batches(evaluate=evaluate), steps=1000)
    assert recommendation.loss_name == "training loss"
    assert abs(math.log2(recommendation.lr / answer(on_batches(), steps=1000).lr)) < 1.5
    assert refused(on_batches(evaluate=evaluate), target_loss=1e-3).startswith("A loss of 0.001 cannot be promised")


@pytest.mark.parametrize("at", [1, 5, 13, 40, 90])
def test_a_step_that_raises(at: int, asked: dict[str, Any]) -> None:
    def break_off(step: int) -> None:
        if step == at + 3:
            raise ValueError("a layer broke")

    with pytest.raises(ValueError, match="a layer broke"):
        answer(on_batches(at_step=break_off), **{**asked, **({"target_loss": 1e-9} if "target_loss" in asked else {})})


@pytest.mark.parametrize("at", [1, 5, 13, 40, 90])
def test_control_c(at: int, asked: dict[str, Any]) -> None:
    def interrupt(step: int) -> None:
        if step == at + 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        answer(on_batches(at_step=interrupt), **{**asked, **({"target_loss": 1e-9} if "target_loss" in asked else {})})


class Interrupted(FleetRunner):
    """A fleet that is interrupted after some blocks."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.left = blocks

    def run(self, source, blocks, bar):
        for finished in super().run(source, blocks, bar):
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            yield finished


def line(seed: int = 0) -> Any:
    return torch_engine(sample_problem(seed)).loop


@pytest.mark.parametrize("runner", ["fleet", "serial"])
@pytest.mark.parametrize("blocks", [0, 3, 9])
def test_an_interrupted_study_goes_on_where_it_was(blocks: int, runner: str, tmp_path: Path) -> None:
    expected = lrscout.find(line, 300, seeds=2)
    place = tmp_path / "kept.db"
    with pytest.raises(KeyboardInterrupt):
        lrscout.find(line, 300, seeds=2, store=place, study="one", runner=Interrupted(blocks))
    (summary,) = open_store(place).studies()
    assert (summary.kind, summary.finished) == ("find", False)
    kept = summary.curves
    assert kept >= blocks
    # With the other runner the blocks are others, but the runs are the same.
    continued = lrscout.find(line, 300, seeds=2, store=place, study="one", runner=runner)
    assert continued.lr == pytest.approx(expected.lr, rel=1e-3)
    assert [probe.steps for probe in continued.probes] == [probe.steps for probe in expected.probes]
    (summary,) = open_store(place).studies()
    assert summary.finished
    assert summary.curves > kept


def test_a_finished_study_is_read_and_not_run_again(tmp_path: Path) -> None:
    place = tmp_path / "kept.db"
    descent = on_batches()
    first = lrscout.find(descent.loop, 300, store=place, study="one")
    taken = descent.ever
    again = lrscout.find(descent.loop, 300, store=place, study="one", runner="serial")
    assert descent.ever - taken == 3  # Those that tell one model from another.
    assert again.to_dict() == first.to_dict()


def test_a_study_is_not_continued_with_another_question(tmp_path: Path) -> None:
    place = tmp_path / "kept.db"
    lrscout.find(on_batches().loop, 300, store=place, study="one")
    for asked in ({"steps": 400}, {"budget": 0.25}, {"seeds": 2}, {"schedule": "cosine"}, {"target_loss": 0.1}):
        asked = {"steps": 300} | asked
        with pytest.raises(InvalidValueError, match=next(name for name in reversed(asked))):
            lrscout.find(on_batches().loop, store=place, study="one", **asked)
    with pytest.raises(InvalidValueError, match="losses of the first steps"):
        lrscout.find(Descent(regression, np.ones(6)).loop, 300, store=place, study="one")


def test_a_store_that_cannot_be_used(tmp_path: Path) -> None:
    descent = on_batches()
    before = descent.bits
    (tmp_path / "taken").write_text("no database")
    with pytest.raises(StoreError):
        lrscout.find(descent.loop, 300, store=tmp_path / "taken")
    assert descent.bits == before
