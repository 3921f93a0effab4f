"""How runs are put together into fleets, whatever fleets are made of."""

from __future__ import annotations

import numpy as np
import pytest

import lrscout
from lrscout.analyse.stop import BeyondReturn
from lrscout.core.errors import FleetUnavailableError, InvalidValueError
from lrscout.core.progress import Bar
from lrscout.core.source import GivenLoop
from lrscout.runners import fleet as fleets
from lrscout.runners.fleet import FleetRunner
from lrscout.runners.plan import Run, blocks_of
from lrscout.runners.serial import SerialRunner
from tests.problems import quadratic_loop

STEPS = 60


class Squares:
    """A loop on `x^2 / 2` that can be a fleet, and keeps note of the fleets that it was."""

    def __init__(self, lane_bytes: int = 100, refuses: bool = False) -> None:
        self.lr, self.x = 0.1, 1.0
        self.sizes: list[int] = []
        self._lane_bytes, self._refuses = lane_bytes, refuses

    def step(self, lr: float) -> float:
        before = self.x * self.x / 2
        self.x -= lr * self.x
        return before

    def evaluate(self) -> float:
        return self.x * self.x / 2

    def snapshot(self) -> float:
        return self.x

    def restore(self, snapshot) -> None:
        self.x = snapshot

    def reseed(self, seed: int) -> None: ...

    def lane_bytes(self) -> int:
        return self._lane_bytes

    def fleet(self, size: int, steps: int) -> Lanes:
        if self._refuses:
            raise FleetUnavailableError("it does not want to.")
        self.sizes.append(size)
        return Lanes(np.full(size, self.x))


class Lanes:
    def __init__(self, x) -> None:
        self._x, self.size = x, len(x)

    def advance(self, lrs):
        losses = []
        with np.errstate(over="ignore", invalid="ignore"):
            for row in lrs:
                losses.append(self._x * self._x / 2)
                self._x = self._x - row * self._x
        return np.array(losses)

    def evaluate(self):
        with np.errstate(over="ignore"):
            return self._x * self._x / 2


def plan(lrs) -> list[Run]:
    evaluate_at = np.array([0, 1, 7, 30, STEPS])
    return [Run(np.full(STEPS, lr), 0, evaluate_at, BeyondReturn) for lr in lrs]


def curves_of(runner, loop, lrs):
    source, runs = GivenLoop(loop), plan(lrs)
    blocks = blocks_of(runs, runner.lanes(source, runs))
    return [curve for _, curves in runner.run(source, blocks, Bar(None, 0, "")) for curve in curves]


def test_a_fleet_tells_what_single_runs_tell_dead_ones_and_diverged_ones_included() -> None:
    lrs = [0.1, 0.5, 1.9, 2.5, 4.0, 1e100, 0.2]
    together = curves_of(FleetRunner(), Squares(), lrs)
    with np.errstate(over="ignore", invalid="ignore"):
        separate = curves_of(SerialRunner(), SquaresInNumpy(), lrs)
    for left, right in zip(together, separate, strict=True):
        np.testing.assert_array_equal(left.losses, right.losses)
        np.testing.assert_array_equal(left.lrs, right.lrs)
        np.testing.assert_array_equal(left.evaluated_at, right.evaluated_at)
        np.testing.assert_array_equal(left.evaluations, right.evaluations)
        assert (left.stopped, left.seed) == (right.stopped, right.seed)
    assert {str(curve.stopped) for curve in together} == {"completed", "diverged", "non_finite"}


class SquaresInNumpy(Squares):
    def __init__(self) -> None:
        super().__init__()
        self.x = np.float64(1.0)


def test_fleets_come_in_multiples_of_eight_lanes_that_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "free_memory", lambda: 100 * 2 * 19)  # Room for 19 lanes in half of it.
    loop = Squares()
    curves_of(FleetRunner(), loop, np.geomspace(0.01, 1, 37))
    assert loop.sizes == [16, 16, 8]  # The last has five runs, and three lanes beside them.


def test_a_fleet_has_no_more_lanes_than_it_may() -> None:
    loop = Squares()
    curves_of(FleetRunner(lanes=8), loop, np.geomspace(0.01, 1, 20))
    assert loop.sizes == [8, 8, 8]
    with pytest.raises(InvalidValueError, match="lanes must be at least 1"):
        FleetRunner(lanes=0)


def test_a_block_that_no_longer_fits_is_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, runs = Squares(), plan(np.geomspace(0.01, 1, 32))
    (block,) = blocks_of(runs, 32)
    monkeypatch.setattr(fleets, "free_memory", lambda: 100 * 2 * 8)
    ((_, curves),) = FleetRunner().run(GivenLoop(loop), [block], Bar(None, 0, ""))
    assert loop.sizes == [8] * 4
    np.testing.assert_allclose([curve.losses[1] for curve in curves], [(1 - run.lrs[0]) ** 2 / 2 for run in runs])


def test_without_room_for_a_fleet_or_a_way_to_make_one_the_runs_go_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    unwilling = FleetRunner()
    curves = curves_of(unwilling, Squares(refuses=True), [0.1, 0.5])
    assert [curve.steps for curve in curves] == [STEPS] * 2
    assert unwilling.notes == ("The runs went one after another, not as a fleet: it does not want to.",)
    crowded, loop = FleetRunner(), Squares(lane_bytes=2**30)
    monkeypatch.setattr(fleets, "free_memory", lambda: 2**32)
    assert len(curves_of(crowded, loop, [0.1, 0.5])) == 2
    assert loop.sizes == []
    assert "8 lanes of 1024 MiB do not fit into memory" in crowded.notes[0]


def test_blocks_hold_one_seed_and_one_length() -> None:
    runs = [Run(np.ones(steps), seed) for seed in (0, 1) for steps in (4, 8) for _ in range(3)]
    blocks = blocks_of(runs, 2)
    assert [len(block.runs) for block in blocks] == [2, 1] * 4
    assert [block.index for block in blocks] == list(range(8))
    assert all(len({(run.seed, len(run.lrs)) for run in block.runs}) == 1 for block in blocks)


def test_the_loop_is_home_between_blocks() -> None:
    loop = quadratic_loop()
    source, runs = GivenLoop(loop), plan([0.1, 0.2, 0.3])
    start = loop.snapshot().state["x"].copy()
    for _ in FleetRunner().run(source, blocks_of([Run(run.lrs) for run in runs], 2), Bar(None, 0, "")):
        np.testing.assert_array_equal(loop.snapshot().state["x"], start)


def test_the_package_offers_its_runners() -> None:
    assert lrscout.runners.FleetRunner is FleetRunner
    with pytest.raises(AttributeError, match="Horse"):
        _ = lrscout.runners.Horse
