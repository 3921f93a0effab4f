"""From a TARGET, such as one on the command line, to the loop that it names."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from lrscout.core.errors import TargetError
from lrscout.core.loop import Loop

_FORM = "file.py:function or package.module:function"


def load_loop(target: str) -> Loop:
    """Call the function that a target names and return its loop.

    Args:
        target: ``file.py:function`` or ``package.module:function``; modules are also looked for in the working folder.

    Raises:
        TargetError: the target has another form, names nothing, or its function returns something else.
        Exception: whatever the module raises when it is imported, or the function when it is called.
    """
    return call_factory(load_factory(target), target)


def load_factory(target: str) -> Callable[..., object]:
    """Return the function that a target names.

    Args:
        target: as for `load_loop`.

    Raises:
        TargetError: the target has another form or names no function.
        Exception: whatever the module raises when it is imported.
    """
    place, _, name = target.rpartition(":")
    if not place or not name:
        raise TargetError(f"TARGET must be {_FORM}, but it is {target!r}.")
    # A script that reads the command line at its top must not read ours.
    arguments, sys.argv = sys.argv, [place]
    try:
        module = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
    finally:
        sys.argv = arguments
    if not hasattr(module, name):
        raise TargetError(f"TARGET names {name!r}, but {place} has nothing of that name.")
    function: Any = getattr(module, name)
    if not callable(function):
        raise TargetError(f"TARGET must name a function, but {target} is a {type(function).__name__}.")
    return function


def call_factory(factory: Callable[..., object], target: str, **arguments: object) -> Loop:
    """Call a function that makes a loop and return the loop.

    Args:
        factory: the function.
        target: what to call it in messages.
        **arguments: what to give it.

    Raises:
        TargetError: the function asks for more, or does not return a loop.
        Exception: whatever the function raises.
    """
    try:
        inspect.signature(factory).bind(**arguments)
    except TypeError as error:
        raise TargetError(f"TARGET must name a function that needs no arguments, but {target}: {error}.") from None
    except ValueError:
        pass  # Some builtins have no signature; calling tells.
    loop = factory(**arguments)
    if not isinstance(loop, Loop):
        raise TargetError(
            f"The function of TARGET must return a loop, but {target} returned a {type(loop).__name__}. "
            "Make one with one of lrscout.from_*."
        )
    return loop


def takes_seed(factory: Callable[..., object]) -> bool:
    """Whether a function that makes a loop lets itself be given a ``seed``."""
    try:
        return "seed" in inspect.signature(factory).parameters
    except ValueError:
        return False


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise TargetError(f"TARGET names the file {path}, which does not exist.")
    specification = importlib.util.spec_from_file_location(path.stem, path.resolve())
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    # As when a script runs: its neighbours can be imported, and it can be found under its own name.
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[path.stem] = module
    try:
        specification.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


def _load_module(name: str) -> ModuleType:
    if name.startswith("."):
        raise TargetError(f"TARGET must be {_FORM}, but the module {name} is a relative one.")
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Only a missing target is a mistake in the command; an import that fails inside it is the module's own.
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise TargetError(f"TARGET names the module {name}, which does not exist.") from None
        raise
