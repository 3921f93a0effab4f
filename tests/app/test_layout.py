"""Where a curve of a sweep is kept, held against the plan that the runners themselves part into blocks."""

from __future__ import annotations

from itertools import product
from math import isclose

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lrscout.app.layout import Layout, Place, nearest, rectangle_of
from lrscout.runners.plan import Run, blocks_of

counts = st.integers(1, 5)
layouts = st.builds(
    lambda rates, budgets, seeds, shared, lanes: Layout(
        tuple(np.geomspace(1e-3, 1, rates).tolist()),
        tuple(range(10, 10 + budgets)),
        tuple(range(seeds)),
        "constant" if shared else "linear",
        "training",
        lanes,
    ),
    *(counts, counts, counts, st.booleans(), counts),
)


def plan_of(layout: Layout) -> dict[Place, Run]:
    """The runs of a sweep in the order in which it plans them."""
    lengths = layout.checkpoints[-1:] if layout.shared else layout.checkpoints
    places = product(range(len(layout.seeds)), range(len(lengths)), range(len(layout.lrs)))
    return {
        Place(seed, length, rate): Run(np.full(lengths[length], layout.lrs[rate]), layout.seeds[seed])
        for seed, length, rate in places
    }


@given(layouts)
def test_every_curve_is_the_run_that_was_planned(layout: Layout) -> None:
    plan = plan_of(layout)
    found = {
        layout.place(block.index, position): run
        for block in blocks_of(list(plan.values()), layout.lanes)
        for position, run in enumerate(block.runs)
    }
    assert found == plan
    assert layout.runs == len(plan)


@given(layouts, st.integers(0, 2**60), st.integers(0, 2**60))
def test_what_was_not_planned_has_no_place(layout: Layout, block: int, position: int) -> None:
    blocks = blocks_of(list(plan_of(layout).values()), layout.lanes)
    planned = block < len(blocks) and position < len(blocks[block].runs)
    assert (layout.place(block, position) is not None) == planned


@given(layouts, st.data())
def test_a_map_is_made_of_what_is_kept(layout: Layout, data: st.DataObject) -> None:
    kept = data.draw(st.sets(st.sampled_from(sorted(plan_of(layout)))))
    rectangle = rectangle_of(layout, kept)
    if rectangle is None:
        assert not any(place.length == 0 for place in kept)
        return
    cells = {Place(*cell) for cell in product(rectangle.seeds, range(rectangle.lengths), rectangle.rates)}
    assert cells <= kept
    # No seed alone could show more of its budgets and rates.
    for seed, length in product(range(len(layout.seeds)), range(layout.lengths)):
        through = [
            rate
            for rate in range(len(layout.lrs))
            if all(Place(seed, before, rate) in kept for before in range(length + 1))
        ]
        assert (length + 1) * len(through) <= rectangle.lengths * len(rectangle.rates)


@given(st.lists(st.floats(1e-6, 10), min_size=1, max_size=8), st.floats(1e-6, 10))
def test_a_rate_is_found_within_a_hundredth(lrs: list[float], lr: float) -> None:
    index = nearest(lrs, lr)
    if index is None:
        assert not any(isclose(lr, other, rel_tol=0.0099) for other in lrs)
    else:
        assert isclose(lr, lrs[index], rel_tol=0.0102)


def test_the_rates_that_a_link_names_are_found() -> None:
    assert nearest([0.1, 0.2, 0.4], 0.2) == 1
    assert nearest([], 0.2) is None
