"""The loss of a PyTorch loop for every lane of a fleet at once."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from types import CellType
from typing import Any, TypeAlias

import torch
from torch.func import vmap  # pyright: ignore[reportUnknownVariableType]
from torch.nn.attention import SDPBackend, sdpa_kernel

from lrscout.core.errors import FleetUnavailableError, LrscoutError
from lrscout.loops.torch.lanes import first_sentence
from lrscout.loops.torch.steps import LossOf, one_number

Tensors: TypeAlias = list[torch.Tensor]

_LONGEST_CONTAINER = 1000
VARIABLE = "cell_contents"
_WITHOUT_A_RULE = re.compile(r"batching rule.* for (aten::\w+)", re.IGNORECASE)


@dataclass
class Held:
    """A tensor that the loop's objects hold, and the places where they do."""

    tensor: torch.Tensor
    places: list[tuple[Any, Any]] = field(default_factory=list[tuple[Any, Any]])

    def put(self, tensor: torch.Tensor) -> None:
        """Put another tensor in all of the places."""
        for container, key in self.places:
            _write(container, key, tensor)

    def present(self) -> torch.Tensor:
        """Return what is in the places now: the same tensor, or one that a step has put there instead."""
        values = (_read(container, key) for container, key in self.places)
        others = (value for value in values if isinstance(value, torch.Tensor) and value is not self.tensor)
        return next(others, self.tensor)


class Vectorized:
    """The loss of every lane.

    Args:
        loss_of: the loss of a batch, which the user's own objects compute.
        trained: the parameters that each lane has for itself.
        state: the other tensors that each lane has for itself.
    """

    def __init__(self, loss_of: LossOf, trained: Sequence[Held], state: Sequence[Held]) -> None:
        self._loss_of = loss_of
        self._held = [*trained, *state]
        self._trained = len(trained)

    def __call__(self, trained: Tensors, state: Tensors, batch: Any) -> tuple[torch.Tensor, Tensors]:
        """Return each lane's loss, still attached to the graph, and each lane's state afterwards.

        Raises:
            FleetUnavailableError: something in it cannot be vectorized; the message says what.
        """

        def lane(trained: Tensors, state: Tensors) -> tuple[torch.Tensor, Tensors]:
            with self._in_place([*trained, *state]) as present:
                loss = one_number(self._loss_of(batch)).reshape(())
                return loss, present()

        with explained(), plain_attention(matrices=trained[0].device.type == "cpu"):
            return vmap(lane, randomness="same")(trained, state)

    @contextmanager
    def _in_place(self, tensors: Tensors) -> Generator[Callable[[], Tensors]]:
        """Let the user's objects hold the tensors of a lane while the block lasts."""
        inside = [Held(tensor, held.places) for held, tensor in zip(self._held, tensors, strict=True)]
        try:
            for held in inside:
                held.put(held.tensor)
            yield lambda: [held.present().detach() for held in inside[self._trained :]]
        finally:
            for held in self._held:
                held.put(held.tensor)


def held_by(roots: Iterable[object]) -> list[Held]:
    """Return the tensors that objects hold, in their attributes and the lists and dictionaries among these."""
    found: dict[int, Held] = {}
    seen: set[int] = set()
    for container in (container for root in roots for container in _containers(root)):
        if id(container) in seen:
            continue
        seen.add(id(container))
        for key, value in _entries(container):
            if isinstance(value, torch.Tensor):
                found.setdefault(id(value), Held(value)).places.append((container, key))
    return list(found.values())


@contextmanager
def explained() -> Generator[None]:
    """Say of an error in vectorized code that it is one, in PyTorch's own words.

    Raises:
        FleetUnavailableError: there was an error. Those of lrscout and of a memory that is full stay what they are.
    """
    try:
        yield
    except (LrscoutError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        operator = _WITHOUT_A_RULE.search(str(error))
        reason = f"PyTorch has no batching rule for {operator[1]}" if operator else first_sentence(error)
        raise FleetUnavailableError(f"its loss cannot be vectorized: {reason.removeprefix('vmap: ')}.") from error


@contextmanager
def plain_attention(*, matrices: bool = True) -> Generator[None]:
    """Keep attention to operators that have every rule while the block lasts.

    Args:
        matrices: whether to keep it to products of matrices, without any operator of its own.
    """
    backend = torch.backends.mha
    is_fast = backend.get_fastpath_enabled()
    backend.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH) if matrices else nullcontext():
            yield
    finally:
        backend.set_fastpath_enabled(is_fast)


def _containers(root: Any) -> Iterator[Any]:
    if isinstance(root, (dict, list, deque, CellType)):
        yield root
        return
    attributes: Any = getattr(root, "__dict__", None)
    if isinstance(attributes, dict):
        values: list[Any] = list(attributes.values())  # pyright: ignore
        yield attributes
        yield from (value for value in values if isinstance(value, (dict, list, deque)))


def _entries(container: Any) -> list[tuple[Any, Any]]:
    if isinstance(container, CellType):
        try:
            return [(VARIABLE, container.cell_contents)]
        except ValueError:  # It has no value yet.
            return []
    if len(container) > _LONGEST_CONTAINER:
        return []
    entries: Any = container.items() if isinstance(container, dict) else enumerate(container)  # pyright: ignore
    return list(entries)


def _read(container: Any, key: Any) -> Any:
    return container.cell_contents if isinstance(container, CellType) else container[key]


def _write(container: Any, key: Any, value: Any) -> None:
    if isinstance(container, CellType):
        container.cell_contents = value
    else:
        container[key] = value
