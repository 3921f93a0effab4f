"""Lightning loops: a `LightningModule` as it is, and the data that a `Trainer` would be given."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.optim import Optimizer

from lrscout.core.errors import InvalidValueError, UnsupportedLoopError
from lrscout.core.loop import Snapshot
from lrscout.loops.data import AtPlace, Data
from lrscout.loops.lightning.data import training_source
from lrscout.loops.lightning.fit import Attached, Fitting
from lrscout.loops.lightning.landscape import LightningLandscape
from lrscout.loops.lightning.steps import Evaluation, TrainingLoss, step_of
from lrscout.loops.lightning.trainer import Package, package_of
from lrscout.loops.loaders import generators_of
from lrscout.loops.torch.loop import TorchLoop, modules_of
from lrscout.loops.torch.memory import Memory
from lrscout.loops.torch.rates import Rates, check_steppable


def from_lightning(
    module: Any,
    data: Any = None,
    *,
    trainer: Any = None,
    optimizer: int = 0,
    group: int | str | None = None,
    loss: str | None = None,
    eval_data: Any = None,
    eval_loss: str | None = None,
    stateful: Iterable[object] = (),
) -> LightningLoop:
    """Make a loop out of a `LightningModule` and its data.

    The module runs under a trainer of the loop's own, which calls its hooks as `Trainer.fit` does up to the first batch
    and around each step; no callback, logger or checkpoint of yours is called, and no file is written. Between the
    steps the module is as you left it. A fit that comes after a range test is, bit for bit, the fit that would have
    come without it.

    If the module's trainer has fitted it already, or is fitting it and a callback calls this, the loop goes on from
    there, with the optimizers as they are. Schedulers are not stepped, unless `training_step` does so itself.

    Args:
        module: the module, compiled or not.
        data: a `LightningDataModule`, a `DataLoader` or any other iterable of batches, or a dictionary, a list or a
            `CombinedLoader` of loaders. By default what the module's trainer fits it to, or else the module's own
            ``train_dataloader``.
        trainer: the `Trainer` that you would fit it with; its device, precision, clipping, accumulation and limits on
            batches are taken. By default the one that the module is attached to, if there is one. Where it spreads each
            update over several processes, one process takes their batches one after another.
        optimizer: which of the module's optimizers is scouted, by its number; the others keep their own lr.
        group: the optimizer's parameter group whose lr is scouted while the others are held, by its index or its
            ``"name"``. By default all move, each keeping its ratio to the first.
        loss: the name of a value that `training_step` logs, to be watched in place of the loss that it returns.
        eval_data: batches for `evaluate`, passed to `validation_step` if there is one. By default those of the
            ``val_dataloader``, or else four training batches.
        eval_loss: the name of a value that `validation_step` logs. By default the loss that it returns, or else what it
            logs as ``"val_loss"`` or under the only name with "loss" in it.
        stateful: further objects whose state a step changes, such as an averaged copy of the module.

    Returns:
        The loop.

    Raises:
        UnsupportedLoopError: the module lacks ``training_step`` or optimizers, there is no training data, the optimizer
            cannot be stepped at a chosen lr, or the trainer runs on a TPU or splits the model.
        InvalidValueError: there is no such optimizer or group.

    >>> from lightning import LightningModule
    >>> class Regression(LightningModule):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layer = torch.nn.Linear(2, 1)
    ...
    ...     def training_step(self, batch):
    ...         return torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
    ...
    ...     def configure_optimizers(self):
    ...         return torch.optim.SGD(self.parameters(), lr=0.1)
    >>> loop = from_lightning(Regression(), [(torch.ones(4, 2), torch.zeros(4, 1))])
    >>> loop.lr
    0.1
    """
    module = getattr(module, "_orig_mod", module)  # What torch.compile wraps computes the same.
    package = package_of(module, "LightningModule")
    if package is None:
        raise UnsupportedLoopError(
            f"module must be a LightningModule, but it is a {type(module).__name__}. Use from_torch for other modules."
        )
    _check_module(package, module)
    fitting = Fitting(package, module, data, eval_data, trainer)
    return LightningLoop(package, module, fitting, _Watched(optimizer, group, loss, eval_loss), list(stateful))


def _check_module(package: Package, module: Any) -> None:
    is_overridden = package("utilities.model_helpers").is_overridden
    for name in ("training_step", "configure_optimizers"):
        if not is_overridden(name, module):
            raise UnsupportedLoopError(f"{type(module).__name__} has no {name}. Give it one, as Trainer.fit needs it.")
    if package("utilities.signature_utils").is_param_in_hook_signature(
        module.training_step, "dataloader_iter", explicit=True
    ):
        raise UnsupportedLoopError(
            "Cannot bring this loop home because training_step draws from the loader itself. "
            "Let it take a batch: training_step(self, batch, batch_idx)."
        )


@dataclass(frozen=True)
class _Watched:
    """Which of a module's optimizers, groups and losses a loop is about."""

    optimizer: int
    group: int | str | None
    loss: str | None
    eval_loss: str | None

    def optimizer_of(self, trainer: Any) -> Optimizer:
        optimizers = trainer.optimizers
        if not 0 <= self.optimizer < len(optimizers):
            raise InvalidValueError(
                f"optimizer must be a number from 0 to {len(optimizers) - 1}, but it is {self.optimizer!r}."
            )
        return optimizers[self.optimizer]

    def rates_of(self, trainer: Any) -> Rates:
        return Rates(self.optimizer_of(trainer), self.group)


@dataclass
class _Snapshot(AtPlace):
    """A moment at home, or, with a fit that has begun, within that, whose own snapshot knows its place."""

    state: Any
    fit: TorchLoop | None = None

    def let_data_go(self) -> None:
        if self.fit is not None:
            self.state.let_data_go()
        super().let_data_go()


class LightningLoop:
    """A loop of a Lightning module; made by `from_lightning`.

    At home the module is as the user left it. The first step begins a fit: it sets the module up and makes optimizers,
    as `Trainer.fit` does. A snapshot of home brings the module back to before that.

    Args:
        package: the user's Lightning.
        module: the module.
        fitting: begins fits of it.
        watched: what is scouted.
        stateful: further objects whose state a step changes.
    """

    def __init__(
        self, package: Package, module: Any, fitting: Fitting, watched: _Watched, stateful: list[object]
    ) -> None:
        self._package = package
        self._module = module
        self._fitting = fitting
        self._watched = watched
        self._stateful = stateful
        self._fit: TorchLoop | None = None
        self._data = self._try_to_begin()

    @property
    def lr(self) -> float:
        return self._lr_at_home if self._fit is None else self._fit.lr

    def step(self, lr: float) -> float:
        return self._begun().step(lr)

    def evaluate(self) -> float:
        with self._in_fit() as fit:
            return fit.evaluate()

    def evaluation_steps(self) -> float:
        with self._in_fit() as fit:
            return fit.evaluation_steps()

    def landscape(self, batches: int) -> LightningLandscape:
        with self._in_fit() as fit:
            return LightningLandscape(self._in_fit, fit.batches_ahead(batches))

    def snapshot(self) -> Snapshot:
        if self._fit is not None:
            return _Snapshot(None, self._fit.snapshot(), self._fit)
        return _Snapshot(self._data.place(), Memory(self._state_at_home()))

    def restore(self, snapshot: Snapshot) -> None:
        assert isinstance(snapshot, _Snapshot)
        self._fit = snapshot.fit
        if snapshot.fit is not None:
            snapshot.fit.restore(snapshot.state)
            return
        try:
            snapshot.state.bring_back()
        finally:
            self._data.return_to(snapshot.place)

    def reseed(self, seed: int) -> None:
        self._begun().reseed(seed)

    @contextmanager
    def _in_fit(self) -> Generator[TorchLoop]:
        """Have a fit while the block lasts, and come home afterwards if there was none before."""
        if self._fit is not None:
            yield self._fit
            return
        home = self.snapshot()
        try:
            yield self._begun()
        finally:
            self.restore(home)

    def _begun(self) -> TorchLoop:
        if self._fit is None:
            home = self.snapshot()
            try:
                self._fit = self._begin()
            except BaseException:
                self.restore(home)
                raise
        return self._fit

    def _begin(self) -> TorchLoop:
        trainer = self._fitting.begin()
        optimizer, watched = self._watched.optimizer_of(trainer), self._watched
        step = step_of(self._package, trainer, optimizer, watched.loss)
        return TorchLoop(
            roots=[*self._fitting.state_of(trainer), *self._stateful],
            modules=modules_of([self._module, *self._stateful]),
            step=step,
            rates=watched.rates_of(trainer),
            train_loss_of=TrainingLoss(self._package, trainer) if self._module.automatic_optimization else None,
            eval_loss_of=Evaluation(self._package, trainer, self._fitting.eval_passes, watched.eval_loss),
            data=self._data,
            source=self._fitting.passes.source,
            device=torch.device("cpu") if step.moves_batches else trainer.strategy.root_device,
            visit=Attached(self._module, trainer),
        )

    def _try_to_begin(self) -> Data:
        """Begin a fit and come home, so that what cannot be done is refused now; return the batches."""
        generators = generators_of([], *self._fitting.holders)
        before, memory = generators.save(), Memory(self._state_at_home())
        try:
            trainer = self._fitting.begin()
            check_steppable(self._watched.optimizer_of(trainer), self._module.modules())
            self._lr_at_home = self._watched.rates_of(trainer).lr
            passes, eval_passes = self._fitting.passes, self._fitting.eval_passes
            loaders = [passes.source, None if eval_passes is None else eval_passes.source]
            return Data(training_source(passes), eval_passes, generators_of(loaders, *self._module.modules()))
        finally:
            memory.bring_back()
            generators.load(before)

    def _state_at_home(self) -> list[object]:
        return [*self._fitting.state_at_home(), *self._stateful]
