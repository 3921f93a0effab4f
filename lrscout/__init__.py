"""Find the learning rate for a training run, and see why.

>>> import lrscout
>>> loop = lrscout.from_torch(model, optimizer, loss_fn, train_loader)  # doctest: +SKIP
>>> print(lrscout.range_test(loop))  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrscout.analyse.diagnose import Diagnosis as Diagnosis
    from lrscout.analyse.diagnose import diagnose as diagnose
    from lrscout.analyse.monitor import Monitor as Monitor
    from lrscout.analyse.suggest import Suggestion as Suggestion
    from lrscout.analyse.suggest import suggest as suggest
    from lrscout.app.notebook import lesson_widget as lesson_widget
    from lrscout.core.curve import Curve as Curve
    from lrscout.core.curve import Outcome as Outcome
    from lrscout.core.curve import Stop as Stop
    from lrscout.core.errors import LrscoutError as LrscoutError
    from lrscout.core.loop import Loop as Loop
    from lrscout.core.loop import restored as restored
    from lrscout.core.result import Cost as Cost
    from lrscout.logs.read import read_log as read_log
    from lrscout.loops.functions import from_functions as from_functions
    from lrscout.loops.jax.adapter import from_jax as from_jax
    from lrscout.loops.keras.adapter import from_keras as from_keras
    from lrscout.loops.lightning.adapter import from_lightning as from_lightning
    from lrscout.loops.sklearn.adapter import from_sklearn as from_sklearn
    from lrscout.loops.tensorflow.adapter import from_tensorflow as from_tensorflow
    from lrscout.loops.torch.adapter import from_torch as from_torch
    from lrscout.loops.transformers.adapter import from_trainer as from_trainer
    from lrscout.measure.curvature import curvature as curvature
    from lrscout.measure.find import find as find
    from lrscout.measure.guard import GuardedRun as GuardedRun
    from lrscout.measure.guard import guard as guard
    from lrscout.measure.line import line as line
    from lrscout.measure.loss_surface import Surface as Surface
    from lrscout.measure.lr_map import LRMap as LRMap
    from lrscout.measure.range_test import RangeTest as RangeTest
    from lrscout.measure.range_test import range_test as range_test
    from lrscout.measure.recommendation import Recommendation as Recommendation
    from lrscout.measure.sharpness import Curvature as Curvature
    from lrscout.measure.surface import surface as surface
    from lrscout.measure.sweep import sweep as sweep

__version__ = "0.1.0"

_HOMES = {
    "Cost": "core.result",
    "Curvature": "measure.sharpness",
    "Curve": "core.curve",
    "Loop": "core.loop",
    "Diagnosis": "analyse.diagnose",
    "LRMap": "measure.lr_map",
    "LrscoutError": "core.errors",
    "Monitor": "analyse.monitor",
    "Outcome": "core.curve",
    "RangeTest": "measure.range_test",
    "Recommendation": "measure.recommendation",
    "Stop": "core.curve",
    "Suggestion": "analyse.suggest",
    "Surface": "measure.loss_surface",
    "curvature": "measure.curvature",
    "diagnose": "analyse.diagnose",
    "GuardedRun": "measure.guard",
    "find": "measure.find",
    "from_functions": "loops.functions",
    "from_jax": "loops.jax.adapter",
    "from_keras": "loops.keras.adapter",
    "from_lightning": "loops.lightning.adapter",
    "from_sklearn": "loops.sklearn.adapter",
    "from_tensorflow": "loops.tensorflow.adapter",
    "from_torch": "loops.torch.adapter",
    "from_trainer": "loops.transformers.adapter",
    "guard": "measure.guard",
    "lesson_widget": "app.notebook",
    "line": "measure.line",
    "range_test": "measure.range_test",
    "read_log": "logs.read",
    "restored": "core.loop",
    "suggest": "analyse.suggest",
    "surface": "measure.surface",
    "sweep": "measure.sweep",
}
"""The room that each public name lives in. A room, and the framework it knows, loads when a name of it is used."""

__all__ = [*_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]


_FRAMEWORKS = {
    "from_jax": ("jax", "jax"),
    "from_keras": ("keras", "keras"),
    "from_lightning": ("torch", "lightning"),  # Lightning itself goes by two names, and who has a module has one.
    "from_sklearn": ("sklearn", "sklearn"),
    "from_tensorflow": ("tensorflow", "tensorflow"),
    "from_torch": ("torch", "torch"),
    "from_trainer": ("transformers", "transformers"),
}
"""The module that each adapter needs, and the extra that installs it."""


def __getattr__(name: str) -> Any:
    if name == "runners":
        return import_module("lrscout.runners")
    if name not in _HOMES:
        raise AttributeError(f"module 'lrscout' has no attribute {name!r}")
    if name in _FRAMEWORKS:
        from lrscout.core.imports import require

        module, extra = _FRAMEWORKS[name]
        require(module, extra=extra)
    return getattr(import_module(f"lrscout.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
