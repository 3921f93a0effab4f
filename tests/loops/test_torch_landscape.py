"""Landscapes of PyTorch loops against derivatives taken in other ways."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import lrscout
from lrscout.core.landscape import Differentiable
from tests.loops.cases_torch import seed_everything
from tests.loops.fleets_torch import Normalized, Tied, data, two_groups


class Attentive(nn.Module):
    """Convolution, attention with dropout, layer norm, embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.convolve = nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.GELU())
        self.embed = nn.Embedding(6, 4)
        self.attend = nn.TransformerEncoderLayer(4, 2, 3, dropout=0.1, activation="gelu", batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.convolve(x[:, None]).transpose(1, 2) + self.embed(torch.arange(6))
        return self.head(self.attend(features).mean(1))


class Recurrent(nn.Module):
    """A recurrent layer of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.long = nn.LSTM(1, 2, num_layers=2, dropout=0.4, batch_first=True)
        self.gated = nn.GRU(2, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gated(self.long(x[..., None])[0])[0][:, -1]


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 2))


def convolutional() -> nn.Module:
    """Batch statistics in training, which are part of the function, and one layer's that are frozen."""
    layers = nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 3, 3), nn.BatchNorm1d(3), nn.SiLU(), nn.BatchNorm1d(3)
    model = nn.Sequential(*layers, nn.Dropout1d(0.2), nn.Flatten(), nn.Linear(12, 2))
    model[4].running_mean.add_(0.3)
    model[4].eval()
    return model


MODELS = {
    "perceptron": perceptron,
    "convolutional": convolutional,
    "normalized": Normalized,
    "tied": Tied,
    "attentive": Attentive,
    "recurrent": Recurrent,
}


def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def batches(dtype: torch.dtype = torch.float64, number: int = 2) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of which the last is smaller."""
    x, y = data(dtype=dtype).tensors
    size = -(-len(x) // number) + 1
    return list(zip(x.split(size), y.split(size), strict=True))


def loop_of(make, dtype: torch.dtype = torch.float64, optimizer=optimizer_of, number: int = 2, **options):
    seed_everything()
    model = make().to(dtype)
    loop = lrscout.from_torch(model, optimizer(model), nn.CrossEntropyLoss(), batches(dtype, number), **options)
    return loop, model


class ByHand:
    """Loss and gradient by the model's own code, at parameters that are written into a copy of it."""

    def __init__(self, model: nn.Module, pairs) -> None:
        self.model = copy.deepcopy(model)
        self.pairs = pairs
        self.trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        for module in self.model.modules():
            module.training = module.training and isinstance(module, nn.BatchNorm1d)
        self.position = nn.utils.parameters_to_vector(self.trained).detach().numpy().astype(float)

    def loss(self, position: np.ndarray) -> float:
        return self._loss(position).item()

    def gradient(self, position: np.ndarray) -> np.ndarray:
        self.model.zero_grad()
        self._loss(position).backward()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.trained]
        return nn.utils.parameters_to_vector(gradients).numpy().astype(float)

    def hessian(self, position: np.ndarray, distance: float = 1e-5) -> np.ndarray:
        sides = [
            self.gradient(position + step) - self.gradient(position - step) for step in distance * np.eye(len(position))
        ]
        return np.array(sides).T / (2 * distance)

    def _loss(self, position: np.ndarray) -> torch.Tensor:
        nn.utils.vector_to_parameters(torch.tensor(position).to(self.trained[0].dtype), self.trained)
        examples = sum(len(y) for _, y in self.pairs)
        losses = [len(y) / examples * nn.functional.cross_entropy(self.model(x), y) for x, y in self.pairs]
        return torch.stack(losses).sum()


def dense(derivatives, size: int) -> np.ndarray:
    return np.array([derivatives.product(direction) for direction in np.eye(size)])


def points(position: np.ndarray, number: int) -> np.ndarray:
    return position + 0.2 * np.random.default_rng(0).normal(size=(number, len(position)))


@pytest.mark.parametrize("name", MODELS)
def test_the_derivatives_are_those_taken_by_hand(name) -> None:
    loop, model = loop_of(MODELS[name])
    by_hand = ByHand(model, batches())
    landscape = loop.landscape(2)
    position = landscape.position()
    np.testing.assert_array_equal(position, by_hand.position)
    derivatives = landscape.derivatives()
    assert derivatives.exact
    assert derivatives.loss == pytest.approx(by_hand.loss(position), rel=1e-12)
    expected = by_hand.gradient(position)
    np.testing.assert_allclose(derivatives.gradient, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    hessian, expected = dense(derivatives, len(position)), by_hand.hessian(position)
    np.testing.assert_allclose(hessian, expected, rtol=0, atol=1e-7 * np.abs(expected).max())
    np.testing.assert_allclose(hessian, hessian.T, rtol=0, atol=1e-12 * np.abs(hessian).max())


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("batch", [None, 1])
def test_products_are_those_of_the_transformed_function(batch) -> None:
    """Forward over reverse, by `torch.func`, to the last digits."""
    loop, model = loop_of(lambda: nn.Sequential(nn.Linear(6, 4), nn.GELU(), nn.Linear(4, 2)))
    pairs = batches() if batch is None else [batches()[batch]]
    x, y = torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs])
    names = [name for name, _ in model.named_parameters()]
    flat = nn.utils.parameters_to_vector(model.parameters()).detach()

    def loss_at(vector: torch.Tensor) -> torch.Tensor:
        parts = vector.split([parameter.numel() for parameter in model.parameters()])
        shaped = [part.view_as(parameter) for part, parameter in zip(parts, model.parameters(), strict=True)]
        output = torch.func.functional_call(model, dict(zip(names, shaped, strict=True)), (x,))
        return nn.functional.cross_entropy(output, y)

    expected = torch.func.hessian(loss_at)(flat).numpy()
    derivatives = loop.landscape(2).derivatives(batch)
    np.testing.assert_allclose(dense(derivatives, len(flat)), expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(derivatives.gradient, torch.func.grad(loss_at)(flat), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "dtype"), [*((name, torch.float64) for name in MODELS), ("convolutional", torch.float32)]
)
def test_losses_are_those_at_parameters_set_by_hand(name, dtype) -> None:
    loop, model = loop_of(MODELS[name], dtype)
    by_hand = ByHand(model, batches(dtype))
    landscape = loop.landscape(2)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    positions = points(landscape.position(), 7)
    expected = [by_hand.loss(position) for position in positions]
    np.testing.assert_allclose(landscape.losses(positions), expected, rtol=tolerance)
    assert landscape._points._is_vectorizable == (name != "recurrent")  # There is no batching rule for such a layer.
    alone = [landscape.losses(position[np.newaxis])[0] for position in positions]
    np.testing.assert_allclose(alone, expected, rtol=tolerance)


def test_losses_come_in_chunks_that_fit_into_memory(monkeypatch) -> None:
    loop, _ = loop_of(convolutional)
    landscape = loop.landscape(2)
    positions = points(landscape.position(), 11)
    at_once = landscape.losses(positions)
    sizes = []
    together = type(landscape._points)._chunk

    def noting(self, chunk, changed):
        sizes.append(len(chunk))
        return together(self, chunk, changed)

    monkeypatch.setattr("lrscout.loops.torch.points._CHUNK_BYTES", 60_000)
    monkeypatch.setattr(type(landscape._points), "_chunk", noting)
    np.testing.assert_allclose(landscape.losses(positions), at_once, rtol=1e-12)
    assert sum(sizes) == 11
    assert len(sizes) > 2


def test_losses_beyond_numbers_are_told_as_such() -> None:
    loop, _ = loop_of(perceptron, torch.float32)
    landscape = loop.landscape(1)
    position = landscape.position()
    far = np.array([position, np.full_like(position, 1e300), np.full_like(position, np.nan), 2 * position])
    assert np.isfinite(landscape.losses(far)).tolist() == [True, False, False, True]


def test_blocks_have_the_names_and_the_order_of_the_optimizers_groups() -> None:
    loop, _ = loop_of(perceptron, optimizer=lambda m: two_groups(nn.Sequential(m[0], m[1], m[3])))
    blocks = loop.landscape(1).blocks
    assert [(block.name, block.shape, block.filter_axis) for block in blocks] == [
        ("0.weight", (4, 6), 0),
        ("3.weight", (2, 4), 0),
        ("0.bias", (4,), None),
        ("3.bias", (2,), None),
    ]
    derivatives = loop.landscape(1).derivatives()
    assert isinstance(loop, Differentiable)
    assert sum(block.size for block in blocks) == len(derivatives.gradient)


def test_blocks_of_several_models_and_of_none() -> None:
    first, second, free = nn.Linear(2, 2), nn.Linear(2, 1), torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([*second.parameters(), *first.parameters(), free], 0.1)
    loop = lrscout.from_torch(
        [first, second], optimizer, step_fn=lambda x: (free * second(first(x))).square().mean(), data=[torch.ones(3, 2)]
    )
    names = [block.name for block in loop.landscape(1).blocks]
    assert names == ["1.weight", "1.bias", "0.weight", "0.bias", "parameter 4"]


@pytest.mark.parametrize(("dtype", "within"), [(torch.bfloat16, 0.1), (torch.float16, 0.02), (torch.float32, 1e-5)])
def test_models_of_coarser_types(dtype, within) -> None:
    """Against the same model in double precision, which has the same parameters."""
    loop, model = loop_of(perceptron, dtype)
    position = loop.landscape(2).position()
    by_hand = ByHand(model.double(), batches(dtype=torch.float64))
    expected = by_hand.hessian(by_hand.position)
    model.to(dtype)
    derivatives = loop.landscape(2).derivatives()
    np.testing.assert_array_equal(position, by_hand.position)
    assert derivatives.exact
    hessian = dense(derivatives, len(position))
    assert np.linalg.norm(hessian - expected, 2) <= within * np.linalg.norm(expected, 2)


def test_mixed_precision_with_a_scaler_gives_the_loss_without_its_scale() -> None:
    seed_everything()
    model = perceptron()
    loss_fn, pairs = nn.CrossEntropyLoss(), batches(torch.float32)

    def step_fn(batch):
        with torch.autocast("cpu", torch.bfloat16):
            return loss_fn(model(batch[0]), batch[1])

    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    loop = lrscout.from_torch(model, optimizer_of(model), step_fn=step_fn, data=pairs, scaler=scaler, accumulate=3)
    by_hand = ByHand(model.double(), batches(torch.float64))
    expected = by_hand.hessian(by_hand.position)
    model.float()
    derivatives = loop.landscape(2).derivatives()
    assert derivatives.exact
    assert derivatives.loss == pytest.approx(by_hand.loss(by_hand.position), rel=0.01)
    hessian = dense(derivatives, len(expected))
    assert np.linalg.norm(hessian - expected, 2) <= 0.05 * np.linalg.norm(expected, 2)


def test_frozen_parameters_and_those_of_another_optimizer_are_no_part_of_it() -> None:
    loop, model = loop_of(lambda: nn.Sequential(nn.Linear(6, 4).requires_grad_(False), nn.Tanh(), nn.Linear(4, 2)))
    landscape = loop.landscape(2)
    assert [block.name for block in landscape.blocks] == ["2.weight", "2.bias"]
    by_hand = ByHand(model, batches())
    expected = by_hand.hessian(by_hand.position)
    np.testing.assert_allclose(dense(landscape.derivatives(), 10), expected, rtol=0, atol=1e-8)
    only_bias, _ = loop_of(perceptron, optimizer=lambda m: torch.optim.SGD([m[3].bias], 0.1))
    assert dense(only_bias.landscape(2).derivatives(), 2).shape == (2, 2)


def test_a_gradient_that_is_the_same_everywhere_has_no_curvature() -> None:
    model = nn.Linear(3, 1)
    loop = lrscout.from_torch(model, optimizer_of(model), step_fn=lambda x: model(x).mean(), data=[torch.ones(4, 3)])
    derivatives = loop.landscape(1).derivatives()
    assert derivatives.exact
    np.testing.assert_allclose(derivatives.gradient, np.ones(4))
    np.testing.assert_array_equal(derivatives.product(np.ones(4)), np.zeros(4))


def test_derivatives_stay_those_of_their_place() -> None:
    loop, _ = loop_of(convolutional)
    landscape = loop.landscape(2)
    derivatives, direction = landscape.derivatives(), np.random.default_rng(0).normal(size=len(landscape.position()))
    before, home = derivatives.product(direction), loop.snapshot()
    loop.evaluate()
    loop.step(0.5)
    np.testing.assert_array_equal(derivatives.product(direction), before)
    assert not np.allclose(landscape.derivatives().product(direction), before)
    loop.restore(home)
    np.testing.assert_array_equal(landscape.derivatives().product(direction), before)
