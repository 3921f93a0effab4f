"""The loss of a JAX loop over its parameters, with derivatives by transformation."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lrscout.core.errors import LandscapeUnavailableError
from lrscout.core.imports import require
from lrscout.core.landscape import Block, Derivatives
from lrscout.loops.data import batch_size_of
from lrscout.loops.differences import product_by_differences, unit_and_length
from lrscout.loops.jax.memory import bytes_inside

if TYPE_CHECKING:
    from jaxtyping import Float

jax = require("jax", extra="jax")
ravel_pytree = require("jax.flatten_util", extra="jax").ravel_pytree

_LARGEST_CHUNK = 256 * 2**20

Loss: TypeAlias = Callable[[Any, Any, Any, Any], Any]
"""A pure function: (params, state, key, batch) -> loss, where state and key are None for loops without them."""

Update: TypeAlias = Callable[[Any, Any, Any, Any, Any], tuple[Any, Any]]
"""A pure function: (gradients, opt_state, params, lr, loss) -> (updates, opt_state)."""


class LandscapeProgram:
    """The compiled functions of a loop's landscapes, whatever their batches.

    They take a position as one vector, in the precision of the parameters, or the highest among them. Each is compiled
    once for each shape of batch.

    Args:
        loss: the loss on a batch.
        update: what the optimizer does.
        params: the parameters, whose structure stays as it is.

    Raises:
        LandscapeUnavailableError: some of the parameters are not real numbers.

    Attributes:
        blocks: the arrays of parameters.
        precision: the relative rounding error of the least precise of them.
        loss_and_gradient: the loss at a position and, after it in one vector, its gradient.
        change: what the optimizer does to the parameters, and its next state.
    """

    def __init__(self, loss: Loss, update: Update, params: Any) -> None:
        leaves = jax.tree_util.tree_leaves_with_path(params)
        self.blocks = [Block(_name(path), np.shape(leaf), _filter_axis(leaf)) for path, leaf in leaves]
        self.precision = max(_precision(path, leaf) for path, leaf in leaves)
        flat, unravel = ravel_pytree(jax.tree.map(jax.numpy.asarray, params))
        self._dtype = flat.dtype

        def loss_at(position: Any, *others: Any) -> Any:
            return loss(unravel(position), *others)

        def change(gradient: Any, opt_state: Any, position: Any, lr: Any, loss: Any) -> tuple[Any, Any]:
            updates, opt_state = update(unravel(gradient), opt_state, unravel(position), lr, loss)
            return ravel_pytree(updates)[0], opt_state

        def loss_and_gradient(position: Any, *others: Any) -> Any:
            loss, gradient = jax.value_and_grad(loss_at)(position, *others)
            return jax.numpy.append(loss, gradient)

        self.change = jax.jit(change)
        self.loss_and_gradient = jax.jit(loss_and_gradient)
        self._loss_at = loss_at
        self._losses = _Ways(_losses_together, _losses_one_by_one, of=loss_at)
        self._products = _Ways(_forward_product, _reverse_product, of=jax.grad(loss_at))

    def array(self, values: Any) -> Any:
        """Return numbers in the precision of the parameters."""
        with np.errstate(over="ignore"):  # Beyond the largest number lies infinity, and there the loss is what it is.
            return jax.numpy.asarray(np.asarray(values, self._dtype))

    def product(self, position: Any, *others: Any) -> Callable[..., Any] | None:
        """Return the function of (position, direction, state, key, batch) that multiplies by the Hessian, if any does.

        Forward over reverse costs least; an operator without a forward rule may still let its gradient be reversed.
        """
        return self._products.first_for(position, position, *others)

    def losses(self, positions: Any, *others: Any) -> Any:
        """Return the loss at each position: of all at once, unless an operator of the loss does not allow it."""
        losses_at = self._losses.first_for(positions, *others) or self._losses.last
        return losses_at(positions, *others)

    def loss_bytes(self, position: Any, *others: Any) -> int:
        """Return the memory of every value on the way to the loss, as if none were let go before the end."""
        return bytes_inside(jax.make_jaxpr(self._loss_at)(position, *others).jaxpr)


class JaxLandscape:
    """The landscape of a JAX loop.

    Dropout that draws from a random key stays on where there is no `eval_fn`: a batch is given the same key each time.

    Args:
        program: the compiled functions.
        standing: returns the parameters, the optimizer's state and the further state as they are now.
        batches: the batches.
        key: a random key, if the loss takes one.
    """

    def __init__(
        self, program: LandscapeProgram, standing: Callable[[], tuple[Any, Any, Any]], batches: Sequence[Any], key: Any
    ) -> None:
        self._program = program
        self._standing = standing
        self._sizes = [batch_size_of(batch) for batch in batches]
        self._batches = [jax.device_put(batch) for batch in batches]
        self._keys = [None] * len(batches) if key is None else list(jax.random.split(key, len(batches)))

    @property
    def blocks(self) -> Sequence[Block]:
        return self._program.blocks

    @property
    def batches(self) -> int:
        return len(self._batches)

    def position(self) -> Float[np.ndarray, " parameter"]:
        params, _, _ = self._standing()
        return np.asarray(ravel_pytree(params)[0], float)

    def losses(self, positions: Float[np.ndarray, "point parameter"]) -> Float[np.ndarray, " point"]:
        mean = self._mean()
        losses = np.empty(len(positions))
        # Chunks of a power of two, the last one filled up, so that there are few shapes to compile.
        size = min(self._largest_chunk, 1 << max(len(positions) - 1, 0).bit_length())
        for start in range(0, len(positions), size):
            chunk = positions[start : start + size]
            filled = self._program.array(np.resize(chunk, (size, chunk.shape[1])))
            losses[start : start + size] = mean.of(self._program.losses, filled)[: len(chunk)]
        return losses

    def derivatives(self, batch: int | None = None) -> Derivatives:
        program, mean, here = self._program, self._mean(batch), self.position()

        def loss_and_gradient(at: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " loss_and_parameter"]:
            return mean.of(program.loss_and_gradient, program.array(at))

        loss, gradient = np.split(loss_and_gradient(here), [1])
        position = program.array(here)
        transformed = program.product(position, *mean.others[0])
        if transformed is None:
            by_differences = product_by_differences(lambda at: loss_and_gradient(at)[1:], here, program.precision)
            return Derivatives(loss.item(), gradient, by_differences, exact=False)

        def product(direction: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " parameter"]:
            # Single precision holds a direction of length 1, but not every direction of double precision.
            unit, length = unit_and_length(direction)
            return length * mean.of(transformed, position, program.array(unit))

        return Derivatives(loss.item(), gradient, product)

    def updates(
        self,
        gradients: Float[np.ndarray, "step parameter"],
        lr: float,
        position: Float[np.ndarray, " parameter"] | None = None,
        *,
        warm_up: int = 0,
    ) -> Float[np.ndarray, "step parameter"]:
        program, here = self._program, self.position()
        _, opt_state, _ = self._standing()
        loss = program.array(self.losses(here[np.newaxis])[0])  # Some transformations, such as polyak_sgd, read it.
        others = program.array(np.zeros_like(here) if position is None else position), float(lr), loss
        if warm_up:
            in_turn = program.array(gradients[0]), program.array(-gradients[0])
            for step in range(warm_up):
                _, opt_state = program.change(in_turn[step % 2], opt_state, *others)
        changes = np.empty(gradients.shape)
        for step, gradient in enumerate(gradients):
            change, opt_state = program.change(program.array(gradient), opt_state, *others)
            changes[step] = np.asarray(change, float)
        return changes

    def _mean(self, batch: int | None = None) -> _Mean:
        _, _, state = self._standing()
        others = [(state, key, content) for key, content in zip(self._keys, self._batches, strict=True)]
        return _Mean(others, self._sizes) if batch is None else _Mean([others[batch]], [self._sizes[batch]])

    @cached_property
    def _largest_chunk(self) -> int:
        """The number of points whose losses fit into memory at once, a power of two."""
        mean, position = self._mean(), self._program.array(self.position())
        largest = mean.others[int(np.argmax(self._sizes))]
        each = position.nbytes + self._program.loss_bytes(position, *largest)
        return 1 << (max(_LARGEST_CHUNK // max(each, 1), 1).bit_length() - 1)


@dataclass(frozen=True)
class _Mean:
    """The mean over batches, weighted by their sizes, in double precision.

    Args:
        others: for each batch what the compiled functions are given beside the position: state, key, and batch.
        sizes: the number of examples in each.
    """

    others: Sequence[tuple[Any, Any, Any]]
    sizes: Sequence[int]

    def of(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return the mean of what a function returns."""
        shares = np.divide(self.sizes, sum(self.sizes))
        terms = zip(shares, self.others, strict=True)
        return sum(share * np.asarray(function(*arguments, *others), float) for share, others in terms)


class _Ways:
    """Ways to compute the same thing, the best first, some of which need rules that not every operator has.

    Args:
        ways: functions of a function and its arguments.
        of: that function.
    """

    def __init__(self, *ways: Callable[..., Any], of: Callable[..., Any]) -> None:
        self._compiled = [jax.jit(partial(way, of)) for way in ways]
        self._chosen: Callable[..., Any] | None = None

    @property
    def last(self) -> Callable[..., Any]:
        """The last one, compiled."""
        return self._compiled[-1]

    def first_for(self, *arguments: Any) -> Callable[..., Any] | None:
        """Return the first one that can be computed, compiled, or None; once found, it stays."""
        if self._chosen is None:
            self._chosen = next((way for way in self._compiled if _has_its_rules(way, *arguments)), None)
        return self._chosen


def _has_its_rules(function: Any, *arguments: Any) -> bool:
    """Whether every operator of a function has the rules that it needs, which some miss only when they are lowered."""
    try:
        function.lower(*arguments)
    except Exception:  # Operators without a rule raise whatever they like.
        return False
    return True


def _forward_product(gradient_at: Any, position: Any, direction: Any, *others: Any) -> Any:
    _, product = jax.jvp(_of_position(gradient_at, others), (position,), (direction,))
    return product


def _reverse_product(gradient_at: Any, position: Any, direction: Any, *others: Any) -> Any:
    _, pull = jax.vjp(_of_position(gradient_at, others), position)
    return pull(direction)[0]


def _losses_together(loss_at: Any, positions: Any, *others: Any) -> Any:
    return jax.vmap(_of_position(loss_at, others))(positions)


def _losses_one_by_one(loss_at: Any, positions: Any, *others: Any) -> Any:
    return jax.lax.map(_of_position(loss_at, others), positions)


def _of_position(function: Callable[..., Any], others: tuple[Any, ...]) -> Callable[[Any], Any]:
    def at(position: Any) -> Any:
        return function(position, *others)

    return at


def _precision(path: Any, leaf: Any) -> float:
    dtype = jax.numpy.result_type(leaf)
    if not jax.numpy.issubdtype(dtype, jax.numpy.floating):
        raise LandscapeUnavailableError(
            f"Cannot tell the curvature over {_name(path)} because its numbers are of type {dtype}, not real ones. "
            "Keep complex parameters as their real and imaginary parts."
        )
    return float(jax.numpy.finfo(dtype).eps)


def _name(path: Any) -> str:
    return re.sub(r"[\[\]'\".]+", ".", jax.tree_util.keystr(path)).strip(".") or "params"


def _filter_axis(leaf: Any) -> int | None:
    axes = len(np.shape(leaf))
    return axes - 1 if axes >= 2 else None
