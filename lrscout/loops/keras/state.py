"""Everything that a Keras model, its optimizers and its metrics remember."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrscout.core.imports import require
from lrscout.loops.generators import LONGEST_CONTAINER

keras = require("keras", extra="keras")
# Layers and operations that are given no seed draw from a generator that Keras keeps here and shows to nobody.
global_state = require("keras.src.backend.common.global_state", extra="keras")
_SEEDS = "global_seed_generator"


@dataclass(frozen=True)
class _Values:
    """What was read."""

    variables: list[tuple[Any, Any, Any]]
    buffers: list[tuple[Any, Any]]
    seeds: Any
    unbuilt: list[Any]


class KerasState:
    """The variables of a model, of its optimizers and of its metrics, and every seed generator.

    Args:
        model: a built and compiled model.
        optimizer: the optimizer that is scouted, wherever it is kept.
    """

    def __init__(self, model: Any, optimizer: Any) -> None:
        self._model = model
        self._optimizers = [optimizer, *_optimizers_in(model._flatten_layers())]
        # On PyTorch a model may hold modules that are not Keras's own, such as one with batch statistics.
        modules: list[Any] = list(model._flatten_layers()) if keras.backend.backend() == "torch" else []
        buffers: list[Any] = [buffer for module in modules for buffer in module.buffers()]
        self._buffers = list({id(buffer): buffer for buffer in buffers}.values())

    def read(self, *, evaluation: bool = False) -> _Values:
        """Return a copy of everything.

        Args:
            evaluation: whether the variables that are trained, which an evaluation cannot change, are left out.
        """
        variables = self.variables
        if evaluation:
            trained = {id(variable) for variable in self._model.trainable_variables}
            variables = [variable for variable in variables if id(variable) not in trained]
        return _Values(
            [(variable, _copy(variable.value), _copy(_gradient(variable))) for variable in variables],
            [(buffer, buffer.clone()) for buffer in self._buffers],
            global_state.get_global_attribute(_SEEDS),
            [optimizer for optimizer in self._optimizers if not optimizer.built],
        )

    def write(self, values: _Values) -> None:
        """Bring everything back, as often as wanted."""
        for variable, value, gradient in values.variables:
            # A copy of the copy, since a compiled step may take over the memory of what it is given.
            variable.assign(_copy(value))
            if gradient is not None or _gradient(variable) is not None:
                variable.value.grad = _copy(gradient)
        for buffer, value in values.buffers:
            buffer.data.copy_(value)
        for optimizer in values.unbuilt:
            _begin_anew(optimizer)
        # Where there was none before, there shall be none again.
        global_state.set_global_attribute(_SEEDS, values.seeds)

    def reseed(self, seed: int) -> None:
        """Start every seed generator anew."""
        generators = [variable for variable in self.variables if is_seed(variable)]
        for index, variable in enumerate(generators):
            number = np.random.SeedSequence([seed, index]).generate_state(1)[0] >> 1
            variable.assign(np.array([number, 0], variable.dtype))

    @property
    def variables(self) -> list[Any]:
        """Every variable that there is now."""
        model, seeds = self._model, global_state.get_global_attribute(_SEEDS)
        variables = [*model.variables, *model.metrics_variables]
        variables += [variable for optimizer in self._optimizers for variable in optimizer.variables]
        variables += [] if seeds is None else [seeds.state]
        return list({id(variable): variable for variable in variables}.values())


def is_seed(variable: Any) -> bool:
    """Whether a variable is the state of a seed generator."""
    return variable.name == "seed_generator_state"


def _optimizers_in(layers: Iterable[Any]) -> list[Any]:
    """Return the optimizers that models and layers keep, in attributes or in lists and dictionaries of them."""
    held: list[Any] = [value for layer in layers for value in layer.__dict__.values()]
    for value in list(held):
        if isinstance(value, (list, tuple, dict)) and len(value) <= LONGEST_CONTAINER:  # pyright: ignore[reportUnknownArgumentType]
            held += value.values() if isinstance(value, dict) else value  # pyright: ignore
    return [value for value in held if isinstance(value, keras.optimizers.Optimizer)]


def _begin_anew(optimizer: Any) -> None:
    """Give an optimizer that has been built since the values that it began with."""
    if optimizer.built:
        fresh: Any = optimizer.__class__.from_config(optimizer.get_config())
        fresh.build(optimizer._trainable_variables)
        for variable, first in zip(optimizer.variables, fresh.variables, strict=True):
            variable.assign(first.value)


def _copy(value: Any) -> Any:
    return None if value is None else keras.ops.copy(value)


def _gradient(variable: Any) -> Any:
    return getattr(variable.value, "grad", None)
