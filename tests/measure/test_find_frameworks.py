"""`find` through every adapter: it comes home, and one task gets one answer."""

from __future__ import annotations

import math
import signal
from typing import Any

import jax
import keras
import numpy as np
import optax
import pytest
import torch
from torch import nn

import lrscout
from tests.battery import BreaksInTheMiddle, Case, check_comes_home, check_user_goes_on
from tests.loops import (
    cases_functions,
    cases_jax,
    cases_keras,
    cases_lightning,
    cases_sklearn,
    cases_tensorflow,
    cases_torch,
    cases_transformers,
)
from tests.loops.test_frameworks import (
    CLASSES,
    FEATURES,
    HIDDEN,
    PAIRS,
    WEIGHTS,
    Network,
    from_lightning,
    from_trainer,
)

MODULES: list[Any] = [cases_keras]
if keras.backend.backend() == "tensorflow":
    MODULES += [cases_torch, cases_jax, cases_tensorflow, cases_sklearn, cases_functions]
    MODULES += [cases_lightning, cases_transformers]
CASES = {
    f"{module.__name__.rpartition('_')[2]}-{name}": make for module in MODULES for name, make in module.CASES.items()
}
CHOSEN = [
    name
    for name in (
        *("torch-everything", "torch-endless", "torch-adversarial", "sklearn-adam_network", "functions-noisy"),
        *("lightning-hooked", "jax-dropout_and_statistics", "tensorflow-momentum", "keras-scaled"),
        "transformers-language",
    )
    if name in CASES
]
"""Cases that between them have every kind of state. What a loop may forget is the business of `tests/loops`."""

WITH_CODE = [name for name in CHOSEN if CASES[name]().train is not None and name != "keras-scaled"]


def search(case: Case) -> None:
    recommendation = lrscout.find(case.loop, 100, budget=0.6)
    assert recommendation.cost.steps >= 9
    assert recommendation.lr is None or recommendation.low <= recommendation.lr <= recommendation.high
    assert str(recommendation)


def search_that_is_interrupted(case: Case) -> None:
    loop = BreaksInTheMiddle(case.loop, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        lrscout.find(loop, 100, budget=0.6, runner="serial")


@pytest.mark.parametrize("disturb", [search, search_that_is_interrupted])
@pytest.mark.parametrize("name", CHOSEN)
def test_the_loop_comes_home(name: str, disturb) -> None:
    check_comes_home(CASES[name], disturb)


@pytest.mark.parametrize("name", WITH_CODE)
def test_the_users_own_code_goes_on(name: str) -> None:
    check_user_goes_on(CASES[name], search)


def in_torch(optimizer: str, lr: float) -> Any:
    model = Network()
    made = {"descent": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer](model.parameters(), lr)
    return lrscout.from_torch(
        model, made, nn.CrossEntropyLoss(), [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in PAIRS]
    )


def in_jax(optimizer: str, lr: float) -> Any:
    def loss(params, batch):
        x, y = batch
        logits = jax.numpy.tanh(x @ params[0] + params[1]) @ params[2] + params[3]
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    return lrscout.from_jax(WEIGHTS, {"descent": optax.sgd, "adam": optax.adam}[optimizer], loss, PAIRS, lr=lr)


def in_keras(optimizer: str, lr: float) -> Any:
    layers = [keras.layers.Dense(HIDDEN, "tanh"), keras.layers.Dense(CLASSES)]
    model = keras.Sequential([keras.Input((FEATURES,)), *layers])
    model.set_weights(WEIGHTS)
    made = {"descent": keras.optimizers.SGD, "adam": lambda lr: keras.optimizers.Adam(lr, epsilon=1e-8)}[optimizer](lr)
    model.compile(made, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return lrscout.from_keras(model, PAIRS)


OTHERS = [in_keras] + [in_jax] * (keras.backend.backend() == "tensorflow")


@pytest.mark.parametrize("make", OTHERS, ids=lambda make: make.__name__)
@pytest.mark.parametrize(("optimizer", "lr"), [("descent", 0.1), ("adam", 0.001)])
@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_every_framework_gets_the_answer_of_pytorch(make, optimizer: str, lr: float, schedule: str) -> None:
    expected = lrscout.find(in_torch(optimizer, lr), 200, schedule=schedule)
    recommendation = lrscout.find(make(optimizer, lr), 200, schedule=schedule)
    assert expected.lr is not None
    assert recommendation.lr is not None
    assert abs(math.log2(recommendation.lr / expected.lr)) < 0.25
    assert [probe.steps for probe in recommendation.probes] == [probe.steps for probe in expected.probes]


@pytest.mark.parametrize(("optimizer", "lr"), [("descent", 0.1), ("adam", 0.001)])
def test_a_fleet_gets_the_answer_of_one_run_after_another(optimizer: str, lr: float) -> None:
    fleet, serial = (lrscout.find(in_torch(optimizer, lr), 300, runner=runner) for runner in ("fleet", "serial"))
    assert fleet.notes == ()
    assert fleet.lr == pytest.approx(serial.lr, rel=1e-3)
    assert fleet.cost.steps == serial.cost.steps
    for one, other in zip(fleet.probes, serial.probes, strict=True):
        assert one.lr == pytest.approx(
            other.lr, rel=1e-3
        )  # The last race asks where the losses, parted by rounding, point.
        if np.isfinite(other.score):
            assert one.score == pytest.approx(other.score, rel=1e-3)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="These do not depend on Keras's backend.")
@pytest.mark.parametrize("make", [from_lightning, from_trainer], ids=lambda make: make.__name__)
def test_trainers_get_the_answer_of_pytorch(make) -> None:
    expected = lrscout.find(in_torch("descent", 0.1), 200)
    recommendation = lrscout.find(make(), 200)
    assert abs(math.log2(recommendation.lr / expected.lr)) < 0.25
