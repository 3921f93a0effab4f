"""What Lightning, Hugging Face and PyTorch write is read as what they were told."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.tensorboard import SummaryWriter
from transformers import TrainerState

from lrscout.logs.read import read_log
from tests.logs.written import evaluation_pairs, pairs, read_one

EPOCHS, BATCHES, EVERY = 3, 10, 2


class Line(lightning.LightningModule):
    """A line that remembers every loss and rate of its own training."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.line = torch.nn.Linear(1, 1)
        self.seen: list[float] = []
        self.rates: list[float] = []
        self.evaluated: dict[int, list[float]] = {}

    def loss_of(self, batch: list[torch.Tensor]) -> torch.Tensor:
        return torch.nn.functional.mse_loss(self.line(batch[0]), batch[1])

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        loss = self.loss_of(batch)
        self.seen.append(loss.item())
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
        loss = self.loss_of(batch)
        self.evaluated.setdefault(len(self.seen), []).append(loss.item())
        self.log("val_loss", loss, on_step=True, on_epoch=True)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Line, Path]:
    folder = tmp_path_factory.mktemp("lightning")
    inputs = torch.linspace(0, 1, 4 * BATCHES)[:, None]
    data = DataLoader(TensorDataset(inputs, 2 * inputs), batch_size=4)
    model = Line()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lightning.Trainer(
            max_epochs=EPOCHS,
            logger=CSVLogger(folder),
            log_every_n_steps=EVERY,
            num_sanity_val_steps=0,
            accelerator="cpu",
            callbacks=[LearningRateMonitor("step")],
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
        ).fit(model, data, data)
    return model, next(folder.rglob("metrics.csv"))


def test_lightnings_metrics(trained: tuple[Line, Path]) -> None:
    model, path = trained
    log = read_one(path)
    np.testing.assert_array_equal(log.steps, np.arange(EVERY - 1, EPOCHS * BATCHES, EVERY))
    np.testing.assert_allclose(log.losses, np.array(model.seen)[log.steps], rtol=1e-6)
    assert log.lrs is not None
    np.testing.assert_allclose(log.lrs, np.array(model.rates)[log.steps])
    ends = {at - 1: np.mean(losses) for at, losses in model.evaluated.items()}
    np.testing.assert_array_equal(log.evaluated_at, list(ends))
    np.testing.assert_allclose(log.evaluations, list(ends.values()), rtol=1e-6)
    assert any("train_loss_epoch" in note for note in log.notes)


def test_lightnings_mean_of_each_epoch_can_be_asked_for(trained: tuple[Line, Path]) -> None:
    model, path = trained
    log = read_one(path, loss="train_loss_epoch")
    np.testing.assert_array_equal(log.steps, [BATCHES - 1, 2 * BATCHES - 1, 3 * BATCHES - 1])
    np.testing.assert_allclose(log.losses, np.mean(np.reshape(model.seen, (EPOCHS, BATCHES)), axis=1), rtol=1e-5)


def test_the_state_of_a_trainer(tmp_path: Path) -> None:
    history = [
        {"loss": 2.5, "grad_norm": 1.0, "learning_rate": 5e-5, "epoch": 0.5, "step": 10},
        {"eval_loss": 2.25, "eval_runtime": 0.1, "epoch": 0.5, "step": 10},
        {"loss": float("nan"), "grad_norm": float("nan"), "learning_rate": 4e-5, "epoch": 1.0, "step": 20},
        {"train_runtime": 9.0, "train_loss": 2.4, "total_flos": 1e12, "epoch": 1.0, "step": 20},
    ]
    path = tmp_path / "trainer_state.json"
    TrainerState(log_history=history, global_step=20).save_to_json(str(path))
    log = read_one(path)
    np.testing.assert_array_equal(log.steps, [10, 20])
    np.testing.assert_array_equal(log.losses, [2.5, np.nan])
    np.testing.assert_array_equal(log.lrs, [5e-5, 4e-5])
    assert evaluation_pairs(log) == [(10, 2.25)]
    # The same rows, as a callback may have written them one by one.
    path.write_text("".join(json.dumps(row) + "\n" for row in history))
    np.testing.assert_array_equal(read_one(path).losses, log.losses)


def test_the_events_of_pytorch(tmp_path: Path) -> None:
    losses = np.random.default_rng(0).normal(size=30)
    losses[7] = np.inf
    with SummaryWriter(tmp_path / "run" / "a") as writer:
        for step, loss in enumerate(losses):
            writer.add_scalar("Loss/train", loss, 10 * step)
            writer.add_scalar("Loss/val", -loss, 10 * step)
            writer.add_scalar("lr", 0.9 if step < 20 else 1e-4, 10 * step)
        writer.add_histogram("weights", np.zeros(50_000), 0)
        writer.add_text("note", "hello", 0)
    for log in (read_one(tmp_path / "run"), read_one(next((tmp_path / "run" / "a").iterdir()))):
        np.testing.assert_array_equal(log.steps, 10 * np.arange(30))
        np.testing.assert_array_equal(log.losses.astype(np.float32), losses.astype(np.float32))
        np.testing.assert_array_equal(log.evaluations, -log.losses)
        np.testing.assert_array_equal(log.lrs, [0.9] * 20 + [1e-4] * 10)
    assert read_one(tmp_path / "run").name == "a"


def test_a_run_resumed_in_a_second_event_file_and_other_runs_beside_it(tmp_path: Path) -> None:
    for name, steps in (("a", range(5)), ("a", range(3, 8)), ("b", range(2)), ("empty", ())):
        with SummaryWriter(tmp_path / name, filename_suffix=f".{steps}") as writer:
            for step in steps:
                writer.add_scalar("train/loss", step + 100 * steps[0], step)
    logs = {log.name: log for log in read_log(tmp_path)}
    assert set(logs) == {"a", "b"}
    assert pairs(logs["a"]) == [(0, 0), (1, 1), (2, 2), (3, 303), (4, 304), (5, 305), (6, 306), (7, 307)]
    assert "go back from 4 to 3" in logs["a"].notes[0]
    assert pairs(read_one(tmp_path, run="b")) == [(0, 0), (1, 1)]
