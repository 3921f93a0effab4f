"""Ctrl-C that never falls between leaving home and coming back."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupts:
    """Lets Ctrl-C through until `hold`, and keeps it back from then until `release`.

    So code between the two, such as a restore, is never cut short. Outside the main thread Python delivers no signals
    and this does nothing; a handler that Python cannot call (`SIG_IGN`, `SIG_DFL`) is left alone.
    """

    def __init__(self) -> None:
        self._held = False
        self._pending: tuple[int, FrameType | None] | None = None
        self._previous: Any = None

    def install(self) -> None:
        """Begin to watch for interrupts."""
        if threading.current_thread() is threading.main_thread():
            previous = signal.getsignal(signal.SIGINT)
            if callable(previous):
                self._previous = previous
                signal.signal(signal.SIGINT, self._handle)

    def hold(self) -> None:
        """Keep every interrupt back from now on."""
        self._held = True

    def release(self) -> None:
        """Put the previous handler back, and hand it the interrupt that was kept back, if there was one."""
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            if self._pending is not None:
                self._previous(*self._pending)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._held:
            self._pending = (number, frame)
        else:
            self._previous(number, frame)
