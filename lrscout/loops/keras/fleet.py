"""Copies of a Keras loop that step together, on the JAX backend, where a step is a function of the state."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.core.errors import FleetUnavailableError, LossError, LrscoutError, UnsupportedLoopError
from lrscout.core.imports import require
from lrscout.loops.data import Data
from lrscout.loops.jax.fleet import JaxFleet, LaneProgram, LaneStep
from lrscout.loops.keras.rate import KerasRate
from lrscout.loops.keras.state import KerasState, is_seed
from lrscout.loops.keras.steps import NOT_STEPPED, built, fresh_metrics, no_such_loss

if TYPE_CHECKING:
    from jaxtyping import Float

jax = require("jax", extra="jax")
keras = require("keras", extra="keras")


class KerasFleets:
    """What makes the fleets of a Keras loop.

    Args:
        model: a built and compiled model.
        rate: the learning rate of its optimizer.
        state: everything that it remembers.
        data: the batches of the loop.
        loss: the name of the loss among the logs.

    Raises:
        FleetUnavailableError: the model cannot be vectorized; the message says why.
        LossError: the logs have no loss of that name.
    """

    def __init__(self, model: Any, rate: KerasRate, state: KerasState, data: Data, loss: str) -> None:
        if model.run_eagerly or not model.jit_compile:
            raise FleetUnavailableError(
                "it is not compiled, so its Python code may do something else at every step, and a fleet is one "
                "compiled program. Use model.compile(..., run_eagerly=False, jit_compile=True)."
            )
        self._data = data
        self._rate = rate
        self._state = state
        self._steps = _PureSteps(model, rate, loss)
        self._shared, self._program = self._try()
        self._evaluate = jax.jit(jax.vmap(self._steps.test, in_axes=(0, 0, None)))

    def fleet(self, size: int, steps: int) -> KerasFleet:
        """Return copies of the loop as it stands."""
        return KerasFleet(
            self, self._program, *self._start(self._shared), self._draw, self._data, size=size, steps=steps
        )

    def lane_bytes(self) -> int:
        """Return an estimate of the memory that a lane takes while it steps."""
        return self._program.lane_bytes(*self._start(self._shared), self._peek())

    def evaluate(self, values: list[Any]) -> Float[np.ndarray, " lane"]:
        """Return the losses of lanes, given their variables' values, on the evaluation data."""
        trainable, non_trainable, _ = self._steps.grouped(values)

        def losses(batch: Any) -> Any:
            # What the model draws on one batch is not what it draws on the next.
            nonlocal non_trainable
            with self._pure("test_step"):
                jax.eval_shape(self._evaluate, trainable, non_trainable, batch)
            out, non_trainable = self._evaluate(trainable, non_trainable, batch)
            return np.asarray(out, float)

        return self._data.mean_over_evaluation(losses)

    def _start(self, shared: list[bool]) -> tuple[list[Any], list[Any]]:
        """Return what a lane starts with, and what all lanes have in common."""
        # Copies, since a step of the loop itself would take over the memory.
        return _parted([keras.ops.copy(variable.value) for variable in self._steps.variables], shared)

    def _try(self) -> tuple[list[bool], LaneProgram]:
        """Return which variables all lanes can have in common, and the program.

        These are the generators, so that a mask is drawn once for all lanes, and the optimizer's count of batches,
        unless whether they move on depends on a lane's own numbers, as where an update is skipped.
        """
        batches = jax.tree.map(lambda leaf: np.asarray(leaf)[None], self._peek())  # pyright: ignore
        variables = self._steps.variables
        seeds = [is_seed(variable) for variable in variables]
        counted = [seed or variable is self._rate.count for seed, variable in zip(seeds, variables, strict=True)]
        refusal: FleetUnavailableError | None = None
        for shared in (counted, seeds, [False] * len(variables)):
            program = LaneProgram(self._lane_step(shared), None)
            lane, common = self._start(shared)
            lanes = jax.eval_shape(partial(_repeated, size=2), lane)
            try:
                with self._pure("train_step"):
                    jax.eval_shape(program.advance, lanes, common, batches, np.zeros((1, 2)), 0, 1)
            except FleetUnavailableError as error:
                refusal = error
            else:
                return shared, program
        assert refusal is not None
        raise refusal

    def _lane_step(self, shared: list[bool]) -> LaneStep:
        def step(lane: list[Any], common: list[Any], batch: Any, lr: Any) -> tuple[Any, list[Any], list[Any]]:
            loss, values = self._steps.train(_joined(lane, common), batch, lr)
            return loss, *_parted(values, shared)

        return step if self._rate.batches_for_an_update == 1 else _accumulated(step)

    def _draw(self) -> Any:
        batches = [self._data.draw() for _ in range(self._rate.batches_for_an_update)]
        return batches[0] if len(batches) == 1 else _stretches(batches)

    def _peek(self) -> Any:
        here = self._data.place()
        try:
            return self._draw()
        finally:
            self._data.return_to(here)

    @contextmanager
    def _pure(self, step: str) -> Generator[None]:
        """Refuse a step that cannot be traced, or that changes variables by itself; leave these as they were."""
        before = [(variable, variable.value) for variable in self._state.variables]
        try:
            yield
        except LrscoutError:
            raise
        except Exception as error:
            raise FleetUnavailableError(
                f"JAX cannot compile its {step} for several lanes at once ({reason_of(error)})."
            ) from error
        finally:
            self._steps.forget_losses()
            changed = [(variable, value) for variable, value in before if variable.value is not value]
            for variable, value in changed:
                variable.assign(value)
        if changed:
            raise FleetUnavailableError(
                f"its {step} assigns to the variable {changed[0][0].path!r} itself. Let it return the new value in "
                "the state instead."
            )


class KerasFleet(JaxFleet):
    """A fleet of a Keras loop.

    Args:
        fleets: what made it.
        program: the compiled program.
        lane: what a lane starts with.
        shared: what all lanes have in common at the start.
        draw: returns the batches of the next step.
        data: the batches of the loop.
        size: the number of lanes.
        steps: how many steps the fleet will take at most.
    """

    def __init__(
        self,
        fleets: KerasFleets,
        program: LaneProgram,
        lane: list[Any],
        shared: list[Any],
        draw: Callable[[], Any],
        data: Data,
        *,
        size: int,
        steps: int,
    ) -> None:
        super().__init__(program, lane, shared, draw, data.mean_over_evaluation, size=size, steps=steps)
        self._fleets = fleets

    def evaluate(self) -> Float[np.ndarray, " lane"]:
        return self._fleets.evaluate(_joined(self._lanes, _repeated(self._shared, self.size)))


class _PureSteps:
    """The train step and the test step of a model as functions of the values of its variables.

    Args:
        model: a built and compiled model.
        rate: the learning rate of its optimizer.
        loss: the name of the loss among the logs.
    """

    def __init__(self, model: Any, rate: KerasRate, loss: str) -> None:
        self._model = model
        self._rate = rate
        self._loss = loss
        self._metrics = fresh_metrics(model)
        with rate.taken_over():
            groups: list[list[Any]] = [
                list(model.trainable_variables),
                list(model.non_trainable_variables),
                list(model.optimizer.variables),
            ]
        self.variables = [variable for group in groups for variable in group]
        self._ends = np.cumsum([len(group) for group in groups]).tolist()
        places = {id(variable): place for place, variable in enumerate(self.variables)}
        if id(rate.variable) not in places:
            raise FleetUnavailableError(
                "the optimizer to be scouted is not the one that the model is compiled with, and train_step is given "
                "the state of that one alone."
            )
        self._place_of_lr = places[id(rate.variable)]
        self._place_of_count = places[id(rate.count)]

    def grouped(self, values: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Return the values of the variables that are trained, of the others of the model, and of the optimizer's."""
        first, second, _ = self._ends
        return list(values[:first]), list(values[first:second]), list(values[second:])

    def train(self, values: list[Any], batch: Any, lr: Any) -> tuple[Any, list[Any]]:
        """Return the loss of a batch alone, and the values after the step."""
        values = list(values)
        values[self._place_of_lr] = jax.numpy.asarray(lr, values[self._place_of_lr].dtype)
        with self._rate.taken_over(), built(self._model._compile_loss):
            logs, state = self._model.train_step((*self.grouped(values), self._metrics), _packed(batch))
        new = [value for group in state[:3] for value in group]
        if new[self._place_of_count] is values[self._place_of_count]:
            raise UnsupportedLoopError(NOT_STEPPED)
        return self._loss_in(logs), new

    def test(self, trainable: list[Any], non_trainable: list[Any], batch: Any) -> tuple[Any, list[Any]]:
        """Return the loss of a batch in evaluation mode, and the values of the variables that are not trained."""
        with built(self._model._compile_loss):
            logs, state = self._model.test_step((trainable, non_trainable, self._metrics), _packed(batch))
        return self._loss_in(logs), state[1]

    def forget_losses(self) -> None:
        """Let the model forget the losses that its layers have added, as it does at the end of a step."""
        self._model._losses_override.clear()

    def _loss_in(self, logs: Any) -> Any:
        if self._loss not in logs:
            raise no_such_loss(self._loss, logs)
        shape = jax.numpy.shape(logs[self._loss])
        if shape:
            raise LossError(f"The loss must be one number, but {self._loss!r} is an array of shape {shape}.")
        return jax.numpy.asarray(logs[self._loss])


def _packed(batch: Any) -> Any:
    return keras.utils.pack_x_y_sample_weight(*batch)


def _parted(values: Sequence[Any], shared: Sequence[bool]) -> tuple[list[Any], list[Any]]:
    """Return values in two lists, each with None where the other has a value."""
    pairs = [(None, value) if common else (value, None) for value, common in zip(values, shared, strict=True)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _joined(lane: Sequence[Any], shared: Sequence[Any]) -> list[Any]:
    return [common if own is None else own for own, common in zip(lane, shared, strict=True)]


def _repeated(values: list[Any], size: int) -> list[Any]:
    """Return the values once for each lane."""

    def repeated(value: Any) -> Any:
        return jax.numpy.broadcast_to(value, (size, *value.shape))

    return jax.tree.map(repeated, values)


def _stretches(batches: list[Any]) -> list[Any]:
    """Return batches stacked, as many at a time as follow each other with the same shapes."""
    return [
        jax.tree.map(_stacked, *stretch)
        for _, stretch in groupby(batches, key=lambda batch: jax.tree.map(np.shape, batch))
    ]


def _stacked(*leaves: Any) -> Any:
    return np.stack(leaves)


def _accumulated(step: LaneStep) -> LaneStep:
    """Return the step that takes several batches for one update, and whose loss is their mean."""

    def steps(lane: Any, shared: Any, stretches: list[Any], lr: Any) -> tuple[Any, Any, Any]:
        def body(carry: Any, batch: Any) -> tuple[Any, Any]:
            lane, shared = carry
            loss, lane, shared = step(lane, shared, batch, lr)
            return (lane, shared), loss

        losses: list[Any] = []
        carry = (lane, shared)
        for stretch in stretches:
            carry, out = jax.lax.scan(body, carry, stretch)
            losses.append(out)
        lane, shared = carry
        return jax.numpy.concatenate(losses).mean(), lane, shared

    return steps


def reason_of(error: BaseException) -> str:
    """Return the first line of an error of JAX, also of one that Keras wrapped into another."""
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, (jax.errors.JAXTypeError, jax.errors.JAXIndexError, NotImplementedError)):
            break
        behind = behind.__context__
    else:
        behind = error
        while getattr(behind, "_keras_call_info_injected", False) and behind.__context__ is not None:
            behind = behind.__context__
    first = next(iter(str(behind).strip().splitlines()), "")
    return f"{type(behind).__name__}: {first}" if first else type(behind).__name__
