"""What Lightning loops draw, how they evaluate, and what they refuse."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from torch import nn

import lrscout
from lrscout.core.errors import EmptyDataError, InvalidValueError, LossError, UnsupportedLoopError
from tests.battery import bits
from tests.loops.cases_lightning import BATCHES, Regression, X, Y, fit, loader, quiet_trainer
from tests.loops.cases_torch import seed_everything


class Pairs(Regression):
    def training_step(self, batch, batch_idx):
        first, second = batch.values() if isinstance(batch, dict) else batch
        return sum(nn.functional.mse_loss(self.layer(x), y) for x, y in (first, second))


@pytest.mark.parametrize(
    "data",
    [
        lambda: {"a": loader(), "b": loader(8)},
        lambda: [loader(shuffle=True), loader(6)],
        lambda: CombinedLoader([loader(), loader(8)], "min_size"),
    ],
)
def test_collections_of_loaders_are_combined_as_a_fit_combines_them(data) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for_theirs, for_mine = data(), data()
    theirs, mine = Pairs(), Pairs()
    seed_everything(1)
    losses = fit(theirs, for_theirs, 8)
    seed_everything(1)
    loop = lrscout.from_lightning(mine, for_mine)
    assert bits([loop.step(0.05) for _ in range(8)]) == bits(losses)


def test_a_limit_on_batches_is_kept() -> None:
    loop = lrscout.from_lightning(Regression(), BATCHES, trainer=quiet_trainer(limit_train_batches=2))
    rates = [1e-30] * 4
    losses = [loop.step(rate) for rate in rates]
    assert losses[:2] == losses[2:]
    assert losses[0] != losses[1]


def test_the_modules_own_loaders_serve_where_none_are_given() -> None:
    class WithLoader(Regression):
        def train_dataloader(self):
            return BATCHES

        def val_dataloader(self):
            return [BATCHES[0]]

    assert lrscout.from_lightning(WithLoader()).step(0.1) == lrscout.from_lightning(Regression(), BATCHES).step(0.1)


def test_an_iterator_is_data_too() -> None:
    loop = lrscout.from_lightning(Regression(), iter(BATCHES * 9))
    lrscout.range_test(loop, steps=9)
    plain = lrscout.from_lightning(Regression(), BATCHES)
    assert loop.step(0.1) == plain.step(0.1)


class Validated(Regression):
    """Dropout, so that the mode matters; two values are logged."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def on_validation_epoch_start(self) -> None:
        self.seen = []

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.seen.append((batch_idx, dataloader_idx))
        error = nn.functional.mse_loss(self.layer(self.dropout(batch[0])), batch[1])
        self.log_dict({"val_loss": error, "val_double": 2 * error, "place": float(len(self.seen))})


def test_the_evaluation_is_the_modules_own() -> None:
    module = Validated()
    expected = nn.functional.mse_loss(module.layer(X), Y).item()
    loop = lrscout.from_lightning(module, BATCHES, eval_data=[loader(7), loader(24)])
    assert loop.evaluate() == pytest.approx(expected)
    named = lrscout.from_lightning(module, BATCHES, eval_data=loader(7), eval_loss="val_double")
    assert named.evaluate() == pytest.approx(2 * expected)
    counted = lrscout.from_lightning(module, BATCHES, eval_data=[loader(24), loader(24)], eval_loss="place")
    assert counted.evaluate() == 1.5
    assert not hasattr(module, "seen")


def test_training_batches_stand_in_for_evaluation_batches() -> None:
    module = Regression()
    expected = nn.functional.mse_loss(module.layer(X[:16]), Y[:16]).item()
    assert lrscout.from_lightning(module, BATCHES).evaluate() == pytest.approx(expected)


def test_loaders_that_a_hook_says_are_not_there() -> None:
    hooks = {"train_dataloader": lambda self: BATCHES, "val_dataloader": lambda self: []}
    module = type("WithoutValidation", (Regression,), hooks)()
    assert lrscout.from_lightning(module).evaluate() == lrscout.from_lightning(Regression(), BATCHES).evaluate()
    with pytest.raises(EmptyDataError):
        lrscout.from_lightning(module, eval_data=[]).evaluate()


def returning(output: Any, **more: Any) -> LightningModule:
    return type("Returning", (Regression,), {"training_step": lambda self, batch: output, **more})()


def by_hand(**more: Any) -> LightningModule:
    module = returning(None, **more)
    module.automatic_optimization = False
    return module


def test_losses_that_are_none() -> None:
    with pytest.raises(LossError, match="no loss for 1000 batches in a row"):
        lrscout.from_lightning(returning(None), BATCHES).step(0.1)
    leaving_out = returning(X.mean(), on_train_batch_start=lambda self, batch, batch_idx: -1)
    with pytest.raises(LossError, match="no loss for 1000 batches in a row"):
        lrscout.from_lightning(leaving_out, BATCHES).step(0.1)
    with pytest.raises(LossError, match="dictionary without 'loss'"):
        lrscout.from_lightning(returning({"nll": 1.0}), BATCHES).step(0.1)
    with pytest.raises(LossError, match="one number"):
        lrscout.from_lightning(returning(X), BATCHES).step(0.1)
    with pytest.raises(LossError, match=r"returns no loss.*loss="):
        lrscout.from_lightning(by_hand(), BATCHES).step(0.1)
    with pytest.raises(UnsupportedLoopError, match="Give it a validation_step"):
        lrscout.from_lightning(by_hand(), BATCHES).evaluate()
    silent = type("Silent", (Regression,), {"validation_step": lambda self, batch, batch_idx: None})()
    with pytest.raises(LossError, match="validation_step returns no loss"):
        lrscout.from_lightning(silent, BATCHES, eval_data=BATCHES).evaluate()


def configured(function: Any) -> LightningModule:
    return type("Configured", (Regression,), {"configure_optimizers": function})()


def test_loops_that_cannot_be_made() -> None:
    with pytest.raises(UnsupportedLoopError, match="must be a LightningModule, but it is a Linear"):
        lrscout.from_lightning(nn.Linear(3, 1), BATCHES)
    with pytest.raises(UnsupportedLoopError, match="has no training_step"):
        lrscout.from_lightning(LightningModule(), BATCHES)
    with pytest.raises(UnsupportedLoopError, match="has no configure_optimizers"):
        lrscout.from_lightning(configured(LightningModule.configure_optimizers), BATCHES)
    with pytest.raises(UnsupportedLoopError, match="configure_optimizers returned None"):
        lrscout.from_lightning(configured(lambda self: None), BATCHES)
    with pytest.raises(UnsupportedLoopError, match="LBFGS"):
        lrscout.from_lightning(configured(lambda self: torch.optim.LBFGS(self.parameters())), BATCHES)
    with pytest.raises(UnsupportedLoopError, match="no training batches"):
        lrscout.from_lightning(Regression())
    with pytest.raises(UnsupportedLoopError, match="no training batches"):
        lrscout.from_lightning(Regression(), LightningDataModule())
    with pytest.raises(EmptyDataError):
        lrscout.from_lightning(Regression(), []).step(0.1)
    with pytest.raises(InvalidValueError, match="optimizer must be a number from 0 to 0, but it is 1"):
        lrscout.from_lightning(Regression(), BATCHES, optimizer=1)
    with pytest.raises(InvalidValueError, match="group must be"):
        lrscout.from_lightning(Regression(), BATCHES, group="head")


def test_a_step_that_draws_from_the_loader_is_refused() -> None:
    drawing = type("Drawing", (Regression,), {"training_step": lambda self, dataloader_iter: None})()
    with pytest.raises(UnsupportedLoopError, match="take a batch"):
        lrscout.from_lightning(drawing, BATCHES)


def test_a_strategy_that_splits_the_model_is_refused() -> None:
    class FSDPStrategy(type(quiet_trainer().strategy)):
        pass

    trainer = quiet_trainer(accelerator="auto", strategy=FSDPStrategy(accelerator=quiet_trainer().accelerator))
    with pytest.raises(UnsupportedLoopError, match=r"FSDPStrategy.*devices=1"):
        lrscout.from_lightning(Regression(), BATCHES, trainer=trainer)
