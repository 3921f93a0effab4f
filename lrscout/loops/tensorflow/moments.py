"""The mean and variance of a batch with all their derivatives.

TensorFlow takes the mean inside the variance for a constant. That is right for the gradient, to which the mean adds
nothing, and wrong for the second derivative, to which it does: behind batch normalisation, products with the Hessian
would be off without a word.

Source: tensorflow/python/ops/nn_impl.py, `moments`, in TensorFlow 2.21.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

from lrscout.core.imports import require

tf = require("tensorflow", extra="tensorflow")


@contextmanager
def differentiable_moments() -> Generator[None]:
    """Let `tf.nn.moments` have all its derivatives in what is traced during the block."""
    before = tf.nn.moments
    tf.nn.moments = _moments
    try:
        yield
    finally:
        tf.nn.moments = before


def has_constant_means(traced: Any) -> bool:
    """Whether a traced function squares distances from what it takes for a constant, as TensorFlow's own variance does.

    It may have been traced earlier, by a `tf.function` of the user's.
    """
    graph = traced.graph.as_graph_def()
    parts: list[Any] = [graph.node, *(function.node_def for function in graph.library.function)]
    return any(map(_squares_distances_from_constants, parts))


def _squares_distances_from_constants(nodes: Iterable[Any]) -> bool:
    constants = {node.name for node in nodes if node.op == "StopGradient"}
    distances = (node for node in nodes if node.op == "SquaredDifference")
    return any(name.partition(":")[0] in constants for node in distances for name in node.input)


def _moments(x: Any, axes: Any, shift: Any = None, keepdims: bool = False, name: str | None = None) -> tuple[Any, Any]:
    """Compute what `tf.nn.moments` computes, by the same operations."""
    del shift  # Nor does TensorFlow use it.
    with tf.name_scope(name or "moments"):
        x = tf.convert_to_tensor(x)
        # Half precision does not reach far enough for sums of squares.
        wide = tf.cast(x, tf.float32) if x.dtype == tf.float16 else x
        mean = tf.reduce_mean(wide, axes, keepdims=True)
        variance = tf.reduce_mean(tf.math.squared_difference(wide, mean), axes, keepdims=True)
        both = (mean, variance) if keepdims else (tf.squeeze(mean, axes), tf.squeeze(variance, axes))
        return tf.cast(both[0], x.dtype), tf.cast(both[1], x.dtype)
