"""The limit of stability of a loop where it stands, in one call."""

from __future__ import annotations

import numpy as np

from lrscout.analyse.dynamics import dynamics_of
from lrscout.analyse.lanczos import largest_eigenvalue
from lrscout.core.errors import LandscapeUnavailableError
from lrscout.core.landscape import Landscape


def stability_limit(landscape: Landscape) -> tuple[float | None, int]:
    """Return the learning rate below which the loop's optimizer is stable where it stands, and the products it took.

    Args:
        landscape: the loss over the loop's parameters.

    Returns:
        The limit, or None where nothing curves upwards, or the optimizer cannot be asked what it makes of gradients;
        `curvature` says which.
    """
    try:
        here = landscape.derivatives()
        if not np.isfinite(here.loss) or not np.isfinite(here.gradient).all():
            return None, 0
        dynamics = dynamics_of(landscape.updates, here.gradient)
    except LandscapeUnavailableError:
        return None, 0
    largest = largest_eigenvalue(dynamics.preconditioned(here.product), len(here.gradient), hint=here.gradient)
    return max_stable_lr(dynamics.limit, largest.value), largest.products


def max_stable_lr(limit: float, sharpness: float) -> float | None:
    """Return the learning rate below which curvature is descended, or None where nothing curves upwards.

    Args:
        limit: the product of lr and sharpness below which the optimizer is stable.
        sharpness: the sharpness that it sees.
    """
    return limit / sharpness if sharpness > 0 else None
