"""Many runs at once, as the lanes of a fleet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lrscout.core.checks import check_count
from lrscout.core.curve import Curve, Stop
from lrscout.core.errors import FleetUnavailableError
from lrscout.core.fleet import Vectorizable
from lrscout.core.loop import Loop, Snapshot
from lrscout.core.progress import Bar
from lrscout.core.source import Source
from lrscout.runners.memory import free_memory
from lrscout.runners.plan import Block, Finished, Run, blocks_of
from lrscout.runners.serial import run_block_serially

if TYPE_CHECKING:
    from jaxtyping import Float, Int

LANE_UNIT = 8
"""Fleets have a multiple of eight lanes. Vector units work on so many numbers at a time, and in the odd rest the order
of a lane's sums, and so their rounding, depends on how many lanes there are beside it."""

_SHARE_OF_MEMORY = 0.5
_STEPS_BETWEEN_LOOKS = 100


class FleetRunner:
    """Takes the runs of a block together, as lanes of a fleet; one after another where there can be no fleet.

    Args:
        lanes: the most lanes of a fleet; by default as many as fit into half of the free memory of the machine. On an
            accelerator, whose own memory is not looked at, give what fits there.

    Raises:
        InvalidValueError: `lanes` is below 1.
    """

    name = "fleet"

    def __init__(self, lanes: int | None = None) -> None:
        self._most = None if lanes is None else check_count("lanes", lanes, at_least=1)
        self.notes: tuple[str, ...] = ()

    def lanes(self, source: Source, plan: Sequence[Run]) -> int:
        self.notes = ()
        with source.visit(plan[0].seed) as (loop, _):
            return self._fitting(loop)

    def run(self, source: Source, blocks: Sequence[Block], bar: Bar) -> Iterator[Finished]:
        for block in blocks:
            with source.visit(block.seed) as (loop, home):
                curves = self._run(loop, home, block, bar)
            yield block, curves

    def _run(self, loop: Loop, home: Snapshot, block: Block, bar: Bar) -> tuple[Curve, ...]:
        # A block may be larger than what fits: on another machine, or when a study is continued.
        lanes = self._fitting(loop) if len(block.runs) > 1 else 1
        if lanes > 1:
            try:
                return tuple(
                    curve for part in blocks_of(block.runs, lanes) for curve in run_as_fleet(loop, home, part, bar)
                )
            except FleetUnavailableError as error:
                self._say_why(str(error))
        return run_block_serially(loop, home, block, bar)

    def _fitting(self, loop: Loop) -> int:
        """Return how many lanes fit into memory; 1 where there can be no fleet."""
        try:
            bytes_of_lane = _vectorizable(loop).lane_bytes()
        except FleetUnavailableError as error:
            self._say_why(str(error))
            return 1
        lanes = int(_SHARE_OF_MEMORY * free_memory() / max(bytes_of_lane, 1)) // LANE_UNIT * LANE_UNIT
        if lanes == 0:
            self._say_why(f"{LANE_UNIT} lanes of {bytes_of_lane / 2**20:.0f} MiB do not fit into memory.")
        return max(lanes if self._most is None else min(lanes, self._most), 1)

    def _say_why(self, reason: str) -> None:
        self.notes = (f"The runs went one after another, not as a fleet: {reason}",)


def run_as_fleet(loop: Loop, home: Snapshot, block: Block, bar: Bar) -> tuple[Curve, ...]:
    """Take the runs of a block together.

    Args:
        loop: the loop; the caller brings it home in the end.
        home: the snapshot that every run starts from.
        block: the runs.
        bar: is told of the steps.

    Raises:
        FleetUnavailableError: the loop cannot be vectorized.
    """
    loop.restore(home)
    loop.reseed(block.seed)
    lanes = len(block.runs)
    size = -(-lanes // LANE_UNIT) * LANE_UNIT
    fleet = _vectorizable(loop).fleet(size, block.steps)
    lrs = np.stack([block.runs[min(lane, lanes - 1)].lrs for lane in range(size)], axis=1)
    losses = np.empty((block.steps, lanes))
    evaluations = np.full((len(block.evaluate_at), lanes), np.nan)
    logs = [_Log(run) for run in block.runs]
    taken = 0
    for index, pause in enumerate([*block.evaluate_at.tolist(), block.steps]):
        for first in range(taken, pause, _STEPS_BETWEEN_LOOKS):
            last = min(first + _STEPS_BETWEEN_LOOKS, pause)
            losses[first:last] = fleet.advance(lrs[first:last])[:, :lanes]
            bar.advance((last - first) * lanes)
            for lane, log in enumerate(logs):
                log.take(losses[first:last, lane])
            bar.tell(_news(block, losses[:last]))
        taken = pause
        if all(log.stop is not None for log in logs):
            bar.advance((block.steps - taken) * lanes)
            break
        if index < len(evaluations):
            evaluations[index] = fleet.evaluate()[:lanes]
    return tuple(log.curve(losses[:, lane], evaluations[:, lane]) for lane, log in enumerate(logs))


def _news(block: Block, losses: Float[np.ndarray, "step lane"]) -> str:
    """Return how far the lanes are, and which one leads."""
    latest = np.where(np.isfinite(losses[-1]), losses[-1], np.inf)
    lead = f", lr {block.runs[int(np.argmin(latest))].lrs.max():.2g} leads" if np.isfinite(latest).any() else ""
    return f"{len(block.runs)} runs at step {len(losses)} of {block.steps}{lead}"


class _Log:
    """How far a lane has come, as its run's own rule sees it: beyond that, its numbers do not count."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._rule = run.rule(len(run.lrs))
        self.steps = 0
        self.stop: Stop | None = None

    def take(self, losses: Float[np.ndarray, " step"]) -> None:
        for loss in losses.tolist():
            if self.stop is not None:
                return
            self.steps += 1
            self.stop = self._rule.update(loss)

    def curve(self, losses: Float[np.ndarray, " step"], evaluations: Float[np.ndarray, " evaluation"]) -> Curve:
        at: Int[np.ndarray, " evaluation"] = self._run.evaluate_at
        # A run that stops has been evaluated before its last step, and not after it.
        evaluated = len(at) if self.stop is None else int(np.searchsorted(at, self.steps - 1, side="right"))
        return Curve(
            lrs=self._run.lrs[: self.steps],
            losses=losses[: self.steps].copy(),
            stopped=self.stop or Stop.COMPLETED,
            seed=self._run.seed,
            evaluated_at=at[:evaluated],
            evaluations=evaluations[:evaluated].copy(),
        )


def _vectorizable(loop: Loop) -> Vectorizable:
    if not isinstance(loop, Vectorizable):
        raise FleetUnavailableError(f"a {type(loop).__name__} takes one step at a time.")
    return loop
