"""What a PyTorch landscape says of an optimizer's steps, against the optimizer's own."""

from __future__ import annotations

import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn

import lrscout
from lrscout.core.errors import LandscapeUnavailableError
from tests.battery import bits
from tests.loops.cases_torch import seed_everything
from tests.loops.fleets_torch import OPTIMIZERS, loader, perceptron, two_groups

STEPS, LR = 4, 0.03


def loop_of(make_optimizer, dtype: torch.dtype = torch.float64, **options):
    seed_everything()
    model = perceptron().to(dtype)
    optimizer = make_optimizer(model)
    loop = lrscout.from_torch(model, optimizer, nn.CrossEntropyLoss(), loader(dtype), **options)
    return loop, model, optimizer


def gradients_of(size: int, steps: int = STEPS) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(steps, size))


def by_itself(model, optimizer, gradients, lrs, position) -> np.ndarray:
    """The changes that the optimizer makes of the model, both of them copied."""
    _, other = copy.deepcopy((model, optimizer))
    parameters = [parameter for group in other.param_groups for parameter in group["params"]]
    changes = []
    for gradient in gradients:
        nn.utils.vector_to_parameters(torch.tensor(position).to(parameters[0].dtype), parameters)
        before = nn.utils.parameters_to_vector(parameters).detach().clone()
        start = 0
        for parameter in parameters:
            part = gradient[start : start + parameter.numel()]
            parameter.grad = torch.tensor(part).to(parameter.dtype).view_as(parameter)
            start += parameter.numel()
        for group, lr in zip(other.param_groups, lrs, strict=True):
            group["lr"] = lr
        other.step()
        changes.append((nn.utils.parameters_to_vector(parameters).detach() - before).double().numpy())
    return np.array(changes)


@pytest.mark.parametrize("warm_up_steps", [0, 3])
@pytest.mark.parametrize("where", ["zero", "here"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_changes_are_those_of_the_users_own_optimizer(name, where, warm_up_steps) -> None:
    loop, model, optimizer = loop_of(OPTIMIZERS[name])
    for _ in range(warm_up_steps):
        loop.step(0.01)
    landscape = loop.landscape(1)
    here = landscape.position()
    gradients, position = gradients_of(len(here)), np.zeros_like(here) if where == "zero" else here
    expected = by_itself(model, optimizer, gradients, [LR], position)
    told = landscape.updates(gradients, LR, None if where == "zero" else here)
    np.testing.assert_allclose(told, expected, rtol=1e-12, atol=1e-16)
    np.testing.assert_array_equal(landscape.updates(gradients, LR, position), told)


@pytest.mark.parametrize(("group", "lrs"), [(None, [LR, 3 * LR, 0.0]), ("head", [1e-2, LR, 0.0])])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_groups_keep_their_ratios_or_are_held(kind, group, lrs) -> None:
    make = functools.partial(two_groups, kind=kind)
    loop, model, optimizer = loop_of(make, group=group)
    loop.step(1e-2)
    gradients = gradients_of(sum(parameter.numel() for parameter in model.parameters()))
    position = np.full(gradients.shape[1], 0.5)
    expected = by_itself(model, optimizer, gradients, lrs, position)
    np.testing.assert_allclose(loop.landscape(1).updates(gradients, LR, position), expected, rtol=1e-12, atol=1e-16)


def test_an_lr_in_a_tensor_stays_what_it_is() -> None:
    lr = torch.tensor(0.5)
    loop, _, optimizer = loop_of(lambda m: torch.optim.Adam(m.parameters(), lr=lr, foreach=False))
    gradients = gradients_of(len(loop.landscape(1).position()))
    expected = -LR * np.sign(gradients[:1])
    np.testing.assert_allclose(loop.landscape(1).updates(gradients[:1], LR), expected, rtol=1e-5)
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr == 0.5


def test_a_warm_up_takes_the_first_gradient_and_its_opposite_in_turn() -> None:
    loop, model, optimizer = loop_of(OPTIMIZERS["momentum"])
    loop.step(0.1)
    gradients = gradients_of(len(loop.landscape(1).position()), 2)
    first = gradients[:1]
    for warm_up in (1, 2, 5):
        in_turn = np.concatenate([first, -first] * 3)[:warm_up]
        every = np.concatenate([in_turn, gradients])
        expected = by_itself(model, optimizer, every, [LR], np.zeros(len(first[0])))
        told = loop.landscape(1).updates(gradients, LR, warm_up=warm_up)
        np.testing.assert_allclose(told, expected[warm_up:], rtol=1e-12)


def test_a_change_is_told_to_the_last_digit_however_small() -> None:
    """From zero, where nothing large stands beside it; and at any scale."""
    loop, _, _ = loop_of(OPTIMIZERS["SGD"], torch.float32)
    gradients = gradients_of(len(loop.landscape(1).position()))
    for scale in (1e-20, 1.0, 1e20):
        told = loop.landscape(1).updates(scale * gradients, LR)
        np.testing.assert_allclose(told, -LR * scale * gradients, rtol=1e-6)


def test_nothing_else_is_touched() -> None:
    loop, model, optimizer = loop_of(OPTIMIZERS["Adam"])
    loop.step(0.1)

    def everything():
        parameters = list(model.parameters())
        return bits(
            [
                [p.detach() for p in parameters],
                [p.grad for p in parameters],
                optimizer.state_dict(),
                torch.get_rng_state(),
            ]
        )

    before = everything()
    landscape = loop.landscape(1)
    landscape.updates(gradients_of(len(landscape.position())), 7.0, warm_up=3)
    assert everything() == before


class Private(torch.optim.SGD):
    """An optimizer that nobody may copy."""

    def __deepcopy__(self, memo):
        raise NotImplementedError("This optimizer cannot be copied. Make a new one.")


def test_an_optimizer_that_cannot_be_asked() -> None:
    loop, _, _ = loop_of(lambda m: Private(m.parameters(), lr=0.1))
    landscape = loop.landscape(1)
    with pytest.raises(LandscapeUnavailableError, match=r"Private cannot be asked .*cannot be copied\.$"):
        landscape.updates(gradients_of(len(landscape.position())), 0.1)


def test_clipping_and_a_scaler_are_left_out() -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    loop, _, _ = loop_of(OPTIMIZERS["SGD"], torch.float32, scaler=scaler, clip_norm=1e-3)
    gradients = gradients_of(len(loop.landscape(1).position()))
    np.testing.assert_allclose(loop.landscape(1).updates(gradients, LR), -LR * gradients, rtol=1e-6)
