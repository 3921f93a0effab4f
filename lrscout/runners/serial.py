"""One run after another, each from the same start."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lrscout.analyse.stop import StopRule
from lrscout.core.curve import Curve, Stop
from lrscout.core.loop import Loop, Snapshot

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Run:
    """One run of a plan.

    Args:
        lrs: the learning rate of each step.
        seed: the seed of its data order and generators: runs of one seed see the same batches in the same order.
        evaluate: whether to evaluate before each step.
        stops_early: whether to stop when the loss, or the evaluation loss if it evaluates, diverges. A number that is
            not finite ends every run.
    """

    lrs: Float[np.ndarray, " step"]
    seed: int = 0
    evaluate: bool = False
    stops_early: bool = False


def run_serially(
    loop: Loop, home: Snapshot, plan: Sequence[Run], *, on_step: Callable[[], object] = lambda: None
) -> Iterator[Curve]:
    """Take the runs of a plan one after another.

    Args:
        loop: the loop to step, which stands at home; the caller brings it back there in the end.
        home: the snapshot that every run starts from.
        plan: the runs.
        on_step: called after each step.

    Yields:
        A curve for each run. When it comes, the loop still stands at the run's end.
    """
    for index, run in enumerate(plan):
        if index:
            loop.restore(home)
        loop.reseed(run.seed)
        yield _run(loop, run, on_step)


def _run(loop: Loop, run: Run, on_step: Callable[[], object]) -> Curve:
    rule = StopRule(len(run.lrs))
    losses: list[float] = []
    evaluations: list[float] = []
    stop: Stop | None = None
    for lr in run.lrs.tolist():
        if run.evaluate:
            evaluations.append(loop.evaluate())
        try:
            losses.append(loop.step(lr))
        except Exception as error:
            error.add_note(f"The loop raised this at step {len(losses) + 1} of {len(run.lrs)}, at lr {lr:.3g}.")
            raise
        on_step()
        judged = evaluations[-1] if run.evaluate and math.isfinite(losses[-1]) else losses[-1]
        stop = rule.update(judged)
        if stop is Stop.DIVERGED and not run.stops_early:
            stop = None
        if stop is not None:
            break
    return Curve(
        lrs=run.lrs[: len(losses)],
        losses=np.array(losses),
        stopped=stop or Stop.COMPLETED,
        seed=run.seed,
        evaluated_at=np.arange(len(evaluations)),
        evaluations=np.array(evaluations),
    )
