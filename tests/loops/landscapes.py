"""The one battery that every landscape faces: a loss whose every derivative is known in closed form.

A `LandscapeCase` is a loop that descends a least-squares problem by heavy-ball momentum, a batch at a time.
Each batch has its own quadratic, so loss, gradient and Hessian, of each batch and of all, are known to the last digit,
and so is where the loop stands after some steps and how fast it moves there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from lrscout.core.errors import LandscapeUnavailableError
from tests.battery import Case

LR, MOMENTUM, STEPS = 0.02, 0.9, 4
MATRIX, VECTOR = (2, 3), (2,)
SIZE = 8


class Quadratics:
    """Batches of different sizes, each of which pulls the parameters elsewhere: `mean((x @ parameters - y) ** 2)`."""

    def __init__(self) -> None:
        generator = np.random.default_rng(7)
        self.pairs = [
            (generator.normal(size=(size, SIZE)).astype(np.float32), generator.normal(size=size).astype(np.float32))
            for size in (5, 5, 3)
        ]
        self.start = generator.normal(size=SIZE).astype(np.float32)

    def loss(self, at: np.ndarray, batch: int | None = None) -> float:
        return float(self._mean(lambda x, y: np.mean((x @ at - y) ** 2), batch))

    def gradient(self, at: np.ndarray, batch: int | None = None) -> np.ndarray:
        return self._mean(lambda x, y: 2 * x.T @ (x @ at - y) / len(y), batch)

    def hessian(self, batch: int | None = None) -> np.ndarray:
        return self._mean(lambda x, y: 2 * x.T @ x / len(y), batch)

    def descend(self, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Return where the heavy ball is after some steps, and its last change."""
        at, change = self.start.astype(float), np.zeros(SIZE)
        for step in range(steps):
            change = MOMENTUM * change - LR * self.gradient(at, step % len(self.pairs))
            at = at + change
        return at, change

    def _mean(self, value: Callable[[np.ndarray, np.ndarray], Any], batch: int | None) -> Any:
        pairs = [(x.astype(float), y.astype(float)) for x, y in self.pairs]
        if batch is not None:
            return value(*pairs[batch])
        return sum(len(y) * value(x, y) for x, y in pairs) / sum(len(y) for _, y in pairs)


@dataclass(kw_only=True)
class LandscapeCase(Case):
    """A loop that descends the quadratics.

    Args:
        problem: the quadratics.
        shapes: the shapes of the blocks.
        exact: whether products are derivatives.
        tolerance: the precision of the loop.
        batches: the batches that its landscape tells apart; None means all data as one.
        broken: while this holds True, the loss raises an error where it is traced or computed.
    """

    problem: Quadratics
    shapes: tuple[tuple[int, ...], ...] = (MATRIX, VECTOR)
    exact: bool = True
    tolerance: float = 2e-5
    batches: int | None = 3
    broken: list[bool] = field(default_factory=lambda: [False])

    def step(self, steps: int = STEPS) -> None:
        for _ in range(steps):
            self.loop.step(LR)

    def fail_if_broken(self) -> None:
        fail_if(self.broken)

    def check(self, actual: Any, expected: Any) -> None:
        """Assert that numbers are equal, to a share of the largest."""
        actual, expected = np.asarray(actual, float), np.asarray(expected, float)
        assert actual.shape == expected.shape
        np.testing.assert_allclose(actual, expected, rtol=0, atol=self.tolerance * np.abs(expected).max(initial=0.0))


def fail_if(broken: list[bool]) -> None:
    if broken[0]:
        raise RuntimeError("a layer broke")


def the_blocks_make_up_the_position(case: LandscapeCase) -> None:
    landscape = case.loop.landscape(8)
    assert tuple(tuple(block.shape) for block in landscape.blocks) == case.shapes
    assert len({block.name for block in landscape.blocks}) == len(case.shapes)
    for block in landscape.blocks:
        assert block.filter_axis in (range(len(block.shape)) if len(block.shape) >= 2 else [None])
    position = landscape.position()
    assert position.dtype == np.float64
    assert sum(block.size for block in landscape.blocks) == len(position)
    np.testing.assert_array_equal(position, case.problem.start)
    assert landscape.batches == (case.batches or 1)


def the_losses_are_those_of_the_quadratics(case: LandscapeCase) -> None:
    landscape = case.loop.landscape(8)
    generator = np.random.default_rng(0)
    for points in (1, 5, 37):
        positions = generator.normal(size=(points, SIZE)) * generator.choice([0.1, 1, 1000], (points, 1))
        expected = np.array([case.problem.loss(position) for position in positions])
        np.testing.assert_allclose(landscape.losses(positions), expected, rtol=case.tolerance)
    assert landscape.losses(np.zeros((0, SIZE))).shape == (0,)
    (at_start,) = landscape.losses(landscape.position()[np.newaxis])
    assert at_start == pytest.approx(landscape.derivatives().loss, rel=case.tolerance)


def the_derivatives_are_those_of_the_quadratics(case: LandscapeCase) -> None:
    landscape = case.loop.landscape(8)
    _check_derivatives(case, landscape.derivatives(), case.problem.start, None)
    _check_derivatives(case, landscape.derivatives(0), case.problem.start, None if case.batches is None else 0)


def each_batch_has_its_own(case: LandscapeCase) -> None:
    landscape = case.loop.landscape(8)
    for batch in range(case.batches or 0):
        _check_derivatives(case, landscape.derivatives(batch), case.problem.start, batch)
    with pytest.raises(IndexError):
        landscape.derivatives(landscape.batches)


def a_few_batches_follow_one_another(case: LandscapeCase) -> None:
    case.step()
    landscape = case.loop.landscape(2)
    if case.batches is None:
        assert landscape.batches == 1
        return
    assert landscape.batches == 2
    here, _ = case.problem.descend(STEPS)
    known = [case.problem.gradient(here, batch) for batch in range(3)]
    first, second = (landscape.derivatives(batch).gradient for batch in range(2))
    index = int(np.argmin([np.abs(gradient - first).max() for gradient in known]))
    case.check(first, known[index])
    case.check(second, known[(index + 1) % 3])
    sizes = [len(case.problem.pairs[(index + batch) % 3][1]) for batch in range(2)]
    case.check(landscape.derivatives().gradient, np.average([first, second], axis=0, weights=sizes))


def a_direction_may_have_any_length(case: LandscapeCase) -> None:
    derivatives = case.loop.landscape(8).derivatives()
    direction = np.random.default_rng(1).normal(size=SIZE)
    expected = case.problem.hessian() @ direction
    for length in (1e-200, 1e-30, 1.0, 1e30, 1e200):
        case.check(derivatives.product(length * direction) / length, expected)
    np.testing.assert_array_equal(derivatives.product(np.zeros(SIZE)), np.zeros(SIZE))


def the_derivatives_follow_the_loop(case: LandscapeCase) -> None:
    landscape = case.loop.landscape(8)
    landscape.derivatives()
    case.step()
    here, _ = case.problem.descend(STEPS)
    case.check(landscape.position(), here)
    _check_derivatives(case, landscape.derivatives(), here, None)
    _check_derivatives(case, case.loop.landscape(8).derivatives(), here, None)


def the_updates_are_those_of_a_heavy_ball(case: LandscapeCase) -> None:
    case.step()
    landscape = case.loop.landscape(8)
    gradients = np.random.default_rng(2).normal(size=(5, SIZE))
    _, velocity = case.problem.descend(STEPS)
    expected = heavy_ball(velocity, gradients)
    case.check(landscape.updates(gradients, LR), expected)
    case.check(landscape.updates(gradients, LR), expected)
    case.check(landscape.updates(gradients, LR, 0.1 * np.ones(SIZE)), expected)
    assert landscape.updates(gradients[:0], LR).shape == (0, SIZE)


def the_updates_after_a_warm_up(case: LandscapeCase) -> None:
    case.step()
    gradients = np.random.default_rng(2).normal(size=(2, SIZE))
    _, velocity = case.problem.descend(STEPS)
    for warm_up in (1, 6):
        in_turn = [(-1) ** step * gradients[0] for step in range(warm_up)]
        expected = heavy_ball(velocity, np.array([*in_turn, *gradients]))[warm_up:]
        case.check(case.loop.landscape(8).updates(gradients, LR, warm_up=warm_up), expected)


CHECKS = (
    the_blocks_make_up_the_position,
    the_losses_are_those_of_the_quadratics,
    the_derivatives_are_those_of_the_quadratics,
    each_batch_has_its_own,
    a_few_batches_follow_one_another,
    a_direction_may_have_any_length,
    the_derivatives_follow_the_loop,
    the_updates_are_those_of_a_heavy_ball,
    the_updates_after_a_warm_up,
)


def visit(case: Case) -> None:
    """Ask a landscape everything that can be asked."""
    for batches in (2, 8):
        landscape = case.loop.landscape(batches)
        here = landscape.position()
        landscape.losses(np.stack([here, here + 1e-3, np.zeros_like(here)]))
        for derivatives in (landscape.derivatives(), landscape.derivatives(0)):
            derivatives.product(derivatives.gradient)
        gradients = np.ones((2, len(here)))
        landscape.updates(gradients, case.loop.lr, warm_up=2)
        landscape.updates(gradients, case.loop.lr, here)
        np.testing.assert_array_equal(landscape.position(), here)


def visit_a_broken_loss(case: Case) -> None:
    """Ask while the loss raises errors, and once more when it no longer does."""
    assert isinstance(case, LandscapeCase)
    questions: list[Callable[[], Any]] = [
        lambda: case.loop.landscape(8).derivatives(),
        lambda: case.loop.landscape(8).losses(np.ones((3, SIZE))),
    ]
    case.broken[0] = True
    for ask in questions:
        # A framework that tries the loss beforehand may say that there is no landscape, and why.
        with pytest.raises((RuntimeError, LandscapeUnavailableError), match="a layer broke"):
            ask()
    case.broken[0] = False
    landscape = case.loop.landscape(8)
    case.check(landscape.derivatives().gradient, case.problem.gradient(landscape.position()))


VISITS = (visit, visit_a_broken_loss)


def heavy_ball(velocity: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Return the changes that a heavy ball makes of gradients, after its last change."""
    changes = []
    for gradient in gradients:
        velocity = MOMENTUM * velocity - LR * gradient
        changes.append(velocity)
    return np.array(changes)


def _check_derivatives(case: LandscapeCase, derivatives: Any, at: np.ndarray, batch: int | None) -> None:
    problem = case.problem
    assert derivatives.exact is case.exact
    case.check(derivatives.loss, problem.loss(at, batch))
    case.check(derivatives.gradient, problem.gradient(at, batch))
    hessian = np.array([derivatives.product(axis) for axis in np.eye(SIZE)])
    case.check(hessian, problem.hessian(batch))
    case.check(hessian, hessian.T)
    first, second = np.random.default_rng(3).normal(size=(2, SIZE))
    mixed = 2 * derivatives.product(first) - 3 * derivatives.product(second)
    case.check(derivatives.product(2 * first - 3 * second), mixed)
