"""Optimizers that ask for no rate, by optax: they train the whole run themselves, and their final loss is taken.

They are given the rate 1, or, for schedule-free, the task's default rate. Prodigy and D-Adaptation follow the run's
schedule; schedule-free stands in for one, and so runs with a constant rate always.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import numpy as np
import optax

from benchmarks.lr_regret.judge import Ending, Pick, Row, score
from benchmarks.lr_regret.task import DEFAULT_LR, Task
from benchmarks.lr_regret.tasks import HORIZONS, SCHEDULES
from lrscout.core.schedules import NAMED

_STRETCH = 100
_RECENT = 10
_DECAY = {"AdamW": 1e-2}
"""The decay of the weights, as in the task's own optimizer."""


@dataclass(frozen=True)
class _Way:
    """An optimizer for a task.

    Args:
        make: makes the optimizer for a rate.
        lr: that rate.
        follows: whether it follows the run's schedule.
        position: the parameters to evaluate, given the optimizer's state and the parameters that it steps.
    """

    make: Callable[[Any], Any]
    lr: float
    follows: bool
    position: Callable[[Any, Any], Any] = lambda state, params: params


def _prodigy(task: Task) -> _Way:
    decay = _DECAY.get(task.optimizer, 0.0)
    return _Way(lambda lr: optax.contrib.prodigy(lr, weight_decay=decay), 1.0, follows=True)


def _d_adaptation(task: Task) -> _Way:
    decay = _DECAY.get(task.optimizer, 0.0)
    return _Way(lambda lr: optax.contrib.dadapt_adamw(lr, weight_decay=decay), 1.0, follows=True)


def _schedule_free_sgd(task: Task) -> _Way:
    return _schedule_free(lambda lr: optax.sgd(lr), DEFAULT_LR["SGD"])


def _schedule_free_adamw(task: Task) -> _Way:
    # The base has no momentum of its own: the averaging takes its place.
    return _schedule_free(lambda lr: optax.adamw(lr, b1=0.0, weight_decay=1e-2), DEFAULT_LR["AdamW"])


def _schedule_free(base: Callable[[Any], Any], lr: float) -> _Way:
    def make(lr: Any) -> Any:
        return optax.contrib.schedule_free(base(lr), lr, b1=0.9)

    return _Way(make, lr, follows=False, position=optax.contrib.schedule_free_eval_params)


WAYS: dict[str, Callable[[Task], _Way]] = {
    "Prodigy": _prodigy,
    "D-Adaptation": _d_adaptation,
    "schedule-free SGD": _schedule_free_sgd,
    "schedule-free AdamW": _schedule_free_adamw,
}


def rows(name: str, task: Task, seed: int) -> list[Row]:
    """Train with an optimizer that asks for no rate, and return how it ends at each horizon with each schedule."""
    way, programs = _compiled(name, task)
    endings: dict[tuple[str, int], Ending] = {}
    constant = _trained(task, seed, way, programs, np.ones(HORIZONS[-1]), HORIZONS)
    for schedule in SCHEDULES:
        for horizon in HORIZONS:
            if way.follows and schedule != "constant":
                factors = NAMED[schedule]()(np.arange(horizon), horizon)
                endings[schedule, horizon] = _trained(task, seed, way, programs, factors, (horizon,))[horizon]
            else:
                endings[schedule, horizon] = constant[horizon]
    return [
        score(Pick(name, task.name, seed, horizon, schedule, None, 0.0), ending)
        for (schedule, horizon), ending in endings.items()
    ]


@lru_cache(maxsize=1)
def _compiled(name: str, task: Task) -> tuple[_Way, tuple[Any, Any]]:
    """Return the optimizer with its compiled stretch of steps and evaluation, which all seeds share."""
    way = WAYS[name](task)
    loss_of = task.problem(0).loss

    def stretch(params: Any, state: Any, batches: Any, lrs: Any) -> Any:
        def step(carry: Any, batch_and_lr: Any) -> Any:
            params, state = carry
            batch, lr = batch_and_lr
            loss, gradient = jax.value_and_grad(loss_of)(params, batch)
            updates, state = way.make(lr).update(gradient, state, params)
            return (optax.apply_updates(params, updates), state), loss

        (params, state), losses = jax.lax.scan(step, (params, state), (batches, lrs))
        return params, state, losses

    def evaluate(params: Any, state: Any, held_out: Any) -> Any:
        return loss_of(way.position(state, params), held_out)

    return way, (jax.jit(stretch), jax.jit(evaluate))


def _trained(
    task: Task, seed: int, way: _Way, programs: tuple[Any, Any], factors: np.ndarray, horizons: tuple[int, ...]
) -> dict[int, Ending]:
    """Train on the batches of the judged run, and return how it ends at each horizon."""
    stretch, evaluate = programs
    problem, loop = task.problem(seed), task.loop(seed)
    loop.reseed(seed)
    draw = loop._data.draw
    params = jax.tree.map(jax.numpy.asarray, problem.params)
    state = way.make(way.lr).init(params)
    losses: list[float] = []
    endings: dict[int, Ending] = {}
    for first in range(0, len(factors), _STRETCH):
        batches = jax.tree.map(lambda *leaves: np.stack(leaves), *(draw() for _ in range(_STRETCH)))
        lrs = (way.lr * factors[first : first + _STRETCH]).astype(np.float32)
        params, state, fresh = stretch(params, state, batches, lrs)
        losses += np.asarray(fresh, float).tolist()
        steps = first + _STRETCH
        if steps in horizons:
            final = float(evaluate(params, state, problem.held_out))
            training = float(np.mean(losses[steps - steps // _RECENT : steps]))
            endings[steps] = Ending(*(each if math.isfinite(each) else math.inf for each in (final, training)))
    return endings
