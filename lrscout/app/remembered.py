"""What the server has worked out lately, so that it need not do it for every request."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """Keeps the values that were asked for last, for all threads of the server.

    Args:
        most: how many it keeps.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> Value | None:
        """Return the value of a key, or None where it is not kept.

        Args:
            key: the key.
        """
        with self._lock:
            return self._kept.get(key)

    def get_or_make(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value of a key, and make it where it is not kept.

        Args:
            key: the key.
            make: makes the value; others who ask wait meanwhile.
        """
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return self._kept[key]
