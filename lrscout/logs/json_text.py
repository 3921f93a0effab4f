"""JSON read a value at a time, so that a file of any length takes little memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from lrscout.core.errors import LogError
from lrscout.logs.limits import DEEPEST, MOST_CHARACTERS
from lrscout.logs.names import shown

_SPACE = re.compile(r"[ \t\r\n]*")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_IN_NUMBER = re.compile(r"[-+0-9.eE]*")
_NUMBERS = re.compile(r"[-+0-9.eE,\s]+")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise LogError(f"An object has the key {shown(twice)!r} twice, and which value is meant cannot be known.")
    return found


# A whole number becomes a float as well: an int of a million digits would take its time, and a float is infinite.
_DECODER = json.JSONDecoder(parse_int=float, object_pairs_hook=_object)


def decode(text: str, start: int = 0) -> tuple[Any, int]:
    """Return the JSON value that begins at a place of a text, and where it ends.

    Args:
        text: the text.
        start: where the value begins, without space before it.

    Raises:
        LogError: brackets are nested too deep, or a key is there twice.
        ValueError: no value begins there, or it does not end.
    """
    try:
        value, end = _DECODER.raw_decode(text, start)
    except RecursionError:
        raise LogError(_too_deep()) from None
    if text.count("[", start, end) + text.count("{", start, end) > DEEPEST:
        _check_depth(text[start:end])
    return value, end


class JsonText:
    """A place in a JSON text that moves on.

    Args:
        pieces: the text.
    """

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces = pieces
        self._window = ""
        self._at = self._before = 0

    def peek(self) -> str:
        """Return the next character that is no space, or nothing at the end."""
        while True:
            found = _SPACE.match(self._window, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._window):
                return self._window[self._at]
            if not self._read_on():
                return ""

    def take(self, characters: str) -> str:
        """Pass the next character that is no space and return it.

        Args:
            characters: what it may be.

        Raises:
            LogError: it is something else.
        """
        character = self.peek()
        if not character or character not in characters:
            raise self._broken(" or ".join(repr(one) for one in characters))
        self._at += 1
        return character

    def value(self) -> Any:
        """Pass the next value and return it.

        Raises:
            LogError: there is none, or it is too long.
        """
        self.peek()
        while True:
            try:
                value, end = decode(self._window, self._at)
            except LogError:
                raise
            except ValueError:
                if len(self._window) - self._at > MOST_CHARACTERS:
                    raise LogError(
                        f"After {self._before + self._at:,} characters there is no JSON value, or one of more than "
                        f"{MOST_CHARACTERS:,} characters, which is the most that is read."
                    ) from None
                if not self._read_on():
                    raise self._broken("a value") from None
                continue
            # A number that reaches the end of the window may go on behind it.
            rest = _IN_NUMBER.match(self._window, end)
            if rest is None or rest.end() < len(self._window) or not self._read_on():
                self._at = end
                return value

    def elements(self) -> Iterator[Any]:
        """Pass an array and yield its values.

        Raises:
            LogError: it is none, or is broken.
        """
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        while True:
            yield from self._numbers()
            yield self.value()
            if self.take(",]") == "]":
                return

    def members(self) -> Iterator[str]:
        """Pass an object and yield its keys; who takes a key must pass its value before the next.

        Raises:
            LogError: it is none, or is broken.
        """
        self.take("{")
        if self.peek() == "}":
            self.take("}")
            return
        keys: set[str] = set()
        while True:
            key = self.value() if self.peek() == '"' else None
            if not isinstance(key, str):
                raise self._broken("a key")
            if key in keys:
                raise LogError(f"The key {shown(key)!r} is there twice, and which value is meant cannot be known.")
            keys.add(key)
            self.take(":")
            yield key
            if self.take(",}") == "}":
                return

    def end(self) -> None:
        """Raise if anything follows.

        Raises:
            LogError: it does.
        """
        if self.peek():
            raise self._broken("nothing more")

    def _numbers(self) -> list[float]:
        """Pass the numbers that the window holds, up to the comma before the last, all at once."""
        self.peek()
        found = _NUMBERS.match(self._window, self._at)
        last = self._window.rfind(",", self._at, found.end()) if found else -1
        if last <= self._at:
            return []
        try:
            numbers, _ = _DECODER.raw_decode(f"[{self._window[self._at : last]}]")
        except ValueError:
            return []  # One after another, they show which one is wrong.
        self._at = last + 1
        return numbers

    def _read_on(self) -> bool:
        piece = next((piece for piece in self._pieces if piece), "")
        self._before += self._at
        self._window = self._window[self._at :] + piece
        self._at = 0
        return bool(piece)

    def _broken(self, wanted: str) -> LogError:
        rest = self._window[self._at : self._at + 20]
        place = f"after {self._before + self._at:,} characters"
        if not rest:
            return LogError(f"The JSON ends too early: {place} there should be {wanted}, and there is nothing.")
        return LogError(f"It is not JSON: {place} there should be {wanted}, but there is {shown(rest)!r}.")


def _check_depth(text: str) -> None:
    depth = 0
    for found in _TOKEN.finditer(text):
        character = found.group()[0]
        depth += (character in "[{") - (character in "]}")
        if depth > DEEPEST:
            raise LogError(_too_deep())


def _too_deep() -> str:
    return f"More than {DEEPEST} brackets are open at once, so this is hardly the log of a training run."
