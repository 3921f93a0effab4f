"""Eigenvalues by Lanczos, against NumPy's own of the dense matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscout.analyse import lanczos
from lrscout.analyse.lanczos import extreme_eigenvalues, largest_eigenvalue
from lrscout.core.errors import InvalidValueError


def symmetric(dimension: int, seed: int) -> np.ndarray:
    matrix = np.random.default_rng(seed).normal(size=(dimension, dimension))
    return matrix + matrix.T


@given(st.integers(1, 60), st.integers(0, 1000))
def test_small_matrices_are_solved_exactly(dimension: int, seed: int) -> None:
    matrix = symmetric(dimension, seed)
    exact = np.linalg.eigvalsh(matrix)
    found = largest_eigenvalue(lambda vector: matrix @ vector, dimension, seed=seed)
    assert found.value == pytest.approx(exact[-1], abs=1e-9 * np.abs(exact).max())
    assert found.products <= dimension
    assert np.linalg.norm(matrix @ found.vector - found.value * found.vector) < 1e-6 * np.abs(exact).max()


@pytest.mark.parametrize("seed", range(10))
def test_a_large_one_is_as_far_off_as_it_says(seed: int) -> None:
    matrix = symmetric(400, seed)
    largest = np.linalg.eigvalsh(matrix)[-1]
    hint = np.random.default_rng(seed).normal(size=400)
    found = largest_eigenvalue(lambda vector: matrix @ vector, 400, hint=hint, seed=seed)
    assert abs(found.value - largest) <= found.error <= 0.01 * found.value
    assert found.products < 100


def test_a_hint_that_points_elsewhere_does_not_mislead() -> None:
    """The gradient of a run that has come down the steepest direction has nothing of it any more."""
    curvatures = np.r_[np.linspace(0.1, 1, 499), 10.0]
    hint = np.zeros(500)
    hint[250] = 1e6
    found = largest_eigenvalue(lambda vector: curvatures * vector, 500, hint=hint)
    assert found.value == pytest.approx(10, rel=0.01)
    for bad in (np.zeros(500), np.full(500, np.nan)):
        assert largest_eigenvalue(lambda vector: curvatures * vector, 500, hint=bad).value == pytest.approx(
            10, rel=0.01
        )


def test_where_memory_is_short_it_begins_again_from_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    curvatures = np.linspace(0.1, 1, 2000)
    monkeypatch.setattr(lanczos, "_LARGEST_BASIS", 12 * 8 * 2000)
    found = largest_eigenvalue(lambda vector: curvatures * vector, 2000)
    assert found.products > 12
    assert found.value == pytest.approx(1, rel=0.01)


def test_it_spends_no_more_products_than_allowed() -> None:
    curvatures = np.linspace(0.1, 1, 2000)
    found = largest_eigenvalue(lambda vector: curvatures * vector, 2000, most_products=5)
    assert found.products == 5
    assert found.error > 0.01


@given(st.lists(st.sampled_from([-3.0, -1.0, 0.0, 2.0, 2.5]), min_size=1, max_size=20), st.integers(1, 30))
def test_both_ends_with_values_that_occur_several_times(values: list[float], number: int) -> None:
    mirror = np.random.default_rng(0).normal(size=len(values))
    mirror /= np.linalg.norm(mirror)
    turn = np.eye(len(values)) - 2 * np.outer(mirror, mirror)
    matrix = turn @ np.diag(values) @ turn
    largest, smallest = extreme_eigenvalues(lambda vector: matrix @ vector, len(values), number)
    ascending = sorted(values)
    assert [one.value for one in smallest] == pytest.approx(ascending[:number], abs=1e-8)
    assert [one.value for one in largest] == pytest.approx(ascending[::-1][:number], abs=1e-8)


def test_a_large_spectrum_at_both_ends() -> None:
    matrix = symmetric(300, 3)
    exact = np.linalg.eigvalsh(matrix)
    largest, smallest = extreme_eigenvalues(lambda vector: matrix @ vector, 300, 3)
    scale = np.abs(exact).max()
    assert [one.value for one in largest] == pytest.approx(exact[::-1][:3], abs=0.01 * scale)
    assert [one.value for one in smallest] == pytest.approx(exact[:3], abs=0.01 * scale)


def test_products_that_are_not_finite_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="not finite"):
        largest_eigenvalue(lambda vector: np.full(3, np.nan), 3)


def test_nothing_curves_at_all() -> None:
    assert largest_eigenvalue(lambda vector: 0 * vector, 5).value == 0
