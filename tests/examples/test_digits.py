from __future__ import annotations

import numpy as np

import lrscout
from lrscout.examples import digits


def test_seeds_agree_within_a_factor_of_4_and_between_1e_4_and_1() -> None:
    rates = [lrscout.range_test(digits(seed), seed=seed).lr for seed in range(3)]
    assert all(rate is not None and 1e-4 < rate < 1 for rate in rates)
    assert max(rates) / min(rates) < 4


def test_the_suggested_rate_trains_the_network() -> None:
    loop = digits()
    rate = lrscout.range_test(loop, repeats=3).lr
    before = loop.evaluate()
    for step in range(200):
        loop.step(rate * (1 - step / 200))
    assert loop.evaluate() < 0.25 * before


def test_the_evaluation_data_are_held_out() -> None:
    loop = digits()
    images = loop._data._stream._source._arrays[0]
    held_out = loop._data._evaluation._arrays[0]
    assert len(images) + len(held_out) == 1797
    assert len(np.unique(np.concatenate([images, held_out]), axis=0)) == 1797
