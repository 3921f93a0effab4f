"""Changes to a user's objects that are there only while the loop is at work."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

_ABSENT = object()


@dataclass
class _Entry:
    """An entry of a dictionary, with its value at work and, while that stands there, the user's value."""

    place: dict[Any, Any]
    key: Any
    ours: Any
    theirs: Any
    is_ours: bool = True


class Guise:
    """Whatever a function does to the attributes of some objects, to be put on and taken off as often as wanted.

    What an attribute becomes while the guise is worn, it is again the next time. Putting on and taking off may each be
    cut short, by Ctrl-C for example, and done again.

    Args:
        places: the dictionaries that may change, such as the attributes of an object.
        change: makes the changes. Whether it returns or raises, they are taken off.
    """

    def __init__(self, places: Iterable[dict[Any, Any]], change: Callable[[], object]) -> None:
        before = [(place, dict(place)) for place in places]
        try:
            change()
        finally:
            self._entries = [entry for place, values in before for entry in _differences(place, values)]
            self._take_off()

    @contextmanager
    def worn(self) -> Generator[None]:
        """Put the guise on while the block lasts."""
        try:
            self._put_on()
            yield
        finally:
            self._take_off()

    def _put_on(self) -> None:
        for entry in self._entries:
            if not entry.is_ours:
                entry.theirs = entry.place.get(entry.key, _ABSENT)
                entry.is_ours = True
            _write(entry.place, entry.key, entry.ours)

    def _take_off(self) -> None:
        for entry in self._entries:
            if entry.is_ours:
                present = entry.place.get(entry.key, _ABSENT)
                entry.ours = present if present is not entry.theirs else entry.ours
                _write(entry.place, entry.key, entry.theirs)
                entry.is_ours = False


def places_of(module: nn.Module) -> list[dict[Any, Any]]:
    """Return the attributes of a module and of every module in it, their hooks included."""
    places = [vars(part) for part in module.modules()]
    return [*places, *(value for place in places for value in place.values() if isinstance(value, dict))]


def _differences(place: dict[Any, Any], before: dict[Any, Any]) -> list[_Entry]:
    keys = {**before, **place}
    values = [(key, place.get(key, _ABSENT), before.get(key, _ABSENT)) for key in keys]
    return [_Entry(place, key, ours, theirs) for key, ours, theirs in values if ours is not theirs]


def _write(place: dict[Any, Any], key: Any, value: Any) -> None:
    if value is _ABSENT:
        place.pop(key, None)
    else:
        place[key] = value
