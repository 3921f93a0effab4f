"""Find: the learning rate for a number of steps, for a loss to reach, or for what training is worth."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from lrscout.core.checks import check_choice, check_count
from lrscout.core.errors import InvalidValueError, UnsupportedLoopError
from lrscout.core.loop import Loop
from lrscout.core.progress import progress
from lrscout.core.result import Cost
from lrscout.core.schedules import NAMED, Schedule
from lrscout.core.source import Source, source_of
from lrscout.measure.answers import Question, answer_for_steps, answer_for_target, answer_of_worth
from lrscout.measure.budgeted import race_for
from lrscout.measure.keeping import first_losses, kept_study
from lrscout.measure.probing import Prober
from lrscout.measure.recommendation import Recommendation
from lrscout.measure.sweep import checked_factors, checked_seeds
from lrscout.measure.target import race_to
from lrscout.measure.worth import race_on
from lrscout.runners.choose import runner_named
from lrscout.runners.plan import Runner

_LONGEST_PROBE = 3000
"""The steps of a probe where neither the run's length nor a target bounds them."""


def find(
    loop: Loop | Callable[..., object] | str,
    steps: int | None = None,
    *,
    target_loss: float | None = None,
    schedule: str | Schedule | None = None,
    budget: float = 0.5,
    seeds: int | Sequence[int] = 1,
    runner: str | Runner = "fleet",
    store: str | Path | None = None,
    study: str | None = None,
) -> Recommendation:
    """Find the learning rate by racing short runs against each other, and bring the loop home.

    From the loop's own rate it is first found, in runs of two steps, up to which rate the first update does no harm.
    From there rates an octave apart race on the same batches, each time for longer, and the field follows the best one.
    Where the run is to have a schedule, the last race is under it, squeezed into fewer steps. The rate that is
    recommended is the one that is expected to lose least over the whole run: the best rate falls as runs get longer, by
    an amount that is not known exactly, and a rate that is too high costs more than one that is too low.

    Args:
        loop: a loop, which afterwards stands exactly where it stood; or a function that makes one, or a target
            ``file.py:function`` or ``package.module:function``.
        steps: how many steps you will train for. With `target_loss`, the most that you would.
        target_loss: a loss to reach: the evaluation loss if there is evaluation data, otherwise the training loss. The
            answer is the constant rate that gets there first, and the steps that it takes, also on three other orders
            of the data where that is not too dear. With neither this nor `steps`, the answer is the best rate for each
            length of run, and where more steps stop paying.
        schedule: how the rate will go over the run: ``"constant"``, ``"linear"``, ``"cosine"``, ``"wsd"`` (warmup,
            stable, decay), ``"one-cycle"``, or a function as in `lrscout.core.schedules`. By default linear decay,
            which is hard to beat where the number of steps is known; constant with a target loss.
        budget: the most that may be spent, as a share of the run. It stops earlier when more would hardly help. Some
            thirty steps may always be spent unless it is 0, since with less nothing can be said. Where `steps` are not
            known beforehand it only tells when the steps to a target are known well enough.
        seeds: how many seeds each probe is run with, or the seeds themselves. With one, the range does not know how
            runs differ from seed to seed.
        runner: ``"fleet"``, rates side by side where the loop can be vectorized; ``"serial"``; ``"ray"``; or a runner.
        store: where to keep every probe: a file, or the URL of a database. By default ``lrscout.db`` if a study is
            named.
        study: the name to keep them under. A study that was interrupted goes on where it was.

    Returns:
        The recommendation. Its `lr` is None, with the reason, where none can be made.

    Raises:
        InvalidValueError: an argument has a value that no search could use, or the study was begun with others.
        UnsupportedLoopError: `loop` is not a loop.
        StoreError: the store cannot be used, or another driver is writing this study.
        RunnerError: the machines of the runner did not do their work.

    Source:
        Linear decay: Defazio et al. 2023 (arXiv 2310.07831). Why short runs must be told from long ones: Wu et al. 2018
        (arXiv 1803.02021).

    >>> from lrscout.lesson.engines import numpy_engine
    >>> from lrscout.lesson.problem import sample_problem
    >>> recommendation = find(numpy_engine(sample_problem()).loop, steps=1000, schedule="constant")
    >>> 0.1 < recommendation.lr < 0.775
    True
    """
    began = time.perf_counter()
    question = _question_of(steps, target_loss, schedule, budget, checked_seeds(seeds))
    source, who = source_of(loop), runner_named(runner)

    def inputs(begun_with: Mapping[str, Any]) -> dict[str, Any]:
        return question.inputs() | first_losses(source, question.seeds[0])

    with kept_study("find", source, store, study, inputs) as kept:
        with progress("find", question.allowance) as bar:
            prober = Prober(source, question.seeds, who, kept.finished(), kept.keep, bar)
            recommendation = _answer(source, prober, question)
        told = replace(
            recommendation,
            cost=replace(recommendation.cost, seconds=time.perf_counter() - began),
            study=kept.name,
            notes=(*recommendation.notes, *prober.notes),
        )
        if kept.result is not None:
            return _as_told(told, kept.result)
        kept.finish(told.to_dict())
    return told


def _question_of(
    steps: int | None,
    target_loss: float | None,
    schedule: str | Schedule | None,
    budget: float,
    seeds: tuple[int, ...],
) -> Question:
    if steps is not None:
        steps = check_count("steps", steps, at_least=1)
    if target_loss is not None and not _is_finite(target_loss):
        raise InvalidValueError(f"target_loss must be a finite number, but it is {target_loss!r}.")
    if not (_is_finite(budget) and budget >= 0):
        raise InvalidValueError(
            f"budget must be a share of the run's steps, such as 0.5, not below 0, but it is {budget!r}."
        )
    if schedule is None:
        schedule = "constant" if target_loss is not None else "linear"
    if callable(schedule):
        name, factors = f"{getattr(schedule, '__qualname__', type(schedule).__name__)}()", schedule
        if not checked_factors(factors(np.arange(steps or 100), steps or 100), name, steps or 100).any():
            raise InvalidValueError(f"schedule must let some step move, but {name} returned 0 for every step.")
    else:
        name, factors = schedule, NAMED[check_choice("schedule", schedule, tuple(NAMED))]()
    if target_loss is not None and name != "constant":
        raise InvalidValueError(
            "With target_loss the rate is constant, since a schedule needs the number of steps, but schedule is "
            f"{name!r}. Find the steps first, and then the rate for them: find(loop, steps=..., schedule=...)."
        )
    return Question(steps, None if target_loss is None else float(target_loss), name, factors, float(budget), seeds)


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def _answer(source: Source, prober: Prober, question: Question) -> Recommendation:
    framework, start = _beginning(source, question.seeds[0])
    if start is not None:
        prober.count_evaluation()
    if start is not None and not math.isfinite(start):
        start = None
        prober.note("The evaluation loss is not a finite number, so the training losses were compared.")
    if question.target_loss is not None:
        most = question.steps or _LONGEST_PROBE
        arrival = race_to(prober, question.target_loss, question.budget, most, start)
        return answer_for_target(question, arrival, prober, start, framework)
    if question.steps is None:
        return answer_of_worth(question, race_on(prober, question.factors, start), prober, start, framework)
    verdict = race_for(prober, question.steps, question.factors, question.budget, start)
    return answer_for_steps(question, verdict, prober, start, framework)


def _beginning(source: Source, seed: int) -> tuple[str | None, float | None]:
    """Return the framework of the loop, and the evaluation loss of its start; None where it cannot be evaluated."""
    with source.visit(seed) as (loop, _):
        try:
            start = float(loop.evaluate())
        except UnsupportedLoopError:
            start = None
        return _framework_of(loop), start


def _framework_of(loop: Loop) -> str | None:
    """Return the framework that a loop of ours is for, which is the name of its adapter's folder."""
    package, _, rest = type(loop).__module__.partition("lrscout.loops.")
    name = rest.partition(".")[0]
    return name if not package and name != "functions" else None


def _as_told(recommendation: Recommendation, result: dict[str, Any]) -> Recommendation:
    """Return a recommendation that was only read with what was told of its making when it was made."""
    made = recommendation.cost
    cost = Cost(made.steps, made.evaluations, result["cost"]["seconds"], made.products, made.evaluation_steps)
    return replace(recommendation, notes=tuple(result["notes"]), cost=cost)
