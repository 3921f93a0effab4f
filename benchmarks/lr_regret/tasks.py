"""All tasks: those to develop on, and those of the families that were set aside."""

from __future__ import annotations

from benchmarks.lr_regret.families.convolutional import CONVOLUTIONAL
from benchmarks.lr_regret.families.held_out import HELD_OUT
from benchmarks.lr_regret.families.late import LATE
from benchmarks.lr_regret.families.linear import LINEAR
from benchmarks.lr_regret.families.networks import NETWORKS
from benchmarks.lr_regret.families.transformer import TRANSFORMER
from benchmarks.lr_regret.task import Task

DEVELOPMENT: dict[str, Task] = {task.name: task for task in [*LINEAR, *NETWORKS, *CONVOLUTIONAL, *TRANSFORMER, *LATE]}
SET_ASIDE: dict[str, Task] = {task.name: task for task in HELD_OUT}
TASKS = DEVELOPMENT | SET_ASIDE

HORIZONS = (100, 300, 1000, 3000)
SCHEDULES = ("linear", "constant")
SEEDS = (1, 2, 3)
"""Of the runs that are judged; a finder that draws batches of its own draws other ones, those of seed 0."""
