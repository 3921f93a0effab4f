"""Remembering PyTorch objects, contents and identity both, and bringing them back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from types import CellType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lrscout.loops.generators import Generator, as_generator

_Back = Callable[[], Any]
_PLAIN = frozenset({type(None), bool, int, float, str})


class Memory:
    """What some objects were at one moment, down to the bits of every tensor that hangs on them.

    Modules, optimizers, schedulers and the given objects themselves are remembered attribute by attribute; their
    tensors, arrays, generators, containers and helpers that hold tensors in depth; everything else by reference. So a
    buffer that is not persistent, a hidden state kept in a plain attribute, a counter, a momentum and a training flag
    all come back, and each tensor comes back as the same object, which an optimizer or a compiled graph may hold on to.

    Args:
        roots: the objects to remember.
        left_out: objects on the way that are not looked into, such as data sets.
    """

    def __init__(self, roots: Iterable[object], left_out: Iterable[object] = ()) -> None:
        self._known: dict[int, _Back] = {id(thing): lambda thing=thing: thing for thing in left_out}
        self._done: set[int] = set()
        self._keep: list[object] = []
        self._backs = [self._remember_root(root) for root in roots]

    def bring_back(self) -> None:
        """Make every object what it was; this may be done as often as wanted.

        Raises:
            Exception: whatever kept an object from being brought back; all the others are back nevertheless.
        """
        self._done = set()  # One object may be reached along many ways: bring each back once.
        failures: list[Exception] = []
        for back in self._backs:
            try:
                back()
            except Exception as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _remember_root(self, root: Any) -> _Back:
        kinds = (torch.Tensor, dict, list, deque, set, np.ndarray, CellType)
        if isinstance(root, kinds) or as_generator(root):
            return self._remember(root)
        return self._remember_attributes(root)

    def _remember(self, value: Any) -> _Back:
        match value:
            case torch.Tensor():
                return self._once(value, self._remember_tensor)
            case nn.Module() | Optimizer() | LRScheduler():
                return self._once(value, self._remember_attributes)
            case dict():
                return self._once(value, self._remember_dict)
            case list() | deque():
                return self._once(value, self._remember_list)
            case tuple():
                return self._once(value, self._remember_tuple)
            case set():
                return self._once(value, self._remember_set)
            case np.ndarray():
                return self._once(value, self._remember_array)
            case CellType():
                return self._once(value, self._remember_cell)
            case _:
                if generator := as_generator(value):
                    return self._remember_generator(value, generator)
                if any(isinstance(part, torch.Tensor) for part in getattr(value, "__dict__", {}).values()):
                    return self._once(value, self._remember_attributes)
                return lambda: value

    def _once(self, value: Any, remember: Callable[[Any], _Back]) -> _Back:
        key = id(value)
        if key not in self._known:
            self._keep.append(value)
            # Objects may refer to each other in circles, so the entry stands before its contents are looked at.
            self._known[key] = lambda: value
            back = remember(value)

            def once() -> Any:
                if key not in self._done:
                    self._done.add(key)
                    back()
                return value

            self._known[key] = once
        return self._known[key]

    def _remember_attributes(self, value: Any) -> _Back:
        if isinstance(value, torch.jit.ScriptModule):
            return self._remember_list([*value.parameters(), *value.buffers()])
        attributes = getattr(value, "__dict__", None)
        return self._remember_dict(attributes) if attributes is not None else lambda: value

    def _remember_generator(self, value: object, generator: Generator) -> _Back:
        state = generator.save()

        def back() -> object:
            generator.load(state)
            return value

        return back

    def _remember_tensor(self, tensor: torch.Tensor) -> _Back:
        copy = tensor.detach().clone()
        requires_grad = tensor.requires_grad
        in_place = tensor.layout == torch.strided and not _overlaps_itself(tensor)
        grad = self._remember(tensor.grad) if tensor.is_leaf else None

        def back() -> torch.Tensor:
            # Outside inference mode, a tensor that was made in it must not be written to.
            with torch.inference_mode() if tensor.is_inference() else torch.no_grad():
                if in_place and (tensor.shape, tensor.dtype, tensor.device) == (copy.shape, copy.dtype, copy.device):
                    tensor.copy_(copy)
                else:
                    tensor.data = copy.clone()
            if tensor.is_leaf and not tensor.is_inference():
                tensor.requires_grad_(requires_grad)
                tensor.grad = grad() if grad is not None else None
            return tensor

        return back

    def _remember_dict(self, value: dict[Any, Any]) -> _Back:
        # Most attributes are flags and numbers, which cannot change in place.
        plain = {key: item for key, item in value.items() if type(item) in _PLAIN}
        backs = {key: self._remember(item) for key, item in value.items() if type(item) not in _PLAIN}
        key_backs = [self._remember(key) for key in value if type(key) not in _PLAIN]
        order = list(value)

        def back() -> dict[Any, Any]:
            present = {key: backs[key]() if key in backs else plain[key] for key in order}
            for key_back in key_backs:
                key_back()
            if [id(key) for key in value] != [id(key) for key in present]:
                value.clear()
            value.update(present)
            return value

        return back

    def _remember_list(self, value: Any) -> _Back:
        plain = all(type(item) in _PLAIN for item in value)
        items: list[Any] = list(value)
        backs = [] if plain else [self._remember(item) for item in items]

        def back() -> Any:
            present = items if plain else [item() for item in backs]
            value.clear()
            value.extend(present)
            return value

        return back

    def _remember_tuple(self, value: tuple[Any, ...]) -> _Back:
        items = [self._remember(item) for item in value]
        return lambda: [item() for item in items]

    def _remember_set(self, value: set[Any]) -> _Back:
        members = value.copy()

        def back() -> set[Any]:
            value.clear()
            value.update(members)
            return value

        return back

    def _remember_cell(self, cell: CellType) -> _Back:
        """Remember a variable that a function shares with the function around it."""
        try:
            content = self._remember(cell.cell_contents)
        except ValueError:  # It has no value yet.
            return lambda: cell

        def back() -> CellType:
            cell.cell_contents = content()
            return cell

        return back

    def _remember_array(self, value: np.ndarray) -> _Back:
        if not value.flags.writeable:
            return lambda: value
        copy = value.copy()

        def back() -> np.ndarray:
            value[...] = copy
            return value

        return back


def _overlaps_itself(tensor: torch.Tensor) -> bool:
    """Whether several elements share one place in memory, as after `expand`."""
    return any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True))
