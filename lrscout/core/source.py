"""Where the loops of a sweep come from: one that is there already, or a function that makes them."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from lrscout.core.errors import UnsupportedLoopError
from lrscout.core.loop import Loop, Snapshot, restored
from lrscout.core.target import call_factory, load_factory, takes_seed


class Source(Protocol):
    """Loops for the runs of a sweep."""

    @property
    def reference(self) -> str | None:
        """Where the code of the loop is, with a digest of it, or None where that is not known."""
        ...

    def visit(self, seed: int) -> AbstractContextManager[tuple[Loop, Snapshot]]:
        """Open the loop for the runs of one seed; when the block ends, it is home."""
        ...


class GivenLoop:
    """A loop that is there already. Seeds are other orders of its data."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop

    @property
    def reference(self) -> str | None:
        return None

    @contextmanager
    def visit(self, seed: int) -> Generator[tuple[Loop, Snapshot]]:
        with restored(self.loop) as home:
            yield self.loop, home


class Factory:
    """A function that makes a loop. If it takes a ``seed``, each seed is another initialization too.

    Args:
        make: the function, or a target ``file.py:function`` or ``package.module:function``.
        name: what to call it; by default its target, or its module and name.
    """

    def __init__(self, make: Callable[..., object] | str, name: str | None = None) -> None:
        self.make = load_factory(make) if isinstance(make, str) else make
        self.name = name or (make if isinstance(make, str) else _name_of(make))
        self._target = make if isinstance(make, str) else None
        self._seed: int | None = None
        self._loop: Loop | None = None

    @property
    def reference(self) -> str | None:
        try:
            function, arguments = _unwrapped(self.make)
            path = Path(inspect.getsourcefile(function) or "")
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        except (OSError, TypeError):
            return self.name
        # By its file, since the same function has one name in a script that runs and another where it is imported.
        return f"{path.name}:{getattr(function, '__qualname__', self.name)}{arguments} sha256:{digest}"

    @property
    def from_file(self) -> bool:
        """Whether the function's code is a single file, not a module that can be imported by its name."""
        return self._target is not None and self._target.rpartition(":")[0].endswith(".py")

    @property
    def make_on_worker(self) -> Callable[..., object] | str:
        """What another machine makes the loop with: a module's name, to be imported there, or the function itself."""
        return self.make if self._target is None or self.from_file else self._target

    @contextmanager
    def visit(self, seed: int) -> Generator[tuple[Loop, Snapshot]]:
        loop = self._loop_for(seed)
        with restored(loop) as home:
            yield loop, home

    def _loop_for(self, seed: int) -> Loop:
        seeded = takes_seed(self.make)
        if self._loop is None or (seeded and self._seed != seed):
            self._loop = None  # Let the last one go before the next is made: there may be room for one only.
            self._loop = call_factory(self.make, self.name, **({"seed": seed} if seeded else {}))
            self._seed = seed
        return self._loop


def source_of(loop: object) -> GivenLoop | Factory:
    """Return the source of the loops of a sweep.

    Args:
        loop: a loop, a function that makes one, or a target that names such a function.

    Raises:
        UnsupportedLoopError: it is none of these.
        TargetError: the target leads nowhere.
    """
    if isinstance(loop, Loop):
        return GivenLoop(loop)
    if isinstance(loop, str) or callable(loop):
        return Factory(loop)
    raise UnsupportedLoopError(
        f"loop must be a loop or a function that makes one, but it is a {type(loop).__name__}. "
        "Make one with one of lrscout.from_*."
    )


def _unwrapped(function: Callable[..., object]) -> tuple[Callable[..., object], str]:
    """Return the function inside of a `functools.partial`, and the arguments that it is given, in words."""
    if not isinstance(function, partial):
        return function, ""
    inner: Any = function.func
    keywords = (f"{name}={_told(value)}" for name, value in function.keywords.items())
    given = [*map(_told, function.args), *keywords]
    return inner, f"({', '.join(given)})"


def _told(value: object) -> str:
    """Return a value in words that are the same in every process: an object's own would hold its address."""
    return type(value).__name__ if type(value).__repr__ is object.__repr__ else repr(value)


def _name_of(function: Callable[..., object]) -> str:
    name = getattr(function, "__qualname__", type(function).__name__)
    return f"{getattr(function, '__module__', '?')}:{name}"
