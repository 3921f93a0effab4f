"""Lightning's finder: `Tuner.lr_find` as it is."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import tempfile
import warnings
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.tuner import Tuner

from benchmarks.lr_regret.judge import Pick
from benchmarks.lr_regret.peers.model import Model, begin_probe, loader_of, optimizer_of
from benchmarks.lr_regret.task import DEFAULT_LR, Task

NAMES = ("Lightning",)


class _Module(LightningModule):
    def __init__(self, task: Task, seed: int) -> None:
        super().__init__()
        self._task = task
        self.model = Model(task, seed)
        self.lr = DEFAULT_LR[task.optimizer]

    def training_step(self, batch: Any) -> torch.Tensor:
        return self.model(batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return optimizer_of(self._task, self.model, self.lr)


def picks(task: Task, seed: int) -> list[Pick]:
    """Ask Lightning."""
    begin_probe()
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    silence = contextlib.redirect_stderr(io.StringIO())  # A bar of its own, which no option turns off.
    with tempfile.TemporaryDirectory() as folder, silence, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=-1,
            default_root_dir=folder,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        module = _Module(task, seed)
        found = Tuner(trainer).lr_find(module, loader_of(task, seed))
    assert found is not None
    lr = found.suggestion()
    lr = lr if lr is not None and math.isfinite(lr) else None
    return [Pick(NAMES[0], task.name, seed, None, None, lr, module.model.steps)]
