"""The part of an address behind the question mark, checked value by value."""

from __future__ import annotations

import math

from starlette.requests import Request

from lrscout.app.answers import RefusedError

_LONGEST = 200
"""Characters of a name."""


class Query:
    """The query of a request.

    Args:
        request: the request.
    """

    def __init__(self, request: Request) -> None:
        self._values = request.query_params

    def text(self, name: str) -> str | None:
        """Return a value that may be left out, and is given once at most.

        Raises:
            RefusedError: it is given more than once, is too long, or is not printable.
        """
        values = self._values.getlist(name)
        if len(values) > 1:
            raise RefusedError(400, f"{name} is given {len(values)} times; give it once.")
        if not values:
            return None
        if not 0 < len(values[0]) <= _LONGEST or not values[0].isprintable():
            raise RefusedError(400, f"{name} must be 1 to {_LONGEST} printable characters.")
        return values[0]

    def required(self, name: str) -> str:
        """Return a value that must be given, once.

        Raises:
            RefusedError: it is not given, or `text` refuses it.
        """
        found = self.text(name)
        if found is None:
            raise RefusedError(400, f"{name} is missing.")
        return found

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """Return a value that must be one of some words.

        Raises:
            RefusedError: it is none of them.
        """
        found = self.required(name)
        if found not in choices:
            raise RefusedError(400, f"{name} must be one of {', '.join(choices)}.")
        return found

    def count(self, name: str, *, low: int, high: int, default: int) -> int:
        """Return a whole number within bounds.

        Raises:
            RefusedError: it is none.
        """
        found = self.text(name)
        if found is None:
            return default
        if not (found.isascii() and found.isdigit() and len(found) < 10 and low <= int(found) <= high):
            raise RefusedError(400, f"{name} must be a whole number from {low} to {high}.")
        return int(found)

    def rates(self, name: str, *, most: int) -> list[float]:
        """Return learning rates, each of which is a value of its own.

        Raises:
            RefusedError: one is not a finite number above zero, or there are too many.
        """
        values = self._values.getlist(name)
        if len(values) > most:
            raise RefusedError(400, f"{name} is given {len(values)} times, and the most is {most}.")
        return [_rate(name, value) for value in values]


def _rate(name: str, value: str) -> float:
    try:
        rate = float(value) if len(value) <= _LONGEST else math.nan
    except ValueError:
        rate = math.nan
    if not math.isfinite(rate) or rate <= 0:
        raise RefusedError(400, f"{name} must be a finite number above zero.")
    return rate
