"""Which of PyTorch's operators can be differentiated twice, as landscapes know it or find out by a trial."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import lrscout
import lrscout.loops.torch.hessian
from tests.loops.cases_torch import seed_everything
from tests.loops.test_torch_landscape import optimizer_of

KNOWN = {
    kind.__name__: kind
    for kind in (nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU, nn.SELU, nn.Softplus, nn.Mish, nn.LogSigmoid)
} | {
    kind.__name__: kind
    for kind in (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Hardtanh, nn.Hardswish, nn.Softshrink, nn.Hardshrink, nn.Softsign)
}
IN_IMAGES = {
    "average": lambda: nn.AvgPool2d(2),
    "maximum": lambda: nn.MaxPool2d(2),
    "adaptive average": lambda: nn.AdaptiveAvgPool2d(3),
    "adaptive maximum": lambda: nn.AdaptiveMaxPool2d(3),
    "batch": lambda: nn.BatchNorm2d(4),
    "instance": lambda: nn.InstanceNorm2d(4),
    "group": lambda: nn.GroupNorm(2, 4),
    "nearest": lambda: nn.Upsample(scale_factor=2),
    "bilinear": lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
    "reflection": lambda: nn.ReflectionPad2d(1),
    "replication": lambda: nn.ReplicationPad2d(1),
    "transposed": lambda: nn.ConvTranspose2d(4, 2, 3),
}
LOSSES = {
    "mse": lambda output: nn.functional.mse_loss(output, torch.ones_like(output)),
    "smooth": lambda output: nn.functional.smooth_l1_loss(output, torch.ones_like(output)),
    "huber": lambda output: nn.functional.huber_loss(output, torch.ones_like(output)),
    "binary": lambda output: nn.functional.binary_cross_entropy(output.sigmoid(), torch.full_like(output, 0.3)),
    "logits": lambda output: nn.functional.binary_cross_entropy_with_logits(output, torch.full_like(output, 0.3)),
    "classes": lambda output: nn.functional.cross_entropy(output, torch.arange(len(output)) % output.shape[1]),
    "divergence": lambda output: nn.functional.kl_div(
        output.log_softmax(1), torch.full_like(output, 0.2), reduction="sum"
    ),
}
WITHOUT = {
    "hard sigmoid": lambda output: nn.functional.hardsigmoid(output).square().mean(),
    "distances": lambda output: torch.cdist(output, output).square().mean(),
    "margin": lambda output: nn.functional.multi_margin_loss(output, torch.arange(len(output)) % 3),
    "sequences": lambda output: nn.functional.ctc_loss(
        output[:, None].log_softmax(2), torch.ones(1, 2, dtype=torch.long), torch.tensor([6]), torch.tensor([2])
    ),
}


def landscape_of(model: nn.Module, loss_of, inputs: torch.Tensor):
    seed_everything()
    loop = lrscout.from_torch(
        model.double(), optimizer_of(model), step_fn=lambda batch: loss_of(model(batch).flatten(1)), data=[inputs]
    )
    return loop.landscape(1)


def dense_layers(activation: nn.Module | None = None) -> nn.Sequential:
    seed_everything()
    middle = nn.Identity() if activation is None else activation
    return nn.Sequential(nn.Linear(4, 3), middle, nn.Linear(3, 3))


def images(layer: nn.Module) -> nn.Sequential:
    seed_everything()
    return nn.Sequential(nn.Conv2d(1, 4, 3), layer, nn.Flatten())


def examples(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def check(landscape, monkeypatch, trials: int) -> None:
    """Assert that products are exact, after so many trials, and agree with differences of gradients."""
    counted = [0]
    multiply = lrscout.loops.torch.hessian.products

    def counting(*arguments, **options):
        counted[0] += 1
        return multiply(*arguments, **options)

    monkeypatch.setattr(lrscout.loops.torch.hessian, "products", counting)
    derivatives = landscape.derivatives()
    assert counted[0] == trials
    assert derivatives.exact
    differences = landscape._hessians._by_differences(landscape.position(), landscape._shares)
    direction = np.random.default_rng(0).normal(size=len(derivatives.gradient))
    expected = differences.product(direction)
    np.testing.assert_allclose(derivatives.product(direction), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    landscape.derivatives()
    assert counted[0] == trials + 1, "one trial is enough"


@pytest.mark.parametrize("name", KNOWN)
def test_activations(name, monkeypatch) -> None:
    check(landscape_of(dense_layers(KNOWN[name]()), LOSSES["classes"], examples(6, 4)), monkeypatch, trials=0)


@pytest.mark.parametrize("name", IN_IMAGES)
def test_layers_for_images(name, monkeypatch) -> None:
    check(landscape_of(images(IN_IMAGES[name]()), LOSSES["classes"], examples(3, 1, 8, 8)), monkeypatch, trials=0)


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, monkeypatch) -> None:
    check(landscape_of(dense_layers(nn.Tanh()), LOSSES[name], examples(6, 4)), monkeypatch, trials=0)


def test_what_is_not_known_to_have_a_second_derivative_is_tried_once(monkeypatch) -> None:
    layer = nn.Upsample(scale_factor=2, mode="bicubic")
    check(landscape_of(images(layer), LOSSES["classes"], examples(3, 1, 8, 8)), monkeypatch, trials=1)


@pytest.mark.parametrize("name", WITHOUT)
def test_what_has_none(name) -> None:
    landscape = landscape_of(dense_layers(nn.Tanh()), WITHOUT[name], examples(6, 4))
    derivatives = landscape.derivatives()
    assert not derivatives.exact
    direction = derivatives.gradient / np.linalg.norm(derivatives.gradient)
    ahead, behind = (
        landscape.losses((landscape.position() + side * 1e-4 * direction)[np.newaxis])[0] for side in (1, -1)
    )
    second = (ahead - 2 * derivatives.loss + behind) / 1e-8
    assert direction @ derivatives.product(direction) == pytest.approx(second, rel=1e-3, abs=1e-5)
