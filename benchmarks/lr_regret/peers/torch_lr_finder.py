"""torch-lr-finder: its range test of 100 steps from 1e-7, as in its README, and the rate that its plot suggests."""

from __future__ import annotations

import contextlib
import io
import math

from matplotlib.figure import Figure
from torch_lr_finder import LRFinder

from benchmarks.lr_regret.judge import Pick
from benchmarks.lr_regret.peers.model import Model, begin_probe, loader_of, loss_of, optimizer_of
from benchmarks.lr_regret.task import Task

NAMES = ("torch-lr-finder",)
_START = 1e-7


def picks(task: Task, seed: int) -> list[Pick]:
    """Ask torch-lr-finder."""
    begin_probe()
    model = Model(task, seed)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        finder = LRFinder(model, optimizer_of(task, model, _START), loss_of)
        finder.range_test(loader_of(task, seed))
        try:
            _, lr = finder.plot(ax=Figure().add_subplot())
        except RuntimeError:  # Too few points.
            lr = None
    lr = lr if lr is not None and math.isfinite(lr) else None
    return [Pick(NAMES[0], task.name, seed, None, None, lr, model.steps)]
