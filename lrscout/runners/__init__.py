"""From a plan to curves: who takes the steps, and in which order."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrscout.runners.fleet import FleetRunner as FleetRunner
    from lrscout.runners.ray import Ray as Ray
    from lrscout.runners.serial import SerialRunner as SerialRunner

_HOMES = {"FleetRunner": "fleet", "Ray": "ray", "SerialRunner": "serial"}
"""The file of each runner. It loads when the runner is used, since Ray is a large library."""

__all__ = [*_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lrscout.runners' has no attribute {name!r}")
    return getattr(import_module(f"lrscout.runners.{_HOMES[name]}"), name)
