"""The arguments of a study: how they are written down, and how two calls of one name differ."""

from __future__ import annotations

import json
from typing import Any, cast

from lrscout.core.errors import InvalidValueError

_SHOWN = 3
_LENGTH = 60
_NOTHING = object()


def written(what: str, values: dict[str, Any]) -> str:
    """Return values as JSON; arrays become lists, and numbers come back bit for bit.

    Args:
        what: what they are called in a sentence.
        values: lists, numbers, strings and dictionaries.

    Raises:
        InvalidValueError: there is something else among them.
    """
    try:
        return json.dumps(values, default=_plain)
    except (TypeError, ValueError) as error:
        raise InvalidValueError(
            f"A store keeps plain lists, numbers and strings, but in the {what}: {error}."
        ) from error


def check_same(name: str, kept: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise if a study was begun with other arguments than it is to be continued with.

    Args:
        name: the name of the study.
        kept: the arguments it was begun with.
        wanted: those of now. Both have been through JSON.

    Raises:
        InvalidValueError: they differ; the sentence says where and how.
    """
    found = list(_differences("", kept, wanted))
    if not found:
        return
    told = [f"{path} was {_short(before)} and is now {_short(now)}" for path, before, now in found[:_SHOWN]]
    more = f", and {len(found) - _SHOWN} more differ" if len(found) > _SHOWN else ""
    raise InvalidValueError(
        f"The study {name!r} was begun with other inputs: {'; '.join(told)}{more}. Choose another name for this one."
    )


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers.
        return value.tolist()
    if hasattr(value, "__fspath__"):
        return str(value)
    raise TypeError(f"{value!r} is a {type(value).__name__}")


def _differences(path: str, before: Any, now: Any) -> list[tuple[str, Any, Any]]:
    """Return the path, the old and the new value of every leaf that differs."""
    pairs: list[tuple[str, Any, Any]]
    if _both(dict, before, now):
        keys = [*before, *(key for key in now if key not in before)]
        pairs = [(f"{path}.{key}".lstrip("."), before.get(key, _NOTHING), now.get(key, _NOTHING)) for key in keys]
    elif _both(list, before, now) and len(before) == len(now):
        pairs = [(f"{path}[{index}]", before[index], now[index]) for index in range(len(now))]
    else:
        return [] if _same(before, now) else [(path, before, now)]
    return [difference for pair in pairs for difference in _differences(*pair)]


def _both(kind: type, before: Any, now: Any) -> bool:
    return isinstance(before, kind) and isinstance(now, kind)


def _same(before: Any, now: Any) -> bool:
    if _NOTHING in (before, now):
        return before is now
    if isinstance(before, bool) == isinstance(now, bool) and before == now:
        return True  # 10 is 10.0.
    return json.dumps(before, sort_keys=True) == json.dumps(now, sort_keys=True)  # NaN is the same as NaN here.


def _short(value: Any) -> str:
    if value is _NOTHING:
        return "not given"
    if isinstance(value, list):
        return f"a list of {len(cast('list[Any]', value))}"
    said = repr(value)
    return said if len(said) <= _LENGTH else said[: _LENGTH - 3] + "..."
