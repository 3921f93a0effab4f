"""What was at work when a study was begun."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

import lrscout

_DISTRIBUTIONS = {
    "accelerate": "accelerate",
    "flax": "flax",
    "jax": "jax",
    "jaxlib": "jaxlib",
    "keras": "keras",
    "lightning": "lightning",
    "optax": "optax",
    "ray": "ray",
    "sklearn": "scikit-learn",
    "tensorflow": "tensorflow",
    "torch": "torch",
    "transformers": "transformers",
}
"""The frameworks' modules, and the names under which they are installed."""


def versions() -> dict[str, str]:
    """Return the versions of lrscout, Python, NumPy and every framework that is loaded.

    >>> {"lrscout", "python", "numpy"} <= set(versions())
    True
    """
    found = {"lrscout": lrscout.__version__, "python": platform.python_version(), "numpy": metadata.version("numpy")}
    for module, distribution in _DISTRIBUTIONS.items():
        if module in sys.modules:
            try:
                found[module] = metadata.version(distribution)
            except metadata.PackageNotFoundError:  # TensorFlow is also installed by other names.
                found[module] = str(getattr(sys.modules[module], "__version__", "unknown"))
    return found
