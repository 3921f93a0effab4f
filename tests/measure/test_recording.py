"""Which positions of a run are kept."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lrscout.measure.recording import kept_steps, room_for_positions


@given(steps=st.integers(2, 5000), most=st.integers(8, 200))
def test_kept_steps_begin_at_the_start_and_end_at_the_end(steps: int, most: int) -> None:
    kept = kept_steps(steps, most)
    assert (kept[0], kept[-1]) == (0, steps)
    assert (np.diff(kept) > 0).all()
    assert len(kept) == min(most, steps + 1)


def test_large_models_keep_fewer_positions() -> None:
    assert room_for_positions(1000, 1) == 200
    assert 8 <= room_for_positions(10**9, 4) < 200
