"""A monitor inside the Trainer of Hugging Face."""

from __future__ import annotations

import tempfile
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from lrscout.callbacks.transformers_monitor import MonitorCallback
from lrscout.core.curve import Outcome
from lrscout.core.errors import InvalidValueError, UnsupportedLoopError

X = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
Y = X.sum(1)
LIMIT = 1 / float(np.linalg.eigvalsh(X.T.numpy() @ X.numpy() / len(X))[-1])
"""The loss is the mean of squares, whose Hessian is 2 X'X / n: gradient descent is stable below this."""


class Line(nn.Module):
    """The mean of squares of `x @ w - y`, from `w = 0`."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.seen: list[float] = []

    def forward(self, x, labels):
        loss = ((x @ self.weight - labels) ** 2).mean()
        if self.training:
            self.seen.append(loss.item())
        return {"loss": loss, "logits": x @ self.weight}


def train(watch: MonitorCallback, lr: float, steps: int = 150, targets=Y, **settings) -> tuple[Line, Trainer]:
    settings = {
        "output_dir": tempfile.gettempdir(),
        "per_device_train_batch_size": len(X),
        "per_device_eval_batch_size": len(X),
        "max_steps": steps,
        "learning_rate": lr,
        "lr_scheduler_type": "constant",
        "optim": "sgd",
        "max_grad_norm": 0.0,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "use_cpu": True,
    } | settings
    rows = [{"x": x, "labels": y} for x, y in zip(X, targets, strict=True)]
    model = Line()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Transformers' own.
        trainer = Trainer(
            model, TrainingArguments(**settings), train_dataset=rows, eval_dataset=rows, callbacks=[watch]
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return model, trainer


@pytest.mark.parametrize("share", [0.95, 1.05])
def test_it_tells_a_rate_above_the_limit_and_none_below(share: float) -> None:
    said: list[str] = []
    watch = MonitorCallback(stop_on_divergence=True, say=said.append)
    _, trainer = train(watch, share * LIMIT)
    if share < 1:
        assert trainer.state.global_step == 150
        assert said == []
    else:
        assert trainer.state.global_step < 110
        assert [verdict.outcome for verdict in watch.monitor.verdicts] == [Outcome.DIVERGING]
        assert said == [watch.monitor.verdicts[0].sentence]


def test_it_sees_the_means_since_the_last_log_and_the_evaluations() -> None:
    watch = MonitorCallback(say=None)
    model, trainer = train(watch, LIMIT / 4, steps=12, logging_steps=3, eval_strategy="steps", eval_steps=6)
    found = watch.monitor.diagnosis()
    np.testing.assert_allclose(found.losses, np.reshape(model.seen, (4, 3)).mean(1), rtol=1e-3)
    assert found.steps.tolist() == [2, 5, 8, 11]
    logged = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert found.evaluations.tolist() == logged
    assert found.lr == pytest.approx(LIMIT / 4)


def test_a_loss_that_is_none_stops_the_training() -> None:
    watch = MonitorCallback(stop_on_divergence=True, say=None)
    _, trainer = train(watch, 3.0, steps=200)
    assert trainer.state.global_step < 60
    bad = Y.clone()
    bad[0] = torch.nan
    _, trainer = train(watch, LIMIT / 4, targets=bad)
    assert [(verdict.step, verdict.outcome) for verdict in watch.monitor.verdicts] == [(1, Outcome.NON_FINITE)]
    assert trainer.state.global_step == 2


def test_each_training_has_a_monitor_of_its_own_that_knows_its_length() -> None:
    watch = MonitorCallback(say=None)
    with pytest.raises(UnsupportedLoopError, match="no monitor yet"):
        _ = watch.monitor
    train(watch, 1e-4 * LIMIT, steps=200)
    first = watch.monitor
    assert [verdict.outcome for verdict in first.verdicts] == [Outcome.TOO_SLOW]
    train(watch, 1e-4 * LIMIT, steps=2)
    assert watch.monitor is not first
    with pytest.raises(InvalidValueError, match="max_stable_lr"):
        MonitorCallback(max_stable_lr=-1.0)
