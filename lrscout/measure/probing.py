"""Probes: short runs of a loop, taken by a runner, paid from an allowance, and kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lrscout.analyse.checkpoints import FEWEST_TO_JUDGE, outcome_of
from lrscout.analyse.stop import BeyondReturn
from lrscout.core.curve import Curve, Outcome, Stop
from lrscout.core.loop import Loop, Weighed
from lrscout.core.progress import Bar
from lrscout.core.schedules import Schedule
from lrscout.core.source import Source
from lrscout.measure.recommendation import Probe
from lrscout.measure.sweep import checked_factors
from lrscout.runners.plan import Run, Runner, blocks_of

if TYPE_CHECKING:
    from jaxtyping import Float

_STANDING_STILL = 2.0**-40
"""A rate so far below every other one that it moves no parameter in single precision."""

_ANY_LR = 1e-3
"""Where to begin if the user's own rate is zero, as in a warmup: the bracket finds its way from anywhere."""

_LATE = 0.5
_MOST_LANES = 64


@dataclass(frozen=True, eq=False)
class Trial:
    """The curves of one rate, one a seed.

    Args:
        octave: the base-2 logarithm of the rate.
        steps: how many it was for.
        curves: its runs.
    """

    octave: float
    steps: int
    curves: tuple[Curve, ...]

    @property
    def lr(self) -> float:
        """The rate."""
        return 2.0**self.octave

    @property
    def completed(self) -> bool:
        """Whether every run came to its end."""
        return all(curve.stopped is Stop.COMPLETED for curve in self.curves)

    @property
    def stopped(self) -> Stop:
        """How the shortest run ended."""
        return min(self.curves, key=lambda curve: curve.steps).stopped

    @property
    def losses(self) -> Float[np.ndarray, " step"]:
        """The training losses, the mean over seeds, as far as every run has come."""
        shortest = min(curve.steps for curve in self.curves)
        return np.mean([curve.losses[:shortest] for curve in self.curves], axis=0)

    @property
    def evaluation(self) -> float:
        """The loss on the evaluation data at the end, the mean over seeds; infinite where that is no number."""
        if not self.completed:
            return math.inf
        return _finite_or_infinite(float(np.mean([curve.evaluations[-1] for curve in self.curves])))

    @property
    def evaluations(self) -> tuple[Float[np.ndarray, " evaluation"], Float[np.ndarray, " evaluation"]]:
        """The steps of the evaluations, and the losses there, the mean over seeds."""
        steps = self.curves[0].evaluated_at.astype(float)
        return steps, np.mean([curve.evaluations for curve in self.curves], axis=0)

    @property
    def late_training(self) -> float:
        """The mean training loss over the second half; infinite where a run did not get to its end."""
        if not self.completed:
            return math.inf
        return late(self.losses)

    @cached_property
    def diverged(self) -> bool:
        """Whether a run broke off, or ended above its start by more than its noise."""
        return not self.completed or any(
            curve.steps >= FEWEST_TO_JUDGE and outcome_of(curve) is Outcome.DIVERGING for curve in self.curves
        )

    @property
    def noise(self) -> float:
        """The deviation of a training loss from its expectation, from the differences between neighbours."""
        differences = np.abs(np.diff(self.losses))
        return float(np.median(differences)) / (0.6745 * math.sqrt(2)) if len(differences) else 0.0

    def probe(self, score: float, rung: int) -> Probe:
        """Return the trial as it is shown: by its first seed's run."""
        curve = self.curves[0]
        return Probe(self.lr, self.steps, score, outcome_of(curve), curve, rung)


def late(losses: Float[np.ndarray, " step"]) -> float:
    """Return the mean over the second half."""
    return float(np.mean(losses[int(len(losses) * _LATE) :]))


class Prober:
    """Takes probes, each seed's on the same batches, and tells what they cost.

    Args:
        source: where the loop comes from.
        seeds: the seeds that each probe is run with.
        runner: who takes the steps.
        finished: runs that a study has kept, by their number.
        keep: called with the number and the curve of each run that is done. Runs are numbered, not blocks, since how
            many fit into a block depends on the runner and the machine, and a study may go on with others.
        bar: is told of the steps.
    """

    def __init__(
        self,
        source: Source,
        seeds: Sequence[int],
        runner: Runner,
        finished: Mapping[int, tuple[Curve, ...]],
        keep: Callable[[int, tuple[Curve, ...]], object],
        bar: Bar,
    ) -> None:
        self._source = source
        self._seeds = tuple(seeds)
        self._runner = runner
        self._finished = dict(finished)
        self._keep = keep
        self._bar = bar
        self._runs = 0
        self.steps = 0
        self.evaluations = 0
        self.notes: tuple[str, ...] = ()
        with source.visit(self._seeds[0]) as (loop, _):
            self.lr = loop.lr if loop.lr > 0 else _ANY_LR
            self.evaluation_steps = evaluation_steps(loop)

    @property
    def seeds(self) -> int:
        """How many runs a probe is."""
        return len(self._seeds)

    def other_seeds(self, count: int) -> list[int]:
        """Return seeds that no probe is run with: other orders of the data.

        Args:
            count: how many.
        """
        return [max(self._seeds) + 1 + number for number in range(count)]

    @property
    def spent(self) -> float:
        """The work of all probes so far, in steps."""
        return self.steps + self.evaluations * self.evaluation_steps

    def count_evaluation(self) -> None:
        """Count an evaluation that was made outside a probe."""
        self.evaluations += 1

    def note(self, sentence: str) -> None:
        """Keep a sentence on how the probes were taken, once."""
        self.notes = tuple(dict.fromkeys((*self.notes, sentence)))

    def try_rates(
        self,
        octaves: Sequence[float],
        steps: int,
        schedule: Schedule,
        evaluate_at: Sequence[int] = (),
        seeds: Sequence[int] | None = None,
    ) -> list[Trial]:
        """Run rates side by side.

        Args:
            octaves: the base-2 logarithms of the rates, with a schedule of its peaks.
            steps: how many steps each takes.
            schedule: how the rate goes over them.
            evaluate_at: the steps before which to evaluate.
            seeds: the seeds to run them with, if not those of every probe.
        """
        name = f"{getattr(schedule, '__qualname__', type(schedule).__name__)}()"
        factors = checked_factors(schedule(np.arange(steps), steps), name, steps)
        plan = [
            Run(2.0**octave * factors, seed, np.array(evaluate_at, int), BeyondReturn)
            for seed in (self._seeds if seeds is None else seeds)
            for octave in octaves
        ]
        curves = self._curves(plan)
        by_rate = [tuple(curves[place :: len(octaves)]) for place in range(len(octaves))]
        return [Trial(octave, steps, runs) for octave, runs in zip(octaves, by_rate, strict=True)]

    def stand_still(self, steps: int) -> Trial:
        """Return the losses of the batches at the parameters of the start."""
        (trial,) = self.try_rates([self.standing_octave], steps, lambda step, total: np.ones(len(step)))
        return trial

    @property
    def standing_octave(self) -> float:
        """The octave of a rate that moves nothing."""
        return math.log2(self.lr * _STANDING_STILL)

    def _curves(self, plan: Sequence[Run]) -> list[Curve]:
        numbered = dict(enumerate(plan, start=self._runs))
        self._runs += len(plan)
        done = {number: self._finished[number] for number in numbered if number in self._finished}
        missing = {number: run for number, run in numbered.items() if number not in done}
        for number, curve in self._taken(missing):
            self._keep(number, (curve,))
            done[number] = (curve,)
        curves = [curve for number in numbered for curve in done[number]]
        self.steps += sum(curve.steps for curve in curves)
        self.evaluations += sum(len(curve.evaluations) for curve in curves)
        return curves

    def _taken(self, runs: Mapping[int, Run]) -> Iterator[tuple[int, Curve]]:
        """Yield the number and the curve of each run, in any order."""
        if not runs:
            return
        plan = list(runs.values())
        lanes = self._runner.lanes(self._source, plan) if len(plan) > 1 else 1
        blocks = blocks_of(plan, min(lanes, _MOST_LANES))
        numbers = iter(runs)
        numbers_of = {block.index: [next(numbers) for _ in block.runs] for block in blocks}
        for block, curves in self._runner.run(self._source, blocks, self._bar):
            yield from zip(numbers_of[block.index], curves, strict=True)
        for sentence in self._runner.notes:
            self.note(sentence)


def evaluation_steps(loop: Loop) -> float:
    """Return what an evaluation of a loop costs in steps: a third of one, or what the loop knows of its data."""
    return loop.evaluation_steps() if isinstance(loop, Weighed) else 1 / 3


def _finite_or_infinite(loss: float) -> float:
    return loss if math.isfinite(loss) else math.inf
