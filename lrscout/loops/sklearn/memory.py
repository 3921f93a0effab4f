"""Remembering an estimator, contents and identity both, and bringing it back."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

_IMMUTABLE = (type(None), bool, int, float, complex, str, bytes, range, np.generic, type, ModuleType)


class Memory:
    """What an object was at one moment: everything that hangs on it, each thing with its contents.

    Arrays, containers and helpers come back as the objects that they were, filled with what they held. So two names of
    one array still name one array afterwards, and an attribute that was not there is gone again. Random generators are
    brought back with the data, not here.

    Args:
        root: the object to remember.
    """

    def __init__(self, root: object) -> None:
        self._backs: list[Callable[[], object]] = []
        waiting, seen = [root], set[int]()
        while waiting:
            value = waiting.pop()
            if isinstance(value, _IMMUTABLE) or id(value) in seen:
                continue
            seen.add(id(value))
            waiting += self._remember(value)

    def bring_back(self) -> None:
        """Make everything what it was; this may be done as often as wanted."""
        for back in self._backs:
            back()

    def _remember(self, value: Any) -> list[Any]:
        """Note how one thing is brought back, and return what else hangs on it."""
        match value:
            case np.ndarray():
                if value.flags.writeable:
                    self._backs.append(_filled(value, value.copy()))
                return []
            case list():
                items: list[Any] = list(value)  # pyright: ignore[reportUnknownArgumentType]
                self._backs.append(lambda: value.__setitem__(slice(None), items))  # pyright: ignore
                return items
            case dict():
                entries: dict[Any, Any] = dict(value)  # pyright: ignore[reportUnknownArgumentType]
                self._backs.append(lambda: (value.clear(), value.update(entries)))  # pyright: ignore
                return list(entries.values())
            case tuple():
                return list(value)  # pyright: ignore[reportUnknownArgumentType]
            case _:
                return [vars(value)] if hasattr(value, "__dict__") else []


def _filled(array: Any, copy: Any) -> Callable[[], object]:
    return lambda: np.copyto(array, copy)
