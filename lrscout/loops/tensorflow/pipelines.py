"""`tf.data` pipelines whose passes come home."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from lrscout.core.imports import require

tf = require("tensorflow", extra="tensorflow")

_IGNORE_EXTERNAL_STATE = 1
_LARGEST_SEED = 2**31
_LARGE = 2**25
_DRAWING = {
    "ShuffleDatasetV3": ("reshuffle_each_iteration", (2, 3), 4),
    "RandomDatasetV2": ("rerandomize_each_iteration", (0, 1), 2),
}
"""What draws anew at each pass: the attribute that says so, and which of the inputs are the seeds and the count."""

_CACHE_FILE, _CACHE_CONTENT = 1, 2
"""Which inputs of a cache are the name of its file and what it holds in memory."""

_fresh = count()


def repeatable(dataset: Any) -> tuple[Iterable[Any], bool]:
    """Return a `tf.data.Dataset` whose passes leave the user's own passes alone.

    Args:
        dataset: the pipeline.

    Returns:
        The batches, and whether a new pass may be opened while another goes on. It may not where all passes share one
        count: in a pipeline that draws anew at each pass and is too large to be copied for each, or at all.
    """
    try:
        graph = _graph_of(dataset)
    except (tf.errors.OpError, TypeError):
        return dataset, False
    if not _drawing(graph) and not _files_to_be_written(graph):
        return dataset, True
    own = OwnPasses(graph, dataset.element_spec)
    return own, not own.is_large


class OwnPasses:
    """Passes over a pipeline that draws anew at each of them, or writes a cache to a file.

    TensorFlow keeps the count of the passes inside the pipeline, shows it to nobody and cannot set it back. So each
    pass here runs over a copy of the pipeline of its own, whose seeds come from a generator that can be saved. A
    pipeline that holds large arrays is copied only once.

    Args:
        graph: the pipeline as a graph.
        element_spec: the structure of its elements.
    """

    def __init__(self, graph: Any, element_spec: Any) -> None:
        self._graph = graph
        self._element_spec = element_spec
        self._order = np.random.default_rng(0)
        self._copy: Any = None
        self.is_large: bool = graph.ByteSize() > _LARGE

    def __iter__(self) -> Iterator[Any]:
        if self._copy is None:
            dataset = self._copied()
            if not self.is_large:
                return iter(dataset)
            self._copy, self._graph = dataset, None
        return iter(self._copy)

    def _copied(self) -> Any:
        graph = tf.compat.v1.GraphDef()
        graph.CopyFrom(self._graph)
        for node in _drawing(graph):
            self._reseed(graph, node)
        _give_caches_of_their_own(graph)
        variant = tf.raw_ops.DatasetFromGraph(graph_def=graph.SerializeToString())
        return tf.data.experimental.from_variant(variant, self._element_spec)

    def _reseed(self, graph: Any, node: Any) -> None:
        """Give what draws new seeds, and a count of passes that belongs to nobody else."""
        _, seeds, count_of_passes = _DRAWING[node.op]
        for position in seeds:
            seed = self._order.integers(1, _LARGEST_SEED)
            node.input[position] = _add_constant(graph, tf.make_tensor_proto(seed, tf.int64))
        _rename_resource(graph, node, count_of_passes)


def _graph_of(dataset: Any) -> Any:
    variant = tf.data.experimental.to_variant(dataset)
    serialized = tf.raw_ops.DatasetToGraphV2(input_dataset=variant, external_state_policy=_IGNORE_EXTERNAL_STATE)
    return tf.compat.v1.GraphDef.FromString(serialized.numpy())


def _drawing(graph: Any) -> list[Any]:
    """Return the nodes that draw anew at each pass."""
    return [node for node in graph.node if node.op in _DRAWING and node.attr[_DRAWING[node.op][0]].b]


def _files_to_be_written(graph: Any) -> list[Any]:
    """Return the nodes that cache in a file which is not complete yet."""
    nodes = {node.name: node for node in graph.node}
    caches = [node for node in graph.node if node.op == "CacheDatasetV2"]
    names = [tf.make_ndarray(nodes[node.input[_CACHE_FILE]].attr["value"].tensor).item().decode() for node in caches]
    return [node for node, name in zip(caches, names, strict=True) if name and not Path(f"{name}.index").exists()]


def _give_caches_of_their_own(graph: Any) -> None:
    """Detach the caches that the user's passes fill: in memory, behind what draws, and in files."""
    nodes = {node.name: node for node in graph.node}

    def is_fed_by_a_draw(node: Any) -> bool:
        return any(nodes[name].op in _DRAWING or is_fed_by_a_draw(nodes[name]) for name in node.input)

    to_be_written = {node.name for node in _files_to_be_written(graph)}
    for node in list(graph.node):
        if node.op == "CacheDatasetV2" and (node.name in to_be_written or is_fed_by_a_draw(node)):
            _rename_resource(graph, node, _CACHE_CONTENT)
        if node.name in to_be_written:
            node.input[_CACHE_FILE] = _add_constant(graph, tf.make_tensor_proto("", tf.string))


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
