"""Directions and windows, on their own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrscout.analyse.directions import (
    are_parallel,
    coordinates_along,
    filter_normalized,
    principal_directions,
    share_along,
)
from lrscout.analyse.window import places_nearby, places_of_leaps, window_around
from lrscout.core.landscape import Block
from tests.measure.bowls import filters_of


@settings(max_examples=50, deadline=None)
@given(shape=st.lists(st.integers(1, 4), min_size=2, max_size=4), data=st.data(), seed=st.integers(0, 1000))
def test_filters_have_the_norms_of_the_parameters_filters(shape: list[int], data, seed: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    axis %= len(shape)
    blocks = [Block("w", tuple(shape), axis), Block("b", (3,), None)]
    size = int(np.prod(shape)) + 3
    direction, position = np.random.default_rng(seed).normal(size=(2, size))
    before = direction.copy()
    normalized = filter_normalized(direction, position, blocks)
    np.testing.assert_array_equal(direction, before)
    for found, expected in zip(filters_of(normalized, blocks), filters_of(position, blocks), strict=True):
        np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(filter_normalized(7 * direction, position, blocks), normalized)
    assert (normalized[:-3] * direction[:-3] >= 0).all()


@settings(max_examples=50, deadline=None)
@given(places=st.integers(3, 30), parameters=st.integers(3, 40), seed=st.integers(0, 1000))
def test_principal_directions_are_the_singular_vectors(places: int, parameters: int, seed: int) -> None:
    displacements = np.random.default_rng(seed).normal(size=(places, parameters)) * np.geomspace(9, 1, parameters)
    found = principal_directions(displacements)
    expected = np.linalg.svd(displacements, full_matrices=False)[2][:2]
    assert share_along(found, displacements) == pytest.approx(share_along(expected, displacements), rel=1e-6)
    np.testing.assert_allclose(found @ found.T, np.eye(2), atol=1e-10)
    np.testing.assert_allclose(coordinates_along(found, displacements), displacements @ found.T, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_a_narrow_plane_is_found_at_any_scale(scale: float) -> None:
    generator = np.random.default_rng(0)
    plane = np.linalg.qr(generator.normal(size=(50, 2)))[0].T
    displacements = scale * generator.normal(size=(20, 2)) * [1, 1e-9] @ plane
    found = principal_directions(displacements)
    np.testing.assert_allclose(np.linalg.svd(found @ plane.T, compute_uv=False), 1, atol=1e-5)
    assert share_along(found, displacements) == pytest.approx(1)


def test_what_spans_no_plane_says_so() -> None:
    assert are_parallel(np.array([[1.0, 0.0], [1e-9, 0.0]]))
    assert are_parallel(np.array([[0.0, 0.0]]))
    assert not are_parallel(np.array([[1.0, 0.0], [1.0, 1e-6]]))
    assert principal_directions(np.zeros((3, 4))).shape == (0, 4)


@given(points=st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=1, max_size=9))
def test_a_window_holds_its_points_and_is_square(points: list) -> None:
    low, high = window_around(np.array(points), smallest=1.0)
    assert (low < np.array(points)).all()
    assert (np.array(points) < high).all()
    np.testing.assert_allclose(*(high - low))


def test_leaps_that_dwarf_the_others_are_left_out() -> None:
    places = np.array([[0.0], [1.0], [-2.0], [40.0], [-900.0]])
    assert places_of_leaps(places[:, 0] ** 2, places) == 3
    assert places_of_leaps(np.array([0.0, np.inf, np.nan, 1.0, 2.0]), places) == 3
    assert places_nearby(places, reach=1.0) == 3
    assert places_nearby(places, reach=1e3) == 5
