"""What Lightning loops do beyond coming home."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers.logger import DummyLogger, Logger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lrscout
from lrscout.core.errors import LossError
from tests.battery import bits
from tests.loops.cases_lightning import (
    BATCHES,
    CASES,
    Adversaries,
    Classifier,
    Digits,
    Hooked,
    Recorder,
    Regression,
    X,
    fit,
    fit_with,
    loader,
    quiet_trainer,
)
from tests.loops.cases_torch import Augmented, seed_everything


class Unscheduled(Hooked):
    def configure_optimizers(self):
        return super().configure_optimizers()["optimizer"]


def state(module: LightningModule) -> Any:
    return bits({name: value.numpy() for name, value in module.state_dict().items()})


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Classifier, {}),
        (Classifier, {"gradient_clip_val": 0.1}),
        (Classifier, {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"}),
        (Classifier, {"precision": "bf16-mixed"}),
        (Unscheduled, {}),
        (Unscheduled, {"accumulate_grad_batches": 2, "gradient_clip_val": 0.1}),
    ],
)
def test_the_steps_are_those_of_a_fit(kind, options) -> None:
    seed_everything()
    theirs, data = kind(), DataLoader(Augmented(64), batch_size=5, shuffle=True)
    mine = copy.deepcopy(theirs)
    seed_everything(1)
    batches = options.get("accumulate_grad_batches", 1)
    losses = np.array(fit(theirs, data, 10, **options))
    seed_everything(1)
    loop = lrscout.from_lightning(mine, data, trainer=quiet_trainer(**options))
    steps = 10 if kind is Classifier else 4
    took = [loop.step(loop.lr) for _ in range(steps)]
    if kind is Classifier:
        assert bits(took) == bits(losses.tolist())
        assert state(mine) == state(theirs)
    elif batches == 1:
        assert bits(took) == bits(losses[np.isfinite(losses)][:steps].tolist())
    else:
        pairs = losses[: 2 * steps].reshape(-1, 2) * batches
        np.testing.assert_allclose(took, np.nanmean(pairs, axis=1), rtol=1e-6)


def test_the_steps_of_a_module_that_optimizes_by_hand_are_those_of_a_fit() -> None:
    seed_everything()
    theirs, data = Adversaries(), DataLoader(TensorDataset(X), batch_size=2, shuffle=True)
    mine = copy.deepcopy(theirs)
    seed_everything(1)
    fit(theirs, data, 20)
    seed_everything(1)
    loop = lrscout.from_lightning(mine, data, optimizer=1, loss="d_loss")
    for _ in range(10):
        loop.step(loop.lr)
    assert state(mine) == state(theirs)


def test_hooks_of_the_plain_step_change_nothing_but_the_time() -> None:
    class WithHook(Regression):
        def on_after_backward(self) -> None:
            pass

    curves = [lrscout.range_test(lrscout.from_lightning(kind(), loader()), steps=30) for kind in (Regression, WithHook)]
    assert bits(curves[0].losses) == bits(curves[1].losses)


def test_the_curve_is_that_of_the_plain_torch_loop() -> None:
    module, layer = Regression(), Regression().layer
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
    mine = lrscout.range_test(lrscout.from_lightning(module, loader()), steps=40)
    theirs = lrscout.range_test(lrscout.from_torch(layer, optimizer, nn.MSELoss(), loader()), steps=40)
    assert bits(mine.losses) == bits(theirs.losses)


@pytest.mark.parametrize("name", CASES)
def test_the_first_fit_is_what_it_would_have_been(name: str) -> None:
    courses = []
    for scouted in (False, True):
        case = CASES[name]()
        if scouted:
            lrscout.range_test(case.loop, **case.disturb_with)
            case.loop.evaluate()
        assert case.train is not None
        courses.append(
            (bits(case.train(12)), bits({name: case.parts[name].read() for name in ("parameters", "slots")}))
        )
    assert courses[0] == courses[1]


class Forbidden(Callback, Logger):
    """A callback and a logger that must not be called."""

    name = version = "forbidden"

    def __getattribute__(self, name: str) -> Any:
        if name.startswith(("on_", "setup", "teardown", "log", "save", "finalize", "after_", "experiment")):
            raise AssertionError(f"{name} was called")
        return super().__getattribute__(name)

    def log_metrics(self, *args, **kwargs) -> None: ...

    def log_hyperparams(self, *args, **kwargs) -> None: ...


def test_nothing_of_the_users_trainer_is_called_and_nothing_is_written(tmp_path, monkeypatch, capfd, caplog) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = quiet_trainer(default_root_dir=tmp_path)
    trainer.callbacks, trainer.loggers = [Forbidden()], [Forbidden()]
    module, data = Classifier(), Digits()
    before, data_before, trainer_before = dict(vars(module)), dict(vars(data)), dict(vars(trainer))
    capfd.readouterr()
    caplog.clear()
    loop = lrscout.from_lightning(module, data, trainer=trainer)
    lrscout.range_test(loop, steps=9)
    loop.evaluate()
    assert (dict(vars(module)), dict(vars(data)), dict(vars(trainer))) == (before, data_before, trainer_before)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_the_module_is_attached_only_while_it_steps() -> None:
    class Watched(Regression):
        def training_step(self, batch, batch_idx):
            trainers.append(self.trainer)
            return super().training_step(batch, batch_idx)

    trainers: list[Trainer] = []
    module = Watched()
    loop = lrscout.from_lightning(module, BATCHES)
    loop.step(0.1)
    assert trainers
    assert module._trainer is None


def test_a_module_sees_the_trainer_that_it_would_be_fitted_with() -> None:
    class Curious(Regression):
        def configure_optimizers(self):
            seen.append((self.trainer.estimated_stepping_batches, self.trainer.max_epochs, self.trainer.is_global_zero))
            return super().configure_optimizers()

        def training_step(self, batch, batch_idx):
            seen.append((self.global_step, self.current_epoch, batch_idx, self.trainer.num_training_batches))
            seen.append(
                (
                    self.device,
                    self.trainer.training,
                    type(self.optimizers()).__name__,
                    self.trainer.accumulate_grad_batches,
                )
            )
            self.logger.log_image("an image", [])
            return super().training_step(batch, batch_idx)

    seen: list[Any] = []
    theirs = Curious()
    trainer = quiet_trainer()
    trainer.loggers = [DummyLogger()]
    fit_with(trainer, theirs, loader())
    expected, seen[:] = seen[: 1 + 2 * 4], []
    loop = lrscout.from_lightning(Curious(), loader(), trainer=quiet_trainer())
    seen.clear()
    for _ in range(4):
        loop.step(0.05)
    assert seen == expected


@pytest.mark.parametrize(
    "form",
    [
        lambda o, s: o,
        lambda o, s: [o],
        lambda o, s: ([o], [s]),
        lambda o, s: ([o], [{"scheduler": s, "interval": "step"}]),
        lambda o, s: {"optimizer": o},
        lambda o, s: {"optimizer": o, "lr_scheduler": s},
        lambda o, s: {"optimizer": o, "lr_scheduler": {"scheduler": s, "monitor": "val_loss"}},
        lambda o, s: [{"optimizer": o, "lr_scheduler": s}],
    ],
)
def test_every_form_of_configure_optimizers(form) -> None:
    class Formed(Regression):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.05)
            return form(optimizer, torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5))

    loop = lrscout.from_lightning(Formed(), BATCHES)
    plain = lrscout.from_lightning(Regression(), BATCHES)
    assert loop.lr == 0.05
    assert [loop.step(0.1) for _ in range(9)] == [plain.step(0.1) for _ in range(9)]


class RangeTestOnTheWay(Callback):
    def __init__(self, at: int, **options) -> None:
        self.at, self.options, self.tests = at, options, []

    def on_train_batch_start(self, trainer, module, batch, batch_idx) -> None:
        if trainer.global_step == self.at:
            loop = lrscout.from_lightning(module, **self.options)
            self.tests.append((loop.lr, lrscout.range_test(loop, steps=12, min_lr=1e-3, max_lr=1.0)))


def test_a_range_test_in_the_middle_of_a_fit_leaves_the_fit_alone() -> None:
    courses = []
    for scouts in ([], [RangeTestOnTheWay(at=4)]):
        seed_everything()
        module, recorder = Classifier(), Recorder()
        trainer = quiet_trainer(max_epochs=2, callbacks=[*scouts, recorder], num_sanity_val_steps=0)
        fit_with(trainer, module, DataLoader(Augmented(), batch_size=5, shuffle=True))
        courses.append((bits(recorder.losses), state(module)))
    assert courses[0] == courses[1]
    (lr, test), *_ = scouts[0].tests
    assert lr == 0.05
    assert test.cost.steps >= 5


def test_a_loop_goes_on_from_where_a_fit_has_ended_momentum_and_all() -> None:
    class WithMomentum(Regression):
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)

    whole, half = WithMomentum(), WithMomentum()
    losses = fit(whole, loader(), 12)
    trainer = quiet_trainer(max_epochs=1)
    fit_with(trainer, half, loader())
    loop = lrscout.from_lightning(half, loader())
    lrscout.range_test(loop, steps=9)
    assert bits([loop.step(loop.lr) for _ in range(6)]) == bits(losses[6:])


def test_the_settings_of_a_trainer_are_taken() -> None:
    clipped, free = (
        lrscout.from_lightning(Regression(), BATCHES, trainer=quiet_trainer(gradient_clip_val=value))
        for value in (1e-6, None)
    )
    assert clipped.step(1.0) == free.step(1.0)
    assert clipped.step(1.0) != free.step(1.0)


def test_processes_that_would_share_an_update_become_batches_of_one() -> None:
    trainer = quiet_trainer(devices=2, strategy="ddp")
    shared = lrscout.from_lightning(Regression(), BATCHES, trainer=trainer)
    whole = lrscout.from_lightning(Regression(), loader(batch_size=8))
    np.testing.assert_allclose([shared.step(0.1) for _ in range(4)], [whole.step(0.1) for _ in range(4)], rtol=1e-5)


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_a_precision_that_converts_the_module_is_converted_back(precision: str) -> None:
    module = Regression()
    before, dtype = state(module), module.dtype
    loop = lrscout.from_lightning(module, loader(), trainer=quiet_trainer(precision=precision))
    lrscout.range_test(loop, steps=9)
    assert (state(module), module.dtype, module.layer.weight.dtype) == (before, dtype, torch.float32)


def test_each_of_two_optimizers_has_a_curve_of_its_own() -> None:
    seed_everything()
    module, data = Adversaries(), DataLoader(TensorDataset(X), batch_size=4)
    for number, lr, loss in ((0, 2e-3, "g_loss"), (1, 1e-3, "d_loss")):
        loop = lrscout.from_lightning(module, data, optimizer=number, loss=loss)
        assert loop.lr == lr
        loop.step(0.5)
        optimizers = loop._fitting._silent[1].optimizers
        assert [optimizer.param_groups[0]["lr"] == 0.5 for optimizer in optimizers] == [number == 0, False]
        assert number == 0 or optimizers[0].param_groups[0]["lr"] == 2e-3


def test_one_group_is_moved_alone() -> None:
    seed_everything()
    loop = lrscout.from_lightning(Unscheduled(), DataLoader(Augmented(), batch_size=4), group=1)
    assert loop.lr == 3e-3
    loop.step(0.5)
    assert [group["lr"] for group in loop._fitting._silent[1].optimizers[0].param_groups] == [1e-2, 0.5]


def test_a_logged_value_is_watched() -> None:
    class Logging(Regression):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            self.log("three", 3 * loss)
            return loss

    loop = lrscout.from_lightning(Logging(), BATCHES, loss="three")
    assert loop.step(0.1) == pytest.approx(3 * lrscout.from_lightning(Regression(), BATCHES).step(0.1))
    with pytest.raises(LossError, match=r"logged no 'four'; it logged \['three'\]"):
        lrscout.from_lightning(Logging(), BATCHES, loss="four").step(0.1)


def test_what_cannot_begin_leaves_the_module_as_it_was() -> None:
    class Broken(Regression):
        def configure_optimizers(self):
            self.extra = nn.Linear(1, 1)
            raise RuntimeError("no optimizer today")

    module = Broken()
    before = dict(vars(module))
    with pytest.raises(RuntimeError, match="today"):
        lrscout.from_lightning(module, BATCHES)
    assert dict(vars(module)) == before
    assert "extra" not in module._modules
