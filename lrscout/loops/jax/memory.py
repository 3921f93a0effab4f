"""How much memory JAX computations take."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def bytes_of(values: list[Any]) -> int:
    """Return the size of arrays, or of what describes them."""
    return sum(math.prod(np.shape(value)) * _width(value) for value in values)


def bytes_inside(jaxpr: Any) -> int:
    """Return the size of every value that a computation makes, those of its inner functions included."""
    total = 0
    for equation in jaxpr.eqns:
        inner = [value for value in equation.params.values() if hasattr(value, "jaxpr") or hasattr(value, "eqns")]
        if inner:
            total += sum(bytes_inside(getattr(value, "jaxpr", value)) for value in inner)
        else:
            total += bytes_of([variable.aval for variable in equation.outvars])
    return total


def _width(value: Any) -> int:
    """Return the bytes of one number; random keys have no type of NumPy's, and count as two words."""
    dtype: Any = getattr(value, "dtype", np.dtype(np.float32))
    return dtype.itemsize if hasattr(dtype, "itemsize") else 8
