"""Descents of which everything is known: the exact loss at every step, and on which side of the limit the rate lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from lrscout.core.curve import Outcome

Generator = np.random.Generator


@dataclass(frozen=True, eq=False)
class Truth:
    """A descent: its exact losses, those of its batches if it has any, and what is known about its rate."""

    family: str
    losses: np.ndarray
    lr: float = 0.1
    limit: float | None = None
    cycles: bool = False
    shown: np.ndarray | None = None

    @property
    def above(self) -> bool:
        return self.limit is not None and self.lr >= 1.02 * self.limit


def quadratic(
    name: str, curvatures: np.ndarray, start: np.ndarray, lr: float, steps: int, momentum: float = 0
) -> Truth:
    """Gradient descent, or heavy ball, on a quadratic: stable below `(2 + 2 momentum) / max(curvatures)`."""
    limit = (2 + 2 * momentum) / float(curvatures.max())
    position, velocity, losses = start.copy(), np.zeros_like(start), []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps):
            losses.append(float(curvatures @ position**2) / 2)
            velocity = momentum * velocity + curvatures * position
            position = position - lr * velocity
    return Truth(name, np.array(losses), lr, limit)


def low_dimensional(generator: Generator, outcome: Outcome) -> Truth:
    dimension = int(generator.integers(1, 4))
    curvatures = 10 ** generator.uniform(-1, 1, dimension)
    steps = int(10 ** generator.uniform(1.8, 3.3))
    lr = rate_for(outcome, generator, 2 / curvatures.max(), curvatures, steps)
    return quadratic("quadratic", curvatures, generator.normal(0, 1, dimension) + 0.1, lr, steps)


def many_dimensional(generator: Generator, outcome: Outcome) -> Truth:
    dimension = int(generator.integers(5, 40))
    curvatures = np.geomspace(1, 10 ** generator.uniform(-3, -0.5), dimension) * 10 ** generator.uniform(-2, 2)
    steps = int(10 ** generator.uniform(1.8, 3.3))
    momentum = float(generator.choice([0, 0.5, 0.9]))
    limit = (2 + 2 * momentum) / curvatures.max()
    lr = rate_for(outcome, generator, limit, curvatures / (1 - momentum), steps)
    name = "momentum" if momentum else "spectrum"
    return quadratic(name, curvatures, generator.normal(0, 1, dimension) / np.sqrt(curvatures), lr, steps, momentum)


def rate_for(outcome: Outcome, generator: Generator, limit: float, curvatures: np.ndarray, steps: int) -> float:
    """Return a rate at which the outcome is likely; the label is settled afterwards, by the exact losses."""
    match outcome:
        case Outcome.DIVERGING | Outcome.NON_FINITE:
            return limit * float(generator.choice([1.02, 1.05, 1.1, 1.3, 1.6, 2.0, 4.0]))
        case Outcome.OSCILLATING:
            return limit
        case Outcome.TOO_SLOW:
            return min(0.9 * limit, 10 ** generator.uniform(-2.5, -0.7) / (2 * steps * curvatures.max()))
        case Outcome.CONVERGING:
            curvature = float(generator.choice(curvatures))
            return min(0.97 * limit, generator.uniform(1.5, 6) / (2 * steps * curvature))
        case Outcome.PLATEAUED:
            return limit * float(generator.uniform(0.05, 0.98))


def logistic(generator: Generator, outcome: Outcome) -> Truth:
    """Logistic regression with a ridge, whose largest curvature is at most that of `inputs.T @ inputs / 4`."""
    rows, ridge = 80, 10 ** generator.uniform(-3, -1)
    inputs = generator.normal(0, 1, (rows, 4)) * 10 ** generator.uniform(-0.5, 0.5, 4)
    targets = np.where(inputs[:, 0] + generator.normal(0, 1, rows) > 0, 1.0, -1.0)
    limit = 2 / (np.linalg.eigvalsh(inputs.T @ inputs / rows)[-1] / 4 + ridge)
    steps = int(10 ** generator.uniform(1.8, 3.3))
    lr = {Outcome.TOO_SLOW: 10 ** generator.uniform(-4, -2) * limit}.get(outcome, generator.uniform(0.01, 0.95) * limit)
    weights, losses = np.zeros(4), []
    for _ in range(steps):
        margins = targets * (inputs @ weights)
        losses.append(float(np.logaddexp(0, -margins).mean() + ridge * weights @ weights / 2))
        weights = weights + lr * ((targets / (1 + np.exp(margins))) @ inputs / rows - ridge * weights)
    return Truth("logistic", np.array(losses), lr)


def network(generator: Generator, outcome: Outcome) -> Truth:
    """A network of one hidden tanh layer in full batches, its rate in units of its first limit, 2 / sharpness.

    Its curvature changes as it trains, so that the limit says nothing for sure, and only what its exact losses say is
    used; a rate of a hundred times the limit drives the parameters to infinity if the loss does not saturate.
    """
    rows, hidden = 40, 8
    inputs = generator.normal(0, 1, (rows, 3))
    targets = np.sin(2 * inputs[:, 0]) + inputs[:, 1]
    first, second = generator.normal(0, 0.6, (3, hidden)), generator.normal(0, 0.4, hidden)
    steps = int(10 ** generator.uniform(2, 3.2))
    features = np.tanh(inputs @ first)
    limit = 2 / np.linalg.eigvalsh(features.T @ features / rows)[-1]
    lr = limit * {Outcome.TOO_SLOW: 10 ** generator.uniform(-4.5, -2.5), Outcome.NON_FINITE: 100.0}.get(
        outcome, generator.uniform(0.05, 0.9)
    )
    losses = []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps):
            features = np.tanh(inputs @ first)
            residuals = features @ second - targets
            losses.append(float(residuals @ residuals) / rows / 2)
            gradient = np.outer(residuals, second) * (1 - features**2)
            second, first = second - lr * features.T @ residuals / rows, first - lr * inputs.T @ gradient / rows
    return Truth("network", np.array(losses), lr)


def catapult(generator: Generator, outcome: Outcome) -> Truth:
    """A product of two layers, between 2 and 4 over its curvature: it jumps up and settles (Lewkowycz et al. 2020)."""
    width = int(generator.integers(100, 400))
    first, second = generator.normal(0, 1, width), generator.normal(0, 1, width)
    output, curvature = first @ second / np.sqrt(width), (first @ first + second @ second) / width
    lr, steps = float(generator.uniform(2.2, 3.3)) / curvature, int(generator.integers(60, 200))
    losses = []
    for _ in range(steps):
        losses.append(output**2 / 2)
        change = curvature + lr * output**2 / width * (lr * curvature - 4)
        output, curvature = output * (1 - lr * curvature + lr**2 * output**2 / width), change
    return Truth("catapult", np.array(losses), lr)


def ricker(generator: Generator, outcome: Outcome) -> Truth:
    """Descent on `exp(x) - x`: above a rate of 2 it is on a cycle of two, above 2.53 on one of four (May 1976)."""
    lr = float(generator.choice([generator.uniform(2.1, 2.5), generator.uniform(2.54, 2.64)]))
    position, losses = float(generator.uniform(-0.5, 0.5)), []
    for _ in range(int(generator.integers(150, 800))):
        losses.append(np.exp(position) - position)
        position -= lr * (np.exp(position) - 1)
    return Truth("cycle", np.array(losses), lr, cycles=True)


def undamped(generator: Generator, outcome: Outcome) -> Truth:
    """Heavy ball without friction on one curvature: it swings for ever, and the loss with half the period."""
    period = float(generator.uniform(5, 30))  # Of the position; cos(2 pi / period) = 1 - lr curvature / 2.
    lr = 2 - 2 * np.cos(2 * np.pi / period)
    steps = int(period * generator.uniform(20, 60))
    truth = quadratic("undamped", np.ones(1), np.ones(1), lr, steps, momentum=1.0)
    return replace(truth, cycles=True, limit=None)


def sign_descent(generator: Generator, outcome: Outcome) -> Truth:
    """Steps of a fixed length down a parabola: at the bottom it jumps from one side to the other."""
    lr = float(generator.uniform(0.05, 0.3))
    position, losses = float(generator.uniform(1, 3)), []
    for _ in range(int(generator.integers(100, 1000))):
        losses.append(position**2 / 2)
        position -= lr * np.sign(position)
    return Truth("sign descent", np.array(losses), lr, cycles=True)


def nesterov(generator: Generator, outcome: Outcome) -> Truth:
    """Nesterov's momentum on a quadratic: stable below `(2 + 2 m) / (1 + 2 m) / max(curvatures)`."""
    dimension, momentum = int(generator.integers(1, 20)), float(generator.choice([0.3, 0.6, 0.9]))
    curvatures = np.append(10 ** generator.uniform(-2, 0, dimension), 1.0) * 10 ** generator.uniform(-3, 3)
    limit = (2 + 2 * momentum) / (1 + 2 * momentum) / curvatures.max()
    steps = int(10 ** generator.uniform(1.8, 3.3))
    lr = rate_for(outcome, generator, limit, curvatures / (1 - momentum), steps)
    position, velocity, losses = generator.normal(0, 1, dimension + 1), np.zeros(dimension + 1), []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps):
            losses.append(float(curvatures @ position**2) / 2)
            ahead = position + momentum * velocity
            velocity = momentum * velocity - lr * curvatures * ahead
            position = position + velocity
    return Truth("nesterov", np.array(losses), lr, limit)


def least_squares(generator: Generator, outcome: Outcome) -> Truth:
    """Least squares on drawn data in single precision, whose curvatures are the eigenvalues of its normal matrix."""
    rows, columns = 60, int(generator.integers(2, 12))
    inputs = generator.normal(1, 1, (rows, columns)) * 10 ** generator.uniform(-0.7, 0.7, columns)
    targets = inputs @ generator.normal(0, 1, columns) + generator.normal(0, 1, rows)
    curvatures = np.linalg.eigvalsh(2 * inputs.T @ inputs / rows)
    limit, steps = 2 / float(curvatures[-1]), int(10 ** generator.uniform(1.8, 3.3))
    lr = rate_for(outcome, generator, limit, curvatures, steps)
    inputs, targets = inputs.astype(np.float32), targets.astype(np.float32)
    weights, losses = np.zeros(columns, np.float32), []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps):
            residuals = inputs @ weights - targets
            losses.append(float(np.mean(residuals**2)))
            weights = weights - np.float32(2 * lr) * (inputs.T @ residuals) / rows
    return Truth("least squares", np.array(losses), lr, limit if lr != limit else None)


def minibatch(generator: Generator, outcome: Outcome) -> Truth:
    """Stochastic descent on least squares, far below the limit: the log shows batches, the exact loss is of all."""
    rows, columns, batch = 400, int(generator.integers(2, 8)), int(generator.choice([8, 32]))
    inputs = generator.normal(0, 1, (rows, columns))
    targets = inputs @ generator.normal(0, 1, columns) + generator.normal(0, 0.5, rows)
    steps = int(10 ** generator.uniform(2, 3.3))
    lr = {
        Outcome.TOO_SLOW: 10 ** generator.uniform(-2, -0.7) / (4 * steps),
        Outcome.CONVERGING: generator.uniform(1.5, 4) / (4 * steps),
    }.get(outcome, generator.uniform(0.003, 0.02))
    weights, losses, seen = np.zeros(columns), [], []
    for _ in range(steps):
        drawn = generator.integers(0, rows, batch)
        residuals = inputs[drawn] @ weights - targets[drawn]
        losses.append(float(np.mean((inputs @ weights - targets) ** 2)))
        seen.append(float(np.mean(residuals**2)))
        weights = weights - 2 * lr * residuals @ inputs[drawn] / batch
    return Truth("minibatch", np.array(losses), lr, shown=np.array(seen))


def softmax(generator: Generator, outcome: Outcome) -> Truth:
    """Softmax regression in full batches, below the limit that Böhning's bound on its curvature gives (1992)."""
    rows, columns, classes = 90, 5, 3
    inputs = generator.normal(0, 1, (rows, columns)) * 10 ** generator.uniform(-0.5, 0.5, columns)
    targets = np.eye(classes)[(inputs @ generator.normal(0, 1, (columns, classes))).argmax(1)]
    limit = 4 / np.linalg.eigvalsh(inputs.T @ inputs / rows)[-1]
    steps = int(10 ** generator.uniform(1.8, 3.3))
    lr = limit * {Outcome.TOO_SLOW: 10 ** generator.uniform(-5, -2)}.get(outcome, generator.uniform(0.01, 0.95))
    weights, losses = np.zeros((columns, classes)), []
    for _ in range(steps):
        logits = inputs @ weights
        logits = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        losses.append(float(-(targets * logits).sum(1).mean()))
        weights = weights - lr * inputs.T @ (np.exp(logits) - targets) / rows
    return Truth("softmax", np.array(losses), lr)


def double_well(generator: Generator, outcome: Outcome) -> Truth:
    """Descent on `x**4 / 4 - x**2 / 2`: rates between 1 and sqrt(5) - 1 end on a cycle of two (the cubic map)."""
    lr, position, losses = float(generator.uniform(1.03, 1.2)), float(generator.uniform(0.7, 1.2)), []
    for _ in range(int(generator.integers(150, 1500))):
        losses.append(position**4 / 4 - position**2 / 2)
        position -= lr * (position**3 - position)
    return Truth("double well", np.array(losses), lr, cycles=True)


Family = Callable[[Generator, Outcome], Truth]

TUNED: tuple[Family, ...] = (
    low_dimensional,
    many_dimensional,
    logistic,
    network,
    catapult,
    undamped,
    sign_descent,
    ricker,
)
"""The families on which the judgement was built."""

HELD_OUT: tuple[Family, ...] = (nesterov, least_squares, minibatch, softmax, double_well)
"""Families that were made, and run for the first time, when it was done. Their first 360 curves, of another seed,
brought one change: what rounding may add up to over a run is no rise."""
