"""What the graph of a traced function tells about it."""

from __future__ import annotations

from typing import Any

from lrscout.core.errors import LossError

_HIDDEN_STATE = {
    "Multinomial",
    "ParameterizedTruncatedNormal",
    "RandomGamma",
    "RandomPoissonV2",
    "RandomShuffle",
    "RandomStandardNormal",
    "RandomUniform",
    "RandomUniformInt",
    "TruncatedNormal",
}
"""Operations that draw from a counter which TensorFlow keeps inside the operation and shows to nobody."""


def check_one_number(loss: Any) -> None:
    """Refuse what a traced function returns for a loss and is none.

    Raises:
        LossError: it is not one number.
    """
    shape = getattr(loss, "shape", None)
    if shape is None:
        raise LossError(f"The loss must be one number, but it is a {type(loss).__name__}.")
    if shape.rank != 0:
        raise LossError(
            f"The loss must be one number, but it is a tensor of shape {tuple(shape)}. "
            "Reduce it, for example with tf.reduce_mean."
        )


def hidden_generator(traced: Any) -> str | None:
    """Return the operation of a traced function that draws from a counter out of reach, if there is one."""
    graph = traced.graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return next((f"{node.op} ({node.name})" for node in nodes if node.op in _HIDDEN_STATE), None)


def is_generator(variable: Any) -> bool:
    """Whether a variable is the state of a `tf.random.Generator` or of a Keras seed generator."""
    return is_tensorflow_generator(variable) or "seed_generator_state" in variable.name


def is_tensorflow_generator(variable: Any) -> bool:
    """Whether a variable is the state of a `tf.random.Generator`."""
    return variable.name.startswith("StateVar")
