"""Landscapes of Lightning modules and of Hugging Face trainers, and of every PyTorch loop on its way home."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lrscout
from lrscout.core.errors import LandscapeUnavailableError
from lrscout.core.landscape import Differentiable
from tests.battery import check_comes_home, check_user_goes_on
from tests.loops import cases_lightning, cases_torch, cases_transformers
from tests.loops.cases_transformers import Sentences, bert, trainer_of
from tests.loops.landscapes import visit

CASES = {
    f"{module.__name__.rpartition('_')[2]}-{name}": make
    for module in (cases_torch, cases_lightning, cases_transformers)
    for name, make in module.CASES.items()
}
WITHOUT = {
    "lightning-adversarial": "only its evaluation is known",  # It logs its losses, and logs hold numbers.
    "lightning-hooked": "gives no loss for a batch",  # It skips one just then.
}


@pytest.mark.parametrize("name", [name for name in CASES if name not in WITHOUT])
def test_the_loop_comes_home(name) -> None:
    assert isinstance(CASES[name]().loop, Differentiable)
    check_comes_home(CASES[name], visit)


@pytest.mark.parametrize("name", ["torch-everything", "lightning-plain", "transformers-everything"])
def test_the_users_own_code_goes_on(name) -> None:
    check_user_goes_on(CASES[name], visit)


@pytest.mark.parametrize("name", WITHOUT)
def test_the_loop_comes_home_where_there_is_no_landscape(name) -> None:
    def ask(case) -> None:
        with pytest.raises(LandscapeUnavailableError, match=WITHOUT[name]):
            case.loop.landscape(3).derivatives()

    check_comes_home(CASES[name], ask)


def evaluated(model: nn.Module) -> nn.Module:
    """A copy as the landscape takes it: dropout is off, batch statistics are what they are in training."""
    twin = copy.deepcopy(model)
    for module in twin.modules():
        module.training = module.training and isinstance(module, nn.BatchNorm1d)
    return twin


def flat(parts, parameters) -> np.ndarray:
    given = zip(parts, parameters, strict=True)
    return np.concatenate([np.zeros(p.numel()) if part is None else part.detach().numpy().ravel() for part, p in given])


def derived(model: nn.Module, direction: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """The loss of a model over the data, its gradient, and the product of its Hessian with a direction."""
    twin = evaluated(model)
    loss = torch.stack([nn.functional.cross_entropy(twin.layers(x), y) for x, y in data()]).mean()
    parameters = list(twin.parameters())
    gradients = torch.autograd.grad(loss, parameters, create_graph=True)
    sizes = [parameter.numel() for parameter in parameters]
    parts = torch.tensor(direction, dtype=torch.float32).split(sizes)
    shaped = [part.view_as(parameter) for part, parameter in zip(parts, parameters, strict=True)]
    along = torch.autograd.grad(gradients, parameters, shaped, allow_unused=True)
    return loss.item(), flat(gradients, parameters), flat(along, parameters)


class Perceptron(cases_lightning.LightningModule):
    def __init__(self, manual: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Tanh(), nn.Linear(4, 2))
        self.automatic_optimization = not manual

    def training_step(self, batch, batch_idx):
        loss = nn.functional.cross_entropy(self.layers(batch[0]), batch[1])
        self.log("loss", loss)
        if not self.automatic_optimization:
            self.optimizers().zero_grad()
            self.manual_backward(loss)
            self.optimizers().step()
        return {"loss": loss}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


class Validated(Perceptron):
    def validation_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self.layers(batch[0]), batch[1])


def data(batch_size: int = 8) -> DataLoader:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(16, 6, generator=generator)
    return DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), batch_size=batch_size)


def of_lightning(module, **options):
    return lrscout.from_lightning(module, data(), trainer=cases_lightning.quiet_trainer(**options))


def check_against(landscape, module: nn.Module, precision: float) -> None:
    """Assert that a landscape's are the derivatives of the module's mean loss over the data."""
    derivatives = landscape.derivatives()
    assert derivatives.exact
    direction = np.random.default_rng(0).normal(size=len(derivatives.gradient))
    loss, gradient, along = derived(module, direction)
    assert derivatives.loss == pytest.approx(loss, rel=precision)
    np.testing.assert_allclose(derivatives.gradient, gradient, rtol=0, atol=precision)
    np.testing.assert_allclose(derivatives.product(direction), along, rtol=0, atol=10 * precision)
    (here,) = landscape.losses(landscape.position()[np.newaxis])
    assert here == pytest.approx(loss, rel=precision)


@pytest.mark.parametrize(("options", "precision"), [({}, 1e-6), ({"precision": "bf16-mixed"}, 1e-2)])
def test_a_lightning_module_before_and_within_a_fit(options, precision) -> None:
    cases_torch.seed_everything()
    module = Perceptron()
    loop = of_lightning(module, gradient_clip_val=0.1, **options)
    landscape = loop.landscape(2)
    assert landscape.batches == 2
    assert [block.name for block in landscape.blocks][:2] == ["layers.0.weight", "layers.0.bias"]
    check_against(landscape, module, precision)
    for _ in range(3):
        loop.step(0.1)
    check_against(landscape, module, precision)
    np.testing.assert_allclose(landscape.updates(np.ones((1, len(landscape.position()))), 0.0), 0.0)


def test_products_of_a_module_at_home_outlive_the_fit_that_they_came_from() -> None:
    cases_torch.seed_everything()
    module = Perceptron()
    landscape = of_lightning(module).landscape(2)
    derivatives, direction = landscape.derivatives(), np.ones(len(landscape.position()))
    _, _, expected = derived(module, direction)
    np.testing.assert_allclose(derivatives.product(direction), expected, rtol=0, atol=1e-5)
    assert module._trainer is None


def test_a_module_that_optimizes_by_hand_has_the_loss_of_its_validation() -> None:
    cases_torch.seed_everything()
    module = Validated(manual=True)
    loop = lrscout.from_lightning(module, data(), eval_data=data())
    check_against(loop.landscape(2), module, 1e-6)
    with pytest.raises(LandscapeUnavailableError, match=r"only its evaluation is known.*training_step also trains"):
        lrscout.from_lightning(Perceptron(manual=True), data()).landscape(2)


@pytest.mark.parametrize("accumulation", [1, 3])
def test_the_loss_of_a_trainer_is_that_whose_gradient_it_descends(accumulation) -> None:
    """A step of plain gradient descent without dropout moves by the gradient of the landscape."""
    settings = {"optim": "sgd", "max_grad_norm": 0.0, "gradient_accumulation_steps": accumulation, "weight_decay": 0.0}
    torch.manual_seed(0)
    trainer, _ = trainer_of(bert(dropout=0.0), Sentences(noise=False), settings=settings)
    loop = lrscout.from_trainer(trainer)
    landscape = loop.landscape(1)
    before = landscape.position()
    derivatives = landscape.derivatives()
    assert derivatives.exact
    loss = loop.step(0.5)
    assert derivatives.loss == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose((before - landscape.position()) / 0.5, derivatives.gradient, rtol=0, atol=1e-6)


def test_products_of_a_trainer_are_differences_of_its_gradients() -> None:
    torch.manual_seed(0)
    trainer, _ = trainer_of(bert(), Sentences(noise=False), settings={"optim": "sgd"})
    landscape = lrscout.from_trainer(trainer).landscape(2)
    hessians, position = landscape._hessians, landscape.position()
    exact, differences = landscape.derivatives(), hessians._by_differences(position, landscape._shares)
    expected = exact.product(exact.gradient)
    apart = np.linalg.norm(differences.product(exact.gradient) - expected)
    assert apart <= 0.02 * np.linalg.norm(expected)
