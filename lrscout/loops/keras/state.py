"""Everything that a Keras model, its optimizers and its metrics remember."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrscout.core.imports import require

keras = require("keras", extra="keras")


class KerasState:
    """The variables of a model, of the optimizers that it keeps and of its metrics, seed generators among them.

    Args:
        model: a built and compiled model.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._optimizers = _optimizers_of(model.__dict__)

    def read(self, *, evaluation: bool = False) -> list[tuple[Any, Any, Any]]:
        """Return each variable with a copy of its value, and of its gradient where the backend keeps one.

        Args:
            evaluation: whether only those are wanted that an evaluation may change.
        """
        variables = self._variables()
        if evaluation:
            trained = {id(variable) for variable in self._model.trainable_variables}
            variables = [variable for variable in variables if id(variable) not in trained]
        return [(variable, _copy(variable.value), _copy(_gradient(variable))) for variable in variables]

    def write(self, values: list[tuple[Any, Any, Any]]) -> None:
        """Bring the values back, as often as wanted."""
        for variable, value, gradient in values:
            # A copy of the copy, since a compiled step may take over the memory of what it is given.
            variable.assign(_copy(value))
            if gradient is not None or _gradient(variable) is not None:
                variable.value.grad = _copy(gradient)

    def reseed(self, seed: int) -> None:
        """Start the seed generators of the layers anew."""
        generators = [variable for variable in self._variables() if variable.name == "seed_generator_state"]
        for index, variable in enumerate(generators):
            number = np.random.SeedSequence([seed, index]).generate_state(1)[0] >> 1
            variable.assign(np.array([number, 0], variable.dtype))

    def _variables(self) -> list[Any]:
        model = self._model
        variables = [*model.variables, *model.metrics_variables]
        variables += [variable for optimizer in self._optimizers for variable in optimizer.variables]
        return list({id(variable): variable for variable in variables}.values())


def _optimizers_of(attributes: dict[str, Any]) -> list[Any]:
    return [value for value in attributes.values() if isinstance(value, keras.optimizers.Optimizer)]


def _copy(value: Any) -> Any:
    return None if value is None else keras.ops.copy(value)


def _gradient(variable: Any) -> Any:
    return getattr(variable.value, "grad", None)
