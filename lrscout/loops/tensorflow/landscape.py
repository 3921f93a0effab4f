"""The loss of a TensorFlow loop over its variables, with derivatives by a tape, and by a tape over a tape."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lrscout.core.errors import LandscapeUnavailableError
from lrscout.core.imports import require
from lrscout.core.landscape import Block, Derivatives
from lrscout.loops.data import batch_size_of
from lrscout.loops.differences import product_by_differences, unit_and_length
from lrscout.loops.tensorflow.graphs import check_one_number, hidden_generator, is_generator
from lrscout.loops.tensorflow.moments import differentiable_moments, has_constant_means

if TYPE_CHECKING:
    from jaxtyping import Float

tf = require("tensorflow", extra="tensorflow")
ml_dtypes = require("ml_dtypes", extra="tensorflow")

_LARGEST_CHUNK = 64 * 2**20


class Update(Protocol):
    """What an optimizer does with the gradients of its variables."""

    @property
    def variables(self) -> Sequence[Any]:
        """The variables that it changes beside those that it trains."""
        ...

    def set_lr(self, lr: float) -> None:
        """Make this the lr of the updates from now on."""
        ...

    def follow(self, gradients: Sequence[Any]) -> None:
        """Take the step that has these as the mean gradients of its batches, neither scaled nor clipped."""
        ...


class TensorFlowLandscape:
    """The landscape of variables and a loss.

    Whatever else the loss reads or writes begins from the same values at every batch: the states of generators from
    those that they had when the landscape was made, other variables from those that they have now.

    A tape over a tape costs what forward over reverse costs here, where a forward rule is made of two reverse ones, and
    can do what that cannot: loops, branches and gradients of a few rows.

    Args:
        names: what the user calls the variables.
        variables: the variables that are trained.
        loss_of: the loss on a batch.
        batches: the batches.
        update: what the optimizer does.

    Raises:
        LandscapeUnavailableError: some of the variables are not real numbers, or the loss is another function at each
            call.
        LossError: the loss is not one number.
    """

    def __init__(
        self,
        names: Sequence[str],
        variables: Sequence[Any],
        loss_of: Callable[[Any], Any],
        batches: Sequence[Any],
        update: Update,
    ) -> None:
        self._blocks = [_block(name, variable) for name, variable in zip(names, variables, strict=True)]
        self._variables = list(variables)
        self._loss_of = loss_of
        self._batches = [(batch, batch_size_of(batch)) for batch in batches]
        self._update = update
        traced = self._traced()
        self._state = self._touched_by(traced)
        self._generators = {id(variable): tf.identity(variable) for variable in self._state if is_generator(variable)}
        self._losses = tf.function(self._losses_at, reduce_retracing=True)
        self._gradient = tf.function(self._loss_and_gradient_at, reduce_retracing=True)
        self._product = tf.function(self._product_at, reduce_retracing=True)
        self._change = tf.function(self._change_from)
        self._twice_differentiable = False if any(map(has_constant_means, traced)) else None

    @property
    def blocks(self) -> Sequence[Block]:
        return self._blocks

    @property
    def batches(self) -> int:
        return len(self._batches)

    def position(self) -> Float[np.ndarray, " parameter"]:
        return _flat(self._variables).numpy()

    def losses(self, positions: Float[np.ndarray, "point parameter"]) -> Float[np.ndarray, " point"]:
        positions = np.asarray(positions, float)
        size = max(1, _LARGEST_CHUNK // max(positions[:1].nbytes, 1))
        losses = np.empty(len(positions))
        for start in range(0, len(positions), size):
            chunk = tf.constant(positions[start : start + size])
            losses[start : start + size] = self._mean(self._batches, self._losses, chunk)
        return losses

    def derivatives(self, batch: int | None = None) -> Derivatives:
        batches = self._batches if batch is None else [self._batches[batch]]
        here = self.position()

        def loss_and_gradient(at: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " loss_and_parameter"]:
            return self._mean(batches, self._gradient, tf.constant(at))

        def product(direction: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " parameter"]:
            # Single precision holds a direction of length 1, but not every direction of double precision.
            unit, length = unit_and_length(direction)
            return length * self._mean(batches, self._product, tf.constant(here), tf.constant(unit))

        both = loss_and_gradient(here)
        if self._twice_differentiable is None:
            self._twice_differentiable = self._can_multiply(here)
        if self._twice_differentiable:
            return Derivatives(float(both[0]), both[1:], product)
        by_differences = product_by_differences(lambda at: loss_and_gradient(at)[1:], here, self._precision)
        return Derivatives(float(both[0]), both[1:], by_differences, exact=False)

    def updates(
        self,
        gradients: Float[np.ndarray, "step parameter"],
        lr: float,
        position: Float[np.ndarray, " parameter"] | None = None,
        *,
        warm_up: int = 0,
    ) -> Float[np.ndarray, "step parameter"]:
        gradients = np.asarray(gradients, float)
        changes = np.empty_like(gradients)
        before = tf.constant(np.zeros(gradients.shape[1]) if position is None else np.asarray(position, float))
        with _kept([*self._variables, *self._update.variables]):
            self._update.set_lr(lr)
            if warm_up:
                in_turn = tf.constant(gradients[0]), tf.constant(-gradients[0])
                for step in range(warm_up):
                    self._change(in_turn[step % 2], before)
            for step, gradient in enumerate(gradients):
                changes[step] = self._change(tf.constant(gradient), before)
        return changes

    @property
    def _precision(self) -> float:
        """The relative rounding error of the variables."""
        return max(float(ml_dtypes.finfo(variable.dtype.as_numpy_dtype).eps) for variable in self._variables)

    def _traced(self) -> list[Any]:
        """Return the loss as traced on each batch."""
        loss = tf.function(self._loss_on, reduce_retracing=True)
        traced = [loss.get_concrete_function(batch) for batch, _ in self._batches]
        for one in traced:
            check_one_number(one.structured_outputs)
        if drawn := next(filter(None, map(hidden_generator, traced)), None):
            raise LandscapeUnavailableError(
                f"Cannot tell the curvature of a loss that is another function at each call: it draws from {drawn}, "
                "whose counter TensorFlow keeps to itself. Draw from a tf.random.Generator or a "
                "keras.random.SeedGenerator instead."
            )
        return traced

    def _touched_by(self, traced: Sequence[Any]) -> list[Any]:
        """Return the variables that the loss reads or writes beside those that are trained."""
        trained = {id(variable) for variable in self._variables}
        touched = {id(variable): variable for one in traced for variable in one.graph.variables}
        return [variable for identity, variable in touched.items() if identity not in trained]

    def _mean(
        self, batches: Sequence[tuple[Any, int]], value_on: Callable[..., Any], *arguments: Any
    ) -> Float[np.ndarray, " value"]:
        """Return the mean over batches, by their sizes, of a traced function, which may change any variable."""
        examples = sum(size for _, size in batches)
        with _kept([*self._variables, *self._state]):
            state = [self._generators.get(id(variable), tf.identity(variable)) for variable in self._state]
            return np.sum([size / examples * value_on(*arguments, batch, state) for batch, size in batches], axis=0)

    def _can_multiply(self, position: Float[np.ndarray, " parameter"]) -> bool:
        at = tf.constant(position)
        try:
            self._mean(self._batches[:1], self._product, at, at)
        except tf.errors.ResourceExhaustedError:
            raise
        except Exception:  # The gradient could be had; what has none of its own says so in many ways.
            return False
        return True

    def _losses_at(self, positions: Any, batch: Any, state: Any) -> Any:
        def loss_at(position: Any) -> Any:
            return tf.cast(self._loss_from(position, batch, state), tf.float64)

        return tf.map_fn(loss_at, positions, parallel_iterations=1)

    def _loss_and_gradient_at(self, position: Any, batch: Any, state: Any) -> Any:
        loss, gradients = self._loss_and_gradients(position, batch, state)
        return _flat([loss, *gradients])

    def _product_at(self, position: Any, direction: Any, batch: Any, state: Any) -> Any:
        with self._tape() as tape:
            _, gradients = self._loss_and_gradients(position, batch, state)
        along = self._parts(direction)
        return _flat(_dense(tape.gradient(gradients, self._variables, along, unconnected_gradients="zero")))

    def _loss_and_gradients(self, position: Any, batch: Any, state: Any) -> tuple[Any, Any]:
        with self._tape() as tape:
            loss = self._loss_from(position, batch, state)
        return loss, _dense(tape.gradient(loss, self._variables, unconnected_gradients="zero"))

    def _loss_from(self, position: Any, batch: Any, state: Any) -> Any:
        """Return the loss on a batch after bringing the variables to a position, and the others to their beginning."""
        self._move_to(position)
        for variable, value in zip(self._state, state, strict=True):
            variable.assign(value)
        return self._loss_on(batch)

    def _loss_on(self, batch: Any) -> Any:
        with differentiable_moments():
            return self._loss_of(batch)

    def _change_from(self, gradient: Any, position: Any) -> Any:
        self._move_to(position)
        before = _flat(self._variables)
        self._update.follow(self._parts(gradient))
        return _flat(self._variables) - before

    def _move_to(self, position: Any) -> None:
        for variable, part in zip(self._variables, self._parts(position), strict=True):
            variable.assign(part)

    def _parts(self, vector: Any) -> list[Any]:
        parts = tf.split(vector, [block.size for block in self._blocks])
        return [
            tf.cast(tf.reshape(part, variable.shape), variable.dtype)
            for part, variable in zip(parts, self._variables, strict=True)
        ]

    @contextmanager
    def _tape(self) -> Generator[Any]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._variables)
            yield tape


def _block(name: str, variable: Any) -> Block:
    if not variable.dtype.is_floating:
        raise LandscapeUnavailableError(
            f"Cannot tell the curvature over variables that are not real numbers, and {name!r} is of type "
            f"{variable.dtype.name}. Keep complex ones as their real and imaginary parts."
        )
    shape = tuple(variable.shape)
    return Block(name, shape, len(shape) - 1 if len(shape) >= 2 else None)


def _flat(tensors: Sequence[Any]) -> Any:
    return tf.concat([tf.reshape(tf.cast(tensor, tf.float64), [-1]) for tensor in tensors], 0)


def _dense(gradients: Sequence[Any]) -> list[Any]:
    """Return gradients of which some may be told by a few rows alone, as those of embeddings are."""
    return [tf.convert_to_tensor(gradient) for gradient in gradients]


@contextmanager
def _kept(variables: Sequence[Any]) -> Generator[None]:
    """Bring variables back after the block."""
    before = [tf.identity(variable) for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
