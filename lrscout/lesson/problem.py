"""The smallest problem there is: noisy points on a line, and everything about it that is known exactly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lrscout.core.checks import check_count
from lrscout.core.errors import InvalidValueError

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

TRUE_W, TRUE_B = 0.1, 0.5


@dataclass(frozen=True, eq=False)
class Problem:
    """Fit `y = w x + b` to points; the loss is the mean squared error.

    Args:
        x: where the points lie, in single precision, as the engines use them.
        y: their heights.
    """

    x: Float32[np.ndarray, " sample"]
    y: Float32[np.ndarray, " sample"]

    def loss(self, w: Float[np.ndarray, "*grid"], b: Float[np.ndarray, "*grid"]) -> Float[np.ndarray, "*grid"]:
        """Return the mean squared error of lines, in double precision, so that a diverging one still has a loss.

        It is the lowest loss plus a quadratic form of the distance from the least-squares line, whatever the number of
        points.
        """
        best_w, best_b = self.least_squares
        away_w, away_b = np.asarray(w, float) - best_w, np.asarray(b, float) - best_b
        x = self.x.astype(float)
        with np.errstate(over="ignore", invalid="ignore"):
            return self.lowest_loss + away_w**2 * np.mean(x * x) + 2 * away_w * away_b * np.mean(x) + away_b**2

    @cached_property
    def least_squares(self) -> tuple[float, float]:
        """The weight and the bias with the lowest loss there is."""
        design = np.stack([self.x, np.ones_like(self.x)], axis=1).astype(float)
        w, b = np.linalg.lstsq(design, self.y.astype(float))[0]
        return float(w), float(b)

    @cached_property
    def lowest_loss(self) -> float:
        """The loss of the least-squares line."""
        w, b = self.least_squares
        return float(np.mean((w * self.x.astype(float) + b - self.y.astype(float)) ** 2))

    @cached_property
    def rounding(self) -> float:
        """How far above the lowest loss a line may lie that in single precision is as good as the best one."""
        return float(np.finfo(np.float32).eps ** 2 * np.mean(self.y.astype(float) ** 2))

    @cached_property
    def eigenvalues(self) -> Float[np.ndarray, " 2"]:
        """The eigenvalues of the loss's Hessian, the smaller first; they are the same everywhere."""
        x = self.x.astype(float)
        return np.linalg.eigvalsh(2 * np.array([[np.mean(x * x), np.mean(x)], [np.mean(x), 1]]))

    @property
    def sharpness(self) -> float:
        """The larger eigenvalue."""
        return float(self.eigenvalues[-1])

    @property
    def max_stable_lr(self) -> float:
        """The learning rate above which every step of gradient descent lands farther away."""
        return 2 / self.sharpness


def sample_problem(seed: int = 23, samples: int = 50, noise: float = 0.1) -> Problem:
    """Draw points on the line `y = 0.1 x + 0.5`, with noise.

    Args:
        seed: the seed of the draw; 23 is the lesson's.
        samples: the number of points, at least 2.
        noise: the standard deviation of the noise, at most 1e6.

    Raises:
        InvalidValueError: `samples` or `noise` is out of range.
    """
    check_count("samples", samples, at_least=2)
    check_count("seed", seed, at_least=0)
    if not 0 <= noise <= 1e6:
        raise InvalidValueError(f"noise must be between 0 and 1e6, but it is {noise!r}.")
    generator = np.random.default_rng(seed)
    x = generator.uniform(0, 1, samples)
    errors = generator.normal(0, noise, samples)
    return Problem(x.astype(np.float32), (TRUE_W * x + TRUE_B + errors).astype(np.float32))
