"""What an optimizer does, learned by asking PyTorch's own; the limits against runs of the same optimizer."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from lrscout.analyse.dynamics import dynamics_of
from lrscout.core.errors import LandscapeUnavailableError

CURVATURES = torch.linspace(0.1, 2, 6)


class Asked:
    """Parameters that an optimizer has moved for some steps, and what it would do next."""

    def __init__(self, make, steps: int) -> None:
        torch.manual_seed(0)
        self.x = torch.nn.Parameter(torch.randn(6))
        self.optimizer = make([self.x])
        for _ in range(steps):
            self.x.grad = CURVATURES * self.x.detach() + 0.1 * torch.randn(6)
            self.optimizer.step()
        self.gradient = (CURVATURES * self.x.detach()).double().numpy()

    def __call__(self, gradients, lr, position=None, *, warm_up=0):
        x, optimizer = copy.deepcopy((self.x, self.optimizer))
        optimizer.param_groups[0]["lr"] = lr
        start = torch.zeros(6) if position is None else torch.tensor(position, dtype=torch.float32)
        first = [gradients[0] * (-1) ** step for step in range(warm_up)]
        changes = []
        for gradient in [*first, *gradients]:
            x.data = start.clone()
            x.grad = torch.tensor(gradient, dtype=torch.float32)
            optimizer.step()
            changes.append((x.detach() - start).double().numpy())
        return np.array(changes[warm_up:])


def sgd(**options):
    return lambda parameters: torch.optim.SGD(parameters, lr=0.01, **options)


LIMITS = [
    (sgd(), 2, "gradient descent"),
    (sgd(momentum=0.9), 2 * 1.9, "gradient descent with momentum 0.9"),
    (sgd(momentum=0.5), 2 * 1.5, "gradient descent with momentum 0.5"),
    (sgd(momentum=0.9, nesterov=True), 2 * 1.9 / 2.8, "gradient descent with Nesterov momentum 0.9"),
]


@pytest.mark.parametrize("steps", [0, 20])
@pytest.mark.parametrize(("make", "limit", "name"), LIMITS)
def test_linear_optimizers_have_their_known_limits(make, limit: float, name: str, steps: int) -> None:
    found = dynamics_of(asked := Asked(make, steps), asked.gradient)
    assert found.name == name
    assert not found.is_young
    assert found.limit / found.scale == pytest.approx(np.full(6, limit), rel=1e-4)
    assert not found.is_adaptive


@pytest.mark.parametrize("steps", [0, 20])
def test_dampening_halves_what_a_gradient_does(steps: int) -> None:
    """PyTorch's very first step is not damped; all others are."""
    found = dynamics_of(asked := Asked(sgd(momentum=0.9, dampening=0.5), steps), asked.gradient)
    assert found.limit / found.scale == pytest.approx(np.full(6, 2 * 1.9 / 0.5), rel=1e-4)


@pytest.mark.parametrize("options", [{"momentum": 0.0}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_the_limit_parts_runs_that_stay_from_runs_that_leave(options, decay: float) -> None:
    make = sgd(weight_decay=decay, **options)
    found = dynamics_of(asked := Asked(make, 3), asked.gradient)
    curvatures = CURVATURES.double().numpy()
    seen = max(found.preconditioned(lambda direction: curvatures * direction)(axis) @ axis for axis in np.eye(6))
    for share, stays in ((0.98, True), (1.02, False)):
        x = torch.nn.Parameter(torch.ones(6, dtype=torch.float64))
        optimizer = make([x])
        optimizer.param_groups[0]["lr"] = share * found.limit / seen
        for _ in range(500):
            x.grad = torch.tensor(curvatures) * x.detach()
            optimizer.step()
        assert (float(x.detach().abs().max()) < 1) is stays


@pytest.mark.parametrize("steps", [0, 5, 50, 500])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.8, 0.99)])
def test_adam_is_told_from_its_own_state(betas: tuple[float, float], steps: int) -> None:
    asked = Asked(lambda parameters: torch.optim.Adam(parameters, lr=0.01, betas=betas), steps)
    found = dynamics_of(asked, asked.gradient)
    assert found.momentum == pytest.approx(betas[0], rel=0.01)
    assert found.is_young == (steps < 20)
    if steps == 0:
        scale = np.abs(asked.gradient)  # Whatever the gradient was, if it stays as it is.
    else:
        squares = asked.optimizer.state[asked.x]["exp_avg_sq"].double().numpy()
        squares = betas[1] * squares + (1 - betas[1]) * asked.gradient**2
        scale = np.sqrt(squares / (1 - betas[1] ** (steps + 1)))
    if steps != 5:
        expected = 2 * (1 + betas[0]) / (1 - betas[0])
        assert found.limit / found.scale == pytest.approx(expected * scale, rel=0.02)


def test_decoupled_decay_is_seen() -> None:
    asked = Asked(lambda parameters: torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.25), 50)
    assert dynamics_of(asked, asked.gradient).decay == pytest.approx(np.full(6, 0.25), rel=1e-3)


def test_a_zero_in_the_gradient_does_no_harm() -> None:
    asked = Asked(sgd(momentum=0.9), 5)
    gradient = asked.gradient.copy()
    gradient[2] = 0
    assert dynamics_of(asked, gradient).momentum == pytest.approx(0.9, rel=1e-4)
    assert dynamics_of(asked, np.zeros(6)).momentum == pytest.approx(0.9, rel=1e-4)


def test_steps_that_do_not_grow_with_the_gradient_have_no_limit() -> None:
    def signs(gradients, lr, position=None, *, warm_up=0):
        return -lr * np.sign(gradients)

    with pytest.raises(LandscapeUnavailableError, match="Half a gradient"):
        dynamics_of(signs, np.array([1.0, -2.0, 0.5]))


def test_parameters_that_differ_in_momentum_have_no_common_limit() -> None:
    def make(parameters):
        return torch.optim.SGD(parameters, lr=0.01, momentum=0.9)

    class Mixed(Asked):
        def __call__(self, gradients, lr, position=None, *, warm_up=0):
            changes = super().__call__(gradients, lr, position, warm_up=warm_up)
            changes[:, 3:] = -lr * gradients[:, 3:]
            return changes

    with pytest.raises(LandscapeUnavailableError, match="differ in momentum"):
        dynamics_of(asked := Mixed(make, 3), asked.gradient)


def test_rmsprop_is_what_it_comes_to() -> None:
    asked = Asked(lambda parameters: torch.optim.RMSprop(parameters, lr=0.01), 0)
    found = dynamics_of(asked, asked.gradient)
    assert found.is_young
    assert found.limit / found.scale == pytest.approx(2 * np.abs(asked.gradient), rel=0.01)


def test_clipping_of_large_gradients_does_not_count() -> None:
    class Clipped(Asked):
        def __call__(self, gradients, lr, position=None, *, warm_up=0):
            norms = np.linalg.norm(gradients, axis=1, keepdims=True)
            return super().__call__(gradients * np.minimum(1, 0.1 / norms), lr, position, warm_up=warm_up)

    found = dynamics_of(asked := Clipped(sgd(momentum=0.9), 3), asked.gradient)
    assert found.limit / found.scale == pytest.approx(np.full(6, 3.8), rel=1e-3)
