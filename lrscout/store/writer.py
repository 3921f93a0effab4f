"""The one writer of a study."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

Answer = TypeVar("Answer")


class Writer(ABC):
    """The right to write one study, which nobody else can have at the same time.

    It is gone when its process is, however that ended.
    """

    @abstractmethod
    def acquire(self) -> bool:
        """Take the right and return True, or return False if somebody else has it.

        Raises:
            StoreError: neither could be found out.
        """

    @abstractmethod
    def release(self) -> None:
        """Give the right back."""

    @abstractmethod
    def write(self, work: Callable[[Connection], Answer]) -> Answer:
        """Do some work in a transaction of its own, while the right is held.

        Args:
            work: is given the connection. It may be called again when it was cut off.

        Returns:
            What `work` returned. It is committed.

        Raises:
            StoreError: the database does not do its part. Nothing of the work is kept then.
        """
