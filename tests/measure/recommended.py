"""Recommendations that are told, not found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lrscout import Cost, Curve, Outcome, Recommendation, Stop
from lrscout.core.schedules import NAMED
from lrscout.measure.planned_schedule import PlannedSchedule
from lrscout.measure.recommendation import Budgeted, Estimate, Probe


def planned(name: str = "linear", steps: int | None = 1000) -> PlannedSchedule:
    return PlannedSchedule(name, NAMED[name](), steps)


def probe(lr: float, score: float, *, steps: int = 30, rung: int = 0, start: float = 2.3) -> Probe:
    ended_early = not np.isfinite(score)
    losses = np.linspace(start, np.nan if ended_early else score, 3 if ended_early else steps)
    curve = Curve(np.full(len(losses), lr), losses, Stop.NON_FINITE if ended_early else Stop.COMPLETED)
    return Probe(lr, steps, score, Outcome.NON_FINITE if ended_early else Outcome.CONVERGING, curve, rung)


def race(best: float = 0.25, *, scale: float = 1.0, level: float = 0.0, start: float = 2.3) -> tuple[Probe, ...]:
    """Probes in three rounds around the best rate, of which those above 0.9 diverge."""
    probes: list[Probe] = []
    for rung, (reach, count, steps) in enumerate([(5.0, 11, 30), (2.0, 7, 60), (1.0, 5, 125)]):
        for lr in best * 2 ** np.linspace(-reach, min(reach, 3.0), count):
            loss = 0.4 / (rung + 1) + min(0.08 * np.log2(lr / best) ** 2, 1.4)
            score = level + scale * loss if lr < 0.9 else np.inf
            probes.append(probe(float(lr), score, steps=steps, rung=rung, start=level + scale * start))
    return tuple(probes)


FRONTIER = (
    Budgeted(125, 0.5, 0.21, None),
    Budgeted(250, 0.42, 0.12, 0.041),
    Budgeted(500, 0.3, 0.08, 0.018),
    Budgeted(1000, 0.25, 0.07, 0.0045),
)


def recommendation(
    schedule: str = "linear", *, steps: int | None = 1000, probes: Sequence[Probe] | None = None, **fields: Any
) -> Recommendation:
    """A recommendation as `find` gives one, with some of its fields told otherwise."""
    told: dict[str, Any] = {
        "lr": 0.25,
        "low": 0.18,
        "high": 0.35,
        "steps_needed": None,
        "target_loss": None,
        "predicted_loss": Estimate(0.0312, 0.028, 0.0341),
        "max_stable_lr": 0.84,
        "reasons": ("It had the lowest evaluation loss of the 5 rates that were left after 125 steps.",),
        "frontier": (),
        "loss_name": "evaluation loss",
        "start": 2.3,
        "budget": 0.5,
        "cost": Cost(steps=400, evaluations=30, seconds=1.25, products=5),
        "framework": "torch",
    } | fields
    return Recommendation(
        schedule=planned(schedule, steps), steps=steps, probes=race() if probes is None else tuple(probes), **told
    )
