"""`tf.data` pipelines whose passes come home."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

import numpy as np

from lrscout.core.imports import require

tf = require("tensorflow", extra="tensorflow")

_IGNORE_EXTERNAL_STATE = 1
_LARGEST_SEED = 2**31
_SHUFFLE_SEEDS, _SHUFFLE_COUNT, _CACHE_CONTENT = (2, 3), 4, 2  # Which inputs of their nodes these are.
_fresh = count()


def repeatable(dataset: Any) -> tuple[Iterable[Any], bool]:
    """Return a `tf.data.Dataset` whose passes leave the user's own passes alone.

    Args:
        dataset: the pipeline.

    Returns:
        The batches, and whether a new pass may be opened while another goes on. It may not where the pipeline is
        shuffled anew at each pass and cannot be copied: all its passes share one counter.
    """
    try:
        graph = _graph_of(dataset)
    except (tf.errors.OpError, TypeError):
        return dataset, False
    if not _reshuffled(graph):
        return dataset, True
    return ShuffledDataset(graph, dataset.element_spec), True


class ShuffledDataset:
    """Passes over a pipeline that is shuffled anew at each of them.

    TensorFlow keeps the count of the passes inside the pipeline, shows it to nobody and cannot set it back. So each
    pass here runs over a copy of the pipeline of its own, whose seeds come from a generator that can be saved.

    Args:
        graph: the pipeline as a graph.
        element_spec: the structure of its elements.
    """

    def __init__(self, graph: Any, element_spec: Any) -> None:
        self._graph = graph
        self._element_spec = element_spec
        self._order = np.random.default_rng(0)

    def __iter__(self) -> Iterator[Any]:
        graph = tf.compat.v1.GraphDef()
        graph.CopyFrom(self._graph)
        for node in _reshuffled(graph):
            self._reseed(graph, node)
        _give_caches_of_their_own(graph)
        variant = tf.raw_ops.DatasetFromGraph(graph_def=graph.SerializeToString())
        return iter(tf.data.experimental.from_variant(variant, self._element_spec))

    def _reseed(self, graph: Any, shuffle: Any) -> None:
        """Give a shuffle new seeds, and a count of passes that belongs to nobody else."""
        for position in _SHUFFLE_SEEDS:
            seed = self._order.integers(1, _LARGEST_SEED)
            shuffle.input[position] = _add_constant(graph, tf.make_tensor_proto(seed, tf.int64))
        _rename_resource(graph, shuffle, _SHUFFLE_COUNT)


def _graph_of(dataset: Any) -> Any:
    variant = tf.data.experimental.to_variant(dataset)
    serialized = tf.raw_ops.DatasetToGraphV2(input_dataset=variant, external_state_policy=_IGNORE_EXTERNAL_STATE)
    return tf.compat.v1.GraphDef.FromString(serialized.numpy())


def _reshuffled(graph: Any) -> list[Any]:
    """Return the nodes that shuffle in another order at each pass."""
    return [node for node in graph.node if node.op == "ShuffleDatasetV3" and node.attr["reshuffle_each_iteration"].b]


def _give_caches_of_their_own(graph: Any) -> None:
    """Detach the caches that a shuffle fills, lest the user's cache be filled in our order."""
    nodes = {node.name: node for node in graph.node}

    def is_fed_by_a_shuffle(node: Any) -> bool:
        return any(nodes[name].op == "ShuffleDatasetV3" or is_fed_by_a_shuffle(nodes[name]) for name in node.input)

    for node in list(graph.node):
        if node.op == "CacheDatasetV2" and is_fed_by_a_shuffle(node):
            _rename_resource(graph, node, _CACHE_CONTENT)


def _rename_resource(graph: Any, node: Any, position: int) -> None:
    """Let a node look for its resource under a name that nobody has; it then makes one for itself."""
    handle = next(other for other in graph.node if other.name == node.input[position])
    tensor = tf.compat.v1.AttrValue().tensor
    tensor.CopyFrom(handle.attr["value"].tensor)
    tensor.resource_handle_val[0].name = f"lrscout/{next(_fresh)}"
    node.input[position] = _add_constant(graph, tensor)


def _add_constant(graph: Any, tensor: Any) -> str:
    node = graph.node.add(op="Const", name=f"lrscout/{next(_fresh)}")
    node.attr["value"].tensor.CopyFrom(tensor)
    node.attr["dtype"].type = tensor.dtype
    return node.name
