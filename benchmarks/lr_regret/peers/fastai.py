"""fastai's finder: `Learner.lr_find` as it is, with its four rules."""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from benchmarks.lr_regret.judge import Pick
from benchmarks.lr_regret.peers.model import (
    OPTIMIZERS,
    Model,
    batch_size_of,
    begin_probe,
    dataset_of,
    loss_of,
)
from benchmarks.lr_regret.task import Task

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from fastai.callback.schedule import minimum, slide, steep, valley
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.learner import Learner
    from fastai.optimizer import OptimWrapper

_RULES = (minimum, steep, valley, slide)
NAMES = tuple(f"fastai {rule.__name__}" for rule in _RULES)


def picks(task: Task, seed: int) -> list[Pick]:
    """Ask fastai."""
    begin_probe()
    data, size = dataset_of(task, seed), batch_size_of(task, seed)
    loaders = DataLoaders(DataLoader(data, bs=size, shuffle=True, drop_last=True), DataLoader(data, bs=size))
    model = Model(task, seed)
    kind, settings = OPTIMIZERS[task.optimizer]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learner = Learner(loaders, model, loss_of, opt_func=partial(OptimWrapper, opt=kind, **settings), path=folder)
        with learner.no_bar():
            found = learner.lr_find(suggest_funcs=tuple(_spared(rule) for rule in _RULES), show_plot=False)
    return [
        Pick(name, task.name, seed, None, None, lr if math.isfinite(lr) else None, model.steps)
        for name, lr in zip(NAMES, found, strict=True)
    ]


def _spared(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Return a rule that answers with no number where fastai's raises, so that the others are still asked."""

    @wraps(rule)
    def spared(lrs: Any, losses: Any, num_it: int) -> Any:
        try:
            return rule(lrs, losses, num_it)
        except Exception:
            return math.nan, (math.nan, math.nan)

    return spared
