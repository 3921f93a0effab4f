"""A monitor inside Lightning's own trainer, under either of Lightning's names."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import pytorch_lightning
import torch
from lightning import pytorch as lightning
from torch import nn
from torch.utils.data import DataLoader

from lrscout.callbacks.lightning_monitor import MonitorCallback
from lrscout.core.curve import Outcome
from lrscout.core.errors import InvalidValueError, LossError, UnsupportedLoopError

SILENT = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
X = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)
LIMIT = 1 / float(np.linalg.eigvalsh(X.T.numpy() @ X.numpy() / len(X))[-1])
"""The loss is the mean of squares, whose Hessian is 2 X'X / n: gradient descent is stable below this."""


def line(package=lightning, lr: float = LIMIT / 2, *, automatic: bool = True, decays: bool = False):
    class Line(package.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 1, bias=False)
            nn.init.zeros_(self.layer.weight)
            self.automatic_optimization = automatic
            self.seen: list[float] = []

        def training_step(self, batch, batch_idx):
            loss = nn.functional.mse_loss(self.layer(batch[0]), batch[1])
            self.seen.append(loss.item())
            if automatic:
                return loss
            self.log("own_loss", loss)
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            return None

        def validation_step(self, batch, batch_idx) -> None:
            self.log("val_loss", nn.functional.mse_loss(self.layer(batch[0]), batch[1]))

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=lr)
            if not decays:
                return optimizer
            halved = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": halved, "interval": "step"}}

    return Line()


def fit(module, watch: MonitorCallback, package=lightning, steps: int = 150, batches=((X, Y),), **options):
    options = {"accelerator": "cpu", "devices": 1, "num_sanity_val_steps": 0, "max_steps": steps, **SILENT} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on workers.
        trainer = package.Trainer(callbacks=[watch], **options)
        trainer.fit(module, DataLoader(list(batches), batch_size=None))
    return trainer


@pytest.mark.parametrize("package", [lightning, pytorch_lightning], ids=["lightning", "pytorch_lightning"])
@pytest.mark.parametrize("share", [0.95, 1.05])
def test_it_tells_a_rate_above_the_limit_and_none_below(package, share: float) -> None:
    said: list[str] = []
    watch = MonitorCallback(stop_on_divergence=True, say=said.append)
    trainer = fit(line(package, share * LIMIT), watch, package)
    if share < 1:
        assert trainer.global_step == 150
        assert said == []
    else:
        assert trainer.global_step < 110
        assert [verdict.outcome for verdict in watch.monitor.verdicts] == [Outcome.DIVERGING]
        assert said == [watch.monitor.verdicts[0].sentence]


def test_without_being_asked_to_it_stops_nothing() -> None:
    watch = MonitorCallback(say=None)
    assert fit(line(lr=1.5 * LIMIT), watch).global_step == 150
    assert watch.monitor.verdicts[0].outcome is Outcome.DIVERGING


class Kept(MonitorCallback):
    """A monitor that keeps what it is told."""

    def _make_monitor(self, steps, *, speaks=True):
        monitor = super()._make_monitor(steps, speaks=speaks)
        self.steps, self.seen = steps, []
        update = monitor.update
        monitor.update = lambda lr, loss: self.seen.append((lr, loss)) or update(lr, loss)
        return monitor


def test_it_sees_each_batchs_own_loss_at_its_own_rate() -> None:
    watch, module = Kept(say=None), line(lr=0.1, decays=True)
    fit(module, watch, steps=4)
    lrs, losses = zip(*watch.seen, strict=True)
    assert lrs == pytest.approx([0.1, 0.05, 0.025, 0.0125])
    assert losses == pytest.approx(module.seen)


def test_batches_that_share_an_update_count_one_by_one() -> None:
    watch, module = Kept(say=None), line()
    fit(module, watch, steps=3, batches=[(X[:12], Y[:12]), (X[12:], Y[12:])], accumulate_grad_batches=2)
    assert [loss for _, loss in watch.seen] == pytest.approx(module.seen)
    assert watch.steps == len(watch.seen) == 6


def test_a_loss_that_is_only_logged_is_named() -> None:
    with pytest.raises(LossError, match="returns no loss"):
        fit(line(automatic=False), MonitorCallback(say=None), steps=4)
    with pytest.raises(LossError, match=r"no 'critic_loss', but \['own_loss'\]"):
        fit(line(automatic=False), MonitorCallback(say=None, loss="critic_loss"), steps=4)
    watch, module = Kept(say=None, loss="own_loss"), line(automatic=False)
    fit(module, watch, steps=4)
    assert [loss for _, loss in watch.seen] == pytest.approx(module.seen)


def test_the_evaluation_is_told() -> None:
    watch, module = MonitorCallback(say=None), line(lr=LIMIT / 4)
    options = {"accelerator": "cpu", "devices": 1, "max_epochs": 5, **SILENT}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lightning.Trainer(callbacks=[watch], **options).fit(
            module, *(DataLoader([(X, Y)], batch_size=None) for _ in range(2))
        )
    # Five epochs of one step, each followed by an evaluation: of what the next step's loss will be.
    evaluations = watch.monitor.diagnosis().evaluations
    assert len(evaluations) == 5
    np.testing.assert_allclose(evaluations[:4], module.seen[1:], rtol=1e-5)


def test_a_loss_that_is_none_stops_the_fit_at_once() -> None:
    watch = MonitorCallback(stop_on_divergence=True, say=None)
    trainer = fit(line(), watch, batches=[(X, Y), (X, Y), (X, Y * torch.nan), (X, Y)])
    assert trainer.global_step == 3
    assert [(verdict.step, verdict.outcome) for verdict in watch.monitor.verdicts] == [(2, Outcome.NON_FINITE)]


def test_each_fit_has_a_monitor_of_its_own_that_knows_its_length() -> None:
    watch = MonitorCallback(say=None)
    with pytest.raises(UnsupportedLoopError, match="no monitor yet"):
        _ = watch.monitor
    fit(line(lr=1e-4 * LIMIT), watch, steps=200)
    first = watch.monitor
    assert [verdict.outcome for verdict in first.verdicts] == [Outcome.TOO_SLOW]
    fit(line(lr=1e-4 * LIMIT), watch, steps=2)
    assert watch.monitor is not first
    with pytest.raises(InvalidValueError, match="max_stable_lr"):
        MonitorCallback(max_stable_lr=-1.0)
