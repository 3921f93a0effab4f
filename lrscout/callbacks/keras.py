"""Callbacks for `fit` of Keras 3."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import numpy as np

from lrscout.analyse.stop import RangeTestRule
from lrscout.analyse.suggest import FEWEST_POINTS, RULES
from lrscout.core.checks import check_choice, check_count
from lrscout.core.curve import Curve, Stop
from lrscout.core.errors import InvalidValueError, LossError, UnsupportedLoopError
from lrscout.core.imports import require
from lrscout.core.result import Cost
from lrscout.loops.generators import Generators, global_generators, torch_generators
from lrscout.loops.keras.adapter import check_model, is_built
from lrscout.loops.keras.rate import KerasRate
from lrscout.loops.keras.state import KerasState
from lrscout.measure.range_test import RangeTest, rungs

keras = require("keras", extra="keras")


class RangeTestCallback(keras.callbacks.Callback):
    """Turns a `fit` into a range test, and brings the model home when it ends.

    The lr rises at every batch. When it has reached its end, or the loss has diverged, the callback stops the fit, puts
    weights, optimizer, metrics and generators back, and keeps the answer in `result`. Give it alone: what other
    callbacks do when a fit ends, such as bringing the best weights back, it cannot undo. Metrics are reset before each
    batch, so what `fit` reports meanwhile is each batch's own loss. A `fit` that raises leaves before its callbacks
    hear of it: then call `restore`.

    `lrscout.from_keras` with `lrscout.range_test` does more: repeats, evaluation loss, and it comes home from errors
    too. This callback is for whoever has only the call of `fit`.

    Args:
        min_lr: the lr of the first batch.
        max_lr: the lr of the last batch.
        steps: the number of batches; fewer, if the fit is known to be shorter.
        rule: the rule of `RangeTest.lr`.

    Raises:
        InvalidValueError: an argument is out of its range, or the fit is shorter than five batches.
        UnsupportedLoopError: (when the fit begins) the model is not built, takes several steps in each execution, or
            is distributed over devices.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> scout = RangeTestCallback(max_lr=1.0)
    >>> history = model.fit(np.ones((64, 2)), np.ones((64, 1)), batch_size=4, epochs=2, verbose=0, callbacks=[scout])
    >>> scout.result.cost.steps
    32
    """

    def __init__(self, *, min_lr: float = 1e-7, max_lr: float = 10.0, steps: int = 100, rule: str = "minimum") -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        check_choice("rule", rule, tuple(RULES))
        self._steps = check_count("steps", steps, at_least=FEWEST_POINTS)
        self._min_lr, self._max_lr, self._rule = min_lr, max_lr, rule
        self._ladder = rungs(min_lr, max_lr, self._steps)
        self._home: Any = None
        self._result: RangeTest | None = None

    @property
    def result(self) -> RangeTest:
        """The answer, after the fit.

        Raises:
            UnsupportedLoopError: no fit has ended yet.
        """
        if self._result is None:
            raise UnsupportedLoopError("There is no result yet. Give this callback to model.fit first.")
        return self._result

    def on_train_begin(self, logs: Any = None) -> None:
        model = self.model
        check_model(model)
        if model.steps_per_execution != 1:
            raise UnsupportedLoopError("Cannot change the lr at every batch. Compile with steps_per_execution=1.")
        self._rate = KerasRate(model.optimizer)
        if self._rate.batches_for_an_update > 1:
            raise UnsupportedLoopError(
                "One update takes several batches. Use lrscout.from_keras, which draws them all."
            )
        if not is_built(model):
            raise UnsupportedLoopError("The model is not built yet. Call it on one batch before the fit.")
        self._losses: list[float] = []
        self._stop: Stop | None = None
        self._stop_rule: RangeTestRule | None = None
        self._generators = Generators([*global_generators(), *torch_generators()])
        state = KerasState(model, model.optimizer)
        self._home = (state, state.read(), self._generators.save(), model.train_function)
        self._takeover = ExitStack()
        self._takeover.enter_context(self._rate.taken_over())
        if self._rate.follows_schedule:  # A step that is traced already would go on to follow it.
            model.make_train_function(force=True)
        self._began = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._stop_rule is None:
            self._ladder = rungs(self._min_lr, self._max_lr, self._steps_to_take(epoch))
            self._stop_rule = RangeTestRule(len(self._ladder))

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()  # During a fit on JAX the variables are empty until asked for.
        self.model.reset_metrics()
        self._rate.set(float(self._ladder[len(self._losses)]))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if "loss" not in (logs or {}):
            raise LossError(f"The model reports no 'loss', but {sorted(logs or {})}. Use lrscout.from_keras(loss=...).")
        self._losses.append(float(logs["loss"]))
        assert self._stop_rule is not None
        self._stop = self._stop_rule.update(self._losses[-1])
        if self._stop is not None or len(self._losses) == len(self._ladder):
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        self.restore()
        lrs = self._ladder[: len(self._losses)]
        curve = Curve(lrs, np.array(self._losses), self._stop or Stop.COMPLETED)
        cost = Cost(steps=len(lrs), evaluations=0, seconds=time.perf_counter() - self._began)
        self._result = RangeTest((curve,), self._rule, None, "training", cost)

    def restore(self) -> None:
        """Bring the model home, if it is not there; the callback does this itself when a fit ends normally."""
        if self._home is None:
            return
        state, values, generators, train_function = self._home
        self._home = None
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        self._takeover.close()
        self.model.reset_metrics()  # Those that came to be during the fit have no value to go back to.
        state.write(values)
        self._generators.load(generators)
        self.model.train_function = train_function

    def _steps_to_take(self, first_epoch: int) -> int:
        epochs, steps = self.params.get("epochs"), self.params.get("steps")
        known = (epochs - first_epoch) * steps if epochs and steps else self._steps
        if known < FEWEST_POINTS:
            self.restore()
            raise InvalidValueError(
                f"A range test takes at least {FEWEST_POINTS} batches, but this fit has {known}. Give it more epochs."
            )
        return min(known, self._steps)
