"""The landscapes of a Keras loop on the JAX backend, where loss and update are functions of the variables' values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lrscout.core.errors import LandscapeUnavailableError, LrscoutError
from lrscout.core.imports import require
from lrscout.core.landscape import Block
from lrscout.loops.jax.landscape import JaxLandscape, LandscapeProgram
from lrscout.loops.keras.fleet import reason_of
from lrscout.loops.keras.state import is_seed
from lrscout.loops.keras.training_loss import TrainingLoss, one_number
from lrscout.loops.keras.updates import KerasUpdates

jax = require("jax", extra="jax")
keras = require("keras", extra="keras")


class KerasOnJax:
    """What makes the landscapes of a Keras loop on the JAX backend; its functions are compiled once for all of them.

    Args:
        model: a built and compiled model.
        blocks: the blocks of the variables that are trained.
        trained: these variables.
        loss_of: the loss on a batch.
        updates: what the optimizer does.

    Raises:
        LandscapeUnavailableError: some of the variables are not real numbers.
    """

    def __init__(
        self, model: Any, blocks: Sequence[Block], trained: Sequence[Any], loss_of: TrainingLoss, updates: KerasUpdates
    ) -> None:
        known = {id(variable) for variable in trained}
        others = {id(variable): variable for variable in (*model.variables, *model.metrics_variables)}
        self._blocks = blocks
        self._trained = trained
        self._rest = [variable for identity, variable in others.items() if identity not in known]
        self._loss_of = loss_of
        self._updates = updates
        self._program = LandscapeProgram(self._loss, self._update, _values(trained))

    def landscape(self, batches: Sequence[Any]) -> JaxLandscape:
        """Return the landscape on some batches.

        Raises:
            LandscapeUnavailableError: JAX cannot trace the loss.
        """
        # What is drawn stays what it is now, however far the loop will have gone.
        seeds = {id(variable): np.array(variable.value) for variable in self._rest if is_seed(variable)}

        def standing() -> tuple[Any, Any, Any]:
            state = [seeds.get(id(variable), variable.value) for variable in self._rest]
            return _values(self._trained), _values(self._updates.variables), state

        params, _, state = standing()
        try:
            jax.eval_shape(self._loss, params, state, None, batches[0])
        except LrscoutError:
            raise
        except Exception as error:
            raise LandscapeUnavailableError(
                f"JAX cannot compile the loss of this model ({reason_of(error)})."
            ) from error
        return _KerasLandscape(self._blocks, self._program, standing, batches)

    def _loss(self, params: Any, state: Any, _: Any, batch: Any) -> Any:
        mapping = [*zip(self._trained, params, strict=True), *zip(self._rest, state, strict=True)]
        with keras.StatelessScope(mapping, collect_losses=True):
            return one_number(self._loss_of(batch))

    def _update(self, gradients: Any, opt_state: Any, params: Any, lr: Any, _: Any) -> tuple[Any, Any]:
        slots = self._updates.variables
        mapping = [*zip(self._trained, params, strict=True), *zip(slots, opt_state, strict=True)]
        with keras.StatelessScope(mapping) as scope:
            self._updates.set_lr(lr)
            self._updates.follow(gradients)
        pairs = zip(self._trained, params, strict=True)
        changes = [scope.get_current_value(variable) - before for variable, before in pairs]
        return changes, [scope.get_current_value(slot) for slot in slots]


class _KerasLandscape(JaxLandscape):
    """A landscape whose blocks have the names of the variables."""

    def __init__(self, blocks: Sequence[Block], *arguments: Any) -> None:
        super().__init__(*arguments, key=None)
        self._named = blocks

    @property
    def blocks(self) -> Sequence[Block]:
        return self._named


def _values(variables: Sequence[Any]) -> list[Any]:
    return [variable.value for variable in variables]
