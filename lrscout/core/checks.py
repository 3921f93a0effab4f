"""Checks of arguments whose messages say what is wrong, with which value, and what to do."""

import math

from lrscout.core.errors import InvalidValueError


def check_lr(name: str, value: float) -> float:
    """Return a learning rate as a float, or raise if it is not finite and above zero."""
    try:
        lr = float(value)
    except (TypeError, ValueError):
        raise InvalidValueError(f"{name} must be a number above zero, but it is {value!r}.") from None
    if not math.isfinite(lr) or lr <= 0:
        raise InvalidValueError(f"{name} must be a finite number above zero, but it is {lr:g}.")
    return lr


def check_count(name: str, value: int, *, at_least: int) -> int:
    """Return a count as an int, or raise if it is not a whole number of at least `at_least`."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InvalidValueError(f"{name} must be a whole number, but it is {value!r}.")
    if value < at_least:
        raise InvalidValueError(f"{name} must be at least {at_least}, but it is {value}.")
    return value.__index__()


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> str:
    """Return a word, or raise if it is none of `choices`."""
    if value not in choices:
        raise InvalidValueError(f"{name} must be one of {', '.join(choices)}, but it is {value!r}.")
    return value


def check_share(name: str, value: float) -> float:
    """Return a share as a float, or raise if it is not in [0, 1)."""
    if not 0 <= value < 1:
        raise InvalidValueError(f"{name} must be in [0, 1), but it is {value!r}.")
    return float(value)
