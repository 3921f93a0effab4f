"""Landscapes of loops of functions, and products by differences, against closed forms."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrscout
from lrscout.core.errors import InvalidValueError, LandscapeUnavailableError, LossError
from lrscout.core.landscape import Differentiable
from lrscout.loops.differences import product_by_differences, unit_and_length
from tests.battery import bits
from tests.problems import quadratic_loop

HERE = np.array([-1.2, 1.0])


def rosenbrock(at):
    return (1 - at[0]) ** 2 + 100 * (at[1] - at[0] ** 2) ** 2


def rosenbrock_gradient(at):
    rise = at[1] - at[0] ** 2
    return np.array([-2 * (1 - at[0]) - 400 * at[0] * rise, 200 * rise], at.dtype)


ROSENBROCK_HESSIAN = np.array([[2 - 400 * (1.0 - 3 * 1.44), 480], [480, 200]])


def loop_of(parameters=lambda: HERE, loss_at=rosenbrock, gradient_at=rosenbrock_gradient, **functions):
    return lrscout.from_functions(
        lambda lr: 0.0, lambda: None, lambda copy: None, lr=0.1,
        parameters=parameters, loss_at=loss_at, gradient_at=gradient_at, **functions,
    )  # fmt: skip


def hessian_of(derivatives) -> np.ndarray:
    return np.array([derivatives.product(axis) for axis in np.eye(len(derivatives.gradient))])


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 1e-3)])
def test_products_by_differences(dtype, tolerance: float) -> None:
    derivatives = loop_of(lambda: HERE.astype(dtype)).landscape(1).derivatives()
    assert derivatives.exact is False
    assert derivatives.loss == pytest.approx(24.2, rel=1e-6)
    np.testing.assert_allclose(derivatives.gradient, [-215.6, -88.0], rtol=1e-6)
    np.testing.assert_allclose(hessian_of(derivatives), ROSENBROCK_HESSIAN, rtol=tolerance)


def test_products_of_ones_own() -> None:
    derivatives = loop_of(product_at=lambda at, direction: ROSENBROCK_HESSIAN @ direction).landscape(1).derivatives()
    assert derivatives.exact is True
    np.testing.assert_allclose(hessian_of(derivatives), ROSENBROCK_HESSIAN, rtol=1e-15)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(-80, 80),
    st.floats(-60, 60),
    st.floats(-60, 60),
    st.floats(-10, 10),
)
def test_a_quadratic_is_exact_at_every_scale(
    seed: int, height: float, width: float, length: float, shift: float
) -> None:
    """Whatever the units of the loss, of the parameters and of the direction."""
    loss_unit, unit, direction_unit = 10.0**height, 10.0**width, 10.0**length
    generator = np.random.default_rng(seed)
    matrix = generator.normal(size=(4, 4))
    hessian = matrix @ matrix.T + np.eye(4)
    bottom = shift * generator.normal(size=4)

    def gradient_at(at):
        return loss_unit * (hessian @ (at / unit - bottom)) / unit

    product = product_by_differences(gradient_at, unit * generator.normal(size=4), 2.0**-52)
    direction = generator.normal(size=4)
    found = product(direction_unit * direction) / direction_unit * unit**2 / loss_unit
    np.testing.assert_allclose(found, hessian @ direction, atol=1e-6 * (1 + abs(shift)))


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=5))
def test_a_unit_and_its_length_are_the_vector(vector) -> None:
    unit, length = unit_and_length(np.array(vector))
    if length:
        assert np.linalg.norm(unit) == pytest.approx(1, rel=1e-12)
        np.testing.assert_allclose(length * unit, vector, rtol=1e-12, atol=1e-15 * length)
    else:
        assert not np.any(vector)


def test_at_zero_there_are_products_too() -> None:
    product = product_by_differences(lambda at: np.array([3.0, 5.0]) * at + 1, np.zeros(2), 2.0**-52)
    np.testing.assert_allclose(product(np.array([1.0, -2.0])), [3, -10], rtol=1e-9)


@pytest.mark.parametrize("shape", [(), (6,), (2, 3), (1, 2, 3)])
def test_functions_are_given_arrays_like_the_parameters(shape: tuple[int, ...]) -> None:
    seen = set()

    def note(*arrays):
        seen.update((array.shape, array.dtype) for array in arrays)

    def loss_at(at):
        note(at)
        at *= 2  # What it is given is its own.
        return at.sum()

    start = np.ones(shape, np.float32)
    loop = loop_of(
        lambda: start,
        loss_at,
        lambda at: (note(at), np.ones(shape))[1],
        product_at=lambda at, direction: (note(at, direction), direction)[1],
        updates_of=lambda gradients, lr: (note(*gradients), -lr * gradients)[1],
    )
    landscape = loop.landscape(1)
    (block,) = landscape.blocks
    assert (block.shape, block.size) == (shape, start.size)
    assert block.filter_axis == (len(shape) - 1 if len(shape) > 1 else None)
    derivatives = landscape.derivatives()
    assert derivatives.loss == 2 * start.size
    assert derivatives.gradient.shape == derivatives.product(derivatives.gradient).shape == (start.size,)
    assert landscape.losses(np.zeros((3, start.size))).tolist() == [0, 0, 0]
    np.testing.assert_array_equal(landscape.updates(np.ones((2, start.size)), 0.5), -0.5 * np.ones((2, start.size)))
    assert seen == {(shape, np.dtype(np.float32))}
    np.testing.assert_array_equal(landscape.position(), np.ones(start.size))


def test_what_is_drawn_is_drawn_the_same() -> None:
    def loss_at(at):
        return at.sum() + np.random.normal() + random.random()

    landscape = loop_of(loss_at=loss_at).landscape(1)
    seen = []
    for seed in (5, 6):
        random.seed(seed)
        np.random.seed(seed)
        before = bits([random.getstate(), *np.random.get_state()])
        seen += [*landscape.losses(np.stack([HERE, HERE])), landscape.derivatives().loss]
        assert bits([random.getstate(), *np.random.get_state()]) == before
    assert len(set(seen)) == 1


def test_far_out_the_loss_overflows_without_a_warning() -> None:
    landscape = loop_of(lambda: HERE.astype(np.float32)).landscape(1)
    assert landscape.losses(np.array([[1e30, 0.0], [1e300, 0.0]])).tolist() == [np.inf, np.inf]


def test_a_warm_up_alternates() -> None:
    seen = []

    def updates_of(gradients, lr):
        seen.append(gradients[:, 0].tolist())
        return gradients

    landscape = loop_of(updates_of=updates_of).landscape(1)
    gradients = np.array([[3.0, 0.0], [4.0, 0.0]])
    np.testing.assert_array_equal(landscape.updates(gradients, 0.1, warm_up=3), gradients)
    assert seen == [[3, -3, 3, 3, 4]]


@pytest.mark.parametrize(
    ("functions", "sentence"),
    [
        ({"loss_at": None}, "parameters, gradient_at came without loss_at"),
        ({"parameters": None, "gradient_at": None}, "loss_at came without parameters, gradient_at"),
        (
            {"parameters": None, "loss_at": None, "gradient_at": None, "updates_of": lambda gradients, lr: gradients},
            "updates_of came without parameters, loss_at, gradient_at",
        ),
    ],
)
def test_functions_that_belong_together(functions, sentence: str) -> None:
    with pytest.raises(InvalidValueError, match=sentence):
        loop_of(**functions)


def test_a_loop_without_a_landscape_says_what_to_give() -> None:
    loop = quadratic_loop()
    assert isinstance(loop, Differentiable)
    with pytest.raises(LandscapeUnavailableError, match="Give from_functions parameters, loss_at and gradient_at"):
        loop.landscape(1)


def test_an_optimizer_that_cannot_be_asked() -> None:
    with pytest.raises(LandscapeUnavailableError, match=r"Give from_functions updates_of\(gradients, lr\)"):
        loop_of().landscape(1).updates(np.ones((1, 2)), 0.1)


@pytest.mark.parametrize("parameters", [[1, 2], ["a"], [1j]])
def test_parameters_that_are_not_real_numbers(parameters) -> None:
    with pytest.raises(InvalidValueError, match="must return an array of floating-point numbers"):
        loop_of(lambda: parameters).landscape(1)


@pytest.mark.parametrize(
    ("functions", "error", "sentence"),
    [
        ({"gradient_at": lambda at: 1.0}, InvalidValueError, r"gradient_at must return .* shape \(2,\), .* shape \(\)"),
        ({"product_at": lambda at, v: np.ones(3)}, InvalidValueError, r"product_at must return .* one of shape \(3,\)"),
        ({"updates_of": lambda g, lr: g[0]}, InvalidValueError, r"updates_of must return .* shape \(1, 2\), .* \(2,\)"),
        ({"loss_at": lambda at: at}, LossError, "loss_at must return one number"),
    ],
)
def test_what_functions_must_return(functions, error, sentence: str) -> None:
    landscape = loop_of(**functions).landscape(1)
    with pytest.raises(error, match=sentence):
        (landscape.derivatives().product(HERE), landscape.updates(np.ones((1, 2)), 0.1))


def test_all_data_are_one_batch() -> None:
    landscape = loop_of().landscape(5)
    assert landscape.batches == 1
    assert landscape.derivatives(0).loss == landscape.derivatives().loss
    with pytest.raises(IndexError, match="no batch 1"):
        landscape.derivatives(1)
    with pytest.raises(InvalidValueError, match="batches must be at least 1"):
        loop_of().landscape(0)
