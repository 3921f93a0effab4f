"""A recommendation as it was, from what a store keeps of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lrscout.core.curve import Curve, Outcome
from lrscout.core.result import Cost
from lrscout.core.schedules import NAMED, constant
from lrscout.measure.planned_schedule import PlannedSchedule
from lrscout.measure.recommendation import Budgeted, Estimate, Probe, Recommendation


def recommendation_of(told: dict[str, Any]) -> Recommendation:
    """Return the recommendation that a result tells of, as far as its sentences go: its probes have no curves.

    Args:
        told: what `Recommendation.to_dict` returned.

    Raises:
        KeyError: it is something else.
    """
    return Recommendation(
        lr=told["lr"],
        low=told["low"],
        high=told["high"],
        schedule=PlannedSchedule(told["schedule"], NAMED.get(told["schedule"], constant)(), told["steps"]),
        steps=told["steps"],
        steps_needed=_estimate(told["steps_needed"]),
        target_loss=told["target_loss"],
        predicted_loss=_estimate(told["predicted_loss"]),
        max_stable_lr=told["max_stable_lr"],
        reasons=tuple(told["reasons"]),
        probes=tuple(_probe(probe) for probe in told["probes"]),
        frontier=tuple(Budgeted(**line) for line in told["frontier"]),
        loss_name=told["loss"],
        start=math.nan if told["start"] is None else told["start"],
        budget=told["budget"],
        cost=_cost(told["cost"]),
        framework=None,
        study=told["study"],
        notes=tuple(told["notes"]),
    )


def _probe(told: dict[str, Any]) -> Probe:
    nothing = Curve(np.zeros(0), np.zeros(0))
    return Probe(told["lr"], told["steps"], _or_infinite(told["score"]), Outcome(told["outcome"]), nothing, rung=0)


def _estimate(told: dict[str, Any] | None) -> Estimate | None:
    """Return an estimate; the only number of one that JSON cannot hold is an upper end without a bound."""
    return None if told is None else Estimate(told["value"], told["low"], _or_infinite(told["high"]))


def _cost(told: dict[str, Any]) -> Cost:
    """Return a cost that counts an evaluation as much as it did."""
    cost = Cost(told["steps"], told["evaluations"], told["seconds"], told["products"], evaluation_steps=0.0)
    rest = told["step_equivalents"] - cost.step_equivalents
    each = rest / cost.evaluations if cost.evaluations else 0.0
    return Cost(cost.steps, cost.evaluations, cost.seconds, cost.products, each)


def _or_infinite(number: float | None) -> float:
    return math.inf if number is None else number
