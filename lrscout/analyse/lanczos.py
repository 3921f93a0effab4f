"""Eigenvalues of a symmetric matrix that is known by its products alone.

Source: Lanczos 1950 (J. Res. Natl. Bur. Stand. 45); the bound on the error is that of Parlett 1998, "The Symmetric
Eigenvalue Problem", section 13.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from lrscout.core.errors import InvalidValueError

if TYPE_CHECKING:
    from jaxtyping import Float

Product: TypeAlias = "Callable[[Float[np.ndarray, ' parameter']], Float[np.ndarray, ' parameter']]"
"""Multiplies the matrix by a vector."""

MOST_PRODUCTS = 300
_LARGEST_BASIS = 2**31
_FEWEST_VECTORS = 12
_SMALL = 64
_CROWD = 6
_HINTED = 2
"""How long the hint is beside the random vector."""

_TO_THE_END = math.sqrt(3)
_CLOSE = 0.06
_MISSED = 10
_EXHAUSTED = 1e-10
"""A new direction of less than this share of the largest eigenvalue is rounding: the space holds all there is."""


@dataclass(frozen=True, eq=False)
class Eigenvalue:
    """An eigenvalue at one end of a spectrum.

    Args:
        value: the eigenvalue.
        error: how far off it is at most, provided that the search was not blind to the end of the spectrum.
        vector: the eigenvector, of length 1.
        products: the products spent.
    """

    value: float
    error: float
    vector: Float[np.ndarray, " parameter"] = field(repr=False)
    products: int

    @property
    def relative_error(self) -> float:
        """The error as a share of the value; zero where both are."""
        return self.error / abs(self.value) if self.value else math.inf if self.error else 0.0


def largest_eigenvalue(
    product: Product,
    dimension: int,
    *,
    hint: Float[np.ndarray, " parameter"] | None = None,
    accuracy: float = 0.01,
    most_products: int = MOST_PRODUCTS,
    seed: int = 0,
) -> Eigenvalue:
    """Return the largest eigenvalue, by Lanczos iteration with full reorthogonalisation.

    The search begins with a random vector, so that no eigenvector can hide from it, and the hint. The residual bounds
    the distance to an eigenvalue, which need not be the largest, so the error is said to be larger where there are
    signs of others beside it. If the vector holds more of the random one than a single eigenvector would, there is a
    crowd, of which the search sees the middle: its end, if it is spread evenly, is `sqrt(3)` standard deviations away.
    If the next value is closer than 6 %, one between or above them may not show until both are settled: ten times the
    residual kept 900 searches in dense spectra within 1 % of the truth.

    Args:
        product: multiplies the matrix by a vector.
        dimension: the length of the vectors.
        hint: a vector that lies near the eigenvector, such as the gradient: it descends steeply where it is steep
            (Gur-Ari et al. 2018, arXiv 1812.04754).
        accuracy: the relative error at which to stop; below a dimension of 64 the search goes on to the end.
        most_products: the number of products at which to stop in any case.
        seed: the seed of the random vector.

    Raises:
        InvalidValueError: a product is not finite.

    >>> curvatures = np.array([9.0, 4.0, 1.0])
    >>> found = largest_eigenvalue(lambda direction: curvatures * direction, 3)
    >>> round(found.value, 9), found.products
    (9.0, 3)
    """
    chance = _random_direction(dimension, np.random.default_rng(seed))
    length = 0.0 if hint is None else float(np.linalg.norm(hint))
    start = chance if hint is None or not 0 < length < math.inf else chance + _HINTED * hint / length
    accuracy = 0.0 if dimension <= _SMALL else accuracy
    room = max(_FEWEST_VECTORS, _LARGEST_BASIS // (8 * dimension))
    spent, error, values = 0, math.inf, np.zeros(0)
    while True:
        space = KrylovSpace(product, start)
        goes_on = True
        while goes_on and space.products < min(room, most_products - spent):
            goes_on = space.extend()
            values, errors = space.ritz_values()
            start = space.vector(-1)
            error = float(errors[-1]) * _doubt(values, dimension * float(chance @ start) ** 2)
            goes_on = goes_on and error > accuracy * abs(values[-1])
        spent += space.products
        # Where no more vectors fit into memory, the search begins again from the best one so far.
        if not goes_on or spent >= most_products:
            return Eigenvalue(float(values[-1]), error, start, spent)


def extreme_eigenvalues(
    product: Product,
    dimension: int,
    number: int,
    *,
    accuracy: float = 0.01,
    most_products: int = MOST_PRODUCTS,
    seed: int = 0,
) -> tuple[list[Eigenvalue], list[Eigenvalue]]:
    """Return the largest and the smallest eigenvalues, the outermost first.

    Args:
        product: multiplies the matrix by a vector.
        dimension: the length of the vectors.
        number: how many at each end; all of them, where there are no more.
        accuracy: the error at which to stop, as a share of the eigenvalue that is largest in size.
        most_products: the number of products at which to stop in any case.
        seed: the seed of the vectors that the search begins with.

    Raises:
        InvalidValueError: a product is not finite.
    """
    number = min(number, dimension)
    accuracy = 0.0 if dimension <= _SMALL else accuracy
    space = KrylovSpace(product, _random_direction(dimension, np.random.default_rng(seed)), seed)
    # Where no more vectors fit into memory the errors are as they are then, and told.
    most_products = min(most_products, max(_FEWEST_VECTORS, 2 * number, _LARGEST_BASIS // (8 * dimension)))
    while space.products < most_products and space.extend():
        values, errors = space.ritz_values()
        ends = np.r_[errors[:number], errors[-number:]]
        if len(values) >= 2 * number and ends.max() <= accuracy * np.abs(values).max():
            break
    values, errors = space.ritz_values()
    number = min(number, len(values))

    def found(index: int) -> Eigenvalue:
        return Eigenvalue(float(values[index]), float(errors[index]), space.vector(index), space.products)

    return [found(-1 - rank) for rank in range(number)], [found(rank) for rank in range(number)]


class KrylovSpace:
    """The space spanned by a vector and its products with a matrix, one product after another.

    Args:
        product: multiplies the matrix by a vector.
        start: the first vector.
        seed: where the space is exhausted, go on with a vector drawn at random, which finds eigenvalues that occur
            several times; None ends there, since the largest one is found.

    Raises:
        InvalidValueError: `start` is zero or not finite.
    """

    def __init__(self, product: Product, start: Float[np.ndarray, " parameter"], seed: int | None = None) -> None:
        length = float(np.linalg.norm(start))
        if not np.isfinite(length) or length == 0:
            raise InvalidValueError(f"A search for eigenvalues must start with a finite vector, of length {length:g}.")
        self._product = product
        self._random = None if seed is None else np.random.default_rng([seed, 1])
        self._basis = np.empty((min(16, len(start)), len(start)))
        self._basis[0] = start / length
        self._diagonal: list[float] = []
        self._beside: list[float] = []
        self._values = np.zeros(0)
        self._mixture = np.zeros((0, 0))

    @property
    def products(self) -> int:
        """The number of products taken."""
        return len(self._diagonal)

    def extend(self) -> bool:
        """Take another product; False where the space already holds all that it can."""
        size = self.products
        if size and not self._begin_next(size):
            return False
        image = self._product(self._basis[size])
        if not np.isfinite(image).all():
            raise InvalidValueError(
                "A product with the Hessian is not finite. Is the loss finite where the loop stands?"
            )
        known = self._basis[: size + 1]
        self._diagonal.append(float(known[size] @ image))
        # Twice is enough: what rounding leaves of the old directions the first time, the second removes.
        for _ in range(2):
            image = image - known.T @ (known @ image)
        self._rest = image
        self._beside.append(float(np.linalg.norm(image)))
        self._solve()
        return True

    def ritz_values(self) -> tuple[Float[np.ndarray, " value"], Float[np.ndarray, " value"]]:
        """Return the approximate eigenvalues in ascending order, and for each how far the nearest eigenvalue can be.

        That is the length of its residual. Where an eigenvalue lies apart from the others it is far nearer, but that
        cannot be known: of two that lie close together, both would seem to be one for a while.
        """
        rounding = np.finfo(float).eps * np.abs(self._values).max()
        return self._values, np.maximum(self._beside[-1] * np.abs(self._mixture[-1]), rounding)

    def vector(self, index: int) -> Float[np.ndarray, " parameter"]:
        """Return the approximate eigenvector of one of the values."""
        return self._basis[: self.products].T @ self._mixture[:, index]

    def _begin_next(self, size: int) -> bool:
        """Put the next direction into the basis."""
        dimension = self._basis.shape[1]
        if size == dimension:
            return False
        if size == len(self._basis):
            grown = np.empty((min(2 * size, dimension), dimension))
            grown[:size] = self._basis
            self._basis = grown
        rest = self._rest
        if self._beside[-1] <= _EXHAUSTED * max(np.abs(self._values).max(), np.finfo(float).tiny):
            self._beside[-1] = 0.0
            if self._random is None:
                return False
            rest = _random_direction(dimension, self._random)
            for _ in range(2):
                rest = rest - self._basis[:size].T @ (self._basis[:size] @ rest)
        self._basis[size] = rest / np.linalg.norm(rest)
        return True

    def _solve(self) -> None:
        matrix = np.diag(self._diagonal) + np.diag(self._beside[:-1], 1) + np.diag(self._beside[:-1], -1)
        self._values, self._mixture = np.linalg.eigh(matrix)


def _doubt(values: Float[np.ndarray, " value"], crowd: float) -> float:
    """Return how many times its residual the largest of the approximate eigenvalues may be off.

    Args:
        values: the approximate eigenvalues in ascending order.
        crowd: about how many eigenvectors its vector is a mixture of.
    """
    if len(values) > 1 and values[-1] - values[-2] < _CLOSE * abs(values[-1]):
        return _MISSED
    return _TO_THE_END if crowd > _CROWD else 1.0


def _random_direction(dimension: int, random: np.random.Generator) -> Float[np.ndarray, " parameter"]:
    direction = random.standard_normal(dimension)
    return direction / np.linalg.norm(direction)
