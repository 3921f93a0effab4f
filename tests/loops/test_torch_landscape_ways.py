"""Landscapes of PyTorch loops whose graph cannot be kept, that have no second derivative, or none at all."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

import lrscout
from lrscout.loops.torch.hessian import Hessians
from tests.battery import bits
from tests.loops.cases_torch import seed_everything
from tests.loops.test_torch_landscape import ByHand, batches, dense, loop_of, optimizer_of, perceptron, points

KEPT, ANEW, BY_DIFFERENCES = "_by_a_graph", "_anew", "_by_differences"


def way_of(landscape) -> str:
    """The first way that is still open."""
    return landscape._hessians._ways[0].__name__


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * gradient


class SilentCube(torch.autograd.Function):
    """Its backward computes with numbers that are out of the graph, as a kernel's does, and does not say so."""

    @staticmethod
    def forward(ctx, x):
        ctx.factor = 3 * x.detach() ** 2
        return x**3

    @staticmethod
    def backward(ctx, gradient):
        return ctx.factor * gradient


class ThoroughCube(torch.autograd.Function):
    """Its backward can be differentiated."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * gradient


class Cubed(nn.Module):
    """A layer with an operator of the user's own, or with PyTorch's."""

    def __init__(self, operator=None) -> None:
        super().__init__()
        self.inside, self.outside, self.operator = nn.Linear(6, 4), nn.Linear(4, 2), operator

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inside = self.inside(x)
        return self.outside(inside**3 if self.operator is None else self.operator.apply(inside))


class Checkpointed(nn.Module):
    """Activations, dropout among them, that are computed anew for the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.5), nn.Tanh())
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(checkpoint(self.layers, x, use_reentrant=False))


@pytest.mark.parametrize(
    ("operator", "dtype", "within"),
    [
        (Cube, torch.float64, 1e-6),
        (Cube, torch.float32, 1e-2),
        (Cube, torch.bfloat16, 0.5),
        (SilentCube, torch.float64, 1e-6),
        (SilentCube, torch.float32, 1e-2),
    ],
)
def test_operators_without_a_second_derivative(operator, dtype, within) -> None:
    loop, _ = loop_of(lambda: Cubed(operator), dtype)
    exact, _ = loop_of(Cubed, dtype)
    landscape = loop.landscape(2)
    derivatives = landscape.derivatives()
    assert not derivatives.exact
    assert way_of(landscape) == BY_DIFFERENCES
    expected = dense(exact.landscape(2).derivatives(), len(derivatives.gradient))
    hessian = dense(derivatives, len(derivatives.gradient))
    assert np.linalg.norm(hessian - expected, 2) <= within * np.linalg.norm(expected, 2)
    gradient = exact.landscape(2).derivatives().gradient
    np.testing.assert_allclose(derivatives.gradient, gradient, rtol=0, atol=within * np.abs(gradient).max())
    assert not landscape.derivatives(1).exact


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_an_operator_of_the_users_own_with_a_second_derivative(dtype) -> None:
    loop, _ = loop_of(lambda: Cubed(ThoroughCube), dtype)
    exact, _ = loop_of(Cubed, dtype)
    derivatives, expected = loop.landscape(2).derivatives(), exact.landscape(2).derivatives()
    assert derivatives.exact
    direction = np.random.default_rng(0).normal(size=len(expected.gradient))
    np.testing.assert_allclose(derivatives.product(direction), expected.product(direction), rtol=0, atol=1e-5)


def test_differences_hold_when_the_loop_has_gone_on() -> None:
    loop, model = loop_of(lambda: Cubed(Cube))
    derivatives = loop.landscape(2).derivatives()
    direction = np.ones(len(derivatives.gradient))
    before = derivatives.product(direction)
    loop.step(0.1)
    after = bits([parameter.detach() for parameter in model.parameters()])
    np.testing.assert_array_equal(derivatives.product(direction), before)
    assert bits([parameter.detach() for parameter in model.parameters()]) == after


def test_a_sparse_gradient() -> None:
    model = nn.Sequential(nn.EmbeddingBag(5, 3, sparse=True), nn.Linear(3, 1)).double()
    words = torch.randint(5, (8, 4))
    loop = lrscout.from_torch(model, optimizer_of(model), step_fn=lambda x: model(x).square().mean(), data=[words])
    dense_model = nn.Sequential(nn.EmbeddingBag(5, 3), nn.Linear(3, 1)).double()
    dense_model.load_state_dict(model.state_dict())
    derivatives = loop.landscape(1).derivatives()

    def gradient(vector: np.ndarray) -> np.ndarray:
        nn.utils.vector_to_parameters(torch.tensor(vector), dense_model.parameters())
        loss = dense_model(words).square().mean()
        return nn.utils.parameters_to_vector(torch.autograd.grad(loss, list(dense_model.parameters()))).numpy()

    here = loop.landscape(1).position()
    np.testing.assert_allclose(derivatives.gradient, gradient(here), atol=1e-12)
    direction = np.random.default_rng(0).normal(size=len(here))
    expected = (gradient(here + 1e-6 * direction) - gradient(here - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(derivatives.product(direction), expected, atol=1e-6)


def held_elsewhere(model: nn.Module):
    """A loss that takes a parameter from a variable of its own as well."""
    weight = model[0].weight

    def step_fn(batch):
        return nn.functional.cross_entropy(model(batch[0]), batch[1]) + 0.1 * weight.square().square().sum()

    return step_fn


def test_a_parameter_that_the_loss_has_from_elsewhere() -> None:
    """Such as for a penalty: where the landscape puts other values in place of the model's, this one would stay."""
    seed_everything()
    model = perceptron().double()
    loop = lrscout.from_torch(model, optimizer_of(model), step_fn=held_elsewhere(model), data=batches())
    by_hand = ByHand(model, batches())
    landscape = loop.landscape(2)
    position = landscape.position()
    penalty = np.zeros(len(position))
    penalty[:24] = 0.1 * position[:24] ** 4
    expected = by_hand.hessian(position) + np.diag(1.2 * np.r_[position[:24], np.zeros(14)] ** 2)
    derivatives = landscape.derivatives()
    assert derivatives.exact
    assert way_of(landscape) == ANEW
    assert derivatives.loss == pytest.approx(by_hand.loss(position) + penalty.sum(), rel=1e-12)
    np.testing.assert_allclose(dense(derivatives, len(position)), expected, rtol=0, atol=1e-7)
    positions = points(position, 8)
    losses = [by_hand.loss(at) + 0.1 * (at[:24] ** 4).sum() for at in positions]
    np.testing.assert_allclose(landscape.losses(positions), losses, rtol=1e-12)
    assert not landscape._points._is_vectorizable


def test_a_parameter_that_belongs_to_no_module() -> None:
    free = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    x = torch.tensor([3.0, 1.0], dtype=torch.float64)
    loop = lrscout.from_torch(
        nn.Identity(), torch.optim.SGD([free], 0.1), step_fn=lambda x: ((free * x) ** 2).sum(), data=[x]
    )
    landscape = loop.landscape(1)
    np.testing.assert_allclose(dense(landscape.derivatives(), 2), np.diag([18.0, 2.0]))
    np.testing.assert_allclose(landscape.losses(np.arange(10.0).reshape(5, 2)), [1, 45, 169, 373, 657])


def test_activations_that_are_computed_anew() -> None:
    loop, model = loop_of(Checkpointed)
    by_hand = ByHand(model, batches())
    landscape = loop.landscape(2)
    derivatives = landscape.derivatives()
    assert way_of(landscape) == ANEW
    expected = by_hand.hessian(by_hand.position)
    np.testing.assert_allclose(dense(derivatives, len(expected)), expected, rtol=0, atol=1e-8)
    assert derivatives.exact


def test_more_batches_than_graphs_are_kept_of() -> None:
    few, _ = loop_of(perceptron, number=3)
    many, _ = loop_of(perceptron, number=20)
    assert many.landscape(99).batches > 8
    landscape = many.landscape(99)
    size = len(landscape.position())
    np.testing.assert_allclose(
        dense(landscape.derivatives(), size), dense(few.landscape(99).derivatives(), size), rtol=0, atol=1e-12
    )
    assert way_of(landscape) == KEPT, "it is open to single batches"


def test_a_loss_that_writes_to_its_parameters() -> None:
    class Renormed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(6, 3, max_norm=1.0), nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.embed((x.abs() * 3).long().clamp(max=5)).mean(1))

    loop, model = loop_of(Renormed)
    before = bits([parameter.detach() for parameter in model.parameters()])
    landscape = loop.landscape(2)
    derivatives = landscape.derivatives()
    derivatives.product(np.ones(len(derivatives.gradient)))
    landscape.losses(points(landscape.position(), 6))
    assert bits([parameter.detach() for parameter in model.parameters()]) == before


def test_losses_that_depend_on_the_values_are_told_one_by_one() -> None:
    seed_everything()
    model = perceptron().double()

    def step_fn(batch):
        loss = nn.functional.cross_entropy(model(batch[0]), batch[1])
        return loss if loss < 0.8 else 2 * loss

    loop = lrscout.from_torch(model, optimizer_of(model), step_fn=step_fn, data=batches(number=1))
    landscape, by_hand = loop.landscape(1), ByHand(model, batches(number=1))
    positions = points(landscape.position(), 20)
    expected = np.array([by_hand.loss(position) for position in positions])
    assert (expected < 0.8).any()
    assert (expected > 0.8).any()
    np.testing.assert_allclose(landscape.losses(positions), np.where(expected < 0.8, 1, 2) * expected, rtol=1e-12)


def test_a_compiled_model_is_differentiated_as_it_was_written() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The compiler has some of its own.
        loop, _ = loop_of(lambda: torch.compile(perceptron(), backend="aot_eager"))
        loop.step(0.1)
        derivatives = loop.landscape(2).derivatives()
        assert derivatives.exact
        plain, _ = loop_of(perceptron)
        plain.step(0.1)
        assert [block.name for block in loop.landscape(2).blocks] == [b.name for b in plain.landscape(2).blocks]
        np.testing.assert_allclose(derivatives.gradient, plain.landscape(2).derivatives().gradient, atol=1e-10)


def test_the_loss_for_evaluation_stands_in_where_only_a_step_knows_the_training_loss() -> None:
    seed_everything()
    model = perceptron().double()

    def eval_fn(batch):
        return nn.functional.cross_entropy(model(batch[0]), batch[1])

    loop = lrscout.from_torch(model, optimizer_of(model), update_fn=lambda b: 1.0, data=batches(), eval_fn=eval_fn)
    by_hand = ByHand(model, batches())
    np.testing.assert_allclose(loop.landscape(2).derivatives().gradient, by_hand.gradient(by_hand.position), atol=1e-12)


def test_the_last_way_is_open_to_every_loss() -> None:
    loop, _ = loop_of(perceptron)
    landscape = loop.landscape(1)
    hessians: Hessians = landscape._hessians
    position = landscape.position()
    kept, anew, by_differences = (way(position, landscape._shares) for way in hessians._ways)
    direction = np.random.default_rng(0).normal(size=len(position))
    np.testing.assert_allclose(anew.product(direction), kept.product(direction), rtol=1e-10)
    np.testing.assert_allclose(by_differences.product(direction), kept.product(direction), rtol=1e-6)
    assert kept.loss == pytest.approx(anew.loss, rel=1e-14)
    assert (kept.exact, anew.exact, by_differences.exact) == (True, True, False)


def test_a_loss_that_takes_its_batch_apart() -> None:
    """In training it sees each batch once, and may write into it."""
    x = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    model = nn.Linear(2, 1, bias=False).double()

    def step_fn(batch):
        batch["x"].mul_(2)
        return model(batch.pop("x")).square().mean()

    loop = lrscout.from_torch(model, optimizer_of(model), step_fn=step_fn, data=[{"x": x}])
    landscape = loop.landscape(1)
    expected = 8 * np.outer([1, 2], [1, 2])
    for _ in range(2):
        np.testing.assert_allclose(dense(landscape.derivatives(), 2), expected)
        np.testing.assert_allclose(landscape.losses(np.eye(2)), [4, 16])
        np.testing.assert_allclose(landscape.losses(np.tile(np.eye(2), (3, 1))), [4, 16] * 3)
    assert x.tolist() == [[1.0, 2.0]]
