"""A guard inside `fit` of Keras 3."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lrscout.analyse.guarding import Guarding
from lrscout.analyse.monitor import warn
from lrscout.core.checks import check_count
from lrscout.core.errors import LossError, UnsupportedLoopError
from lrscout.core.imports import require
from lrscout.loops.generators import Generators, global_generators, torch_generators
from lrscout.loops.keras.adapter import is_built
from lrscout.loops.keras.state import KerasState
from lrscout.measure.safeguard import Rollback, Safeguard

keras = require("keras", extra="keras")


class GuardCallback(keras.callbacks.Callback):
    """Takes a `fit` back to its last good snapshot, at half the rate, when it is lost.

    It keeps one copy of weights, optimizer, metrics and random generators in memory, renewed every so many batches, and
    brings that back when the fit diverges, by the rules of `lrscout.guard`. The data, the epochs and the schedule go on
    from where they are. The learning rate that the optimizer uses is multiplied by `factor`, one half for each return;
    what it shows stays what your schedule, or another callback, made it. As long as nothing goes wrong, nothing is
    changed, bit for bit; after a return, the running means of the epoch begin anew. Each fit is guarded anew.

    Args:
        every: after how many batches to take a snapshot; by default 64, or a 32nd of the fit, and more where a snapshot
            takes more than 1 % of the time between two.
        halvings: how often the rate may be halved. Then the model is brought to its last snapshot once more, and the
            fit stops.
        max_stable_lr: the largest stable learning rate, if it is known.
        say: what to call with each sentence; by default the logger ``lrscout`` tells it as a warning. None for silence.
        loss: the name of the loss in the fit's logs; the evaluation loss is ``val_`` and this name.

    Raises:
        InvalidValueError: an argument is out of its range.
        LossError: (during the fit) the logs have no such loss.
        UnsupportedLoopError: (when the fit begins) the model is not built.

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> model.compile(keras.optimizers.SGD(1.0), "mse")
    >>> guard = GuardCallback(say=None)
    >>> history = model.fit(np.ones((64, 2)), np.zeros(64), batch_size=4, epochs=10, verbose=0, callbacks=[guard])
    >>> guard.factor, history.history["loss"][-1] < 1e-6
    (0.25, True)
    """

    def __init__(
        self,
        *,
        every: int | None = None,
        halvings: int = 8,
        max_stable_lr: float | None = None,
        say: Callable[[str], object] | None = warn,
        loss: str = "loss",
    ) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self._every, self._max_stable_lr = every, max_stable_lr
        self._halvings = check_count("halvings", halvings, at_least=0)
        self._say = say
        self._name = loss
        self._new_guarding(None)  # So that a wrong argument is told now, and not when the fit begins.
        self._safeguard: Safeguard | None = None

    @property
    def factor(self) -> float:
        """What the learning rate is multiplied by: one half for each return."""
        return 1.0 if self._safeguard is None else self._safeguard.factor

    @property
    def rollbacks(self) -> tuple[Rollback, ...]:
        """The returns to a snapshot of the fit that goes on, or of the last one, in order."""
        return () if self._safeguard is None else tuple(self._safeguard.rollbacks)

    def on_train_begin(self, logs: Any = None) -> None:
        if not is_built(self.model):
            raise UnsupportedLoopError("The model is not built yet. Call it on one batch before the fit.")
        self._safeguard = None
        self._optimizer: Any = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        self._state = KerasState(self.model, self.model.optimizer)
        self._generators = Generators([*global_generators(), *torch_generators()])
        self._batches = 0
        self._scaled = _Scaled(self._optimizer, lambda: self.factor)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._safeguard is None:
            epochs, batches = self.params.get("epochs"), self.params.get("steps")
            self._guarding = self._new_guarding((epochs - epoch) * batches if epochs and batches else None)
            self._safeguard = Safeguard(
                self._guarding,
                self._save,
                self._bring_back,
                halvings=self._halvings,
                say=self._say,
                may_put_off=self._every is None,
            )
            self._safeguard.begin()
            self._lr = self._shown_lr()
        self._of_epoch = self._began_at = 0
        self._sum = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        safeguard = self._safeguard
        if safeguard is None or safeguard.has_given_up:
            return
        if self._name not in (logs or {}):
            raise LossError(
                f"The model reports no {self._name!r}, but {sorted(logs or {})}. Name its loss: loss='critic_loss'."
            )
        taken = batch + 1 - self._of_epoch
        total = float(logs[self._name]) * (batch + 1 - self._began_at)
        loss = (total - self._sum) / taken if math.isfinite(total) else math.nan
        self._of_epoch, self._sum = batch + 1, total
        self._batches += taken
        if safeguard.update(self._batches - 1, safeguard.factor * self._lr, loss) is not None:
            self._after_return()
            # The running mean begins anew: what came back of it, or is not finite, would tell no batch from another.
            self.model.reset_metrics()
            self._began_at, self._sum = self._of_epoch, 0.0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        told: dict[str, Any] = logs or {}
        safeguard = self._safeguard
        if safeguard is not None and not safeguard.has_given_up:
            if keras.backend.backend() == "jax":
                self.model.jax_state_sync()
            self._lr = self._shown_lr()  # Here the variables can be read on every backend.
            if not math.isfinite(told.get(f"val_{self._name}", 0.0)):
                reason = "the evaluation loss was not finite"
                safeguard.go_back(self._batches - 1, safeguard.factor * self._lr, reason)
                self._after_return()

    def on_train_end(self, logs: Any = None) -> None:
        safeguard = self._safeguard
        if safeguard is not None:
            reason = None if safeguard.has_given_up else self._guarding.ended()
            if reason is not None:
                safeguard.go_back(self._batches - 1, safeguard.factor * self._lr, reason, is_last=True)
            safeguard.close()
        if self._scaled.close():
            self.model.train_function = None

    def _after_return(self) -> None:
        assert self._safeguard is not None
        if self._safeguard.has_given_up:
            self.model.stop_training = True
        else:
            self._scaled.begin()
            self.model.make_train_function(force=True)

    def _new_guarding(self, steps: int | None) -> Guarding:
        return Guarding(steps, every=self._every, max_stable_lr=self._max_stable_lr)

    def _shown_lr(self) -> float:
        return float(self._optimizer.learning_rate)

    def _save(self) -> Any:
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        return self._state.read(), self._generators.save()

    def _bring_back(self, snapshot: Any) -> None:
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        values, generators = snapshot
        scheduled = [(variable, keras.ops.copy(variable.value)) for variable in self._scheduled()]
        self._state.write(values)
        self._generators.load(generators)
        for variable, value in scheduled:
            variable.assign(value)

    def _scheduled(self) -> list[Any]:
        """Return what the schedule goes on with: the count of the batches, and the rate if it is a variable."""
        own = self._optimizer._learning_rate
        return [self._optimizer._iterations, *([own] if isinstance(own, keras.Variable) else [])]


class _Scaled:
    """Multiplies the learning rate of a Keras optimizer, only while it makes an update."""

    def __init__(self, optimizer: Any, factor: Callable[[], float]) -> None:
        self._optimizer, self._factor = optimizer, factor
        self._has_begun = self._updates = False

    def begin(self) -> None:
        """Begin, if that has not been done."""
        if self._has_begun:
            return
        self._has_begun = True
        shown, update = self._optimizer._get_current_learning_rate, self._optimizer._backend_apply_gradients

        def used() -> Any:
            return shown() * self._factor() if self._updates else shown()

        def scaled(*args: Any, **keywords: Any) -> Any:
            self._updates = True
            try:
                return update(*args, **keywords)
            finally:
                self._updates = False

        self._optimizer._get_current_learning_rate = used
        self._optimizer._backend_apply_gradients = scaled

    def close(self) -> bool:
        """End it, and tell whether there was anything to end."""
        if self._has_begun:
            del self._optimizer._get_current_learning_rate, self._optimizer._backend_apply_gradients
        ended, self._has_begun = self._has_begun, False
        return ended
