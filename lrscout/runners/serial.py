"""One run after another, each from the same start."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from lrscout.core.curve import Curve, Stop
from lrscout.core.loop import Loop, Snapshot
from lrscout.core.progress import Bar
from lrscout.core.source import Source
from lrscout.runners.plan import Block, Finished, Run


class SerialRunner:
    """Takes one run after another."""

    name = "serial"
    notes = ()

    def lanes(self, source: Source, plan: Sequence[Run]) -> int:
        return 1

    def run(self, source: Source, blocks: Sequence[Block], bar: Bar) -> Iterator[Finished]:
        for block in blocks:
            with source.visit(block.seed) as (loop, home):
                curves = run_block_serially(loop, home, block, bar)
            yield block, curves


def run_block_serially(loop: Loop, home: Snapshot, block: Block, bar: Bar) -> tuple[Curve, ...]:
    """Take the runs of a block one after another.

    Args:
        loop: the loop; the caller brings it home in the end.
        home: the snapshot that every run starts from.
        block: the runs.
        bar: is told of the steps.
    """
    loop.restore(home)
    curves = tuple(run_serially(loop, home, block.runs, on_step=bar.advance))
    bar.advance(sum(block.steps - curve.steps for curve in curves))
    return curves


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
    rule = run.rule(len(run.lrs))
    evaluated_at = set(run.evaluate_at.tolist())
    losses: list[float] = []
    evaluations: list[float] = []
    stop: Stop | None = None
    for step, lr in enumerate(run.lrs.tolist()):
        if step in evaluated_at:
            evaluations.append(loop.evaluate())
        try:
            losses.append(loop.step(lr))
        except Exception as error:
            error.add_note(f"The loop raised this at step {step + 1} of {len(run.lrs)}, at lr {lr:.3g}.")
            raise
        on_step()
        judged = evaluations[-1] if run.judged == "evaluation" and math.isfinite(losses[-1]) else losses[-1]
        stop = rule.update(judged)
        if stop is not None:
            break
    if stop is None and len(run.lrs) in evaluated_at:
        evaluations.append(loop.evaluate())
    return Curve(
        lrs=run.lrs[: len(losses)],
        losses=np.array(losses),
        stopped=stop or Stop.COMPLETED,
        seed=run.seed,
        evaluated_at=run.evaluate_at[: len(evaluations)],
        evaluations=np.array(evaluations),
    )
