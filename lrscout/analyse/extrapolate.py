"""How many more steps a loss takes to a target, by extrapolation with an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lrscout.analyse.levels import level_of

if TYPE_CHECKING:
    from jaxtyping import Float

    Blocks = Float[np.ndarray, " block"]

_BLOCKS = 60
_FEWEST_BLOCKS = 8
_REPLICATES = 200
_SEED = 0
_INTERVAL = (0.05, 0.95)
_FARTHEST = 20.0
"""How many times as many steps as were seen an extrapolation may speak of."""

_LEAST_DOUBT = 0.1
_LATE = 0.8
"""The share of the blocks on which the fit is made when the last ones are held back to check it."""

_DEVIATIONS = 4.0
_LARGEST_EXPONENT = 700.0


@dataclass(frozen=True)
class StepsNeeded:
    """How many further steps take the loss to a target.

    Args:
        steps: the steps still to take, counted from the last one of the run.
        low: the lower end of an interval that holds the truth at least about four times in five.
        high: its upper end.
    """

    steps: int
    low: int
    high: int


def steps_to_target(
    losses: Float[np.ndarray, " step"], steps: Float[np.ndarray, " step"], target: float
) -> StepsNeeded | str:
    """Extrapolate a falling loss to a target.

    Two shapes are tried, an exponential approach to a floor and a power law with a floor, and the one that fits better
    is taken; both again on curves whose residuals are scaled anew, in pairs of neighbours (a wild bootstrap), which
    gives the interval, never narrower than a tenth of the steps either way: no law is followed so closely.

    Args:
        losses: finite losses at one learning rate.
        steps: their steps, ascending.
        target: the loss to reach.

    Returns:
        The further steps, none if the loss is there already, or in a sentence why they are unknown.

    Source:
        Hestness et al. 2017 (arXiv 1712.00409) for the power law with a floor; Wu 1986 for the bootstrap.

    >>> seen = np.arange(200.0)
    >>> round(steps_to_target(np.exp(-seen / 100), seen, np.exp(-3.0)).steps, -1)
    100
    """
    blocks = min(_BLOCKS, len(losses))
    if losses[-3:].min() <= target and blocks < _FEWEST_BLOCKS:
        return StepsNeeded(0, 0, 0)
    if blocks < _FEWEST_BLOCKS:
        return f"the steps to a loss of {target:.4g} are unknown, since {len(losses)} losses are too few to extrapolate"
    # Of a steep beginning the first block shows neither the height nor the place.
    levels = np.array([level_of(part) for part in np.array_split(losses, blocks)])[1:]
    places = np.array([part.mean() for part in np.array_split(steps, blocks)])[1:]
    if levels[-3:].min() <= target:
        return StepsNeeded(0, 0, 0)
    span = float(places[-1] - places[0])
    # In units of the span and of the fall, with the run ending at 1.
    time, unit = (places - places[0]) / span, float(np.ptp(levels)) or 1.0
    heights, goal = (levels - levels[-1]) / unit, (target - float(levels[-1])) / unit
    if goal < -_FARTHEST:
        return (
            f"the steps to a loss of {target:.4g} are unknown, since that lies more than {_FARTHEST:.0f} times as far "
            "below as the loss has fallen"
        )
    if not _foretells_its_end(time, heights):
        return (
            f"the steps to a loss of {target:.4g} are unknown, since neither a power law nor an exponential approach "
            "foretells the end of this curve from its beginning"
        )
    arrivals = _arrivals(time, heights, goal)
    reached = float(np.mean(np.isfinite(arrivals)))
    if not np.isfinite(arrivals[0]) or reached < _INTERVAL[1]:
        return (
            f"the steps to a loss of {target:.4g} are unknown: as the curve bends, it may come to rest above it "
            f"({100 * (1 - reached):.0f} % of the extrapolations never get there)"
        )
    if arrivals[0] > 1 + _FARTHEST:
        return (
            f"the steps to a loss of {target:.4g} are unknown, since at this pace they are more than {_FARTHEST:.0f} "
            "times those that were seen"
        )
    # From the last step, not from the middle of the last block.
    further = np.maximum(arrivals * span + places[0] - steps[-1], 0.0)
    low, high = np.quantile(further, _INTERVAL, method="closest_observation")
    low, high = min(low, further[0] * (1 - _LEAST_DOUBT)), max(high, further[0] * (1 + _LEAST_DOUBT))
    return StepsNeeded(int(np.ceil(further[0])), int(low), int(np.ceil(high)))


@dataclass(frozen=True, eq=False)
class _Family:
    """Curves of one shape: exponentials by their rates, or power laws by their exponents, counted from an offset."""

    rates: Float[np.ndarray, " rate"]
    offset: float | None

    def at(self, rate: Float[np.ndarray, "rate 1"], time: Blocks) -> Float[np.ndarray, "rate block"]:
        if self.offset is None:
            return np.exp(-np.minimum(rate * time, _LARGEST_EXPONENT))
        return (1 + time / self.offset) ** -rate

    def arrival(self, rate: float, share: float) -> float:
        """Return when the shape has come down to a share of its start."""
        exponent = min(-float(np.log(share)) / rate, _LARGEST_EXPONENT)
        return exponent if self.offset is None else self.offset * (float(np.exp(exponent)) - 1)


@dataclass(frozen=True)
class _Fit:
    family: _Family
    rate: float
    floor: float
    height: float
    residual: float

    def at(self, time: Blocks) -> Blocks:
        return self.floor + self.height * self.family.at(np.array([[self.rate]]), time)[0]

    def arrival(self, goal: float) -> float:
        """Return when the goal is reached; infinite for never."""
        return self.family.arrival(self.rate, (goal - self.floor) / self.height) if goal > self.floor else np.inf


_FAMILIES = (
    _Family(np.geomspace(0.02, 100, 1500), None),
    *(_Family(np.geomspace(0.05, 4, 120), float(offset)) for offset in np.geomspace(3e-4, 0.5, 14)),
)


def _fits(time: Blocks, curves: Float[np.ndarray, "block curve"]) -> list[_Fit | None]:
    """Return the fit that leaves the least of each curve; None for one that nothing falling fits better than a line."""
    centred = curves - curves.mean(axis=0)
    total = (centred**2).sum(axis=0)
    best: list[_Fit | None] = [None] * curves.shape[1]
    for family in _FAMILIES:
        shapes = family.at(family.rates[:, np.newaxis], time)
        means = shapes.mean(axis=1)
        products = (shapes - means[:, np.newaxis]) @ centred
        heights = products / ((shapes - means[:, np.newaxis]) ** 2).sum(axis=1)[:, np.newaxis]
        residuals = np.maximum(np.where(heights > 0, total - products * heights, np.inf), 0.0)
        for curve, place in enumerate(np.argmin(residuals, axis=0)):
            residual, height = float(residuals[place, curve]), float(heights[place, curve])
            known = best[curve]
            if np.isfinite(residual) and (known is None or residual < known.residual):
                floor = float(curves[:, curve].mean()) - height * float(means[place])
                best[curve] = _Fit(family, float(family.rates[place]), floor, height, residual)
    return best


def _foretells_its_end(time: Blocks, heights: Blocks) -> bool:
    """Tell whether a fit to the first part meets the last part, within the scatter or a tenth of the fall."""
    kept = int(_LATE * len(time))
    fit = _fits(time[:kept], heights[:kept, np.newaxis])[0]
    if fit is None:
        return False
    scatter = np.sqrt(fit.residual / max(kept - 3, 1))
    miss = abs(float(np.mean(heights[kept:] - fit.at(time[kept:]))))
    return bool(miss <= _DEVIATIONS * scatter + 0.1 * abs(float(heights[0] - heights[kept - 1])))


def _arrivals(time: Blocks, heights: Blocks, goal: float) -> Float[np.ndarray, " curve"]:
    """Return when the fit to the curve, and to each of its replicates, reaches the goal; infinite for never."""
    fit = _fits(time, heights[:, np.newaxis])[0]
    if fit is None:
        return np.array([np.inf])
    residuals = heights - fit.at(time)
    generator = np.random.default_rng(_SEED)
    # A fit of four parameters leaves less than there was; neighbours stay together, and noise where it is.
    residuals *= np.sqrt(len(time) / (len(time) - 4))
    factors = np.repeat(generator.normal(0, 1, (_REPLICATES, (len(time) + 1) // 2)), 2, axis=1)[:, : len(time)]
    redrawn = _fits(time, (fit.at(time) + factors * residuals).T)
    return np.array([np.inf if each is None else each.arrival(goal) for each in [fit, *redrawn]])
