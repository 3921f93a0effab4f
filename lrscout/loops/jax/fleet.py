"""Copies of a JAX loop that step together: one compiled program, vectorized over lanes and looping over steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lrscout.core.errors import FleetUnavailableError, LrscoutError
from lrscout.core.imports import require
from lrscout.loops.jax.memory import bytes_inside, bytes_of

if TYPE_CHECKING:
    from jaxtyping import Float

jax = require("jax", extra="jax")

_LONGEST_CHUNK = 128
_LARGEST_CHUNK = 64 * 2**20

LaneStep: TypeAlias = Callable[[Any, Any, Any, Any], tuple[Any, Any, Any]]
"""One lane's step, a pure function: (lane, shared, batch, lr) -> (loss, lane, shared), where `lane` is what each lane
has for itself and `shared` what all have in common, such as a random key."""


class LaneProgram:
    """The compiled program of a loop's fleets, whatever their size.

    Args:
        step: one lane's step.
        evaluate: the loss of a lane on an evaluation batch, a pure function of both; None where there is none.
    """

    def __init__(self, step: LaneStep, evaluate: Callable[[Any, Any], Any] | None) -> None:
        self.step = step
        self.advance = jax.jit(_advance_with(step))
        self.evaluate = None if evaluate is None else jax.jit(jax.vmap(evaluate, in_axes=(0, None)))

    def check(self, lane: Any, shared: Any, batch: Any) -> None:
        """Trace the program for two lanes, which compiles and computes nothing.

        Raises:
            FleetUnavailableError: it cannot be vectorized, or does not end in the state that it begins with.
        """
        lanes = _mapped(partial(_repeated, 2), lane)
        batches = _mapped(lambda leaf: jax.numpy.asarray(leaf)[np.newaxis], batch)  # pyright: ignore
        try:
            jax.eval_shape(self.advance, lanes, shared, batches, np.zeros((1, 2)), 0, 1)
        except LrscoutError:
            raise
        except Exception as error:
            sentence = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise FleetUnavailableError(f"its step cannot be vectorized: {sentence.rstrip('.')}.") from error

    def lane_bytes(self, lane: Any, shared: Any, batch: Any) -> int:
        """Return an estimate of the memory that a lane takes while it steps.

        It is the lane's state, before and after, and every intermediate value of the step, as if none were let go
        before the end: at most what it takes, and much more only where the compiler fuses much.
        """
        jaxpr = jax.make_jaxpr(self.step)(lane, shared, batch, 0.0)
        return 2 * bytes_of(jax.tree.leaves(lane)) + bytes_inside(jaxpr.jaxpr)


class JaxFleet:
    """A fleet of a JAX loop.

    Args:
        program: the compiled program.
        lane: what a lane starts with.
        shared: what all lanes have in common at the start.
        draw: returns the next training batch.
        mean_over_evaluation: returns the mean of a function of a batch over the evaluation batches.
        size: the number of lanes.
        steps: how many steps the fleet will take at most.
    """

    def __init__(
        self,
        program: LaneProgram,
        lane: Any,
        shared: Any,
        draw: Callable[[], Any],
        mean_over_evaluation: Callable[[Callable[[Any], Any]], Any],
        *,
        size: int,
        steps: int,
    ) -> None:
        self._program = program
        self._lanes = _mapped(partial(_repeated, size), lane)
        self._shared = shared
        self._draw = draw
        self._mean_over_evaluation = mean_over_evaluation
        self._size = size
        self._left = steps
        self._chunk: _Chunk | None = None
        self._next: Any = None

    @property
    def size(self) -> int:
        return self._size

    def advance(self, lrs: Float[np.ndarray, "step lane"]) -> Float[np.ndarray, "step lane"]:
        losses: list[Any] = []
        done = 0
        while done < len(lrs):
            chunk = self._current_chunk()
            steps = min(chunk.left, len(lrs) - done)
            rates = np.zeros((chunk.capacity, self._size))
            rates[chunk.position : chunk.position + steps] = lrs[done : done + steps]
            self._lanes, self._shared, out = self._program.advance(
                self._lanes, self._shared, chunk.batches, rates, chunk.position, chunk.position + steps
            )
            losses.append(np.asarray(out, float)[chunk.position : chunk.position + steps])
            chunk.position += steps
            done += steps
        return np.concatenate(losses) if losses else np.zeros((0, self._size))

    def evaluate(self) -> Float[np.ndarray, " lane"]:
        evaluate = self._program.evaluate
        if evaluate is None:
            raise FleetUnavailableError("its evaluation mode is not known.")
        return self._mean_over_evaluation(lambda batch: np.asarray(evaluate(self._lanes, batch), float))

    def _current_chunk(self) -> _Chunk:
        """Return the batches drawn ahead, and draw others when they are used up.

        A chunk has room for as many steps as the first one, so that the program is compiled once, and ends early where
        the batches change their shape, since they lie in one array.
        """
        if self._chunk is not None and self._chunk.left:
            return self._chunk
        first = self._draw() if self._next is None else self._next[0]
        self._next = None
        self._left -= 1
        structure = _structure(first)
        capacity = _capacity(first) if self._chunk is None else self._chunk.capacity
        batches = [first]
        while len(batches) < capacity and self._left > 0:
            batch = self._draw()
            if _structure(batch) != structure:
                self._next = (batch,)
                break
            batches.append(batch)
            self._left -= 1
        self._chunk = _Chunk(batches, capacity)
        return self._chunk


class _Chunk:
    """Batches drawn ahead, on the device.

    Args:
        batches: batches of one structure.
        capacity: how many there is room for.
    """

    def __init__(self, batches: list[Any], capacity: int) -> None:
        self.capacity = capacity
        self.position = 0
        self._steps = len(batches)
        filled = batches + [batches[-1]] * (capacity - len(batches))
        self.batches = _mapped(_stacked, *filled)

    @property
    def left(self) -> int:
        """How many of the batches have not been used."""
        return self._steps - self.position


def _advance_with(step: LaneStep) -> Callable[..., Any]:
    """Return the function that takes the steps from `first` to `last` of a chunk with all lanes."""
    lanes_step = jax.vmap(step, in_axes=(0, None, None, 0), out_axes=(0, 0, None))

    def advance(lanes: Any, shared: Any, batches: Any, lrs: Any, first: Any, last: Any) -> tuple[Any, Any, Any]:
        def body(index: Any, carry: Any) -> Any:
            lanes, shared, losses = carry
            batch = _mapped(itemgetter(index), batches)
            loss, moved, shared = lanes_step(lanes, shared, batch, lrs[index])
            # Rates in single precision must not widen what the user keeps in half.
            lanes = _mapped(_as_before, moved, lanes)
            return lanes, shared, losses.at[index].set(loss.astype(losses.dtype))

        # The number of steps is a value of the program, not a part of it, so every stretch runs the same program.
        return jax.lax.fori_loop(first, last, body, (lanes, shared, jax.numpy.zeros(lrs.shape, lrs.dtype)))

    return advance


def _mapped(function: Callable[..., Any], *trees: Any) -> Any:
    return jax.tree.map(function, *trees)


def _as_before(new: Any, old: Any) -> Any:
    return new.astype(old.dtype)


def _repeated(size: int, leaf: Any) -> Any:
    leaf = jax.numpy.asarray(leaf)
    return jax.numpy.broadcast_to(leaf, (size, *leaf.shape))


def _stacked(*leaves: Any) -> Any:
    # NumPy stacks its own arrays faster, and in one transfer.
    return jax.numpy.stack(leaves) if isinstance(leaves[0], jax.Array) else jax.numpy.asarray(np.stack(leaves))


def _structure(batch: Any) -> Any:
    leaves, structure = jax.tree.flatten(batch)
    return structure, [(np.shape(leaf), str(jax.numpy.result_type(leaf))) for leaf in leaves]


def _capacity(batch: Any) -> int:
    """Return how many batches to make room for: as many however long the fleet, so that all share one program."""
    fitting = _LARGEST_CHUNK // max(bytes_of(jax.tree.leaves(batch)), 1)
    return max(1, min(_LONGEST_CHUNK, fitting))
