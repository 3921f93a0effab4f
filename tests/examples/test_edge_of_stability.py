"""The known picture: the sharpness rises until it is 2 / lr, and stays there (Cohen et al. 2021, arXiv 2103.00065)."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np

import lrscout

SCRIPT = Path(__file__).parents[2] / "examples" / "edge_of_stability.py"


def test_the_sharpness_rises_to_the_limit_and_hovers_there() -> None:
    loop = runpy.run_path(str(SCRIPT))["loop"]()
    track = lrscout.curvature(loop, track=900).track
    share = track.sharpness / track.limits
    assert share[0] < 0.9
    early = share[(track.steps > 50) & (track.steps < 200)]
    assert (np.diff(early) > 0).all()
    late = share[track.steps > 500]
    assert (late > 0.9).all()
    assert (late < 1.2).all()
    # On the way the loss rises now and then, and falls all the same.
    assert (np.diff(track.losses[300:]) > 0).any()
    assert track.losses[-1] < 0.5 * track.losses[250]
