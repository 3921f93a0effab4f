"""Runs that are healthy by construction: trained at good rates, or made of a level that falls and of noise."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits

STEPS = 1000
LONG = 10_000
HIDDEN = 16


class Run(NamedTuple):
    """One run, by what makes it what it is."""

    name: str
    lrs: np.ndarray
    losses: np.ndarray


def constant(lr: float, steps: int = STEPS) -> np.ndarray:
    return np.full(steps, lr)


def warmup_cosine(lr: float, steps: int = STEPS) -> np.ndarray:
    warmup = steps // 10
    step = np.arange(steps)
    decay = 0.5 + 0.5 * np.cos(np.pi * (step - warmup) / (steps - warmup))
    return lr * np.where(step < warmup, (step + 1) / warmup, decay)


def one_cycle(lr: float, steps: int = STEPS) -> np.ndarray:
    share = np.arange(steps) / steps
    rise = 0.04 + 0.96 * (0.5 - 0.5 * np.cos(np.pi * share / 0.3))
    return lr * np.where(share < 0.3, rise, 0.5 + 0.5 * np.cos(np.pi * (share - 0.3) / 0.7))


def restarts(lr: float, steps: int = STEPS) -> np.ndarray:
    share = (np.arange(steps) * 3 / steps) % 1
    return lr * (0.001 + 0.999 * (0.5 + 0.5 * np.cos(np.pi * share)))


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    inputs, targets = load_digits(return_X_y=True)
    return inputs / 16, targets


def cross_entropy(outputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The loss of each lane, and its gradient."""
    outputs = outputs - outputs.max(-1, keepdims=True)
    logarithms = outputs - np.log(np.exp(outputs).sum(-1, keepdims=True))
    hot = np.eye(10)[targets]
    return -(logarithms * hot).sum(-1).mean(-1), (np.exp(logarithms) - hot) / targets.shape[-1]


def squares(outputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The loss of each lane, and its gradient."""
    away = outputs - np.eye(10)[targets]
    return (away**2).sum(-1).mean(-1) / 2, away / targets.shape[-1]


def gradient_descent(gradient: np.ndarray, slots: np.ndarray, step: int) -> np.ndarray:
    return gradient


def momentum(gradient: np.ndarray, slots: np.ndarray, step: int) -> np.ndarray:
    slots[0] = 0.9 * slots[0] + gradient
    return slots[0]


def adam(gradient: np.ndarray, slots: np.ndarray, step: int) -> np.ndarray:
    slots[0] = 0.9 * slots[0] + 0.1 * gradient
    slots[1] = 0.999 * slots[1] + 0.001 * gradient**2
    return slots[0] / (1 - 0.9**step) / (np.sqrt(slots[1] / (1 - 0.999**step)) + 1e-8)


def trained(names, schedules, optimizer, *, seed=0, batch=16, loss=cross_entropy, order="epochs", data=None):
    """Train a network with one hidden layer on the digits, once for each name and schedule, all side by side."""
    generator = np.random.default_rng(seed)
    inputs, targets = digits() if data is None else data
    lanes, steps, count = len(schedules), len(schedules[0]), len(targets)
    sizes = ((64, HIDDEN), (1, HIDDEN), (HIDDEN, 10), (1, 10))
    params = [generator.normal(size=(lanes, *size)) / size[0] ** 0.5 * (size[0] > 1) for size in sizes]
    slots = [np.zeros((2, *param.shape)) for param in params]
    passes = -(-steps * (batch or 1) // count)
    orders = {
        "epochs": lambda: np.concatenate([generator.permutation(count) for _ in range(passes)]),
        "classes": lambda: np.tile(np.argsort(targets, kind="stable"), passes),
    }
    places = np.stack([orders[order]()[: steps * (batch or 1)].reshape(steps, -1) for _ in schedules])
    lrs, losses = np.stack(schedules), np.empty((lanes, steps))
    for step in range(steps):
        chosen = places[:, step] if batch else np.tile(np.arange(count), (lanes, 1))
        hidden = np.tanh(inputs[chosen] @ params[0] + params[1])
        losses[:, step], slope = loss(hidden @ params[2] + params[3], targets[chosen])
        back = slope @ params[2].swapaxes(1, 2) * (1 - hidden**2)
        gradients = (
            inputs[chosen].swapaxes(1, 2) @ back,
            back.sum(1, keepdims=True),
            hidden.swapaxes(1, 2) @ slope,
            slope.sum(1, keepdims=True),
        )
        for param, gradient, own in zip(params, gradients, slots, strict=True):
            param -= lrs[:, step, np.newaxis, np.newaxis] * optimizer(gradient, own, step + 1)
    return [Run(*one) for one in zip(names, schedules, losses, strict=True)]


def networks() -> Iterator[Run]:
    """Minibatches, with the common optimizers and schedules, twice each."""
    shapes = (constant, warmup_cosine, one_cycle, restarts)
    for optimizer, lr in ((gradient_descent, 0.3), (momentum, 0.1), (adam, 0.01)):
        names = [f"{optimizer.__name__} {shape.__name__} {again}" for shape in shapes for again in range(2)]
        yield from trained(names, [shape(lr) for shape in shapes for _ in range(2)], optimizer)


def edge_of_stability() -> Iterator[Run]:
    """Full batches at rates whose limit the sharpness climbs to (Cohen et al. 2021): up and down, and down in all."""
    some = tuple(part[:150] for part in digits())
    for loss, rates in ((cross_entropy, (2.7, 3.0)), (squares, (0.15, 0.18, 0.21, 0.24))):
        names = [f"full batches, {loss.__name__}, {lr}" for lr in rates]
        yield from trained(names, [constant(lr) for lr in rates], gradient_descent, batch=None, loss=loss, data=some)


def awkward_data() -> Iterator[Run]:
    """Wrong labels, classes one after another, and now and then a batch that is far too bright."""
    generator = np.random.default_rng(1)
    inputs, targets = digits()
    wrong = np.where(generator.random(len(targets)) < 0.3, generator.integers(0, 10, len(targets)), targets)
    names = [f"wrong labels {again}" for again in range(3)]
    yield from trained(names, [constant(0.3, LONG)] * 3, gradient_descent, data=(inputs, wrong))
    yield from trained(["classes in turn"], [constant(0.3)], gradient_descent, order="classes")
    bright = inputs * np.where(generator.random((len(inputs), 1)) < 1e-3, 30, 1)
    names = [f"bad examples {again}" for again in range(3)]
    yield from trained(names, [constant(0.1)] * 3, gradient_descent, data=(bright, targets))


def catapults() -> Iterator[Run]:
    """Wide networks of two linear layers at rates from 2.3 to 3.5 over the sharpness, where gradient descent jumps away
    and settles in a flatter place (Lewkowycz et al. 2020, arXiv 2003.02218).
    """
    for width in (30, 100, 300, 1000):
        for over in (2.3, 2.7, 3.1, 3.5):
            generator = np.random.default_rng(width)
            first, second = generator.normal(size=(2, width))
            lr = over / ((first @ first + second @ second) / width)
            losses = []
            for _ in range(400):
                output = first @ second / width**0.5
                losses.append(output**2 / 2)
                slope = lr * output / width**0.5
                first, second = first - slope * second, second - slope * first
            yield Run(f"catapult, width {width}, {over}", constant(lr, 400), np.array(losses))


def quadratics() -> Iterator[Run]:
    """Gradient descent with noise and heavy balls without, below their limits."""
    curvatures = np.geomspace(0.02, 4, 10)
    for share in (0.1, 0.5, 0.8, 0.95):
        generator = np.random.default_rng(7)
        place, losses = np.full(10, 3.0), []
        for _ in range(LONG):
            losses.append(curvatures @ place**2 / 2)
            place = place - share * 0.5 * (curvatures * place + generator.normal(size=10))
        yield Run(f"noisy descent at {share} of the limit", constant(share * 0.5, LONG), np.array(losses))
    for friction in (0.9, 0.99, 0.999):
        place, velocity, losses = np.ones(2), np.zeros(2), []
        for _ in range(2000):
            losses.append(float(np.array([4.0, 0.01]) @ place**2) / 2)
            velocity = friction * velocity + np.array([4.0, 0.01]) * place
            place = place - 0.05 * velocity
        yield Run(f"a ball that rolls, {friction}", constant(0.05, 2000), np.array(losses))


def densities() -> Iterator[Run]:
    """The negative log-likelihood of a normal distribution whose width is learned: it ends below zero."""
    for width in (0.3, 0.01):
        generator = np.random.default_rng(3)
        mean = log_width = 0.0
        losses = []
        for step in range(3000):
            sample = generator.normal(1.0, width, 64) if step else np.full(64, 1.0)
            away = (sample - mean) / np.exp(log_width)
            losses.append(float(np.mean(away**2 / 2 + log_width)))
            mean += 0.02 * float(np.mean(away)) * np.exp(log_width)
            log_width += 0.02 * float(np.mean(away**2 - 1))
        yield Run(f"a density of width {width}", constant(0.02, 3000), np.array(losses))


def written() -> Iterator[Run]:
    """Ten thousand steps of a level and of noise of every kind."""
    step = np.arange(LONG)
    falling = 2 * (1 + step) ** -0.3
    for seed in range(3):
        generator = np.random.default_rng(seed)
        normal = generator.normal(size=LONG)
        wander = np.empty(LONG)
        value = 0.0
        for place, push in enumerate(generator.normal(size=LONG)):
            wander[place] = value = 0.9 * value + 0.19**0.5 * push
        kinds = {
            "normal noise": falling + 0.05 * normal,
            "noise alone": 1 + 0.3 * normal,
            "noise that wanders": falling + 0.05 * wander,
            "noise with heavy tails": falling + 0.03 * generator.standard_t(3, size=LONG),
            "noise in proportion": falling * np.exp(0.3 * normal),
            "squares of noise": generator.exponential(size=LONG) + falling,
            "a ripple on a fall": falling * (1 + 0.2 * (-1.0) ** step) + 0.02 * normal,
            "rounded to three digits": np.round(falling + 0.02 * normal, 3),
            "epochs in which it rises": falling + 0.1 * (step % 400) / 400 + 0.05 * normal,
            "a fall in stairs": 2 - 0.5 * np.floor(4 * step / LONG) + 0.1 * normal,
            "nothing for long and then a fall": 2 / (1 + np.exp((step - 4000) / 300)) + 0.05 * normal,
            "bad batches": falling + 0.05 * normal + 20 * (generator.random(LONG) < 1e-3),
        }
        yield from (Run(f"{name} {seed}", constant(0.1, LONG), losses) for name, losses in kinds.items())


def in_other_units() -> Iterator[Run]:
    """The same losses, told in other units and from another zero."""
    run = next(networks())
    for unit, zero in ((1e12, 0.0), (1e-12, 0.0), (1e-300, 0.0), (1.0, -1e3), (1e300, 0.0), (1e-3, -5.0)):
        yield Run(f"times {unit:g}, {zero:+g}", run.lrs, zero + unit * run.losses)


FAMILIES = (
    networks,
    edge_of_stability,
    awkward_data,
    catapults,
    quadratics,
    densities,
    written,
    in_other_units,
)
