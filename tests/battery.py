"""The one battery that every adapter faces: whatever a verb does, the loop goes on as if nothing had happened.

A `Case` is a loop with the user's own code around it. Of two equal cases both take a few steps; one is disturbed by a
verb, by an error, by Ctrl-C; both go on; every loss and every part of their state must then be equal, bit for bit.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest

import lrscout

WARM_UP, STEPS = 5, 9


@dataclass
class Part:
    """One part of the state that must come home."""

    read: Callable[[], Any]
    write: Callable[[Any], object]


@dataclass
class Case:
    """A loop, the parts of its state, and the user's own code for going on without lrscout, where there is any."""

    loop: Any
    parts: dict[str, Part]
    train: Callable[[int], list[float]] | None = None
    disturb_with: dict[str, Any] = field(default_factory=lambda: {"min_lr": 1e-4, "max_lr": 10.0, "steps": 20})


class BreaksInTheMiddle:
    """A loop whose step raises, after its update, at the tenth call."""

    def __init__(self, loop: Any, break_off: Callable[[], object]) -> None:
        self._loop, self._break_off, self._calls = loop, break_off, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def step(self, lr: float) -> float:
        loss = self._loop.step(lr)
        self._calls += 1
        if self._calls == 10:
            self._break_off()
        return loss


class Forgets:
    """A loop whose restore leaves one part as it is."""

    def __init__(self, loop: Any, part: Part) -> None:
        self._loop, self._part = loop, part

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def restore(self, snapshot: object) -> None:
        left = self._part.read()
        self._loop.restore(snapshot)
        self._part.write(left)


def _raise(error: BaseException) -> None:
    raise error


def range_test(case: Case) -> None:
    test = lrscout.range_test(case.loop, **case.disturb_with)
    assert test.cost.steps >= 5


def two_range_tests(case: Case) -> None:
    range_test(case)
    lrscout.range_test(case.loop, repeats=2, seed=3, **case.disturb_with)


def evaluated_range_test(case: Case) -> None:
    lrscout.range_test(case.loop, loss="evaluation", **case.disturb_with)


def evaluation(case: Case) -> None:
    first, second = case.loop.evaluate(), case.loop.evaluate()
    assert bits(first) == bits(second)


def error_in_a_step(case: Case) -> None:
    loop = BreaksInTheMiddle(case.loop, lambda: _raise(RuntimeError("a layer broke")))
    with pytest.raises(RuntimeError, match="a layer broke"):
        lrscout.range_test(loop, **case.disturb_with)


def out_of_memory(case: Case) -> None:
    loop = BreaksInTheMiddle(case.loop, lambda: _raise(MemoryError()))
    with pytest.raises(MemoryError):
        lrscout.range_test(loop, **case.disturb_with)


def control_c(case: Case) -> None:
    loop = BreaksInTheMiddle(case.loop, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        lrscout.range_test(loop, **case.disturb_with)


def return_to_a_snapshot(case: Case) -> None:
    """Without a new seed, so that the batches drawn meanwhile have to come again."""
    home = case.loop.snapshot()
    rates = [0.01] * 12
    first = [case.loop.step(lr) for lr in rates]
    case.loop.restore(home)
    second = [case.loop.step(lr) for lr in rates]
    case.loop.restore(home)
    assert bits(first) == bits(second), "a second run from the same snapshot took another course"


DISTURBANCES = (
    range_test,
    two_range_tests,
    evaluated_range_test,
    evaluation,
    error_in_a_step,
    out_of_memory,
    control_c,
    return_to_a_snapshot,
)


def check_comes_home(make: Callable[[], Case], disturb: Callable[[Case], None], forget: str | None = None) -> None:
    """Assert that a disturbed case goes on through its loop as an undisturbed one does."""
    _check(make, disturb, _through_the_loop, forget)


def check_user_goes_on(make: Callable[[], Case], disturb: Callable[[Case], None]) -> None:
    """Assert that the user's own code goes on after a disturbance as it does without one."""
    _check(make, disturb, _through_the_users_code)


def _through_the_loop(case: Case, steps: int) -> list[float]:
    return [case.loop.step(case.loop.lr) for _ in range(steps)]


def _through_the_users_code(case: Case, steps: int) -> list[float]:
    assert case.train is not None
    return case.train(steps)


GoOn = Callable[[Case, int], list[float]]


def _check(make: Callable[[], Case], disturb: Callable[[Case], None], go_on: GoOn, forget: str | None = None) -> None:
    case = make()
    go_on(case, WARM_UP)
    if forget is not None:
        case.loop = Forgets(case.loop, case.parts[forget])
    before = _state(case)
    disturb(case)
    away = _differing(before, _state(case))
    assert not away, f"not at home: {away}"
    losses, state = bits(go_on(case, STEPS)), _state(case)
    expected_losses, expected_state = _undisturbed(make, go_on)
    assert losses == expected_losses, "the losses afterwards differ"
    differing = _differing(expected_state, state)
    assert not differing, f"the state afterwards differs: {differing}"


@cache
def _undisturbed(make: Callable[[], Case], go_on: GoOn) -> tuple[Any, dict[str, Any]]:
    """The course of a case that nobody disturbs, which is the same every time it is made."""
    case = make()
    go_on(case, WARM_UP)
    return bits(go_on(case, STEPS)), _state(case)


def _state(case: Case) -> dict[str, Any]:
    return {name: bits(part.read()) for name, part in case.parts.items() if name != "place"}


def _differing(left: dict[str, Any], right: dict[str, Any]) -> list[str]:
    return [name for name in left if left[name] != right[name]]


def bits(value: Any) -> Any:
    """Return a value as something that is equal only where every bit is."""
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [bits(item) for item in value]
    if isinstance(value, float) or hasattr(value, "dtype"):
        array = np.asarray(value)
        return array.dtype.str, array.shape, array.tobytes()
    return value


def stream_place(loop: Any) -> Part:
    """The position in the data."""
    stream = loop._data._stream
    return Part(lambda: stream._place, lambda place: setattr(stream, "_place", place))


def python_generator() -> Part:
    import random

    return Part(random.getstate, random.setstate)


def numpy_generator() -> Part:
    return Part(np.random.get_state, np.random.set_state)
