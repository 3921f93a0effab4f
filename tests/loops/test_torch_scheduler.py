"""A schedule in PyTorch: every step of a real run goes at the rate that was planned."""

from __future__ import annotations

import copy
import io
import pickle
import tempfile
import warnings

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from transformers import Trainer as HuggingFaceTrainer
from transformers import TrainingArguments

from lrscout.core.errors import InvalidValueError, UnsupportedLoopError
from lrscout.core.schedules import NAMED
from lrscout.loops.torch.scheduler import torch_scheduler
from tests.measure.recommended import planned, recommendation

STEPS, LR = 40, 0.25


def expected(name: str, lr: float = LR) -> np.ndarray:
    return lr * NAMED[name]()(np.arange(STEPS), STEPS)


class Slope(nn.Module):
    """A loss whose gradient is 1 everywhere, so that a parameter tells the rate of each step by how far it moved."""

    def __init__(self, size: int = 1) -> None:
        super().__init__()
        self.places = nn.ParameterList([torch.zeros((), dtype=torch.float64) for _ in range(size)])
        self.seen: list[list[float]] = []

    def forward(self, x=None, labels=None):
        if self.training:
            self.seen.append([place.item() for place in self.places])
        return {"loss": sum(self.places, torch.zeros(()))}

    def rates(self) -> np.ndarray:
        """The rates of the steps, by parameter and step."""
        return -np.diff([*self.seen, [place.item() for place in self.places]], axis=0).T


def train(model: Slope, optimizer, scheduler, steps: int = STEPS) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        model()["loss"].backward()
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("name", NAMED)
def test_every_step_goes_at_the_planned_rate(name: str) -> None:
    model = Slope()
    optimizer = torch.optim.SGD(model.parameters(), lr=123.0)
    train(model, optimizer, recommendation(name, steps=STEPS).scheduler(optimizer))
    np.testing.assert_allclose(model.rates()[0], expected(name), rtol=0, atol=1e-13)


def test_past_the_budget_the_rate_stays() -> None:
    model = Slope()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    train(model, optimizer, recommendation("linear", steps=STEPS).scheduler(optimizer), steps=STEPS + 5)
    np.testing.assert_allclose(model.rates()[0, STEPS - 1 :], LR / STEPS, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", NAMED)
def test_the_groups_keep_their_ratio_to_the_first(name: str) -> None:
    model = Slope(3)
    groups = [{"params": [place], "lr": lr} for place, lr in zip(model.places, (0.0, 0.02, 0.01), strict=True)]
    optimizer = torch.optim.SGD(groups)
    train(model, optimizer, recommendation(name, steps=STEPS).scheduler(optimizer))
    for rates, share in zip(model.rates(), (0.0, 1.0, 0.5), strict=True):
        np.testing.assert_allclose(rates, share * expected(name), rtol=0, atol=1e-13)


def test_one_group_moves_and_the_others_are_held() -> None:
    model = Slope(2)
    groups = [{"params": [model.places[0]], "lr": 0.02}, {"params": [model.places[1]], "lr": 0.01, "name": "head"}]
    optimizer = torch.optim.SGD(groups)
    train(model, optimizer, recommendation("cosine", steps=STEPS).scheduler(optimizer, group="head"))
    body, head = model.rates()
    np.testing.assert_allclose(body, 0.02, rtol=0, atol=1e-13)
    np.testing.assert_allclose(head, expected("cosine"), rtol=0, atol=1e-13)


def test_what_an_earlier_scheduler_left_does_not_count() -> None:
    model = Slope()
    optimizer = torch.optim.SGD(model.parameters(), lr=3.0)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0 if step == 0 else 1.0)
    assert optimizer.param_groups[0]["lr"] == 0.0
    train(model, optimizer, recommendation("one-cycle", steps=STEPS).scheduler(optimizer))
    np.testing.assert_allclose(model.rates()[0], expected("one-cycle"), rtol=0, atol=1e-13)


def test_a_rate_that_is_a_tensor_stays_one() -> None:
    model = Slope()
    optimizer = torch.optim.Adam(model.parameters(), lr=torch.tensor(0.5, dtype=torch.float64), foreach=False)
    tensor = optimizer.param_groups[0]["lr"]
    train(model, optimizer, recommendation("linear", steps=STEPS).scheduler(optimizer), steps=3)
    assert optimizer.param_groups[0]["lr"] is tensor
    assert tensor.item() == pytest.approx(expected("linear")[3])


def test_it_goes_on_from_a_checkpoint() -> None:
    model, again = Slope(), Slope()
    optimizer, other = (torch.optim.SGD(each.parameters(), lr=1.0) for each in (model, again))
    scheduler = recommendation("wsd", steps=STEPS).scheduler(optimizer)
    train(model, optimizer, scheduler, steps=15)
    file = io.BytesIO()
    torch.save([model.state_dict(), optimizer.state_dict(), scheduler.state_dict()], file)
    assert file.tell() < 10_000
    file.seek(0)
    continued = recommendation("wsd", steps=STEPS).scheduler(other)
    for part, state in zip([again, other, continued], torch.load(file, weights_only=True), strict=True):
        part.load_state_dict(state)
    train(again, other, continued, steps=STEPS - 15)
    np.testing.assert_allclose(again.rates()[0], expected("wsd")[15:], rtol=0, atol=1e-13)


def test_it_can_be_copied_and_pickled() -> None:
    optimizer = torch.optim.SGD(Slope().parameters(), lr=1.0)
    scheduler = torch_scheduler(optimizer, LR, planned("linear", STEPS).table)
    for twin in (copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))):
        assert twin.lr_lambdas[0](20) == scheduler.lr_lambdas[0](20) == 0.5


def test_lightning_steps_it() -> None:
    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = Slope()

        def training_step(self, batch, batch_idx):
            return self.model()["loss"]

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
            scheduler = recommendation("one-cycle", steps=STEPS, framework="lightning").scheduler(optimizer)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    module = Module()
    silent = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Trainer(accelerator="cpu", devices=1, max_steps=STEPS, **silent).fit(module, [torch.zeros(1)] * 15)
    np.testing.assert_allclose(module.model.rates()[0], expected("one-cycle"), rtol=0, atol=1e-13)


def test_the_trainer_of_hugging_face_steps_it() -> None:
    model = Slope()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler = recommendation("linear", steps=STEPS, framework="transformers").scheduler(optimizer)
    settings = {"max_steps": STEPS, "per_device_train_batch_size": 2, "max_grad_norm": 0.0, "report_to": "none"}
    quiet = {"disable_tqdm": True, "save_strategy": "no", "logging_strategy": "no", "dataloader_pin_memory": False}
    arguments = TrainingArguments(tempfile.gettempdir(), use_cpu=True, **settings, **quiet)
    rows = [{"x": torch.zeros(1), "labels": torch.zeros(1)}] * 30
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        HuggingFaceTrainer(model, arguments, train_dataset=rows, optimizers=(optimizer, scheduler)).train()
    np.testing.assert_allclose(model.rates()[0], expected("linear"), rtol=0, atol=1e-13)


def test_what_it_cannot_schedule() -> None:
    optimizer = torch.optim.SGD(Slope().parameters(), lr=0.0)
    with pytest.raises(UnsupportedLoopError, match="an lr that is 0"):
        recommendation().scheduler(optimizer)
    with pytest.raises(InvalidValueError, match="group must be a number from 0 to 0"):
        recommendation().scheduler(torch.optim.SGD(Slope().parameters(), lr=0.1), group=1)
    with pytest.raises(InvalidValueError, match="must be an optimizer of PyTorch, but it is a Linear"):
        recommendation().scheduler(nn.Linear(1, 1))
