"""Random generators, whoever owns them, behind one small interface."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

LONGEST_CONTAINER = 100
"""A longer container holds data, not the few objects of a program, and is not looked into."""


@dataclass(frozen=True)
class Generator:
    """A random generator that can be saved, brought back, and seeded.

    Args:
        save: returns a state that later draws do not change.
        load: brings such a state back.
        seed: starts anew from a number.
    """

    save: Callable[[], Any]
    load: Callable[[Any], Any]
    seed: Callable[[int], Any]


class Generators:
    """All the random generators that a loop draws from, as one."""

    def __init__(self, generators: Iterable[Generator]) -> None:
        self._generators = tuple(generators)

    def save(self) -> Sequence[Any]:
        """Return the states of all of them."""
        return [generator.save() for generator in self._generators]

    def load(self, states: Sequence[Any]) -> None:
        """Bring the states of all of them back."""
        for generator, state in zip(self._generators, states, strict=True):
            generator.load(state)

    def seed(self, seed: int, process: int = 0) -> None:
        """Start all of them anew, each from its own stream of `seed` and of the process that it runs in."""
        for index, generator in enumerate(self._generators):
            generator.seed(int(np.random.SeedSequence([seed, index, process]).generate_state(1)[0]))


def global_generators() -> list[Generator]:
    """Return Python's and NumPy's global generators."""
    return [
        Generator(random.getstate, random.setstate, random.seed),
        Generator(np.random.get_state, np.random.set_state, np.random.seed),
    ]


def torch_generators() -> list[Generator]:
    """Return PyTorch's global generators where PyTorch is in use; its loaders serve other frameworks too.

    Among a loop's generators they come last, so that the seeds of the others do not depend on whether they are there.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "default_generator"):
        return []
    held = [torch.default_generator]
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        held += torch.cuda.default_generators
    found = [generator for generator in map(as_generator, held) if generator]
    if torch.backends.mps.is_available():
        found.append(Generator(torch.mps.get_rng_state, torch.mps.set_rng_state, torch.mps.manual_seed))
    return found


def as_generator(value: Any) -> Generator | None:
    """Return a generator object of Python, NumPy or PyTorch behind the common interface, or None for anything else."""
    match value:
        case random.Random():
            return Generator(value.getstate, value.setstate, value.seed)
        case np.random.RandomState():
            return Generator(value.get_state, value.set_state, value.seed)
        case np.random.Generator():
            bits = value.bit_generator

            def load(state: Any) -> None:
                bits.state = state

            def seed(number: int) -> None:
                bits.state = type(bits)(number).state

            return Generator(lambda: bits.state, load, seed)
        case _ if hasattr(value, "manual_seed") and hasattr(value, "get_state"):
            return Generator(value.get_state, value.set_state, value.manual_seed)
        case _:
            return None


def find_generators(roots: Iterable[object], depth: int = 6) -> list[Generator]:
    """Return the generators that objects hold, such as a sampler's own.

    Args:
        roots: the objects to search, such as a data loader.
        depth: how many attributes deep to look; long containers are data and not looked into.
    """
    found: list[Generator] = []
    seen: set[int] = set()
    level: list[object] = list(roots)
    # Level by level, so that an object is reached on its shortest way.
    for _ in range(depth + 1):
        new = [value for value in level if id(value) not in seen]
        seen.update(map(id, new))
        generators = {id(value): as_generator(value) for value in new}
        found.extend(generator for generator in generators.values() if generator)
        level = [part for value in new if not generators[id(value)] for part in _parts(value)]
    return found


def _parts(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple, dict)):
        items: list[Any] = list(value.values() if isinstance(value, dict) else value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        return items if len(items) <= LONGEST_CONTAINER else []
    if isinstance(value, (type, ModuleType)):
        return []
    attributes: list[Any] = list(getattr(value, "__dict__", {}).values())
    # Containers are no level of their own: what an attribute lists, it holds.
    return [*attributes, *(part for held in attributes for part in _listed(held))]


def _listed(held: Any) -> list[Any]:
    return _parts(held) if isinstance(held, (list, tuple, dict)) else []
