"""Whatever Keras takes as data, as batches of inputs, targets and sample weights."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from lrscout.core.errors import InvalidValueError, UnsupportedLoopError
from lrscout.core.imports import require
from lrscout.loops.data import ArrayBatches, leaves_of, mapped
from lrscout.loops.loaders import apart

keras = require("keras", extra="keras")


def keras_batches(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    class_weight: Mapping[int, float] | None = None,
    batch_size: int | None = None,
    shuffle: bool = True,
) -> tuple[Iterable[Any], bool]:
    """Return data as `fit` takes them as an iterable of batches, each as `fit` would feed it.

    Args:
        x: arrays (one, or a list or dictionary of them), which `y` and `sample_weight` belong to, or a tuple of all
            three; or a data set of batches: a `tf.data.Dataset`, a `PyDataset`, a PyTorch `DataLoader`, a generator or
            another iterable.
        y: the targets of the arrays, structured as the model's outputs.
        sample_weight: one weight for each example of the arrays.
        class_weight: a weight for each class, by its index.
        batch_size: examples in a batch of arrays.
        shuffle: whether arrays, and the batches of a `PyDataset`, come in a new random order at each pass.

    Returns:
        The batches, and whether a new pass may be opened while another goes on.

    Raises:
        UnsupportedLoopError: targets, weights or a batch size are given beside a data set, which holds them itself.
        InvalidValueError: `class_weight` is no dictionary of numbers by class.
    """
    if y is None and sample_weight is None and _are_arrays_in_a_tuple(x):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(x)
    if class_weight is not None and not _is_by_class(class_weight):
        raise InvalidValueError(
            f"class_weight must be a dictionary from the index of a class to its weight, but it is {class_weight!r}."
        )

    def readable(batch: Any) -> Any:
        return _weighted(native(batch), class_weight)

    if _are_arrays(x):
        arrays = mapped(_as_array, (x, y, sample_weight))
        return _Each(readable, ArrayBatches(arrays, min(batch_size or 32, _length(x)), shuffle=shuffle)), True
    for name, value in (("y", y), ("sample_weight", sample_weight), ("batch_size", batch_size)):
        if value is not None:
            raise UnsupportedLoopError(
                f"{name} is for arrays, but x is a {type(x).__name__}. Let its batches hold what you want to give."
            )
    if isinstance(x, keras.utils.PyDataset):
        return _Each(readable, _PyDatasetBatches(x, shuffle)), True
    tensorflow: Any = sys.modules.get("tensorflow")
    if tensorflow is not None and isinstance(x, tensorflow.data.Dataset):
        from lrscout.loops.tensorflow.pipelines import repeatable

        passes, restartable = repeatable(x)
        return _Each(readable, passes), restartable
    x = apart(x)
    if not hasattr(x, "__iter__"):
        raise UnsupportedLoopError(
            f"Cannot take batches from a {type(x).__name__}. Give arrays or an iterable of batches."
        )
    return _each_of(readable, x), True


def native(batch: Any) -> tuple[Any, Any, Any]:
    """Return a batch as inputs, targets and sample weights that the backend in use can read."""
    return mapped(_as_native, keras.utils.unpack_x_y_sample_weight(batch))


def _each_of(function: Callable[[Any], Any], batches: Any) -> Iterable[Any]:
    """Return batches with a function applied to each: an iterator of an iterator, which has one pass only."""
    return map(function, batches) if hasattr(batches, "__next__") else _Each(function, batches)


class _Each:
    """The batches of a source, each with a function applied to it."""

    def __init__(self, function: Callable[[Any], Any], source: Iterable[Any]) -> None:
        self._function = function
        self._source = source

    def __iter__(self) -> Iterator[Any]:
        return map(self._function, self._source)


class _PyDatasetBatches:
    """The batches of a `PyDataset`; its hook at the end of an epoch, which may change it, is left alone."""

    def __init__(self, dataset: Any, shuffle: bool) -> None:
        self._dataset = dataset
        self._shuffle = shuffle
        self._order = np.random.default_rng(0)

    def __iter__(self) -> Iterator[Any]:
        batches = self._dataset.num_batches
        if batches is None:
            raise UnsupportedLoopError("Cannot draw from a PyDataset without an end. Give it a __len__.")
        for index in self._order.permutation(batches) if self._shuffle else range(batches):
            yield self._dataset[int(index)]


def _are_arrays(x: Any) -> bool:
    """Whether these are arrays, as against an iterable of batches."""
    if isinstance(x, (list, tuple)):
        return bool(x) and all(hasattr(item, "shape") for item in x)  # pyright: ignore
    return isinstance(x, dict) or hasattr(x, "shape")


def _are_arrays_in_a_tuple(x: Any) -> bool:
    return isinstance(x, tuple) and _are_arrays(x)  # pyright: ignore[reportUnknownArgumentType]


def _is_by_class(weights: Any) -> bool:
    return isinstance(weights, Mapping) and all(isinstance(label, int) for label in weights)  # pyright: ignore


def _length(x: Any) -> int:
    return len(leaves_of(x)[0])


def _weighted(batch: tuple[Any, Any, Any], class_weight: Mapping[int, float] | None) -> tuple[Any, Any, Any]:
    """Return a batch whose examples weigh what their classes weigh."""
    x, y, sample_weight = batch
    if class_weight is None:
        return batch
    if sample_weight is not None:
        raise UnsupportedLoopError("Give either class_weight or sample weights, as in fit, and not both.")
    labels = np.asarray(_detached(y))
    classes = labels.argmax(-1) if labels.ndim > 1 and labels.shape[-1] > 1 else labels.reshape(-1)
    weights = [class_weight.get(int(label), 1.0) for label in np.round(classes)]
    return x, y, np.array(weights, keras.config.floatx())


def _as_array(leaf: Any) -> Any:
    array = np.asarray(_detached(leaf))
    return array.astype(keras.config.floatx()) if array.dtype.kind == "f" else array


def _detached(leaf: Any) -> Any:
    """Return a tensor of PyTorch without its graph, on the CPU, where NumPy can read it; anything else as it is."""
    return leaf.detach().cpu() if hasattr(leaf, "detach") else leaf


def _as_native(leaf: Any) -> Any:
    backend = keras.backend.backend()
    if type(leaf).__module__.startswith(backend):
        return leaf
    array = np.asarray(_detached(leaf))
    if array.dtype.kind in "OSU" and backend == "tensorflow":
        return sys.modules["tensorflow"].constant(array)  # Words, which only TensorFlow can hold.
    # The compiled functions of the others take arrays, and faster than we would convert them.
    return keras.ops.convert_to_tensor(array) if backend == "torch" else array
