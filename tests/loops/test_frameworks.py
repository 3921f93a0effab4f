"""One network, the same weights, the same batches in the same order, plain descent: every framework the same curve."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import jax
import keras
import lightning
import numpy as np
import pytest
import tensorflow as tf
import torch
import transformers
from sklearn.neural_network import MLPClassifier
from torch import nn
from torch.utils.data import Dataset, SequentialSampler

import lrscout

FEATURES, HIDDEN, CLASSES, BATCH, BATCHES = 12, 16, 4, 16, 20
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(BATCH * BATCHES, FEATURES)).astype(np.float32)
Y = np.argmax(X[:, :CLASSES] + 0.3 * GENERATOR.normal(size=(len(X), CLASSES)), axis=1)
WEIGHTS = [
    GENERATOR.normal(0, 0.3, (FEATURES, HIDDEN)).astype(np.float32),
    GENERATOR.normal(0, 0.1, HIDDEN).astype(np.float32),
    GENERATOR.normal(0, 0.3, (HIDDEN, CLASSES)).astype(np.float32),
    np.zeros(CLASSES, np.float32),
]
PAIRS = [(X[start : start + BATCH], Y[start : start + BATCH]) for start in range(0, len(X), BATCH)]


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(FEATURES, HIDDEN), nn.Linear(HIDDEN, CLASSES)
        parameters = [self.first.weight, self.first.bias, self.second.weight, self.second.bias]
        with torch.no_grad():
            for parameter, weights in zip(parameters, WEIGHTS, strict=True):
                parameter.copy_(torch.from_numpy(weights.T))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(x)))


def tensors() -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in PAIRS]


def from_torch() -> Any:
    model = Network()
    return lrscout.from_torch(model, torch.optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), tensors())


def from_jax() -> Any:
    import optax

    def loss(params, batch):
        x, y = batch
        logits = jax.numpy.tanh(x @ params[0] + params[1]) @ params[2] + params[3]
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    return lrscout.from_jax(WEIGHTS, optax.sgd, loss, PAIRS, lr=0.1)


def from_tensorflow() -> Any:
    first, bias, second, last_bias = variables = [tf.Variable(weights) for weights in WEIGHTS]

    def loss(batch):
        x, y = batch
        logits = tf.tanh(x @ first + bias) @ second + last_bias
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))

    return lrscout.from_tensorflow(variables, None, loss, PAIRS, lr=0.1)


def from_keras() -> Any:
    layers = [keras.layers.Dense(HIDDEN, "tanh"), keras.layers.Dense(CLASSES)]
    model = keras.Sequential([keras.Input((FEATURES,)), *layers])
    model.set_weights(WEIGHTS)
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return lrscout.from_keras(model, PAIRS)


def from_sklearn() -> Any:
    network = MLPClassifier((HIDDEN,), "tanh", solver="sgd", momentum=0, nesterovs_momentum=False, alpha=0)
    network.partial_fit(*PAIRS[0], classes=range(CLASSES))  # Makes the arrays that its optimizer holds on to.
    for mine, weights in zip(network.coefs_ + network.intercepts_, WEIGHTS[::2] + WEIGHTS[1::2], strict=True):
        mine[...] = weights
    return lrscout.from_sklearn(network, PAIRS)


def from_lightning() -> Any:
    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = Network()

        def training_step(self, batch, _):
            loss = nn.functional.cross_entropy(self.network(batch[0]), batch[1])
            self.log("loss", loss)
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    return lrscout.from_lightning(Module(), tensors())


class Examples(Dataset):
    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"x": torch.from_numpy(X[index]), "labels": int(Y[index])}


class WithLoss(Network):
    """The network as the Trainer likes it."""

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = super().forward(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def from_trainer() -> Any:
    class InOrder(transformers.Trainer):
        def _get_train_sampler(self, *_) -> SequentialSampler:
            return SequentialSampler(self.train_dataset)

    arguments = transformers.TrainingArguments(
        tempfile.gettempdir(),
        per_device_train_batch_size=BATCH,
        max_grad_norm=0,
        optim="sgd",
        learning_rate=0.1,
        report_to="none",
    )
    return lrscout.from_trainer(InOrder(WithLoss(), arguments, train_dataset=Examples()))


def curve(loop: Any) -> lrscout.RangeTest:
    return lrscout.range_test(loop, min_lr=1e-3, max_lr=100.0, steps=60)


OTHERS: list[Callable[[], Any]] = [from_keras]
if keras.backend.backend() == "tensorflow":
    OTHERS += [from_jax, from_tensorflow, from_sklearn, from_lightning, from_trainer]


@pytest.mark.parametrize("make", OTHERS, ids=lambda make: make.__name__)
def test_the_curve_is_that_of_pytorch(make) -> None:
    test, expected = curve(make()), curve(from_torch())
    lowest = int(np.argmin(expected.smoothed))
    assert lowest > 20
    assert expected.losses[:lowest].min() < 0.7 * expected.losses[0]
    np.testing.assert_array_equal(test.lrs[:lowest], expected.lrs[:lowest])
    np.testing.assert_allclose(test.losses[:lowest], expected.losses[:lowest], rtol=1e-4)
