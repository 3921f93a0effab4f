"""The sweep: runs over learning rates and seeds, and the map that they make."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.analyse.checkpoints import separate_budgets, shared_checkpoints, training_loss_at
from lrscout.analyse.stop import BeyondReturn, StoppingRule
from lrscout.core.checks import check_choice, check_count, check_lr
from lrscout.core.curve import Curve, Stop
from lrscout.core.errors import InvalidValueError, UnsupportedLoopError
from lrscout.core.loop import Loop
from lrscout.core.result import Cost
from lrscout.core.schedules import NAMED, Schedule
from lrscout.core.source import Source, source_of
from lrscout.measure.keeping import curves_of, first_losses, kept_study
from lrscout.measure.lr_map import LRMap
from lrscout.runners.choose import runner_named
from lrscout.runners.plan import Run, Runner, blocks_of

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_FEWEST_STEPS = 2


def sweep(
    loop: Loop | Callable[..., object] | str,
    lrs: Iterable[float],
    steps: int,
    *,
    seeds: int | Sequence[int] = 1,
    schedule: str | Schedule = "constant",
    checkpoints: Iterable[int] | None = None,
    loss: str | None = None,
    early_stopping: bool = True,
    runner: str | Runner = "fleet",
    store: str | Path | None = None,
    study: str | None = None,
) -> LRMap:
    """Train at every learning rate for every budget of steps, and bring the loop home.

    Runs of one seed start from the same state and see the same batches in the same order, so they differ by their
    learning rate alone. With a constant rate one run serves every budget. With any other schedule the rate at a step
    depends on the budget, so each budget is a run of its own.

    Args:
        loop: a loop, which afterwards stands exactly where it stood; or a function that makes one, or a target
            ``file.py:function`` or ``package.module:function``. Of a function that takes a ``seed``, each seed is
            another initialization as well as another order of the data.
        lrs: the learning rates; with a schedule, its peaks.
        steps: the longest budget.
        seeds: how many seeds, counted from 0, or the seeds themselves.
        schedule: ``"constant"``, ``"linear"``, ``"cosine"``, ``"wsd"`` (warmup, stable, decay), ``"one-cycle"``, or a
            function of the step and the budget, as in `lrscout.core.schedules`.
        checkpoints: the budgets, in steps; by default eight to a factor of ten, or, where each is a run of its own,
            `steps` and its halves down to eight.
        loss: ``"evaluation"`` or ``"training"``: what the map shows; by default the evaluation loss if there is one.
        early_stopping: whether a run ends as soon as it has diverged beyond return. That never changes another run. A
            run whose loss is not finite always ends.
        runner: ``"fleet"``, all rates of a seed at once where the loop can be vectorized and one after another where it
            cannot; ``"serial"``; ``"ray"``; or a runner, such as ``lrscout.runners.Ray(address="auto")``.
        store: where to keep every run: a file, or the URL of a database. By default ``lrscout.db`` if a study is named.
        study: the name to keep them under. A study that was interrupted is continued with what is missing, and gives
            the map that it would have given without the interruption.

    Returns:
        The map.

    Raises:
        InvalidValueError: an argument has a value that no run could use, or the study was begun with others.
        UnsupportedLoopError: `loop` is not a loop, or `loss` is ``"evaluation"`` and it cannot be evaluated.
        StoreError: the store cannot be used, or another driver is writing this study.
        RunnerError: the machines of the runner did not do their work.

    Source:
        Why a decaying schedule needs a run for each budget: Hoffmann et al. 2022 (arXiv 2203.15556), appendix B.

    >>> from lrscout.lesson.engines import numpy_engine
    >>> from lrscout.lesson.problem import sample_problem
    >>> lr_map = sweep(numpy_engine(sample_problem()).loop, [0.07, 0.7, 7.0], steps=100)
    >>> lr_map.best_lr(100).lr
    0.7
    """
    source = source_of(loop)
    who = runner_named(runner)
    began = time.perf_counter()
    design = _Design.of(source, lrs, steps, seeds, schedule, checkpoints, early_stopping, loss)
    plan = design.plan()

    def lanes_of(begun_with: Mapping[str, Any]) -> int:
        # The size of the blocks stays what it was, whatever the memory left now would hold.
        return int(begun_with["lanes"]) if "lanes" in begun_with else min(who.lanes(source, plan), len(design.lrs))

    def inputs(begun_with: Mapping[str, Any]) -> dict[str, Any]:
        lanes = {"lanes": lanes_of(begun_with)}
        return design.inputs(plan) | lanes | first_losses(source, design.seeds[0], float(design.lrs[-1]))

    with kept_study("sweep", source, store, study, inputs) as kept:
        blocks = blocks_of(plan, lanes_of(kept.inputs))
        curves = curves_of("sweep", source, blocks, who, kept, _News(len(plan)).add)
        lr_map = _map_of(design, curves, who, kept.name, began)
        if kept.result is not None:
            return _as_told(lr_map, kept.result)
        kept.finish(lr_map.to_dict())
    return lr_map


@dataclass(frozen=True, eq=False)
class _Design:
    """What is swept: every input that the map depends on."""

    lrs: Float[np.ndarray, " rate"]
    checkpoints: Int[np.ndarray, " checkpoint"]
    seeds: tuple[int, ...]
    schedule: str
    factors: Schedule
    watched: str
    early_stopping: bool

    @classmethod
    def of(
        cls,
        source: Source,
        lrs: Iterable[float],
        steps: int,
        seeds: int | Sequence[int],
        schedule: str | Schedule,
        checkpoints: Iterable[int] | None,
        early_stopping: bool,
        loss: str | None,
    ) -> _Design:
        """Check the arguments of `sweep` and fill in what was left to it."""
        checked = _checked_lrs(lrs)
        chosen = checked_seeds(seeds)
        steps = check_count("steps", steps, at_least=_FEWEST_STEPS)
        if not callable(schedule):
            name, factors = schedule, NAMED[check_choice("schedule", schedule, tuple(NAMED))]()
        else:
            name, factors = f"{getattr(schedule, '__qualname__', type(schedule).__name__)}()", schedule
        budgets = _checked_budgets(checkpoints, steps, shared=name == "constant")
        watched = _watched(source, loss, chosen[0])
        if checkpoints is None and watched == "training":
            budgets = budgets[budgets > 1]  # The first training loss is that of the start, the same for every rate.
        return cls(checked, budgets, chosen, name, factors, watched, early_stopping)

    @property
    def shared(self) -> bool:
        """Whether one run serves all budgets."""
        return self.schedule == "constant"

    def plan(self) -> list[Run]:
        """Return the runs, by seed, then by length, then by rate, so that neighbours can be lanes of one fleet."""
        rule = BeyondReturn if self.early_stopping else StoppingRule
        runs: list[Run] = []
        for seed in self.seeds:
            for length in self.lengths:
                factors = checked_factors(self.factors(np.arange(length), length), self.schedule, length)
                evaluate_at = np.array([0, *self.checkpoints] if self.shared else [0, length])
                evaluate_at = evaluate_at if self.watched == "evaluation" else np.zeros(0, int)
                runs += [Run(lr * factors, seed, evaluate_at, rule) for lr in self.lrs.tolist()]
        return runs

    @property
    def lengths(self) -> list[int]:
        """The lengths of the runs of one rate and seed."""
        return self.checkpoints[-1:].tolist() if self.shared else self.checkpoints.tolist()

    def inputs(self, plan: Sequence[Run]) -> dict[str, Any]:
        """Return the arguments that a study must agree on to be continued."""
        inputs = {
            "steps": int(self.checkpoints[-1]),
            "lrs": self.lrs.tolist(),
            "checkpoints": self.checkpoints.tolist(),
            "seeds": list(self.seeds),
            "schedule": self.schedule,
            "loss": self.watched,
            "early_stopping": self.early_stopping,
        }
        if self.schedule not in NAMED:
            rates = b"".join(run.lrs.tobytes() for run in plan)
            inputs["rates of the schedule"] = hashlib.sha256(rates).hexdigest()[:16]
        return inputs


def _watched(source: Source, loss: str | None, seed: int) -> str:
    """Return which loss the map shows: what was asked for, or the evaluation loss if there is one."""
    if loss is not None:
        check_choice("loss", loss, ("training", "evaluation"))
    if loss == "training":
        return loss
    with source.visit(seed) as (loop, _):
        try:
            loop.evaluate()
        except UnsupportedLoopError:
            if loss == "evaluation":
                raise
            return "training"
    return "evaluation"


class _News:
    """How many runs are done, and the best of the longest so far."""

    def __init__(self, runs: int) -> None:
        self._runs = runs
        self._done = 0
        self._best: tuple[int, float, float] = (0, math.inf, 0.0)

    def add(self, curves: Sequence[Curve]) -> str:
        """Count runs that are done, and return how things stand."""
        self._done += len(curves)
        for curve in curves:
            if curve.stopped is Stop.COMPLETED:
                contender = -curve.steps, training_loss_at(curve, curve.steps), float(curve.lrs.max())
                self._best = min(self._best, contender)
        best = f", best lr so far {self._best[2]:.2g}" if self._best[2] else ""
        return f"{self._done} of {self._runs} runs{best}"


def _map_of(design: _Design, curves: Sequence[Curve], runner: Runner, study: str | None, began: float) -> LRMap:
    rates, lengths = len(design.lrs), len(design.lengths)
    by_place = np.empty(len(curves), object)
    by_place[:] = curves
    by_seed = by_place.reshape(len(design.seeds), lengths, rates).transpose(0, 2, 1)
    cost = Cost(
        steps=sum(curve.steps for curve in curves),
        evaluations=sum(len(curve.evaluations) for curve in curves),
        seconds=time.perf_counter() - began,
    )
    return LRMap(
        lrs=design.lrs,
        checkpoints=design.checkpoints,
        seeds=design.seeds,
        schedule=design.schedule,
        curves=tuple(tuple(tuple(runs) for runs in seed) for seed in by_seed),
        watched=design.watched,
        runner=runner.name,
        cost=cost,
        study=study,
        notes=runner.notes,
    )


def _as_told(lr_map: LRMap, result: Mapping[str, Any]) -> LRMap:
    """Return a map that was only read with what was told of its making when it was made."""
    return replace(lr_map, runner=result["runner"], notes=tuple(result["notes"]), cost=Cost(**result["cost"]))


def checked_factors(factors: Any, schedule: str, length: int) -> Float[np.ndarray, " step"]:
    """Return the factors of a schedule, or raise if they are not as many numbers as there are steps."""
    try:
        checked = np.asarray(factors, float)
    except (TypeError, ValueError):
        checked = np.zeros(0)
    if checked.shape != (length,) or not np.isfinite(checked).all() or (checked < 0).any():
        raise InvalidValueError(
            f"schedule must return a finite factor, not below zero, for each step of an array of steps, but {schedule} "
            f"returned {str(factors)[:80]} for {length} steps."
        )
    return checked


def _checked_lrs(lrs: Iterable[float]) -> Float[np.ndarray, " rate"]:
    if isinstance(lrs, str) or not isinstance(lrs, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValueError(f"lrs must be learning rates, such as [0.01, 0.1, 1.0], but it is {lrs!r}.")
    checked = sorted({check_lr("Each of lrs", lr) for lr in lrs})
    if not checked:
        raise InvalidValueError("lrs must hold at least one learning rate, but it is empty.")
    return np.array(checked)


def checked_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """Return the seeds, counted from 0 if only their number was given."""
    if isinstance(seeds, Iterable):
        checked = tuple(check_count("Each of seeds", seed, at_least=0) for seed in seeds)
        if not checked or len(set(checked)) < len(checked):
            raise InvalidValueError(f"seeds must be different whole numbers, at least one, but they are {seeds!r}.")
        return checked
    return tuple(range(check_count("seeds", seeds, at_least=1)))


def _checked_budgets(checkpoints: Iterable[int] | None, steps: int, *, shared: bool) -> Int[np.ndarray, " checkpoint"]:
    if checkpoints is None:
        return shared_checkpoints(steps) if shared else separate_budgets(steps)
    fewest = 1 if shared else _FEWEST_STEPS
    checked = {check_count("Each of checkpoints", checkpoint, at_least=fewest) for checkpoint in checkpoints}
    if checked and max(checked) > steps:
        raise InvalidValueError(f"checkpoints must be at most steps, {steps}, but one is {max(checked)}.")
    return np.array(sorted({*checked, steps}))
