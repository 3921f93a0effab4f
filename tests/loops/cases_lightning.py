"""Lightning loops: automatic and manual optimization, hooks, data modules, metrics, several optimizers, a scaler."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torchmetrics
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lrscout
from tests.battery import Case, Part, numpy_generator, python_generator, stream_place
from tests.loops.cases_torch import Augmented, Network, module_parts, seed_everything

SILENT = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)


class Recorder(Callback):
    """Keeps the loss of every batch."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        self.losses.append(outputs["loss"].item() if "loss" in outputs else float("nan"))


def fit_with(trainer: Trainer, module: LightningModule, data: Any) -> None:
    """Fit with a trainer of the user's, whatever Lightning itself warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, data)


def fit(module: LightningModule, data: Any, steps: int, **options: Any) -> list[float]:
    """Return the losses of a fit by a trainer of the user's."""
    recorder = Recorder()
    options = {"accelerator": "cpu", "devices": 1, **SILENT} | options
    fit_with(Trainer(callbacks=[recorder], max_steps=steps, num_sanity_val_steps=0, **options), module, data)
    return recorder.losses


class Optimizer:
    """An optimizer of a module: that of the fit which the loop has begun, or that of the user's last fit."""

    def __init__(self, loop: Any, module: LightningModule, number: int = 0) -> None:
        self._loop, self._module, self._number = loop, module, number

    def _present(self) -> Any:
        if self._loop._fit is not None:
            return self._loop._fitting._silent[1].optimizers[self._number]
        trainer = self._module._trainer
        return None if trainer is None else trainer.optimizers[self._number]

    @property
    def state(self) -> Any:
        present = self._present()
        return {} if present is None else present.state

    @property
    def param_groups(self) -> Any:
        present = self._present()
        return [] if present is None else present.param_groups


def parts_of(loop: Any, module: LightningModule, number: int = 0) -> dict[str, Part]:
    return module_parts(module, Optimizer(loop, module, number)) | {"place": stream_place(loop)}


X = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)
BATCHES = [(X[i : i + 4], Y[i : i + 4]) for i in range(0, 24, 4)]


class Regression(LightningModule):
    """A linear model and plain descent."""

    def __init__(self, lr: float = 0.05) -> None:
        super().__init__()
        seed_everything()
        self.lr = lr
        self.layer = nn.Linear(3, 1)

    def training_step(self, batch, batch_idx):
        return nn.functional.mse_loss(self.layer(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.lr)


def quiet_trainer(**options) -> Trainer:
    return Trainer(**({"accelerator": "cpu", "devices": 1, "max_epochs": 3} | SILENT | options))


def loader(batch_size: int = 4, **options) -> DataLoader:
    return DataLoader(TensorDataset(X, Y), batch_size=batch_size, **options)


class Digits(LightningDataModule):
    """Shuffled, augmented batches that exist once `setup` has drawn which examples to hold out."""

    def setup(self, stage: str) -> None:
        whole = Augmented(40)
        self.train_set, self.held_out = torch.utils.data.random_split(whole, [32, 8])

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.train_set, batch_size=5, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.held_out, batch_size=4)


class Classifier(LightningModule):
    """What most modules are: one loss, a metric, values that are logged."""

    def __init__(self) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = Network()
        self.accuracy = torchmetrics.Accuracy(task="multiclass", num_classes=2)

    def training_step(self, batch, batch_idx):
        logits = self.network(batch[0])
        loss = nn.functional.cross_entropy(logits, batch[1])
        self.accuracy(logits, batch[1])
        self.log("train_loss", loss, prog_bar=True)
        self.log_dict({"accuracy": self.accuracy, "lr": self.optimizers().param_groups[0]["lr"]})
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", nn.functional.cross_entropy(self.network(batch[0]), batch[1]))

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)]


def plain() -> Case:
    """A module without hooks on a data module that draws its split in `setup`."""
    seed_everything()
    module, data = Classifier(), Digits()
    loop = lrscout.from_lightning(module, data)
    parts = parts_of(loop, module) | {
        "metric": Part(
            lambda: module.accuracy.tp.numpy().copy(),
            lambda value: setattr(module.accuracy, "tp", torch.from_numpy(value)),
        ),
        "python generator": python_generator(),
        "numpy generator": numpy_generator(),
    }
    del parts["buffers"]  # Batch statistics are among what the losses tell.
    return Case(loop, parts, lambda steps: fit(module, data, steps))


class Hooked(LightningModule):
    """Every hook around a step has something to change."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Dropout(0.2))
        self.register_buffer("average", torch.zeros(2, 8))
        self.batches = 0
        self.noise = 1.0

    def setup(self, stage: str) -> None:
        self.scale = 0.5

    def configure_model(self) -> None:
        if not hasattr(self, "head"):
            self.head = nn.Linear(8, 2)

    def on_train_start(self) -> None:
        self.noise = 0.1

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return batch[0] * self.scale, batch[1]

    def on_train_batch_start(self, batch, batch_idx):
        self.batches += 1

    def training_step(self, batch):
        if self.batches % 7 == 3:
            return None
        x = batch[0] + self.noise * torch.randn_like(batch[0]) / (1 + self.global_step)
        loss = nn.functional.cross_entropy(self.head(self.network(x)), batch[1])
        return {"loss": loss, "other": self.current_epoch}

    def validation_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self.head(self.network(batch[0])), batch[1])

    def on_after_backward(self) -> None:
        for parameter in self.network.parameters():
            if parameter.grad is not None:
                parameter.grad += 1e-3 * torch.randn_like(parameter)

    def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure) -> None:
        optimizer.step(closure=optimizer_closure)
        self.noise *= 0.99

    def on_train_batch_end(self, outputs, batch, batch_idx) -> None:
        self.average.lerp_(self.head.weight.detach(), 0.1)

    def configure_optimizers(self):
        groups = [{"params": self.network.parameters(), "lr": 1e-2}, {"params": self.head.parameters(), "lr": 3e-3}]
        optimizer = torch.optim.AdamW(groups)
        steps = self.trainer.estimated_stepping_batches
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.5, total_iters=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def hooked() -> Case:
    """Hooks, a layer made by `configure_model`, two groups, accumulation, clipping, precision, skipped batches."""
    seed_everything()
    module = Hooked()
    options = {"precision": "bf16-mixed", "gradient_clip_val": 0.5, "accumulate_grad_batches": 2}
    loader = DataLoader(Augmented(), batch_size=4, shuffle=True)
    trainer = Trainer(accelerator="cpu", devices=1, max_epochs=9, **SILENT, **options)
    loop = lrscout.from_lightning(module, loader, trainer=trainer, eval_data=DataLoader(Augmented(8), batch_size=4))
    parts = parts_of(loop, module) | {
        "batches": Part(lambda: module.batches, lambda batches: setattr(module, "batches", batches)),
        "noise": Part(lambda: module.noise, lambda noise: setattr(module, "noise", noise)),
        "python generator": python_generator(),
        "numpy generator": numpy_generator(),
        "steps": Part(
            lambda: loop._fitting._silent[1].global_step if loop._fit else 0,
            lambda steps: setattr(
                loop._fitting._silent[1].fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total,
                "completed",
                steps,
            ),
        ),
    }
    return Case(loop, parts, lambda steps: fit(module, loader, steps, **options))


class Adversaries(LightningModule):
    """Two networks against each other, optimized by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.critic = nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))

    def training_step(self, batch, batch_idx):
        for_generator, for_critic = self.optimizers()
        real = batch[0]
        self.toggle_optimizer(for_generator)
        made = self.generator(torch.randn(len(real), 2))
        g_loss = nn.functional.softplus(-self.critic(made)).mean()
        for_generator.zero_grad()
        self.manual_backward(g_loss)
        for_generator.step()
        self.untoggle_optimizer(for_generator)

        self.toggle_optimizer(for_critic)
        right, wrong = self.critic(real), self.critic(made.detach())
        d_loss = (nn.functional.softplus(-right) + nn.functional.softplus(wrong)).mean()
        for_critic.zero_grad()
        self.manual_backward(d_loss)
        self.clip_gradients(for_critic, gradient_clip_val=0.3, gradient_clip_algorithm="norm")
        for_critic.step()
        self.untoggle_optimizer(for_critic)
        self.log_dict({"g_loss": g_loss, "d_loss": d_loss})
        self.lr_schedulers().step()
        if self.trainer.is_last_batch:
            self.critic[0].weight.data.mul_(0.99)

    def validation_step(self, batch, batch_idx):
        self.log("critic_loss", nn.functional.softplus(-self.critic(batch[0])).mean())

    def configure_optimizers(self):
        for_generator = torch.optim.Adam(self.generator.parameters(), lr=2e-3, betas=(0.5, 0.9))
        for_critic = torch.optim.Adam(self.critic.parameters(), lr=1e-3, betas=(0.5, 0.9))
        return [for_generator, for_critic], [torch.optim.lr_scheduler.ExponentialLR(for_critic, 0.99)]


def adversarial() -> Case:
    """Two optimizers, of which the second is scouted by the loss that it is there for."""
    seed_everything()
    module = Adversaries()
    loader = DataLoader(TensorDataset(torch.randn(24, 3) + 2), batch_size=4, shuffle=True)
    loop = lrscout.from_lightning(module, loader, optimizer=1, loss="d_loss")
    parts = parts_of(loop, module, number=1)
    other = module_parts(module, Optimizer(loop, module, number=0))
    parts |= {"other slots": other["slots"]}
    case = Case(loop, parts, lambda steps: fit(module, loader, 2 * steps))
    case.disturb_with["max_lr"] = 0.1
    return case


def scaled() -> Case:
    """A gradient scaler of the user's own trainer, whose scale changes as it goes."""
    seed_everything()
    module = Classifier()
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=3)
    plugins = [MixedPrecision("16-mixed", "cpu", scaler=scaler)]
    trainer = Trainer(accelerator="cpu", devices=1, max_epochs=9, **SILENT, plugins=plugins)
    loader = DataLoader(Augmented(), batch_size=8, shuffle=True)
    loop = lrscout.from_lightning(module, loader, trainer=trainer, eval_data=[next(iter(loader))])
    parts = parts_of(loop, module) | {"scaler": Part(scaler.state_dict, scaler.load_state_dict)}
    del parts["buffers"]
    return Case(loop, parts, lambda steps: fit(module, loader, steps, plugins=plugins))


CASES = {case.__name__: case for case in (plain, hooked, adversarial, scaled)}
