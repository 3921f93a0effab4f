"""Libraries that load only when they are used."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from lrscout.core.errors import MissingDependencyError


def require(module: str, *, extra: str) -> Any:
    """Import an optional library, or say which command installs it.

    Args:
        module: the dotted name to import, such as ``"jax.numpy"``.
        extra: the extra of lrscout that brings it.

    Returns:
        The module.

    Raises:
        MissingDependencyError: the library is not installed. A library that is installed and fails to import
            raises its own error, since installing it again would not help.
    """
    top_level = module.partition(".")[0]
    if find_spec(top_level) is None:
        raise MissingDependencyError(
            f"This needs {top_level}, which is not installed. Install it with: pip install 'lrscout[{extra}]'"
        )
    return import_module(module)
