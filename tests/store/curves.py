"""Curves for the store's tests, and what it means that two are the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lrscout.core.curve import Curve, Stop

INPUTS = {"lrs": [0.1, 0.2], "steps": 50, "seeds": 3, "schedule": {"name": "cosine", "warmup": 5}}


def curves_of(block: int, lanes: int = 3, steps: int = 50) -> tuple[Curve, ...]:
    """Curves of every kind, the same ones whenever they are asked for."""
    generator = np.random.default_rng(block)
    curves = []
    for lane in range(lanes):
        losses = generator.lognormal(size=steps)
        if lane % 2:
            losses = losses.astype(np.float32).astype(float)
        stopped = Stop.COMPLETED
        if lane % 3 == 2:
            losses[-1] = generator.choice([np.nan, np.inf, -np.inf])
            stopped = Stop.NON_FINITE
        lrs = np.full(steps, 0.1 * (lane + 1)) if lane else np.geomspace(1e-4, 10, steps)
        evaluated_at = np.array([0, steps // 2, steps])
        curves.append(Curve(lrs, losses, stopped, block, evaluated_at, generator.normal(size=3)))
    return tuple(curves)


def bits(curve: Curve) -> list[Any]:
    """Everything that a curve is, for comparing it bit for bit."""
    arrays = (curve.lrs, curve.losses, curve.evaluated_at, curve.evaluations)
    return [curve.stopped, curve.seed, *((array.dtype.str, array.shape, array.tobytes()) for array in arrays)]


def same(first: Sequence[Curve], second: Sequence[Curve]) -> bool:
    """Whether curves are the same, bit for bit."""
    return [bits(curve) for curve in first] == [bits(curve) for curve in second]


def sound(path: Path) -> bool:
    """Whether a SQLite file passes its integrity check and keeps its foreign keys, by SQLite's own word."""
    with sqlite3.connect(path) as connection:
        integrity = connection.execute("PRAGMA integrity_check").fetchall()
        foreign_keys = connection.execute("PRAGMA foreign_key_check").fetchall()
    connection.close()
    return integrity == [("ok",)] and not foreign_keys
