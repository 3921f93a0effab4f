"""Batches of whatever scikit-learn takes: arrays, sparse matrices, data frames, lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from lrscout.core.errors import EmptyDataError, InvalidValueError, UnsupportedLoopError
from lrscout.core.imports import require
from lrscout.loops.data import ArrayBatches

sparse = require("scipy.sparse", extra="sklearn")


class Batch(NamedTuple):
    """One minibatch, as `partial_fit` takes it.

    Args:
        inputs: of shape (examples, features).
        targets: of shape (examples,) or (examples, outputs); None where the estimator learns without.
        weights: of shape (examples,), or None.
    """

    inputs: Any
    targets: Any = None
    weights: Any = None


class ShuffledBatches:
    """Minibatches of rows, in a new random order at every pass.

    Args:
        data: all of the data.
        batch_size: rows in a batch. A pass leaves out the rows that do not fill a batch, other ones each time.
    """

    def __init__(self, data: Batch, batch_size: int) -> None:
        self._data = data
        self._rows = ArrayBatches((np.arange(len_of(data.inputs)),), batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for (rows,) in self._rows:
            yield Batch(*(None if part is None else _rows_of(part, rows) for part in self._data))


def whole(inputs: Any, targets: Any = None, weights: Any = None) -> Batch:
    """Return arrays, sparse matrices, data frames or lists as one batch.

    Raises:
        InvalidValueError: they are not equally long.
        EmptyDataError: they are empty.
    """
    data = Batch(*(None if part is None else _indexable(part) for part in (inputs, targets, weights)))
    lengths = {len_of(part) for part in data if part is not None}
    if len(lengths) > 1:
        raise InvalidValueError(f"X, y and sample_weight must be equally long, but their lengths are {lengths}.")
    if lengths == {0}:
        raise EmptyDataError("The data has no examples.")
    return data


def evaluation_batches(eval_data: Any) -> Iterable[Any] | None:
    """Return evaluation data, which may be one tuple of arrays, one array, or batches, as an iterable of batches."""
    if eval_data is None:
        return None
    return [as_batch(eval_data)] if _is_one_batch(eval_data) else eval_data


def as_batch(drawn: Any) -> Batch:
    """Return what an iterable of batches gave as a batch.

    Raises:
        UnsupportedLoopError: it is neither ``(X, y)`` nor ``(X, y, sample_weight)`` nor an array of inputs.
    """
    if isinstance(drawn, Batch):
        return drawn
    if hasattr(drawn, "shape"):
        return whole(drawn)
    if type(drawn) in (tuple, list) and len(drawn) in (2, 3):
        return whole(*drawn)
    raise UnsupportedLoopError(
        f"A batch must be a pair (X, y) or a triple (X, y, sample_weight), but it is a {type(drawn).__name__}."
    )


def len_of(part: Any) -> int:
    """Return the number of rows."""
    return int(part.shape[0])


def _is_one_batch(data: Any) -> bool:
    return hasattr(data, "shape") or (isinstance(data, tuple) and data != () and not isinstance(data[0], tuple))


def _indexable(part: Any) -> Any:
    if sparse.issparse(part):
        return part.tocsr()
    array = part if hasattr(part, "shape") else np.asarray(part)
    if not array.shape:
        raise InvalidValueError(f"X and y must be arrays, but one of them is a {type(part).__name__}.")
    return array


def _rows_of(part: Any, rows: Any) -> Any:
    return part.iloc[rows] if hasattr(part, "iloc") else part[rows]
