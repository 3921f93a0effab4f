"""ignite's finder: `FastaiLRFinder`, 100 steps from 1e-7; by default it would begin at the optimizer's own rate."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ignite.engine import Engine
from ignite.handlers import FastaiLRFinder

from benchmarks.lr_regret.judge import Pick
from benchmarks.lr_regret.peers.model import Model, begin_probe, loader_of, optimizer_of
from benchmarks.lr_regret.task import Task

NAMES = ("ignite",)
_START, _STEPS = 1e-7, 100


def picks(task: Task, seed: int) -> list[Pick]:
    """Ask ignite."""
    begin_probe()
    model = Model(task, seed)
    optimizer = optimizer_of(task, model, _START)

    def step(engine: Engine, batch: Any) -> float:
        optimizer.zero_grad()
        loss = model(batch[0])
        loss.backward()
        optimizer.step()
        return loss.item()

    finder = FastaiLRFinder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        to_save = {"model": model, "optimizer": optimizer}
        with finder.attach(Engine(step), to_save=to_save, num_iter=_STEPS) as trainer:
            trainer.run(loader_of(task, seed))
        try:
            lr = finder.lr_suggestion()
        except RuntimeError:  # A curve that does not fall at all.
            lr = None
    lr = lr if lr is not None and math.isfinite(lr) else None
    return [Pick(NAMES[0], task.name, seed, None, None, lr, model.steps)]
