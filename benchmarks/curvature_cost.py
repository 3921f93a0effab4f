"""What the sharpness of a network costs: lrscout beside PyHessian and curvlinops with SciPy's eigsh.

Five networks on 512 of scikit-learn's digits as one batch, each as it is made and again after some training: one with
one hidden layer, a convolutional one, and three deep ones, whose top eigenvalues lie close together. The truth is the
largest eigenvalue of the dense Hessian, row by row in double precision. The contenders work in single precision:

- lrscout: the eigenvalue alone, to 1 % by its own error bound, with the gradient and its graph;
- lrscout.curvature: the verb as users call it, which also asks the optimizer, and finds the critical learning rate;
- PyHessian: `hessian(...).eigenvalues(top_n=1)`, power iteration with its own settings and its own stop. Besides, in a
  run that is not timed, the products after which its estimate is, and stays, within 1 % of the truth;
- curvlinops, 1e-2 and curvlinops: `eigsh(HessianLinearOperator(...).to_scipy(), k=1, which="LA")`, with tol=1e-2 and
  with SciPy's own, to rounding. Its check that the model is deterministic is off, which only costs time.

A product is one of the Hessian with one vector. In every round each contender runs once, in random order, from another
random vector; the figures are medians over the rounds, the errors the largest ones.

Run `make bench`, or `python benchmarks/curvature_cost.py [--rounds 7]`.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import os
import platform
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.sparse.linalg import LinearOperator, eigsh
from sklearn.datasets import load_digits
from torch import nn

import lrscout
import lrscout.loops.torch.hessian
from lrscout.analyse.lanczos import largest_eigenvalue

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # They use what PyTorch is about to remove.
    from curvlinops import HessianLinearOperator
    from pyhessian import hessian as PyHessian  # noqa: N812

RESULTS = Path(__file__).parent / "results" / "curvature_cost.json"
ACCURACY = 0.01
TRAINING_STEPS, TRAINING_LR = 300, 2e-3
EXAMPLES = 512
WIDTH = 130
LONGEST_POWER_ITERATION = 500
LRSCOUT, VERB, POWER = "lrscout", "lrscout.curvature", "PyHessian"
LANCZOS = {"curvlinops, 1e-2": 1e-2, "curvlinops": 0.0}

LOSS = nn.CrossEntropyLoss()
IMAGES, LABELS = load_digits(return_X_y=True)
INPUTS, TARGETS = torch.tensor(IMAGES[:EXAMPLES] / 16, dtype=torch.float32), torch.tensor(LABELS[:EXAMPLES])


@dataclass(frozen=True)
class Found:
    """What a contender found.

    Args:
        value: the eigenvalue.
        told: the relative error that it tells, if it does.
        products: the products with the Hessian that it took.
        seconds: the wall time.
    """

    value: float
    told: float | None
    products: int
    seconds: float


def dense(units: list[int], activation: type[nn.Module]) -> nn.Module:
    """Return a network of dense layers."""
    layers = [layer for sizes in pairwise([64, *units, 10]) for layer in (nn.Linear(*sizes), activation())]
    return nn.Sequential(*layers[:-1])


def convolutional() -> nn.Module:
    """Return a network of two convolutions."""
    convolutions = nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU()
    return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), *convolutions, nn.Flatten(), nn.Linear(64, 10))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "64-32-10, tanh": lambda: dense([32], nn.Tanh),
    "two convolutions": convolutional,
    "8 layers of 16, tanh": lambda: dense([16] * 8, nn.Tanh),
    "6 layers of 20, ReLU": lambda: dense([20] * 6, nn.ReLU),
    "10 layers of 16, GELU": lambda: dense([16] * 10, nn.GELU),
}


def network(name: str, *, is_trained: bool) -> nn.Module:
    """Return a network, the same one at every call."""
    torch.manual_seed(0)
    model = NETWORKS[name]()
    optimizer = torch.optim.Adam(model.parameters(), TRAINING_LR)
    order = torch.Generator().manual_seed(0)
    for _ in range(TRAINING_STEPS if is_trained else 0):
        chosen = torch.randint(len(INPUTS), (128,), generator=order)
        optimizer.zero_grad()
        LOSS(model(INPUTS[chosen]), TARGETS[chosen]).backward()
        optimizer.step()
    optimizer.zero_grad()
    return model


def true_eigenvalues(model: nn.Module) -> np.ndarray:
    """Return the eigenvalues of the dense Hessian, in ascending order."""
    twin = copy.deepcopy(model).double()
    parameters = list(twin.parameters())
    gradients = torch.autograd.grad(LOSS(twin(INPUTS.double()), TARGETS), parameters, create_graph=True)
    gradient = torch.cat([part.reshape(-1) for part in gradients])
    rows = []
    for index in range(len(gradient)):
        row = torch.autograd.grad(gradient[index], parameters, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([part.reshape(-1) for part in row]))
    matrix = torch.stack(rows)
    return np.linalg.eigvalsh(((matrix + matrix.T) / 2).numpy())


def timed(task: Callable[[], tuple[float, float | None, Callable[[], int]]]) -> Found:
    """Run a task and return what it found; it returns the eigenvalue, the error that it tells, and the count."""
    gc.collect()
    began = time.perf_counter()
    value, told, products = task()
    seconds = time.perf_counter() - began
    return Found(value, told, products(), seconds)


def loop_of(model: nn.Module) -> Any:
    """Return lrscout's loop of a network."""
    return lrscout.from_torch(model, torch.optim.SGD(model.parameters(), 0.01), LOSS, [(INPUTS, TARGETS)])


@contextmanager
def counted_products() -> Iterator[list[int]]:
    """Count every product that lrscout takes, whatever for."""
    counted = [0]
    multiply = lrscout.loops.torch.hessian.products

    def counting(*arguments: Any, **settings: Any) -> Any:
        counted[0] += 1
        return multiply(*arguments, **settings)

    with mock.patch.object(lrscout.loops.torch.hessian, "products", counting):
        yield counted


def with_lrscout(model: nn.Module, seed: int) -> Found:
    """Find the eigenvalue as `lrscout.curvature` does, and nothing else."""
    loop = loop_of(model)

    def task() -> tuple[float, float | None, Callable[[], int]]:
        derivatives = loop.landscape(1).derivatives()
        hint = derivatives.gradient
        found = largest_eigenvalue(derivatives.product, len(hint), hint=hint, accuracy=ACCURACY, seed=seed)
        return found.value, found.relative_error, lambda: counted[0]

    with counted_products() as counted:
        return timed(task)


def with_the_verb(model: nn.Module, seed: int) -> Found:
    """Call `lrscout.curvature`."""
    loop = loop_of(model)

    def task() -> tuple[float, float | None, Callable[[], int]]:
        found = lrscout.curvature(loop, of="hessian", accuracy=ACCURACY, seed=seed)
        return found.sharpness, found.relative_error, lambda: counted[0]

    with counted_products() as counted:
        return timed(task)


def power_iteration(model: nn.Module, seed: int, **settings: Any) -> tuple[Found, list[float]]:
    """Call PyHessian, and return its estimates after each product as well."""
    torch.manual_seed(seed)
    module = sys.modules["pyhessian.hessian"]
    multiply, estimates = module.hessian_vector_product, []

    def noting(gradients: Any, parameters: Any, vector: Any) -> Any:
        product = multiply(gradients, parameters, vector)
        estimates.append((product, vector))
        return product

    def task() -> tuple[float, float | None, Callable[[], int]]:
        (value,), _ = PyHessian(model, LOSS, data=(INPUTS, TARGETS), cuda=False).eigenvalues(top_n=1, **settings)
        return value, None, lambda: len(estimates)

    with mock.patch.object(module, "hessian_vector_product", noting), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = timed(task)
    model.zero_grad()  # It leaves gradients, with their graph.
    values = [sum(float((p * v).sum()) for p, v in zip(*pair, strict=True)) for pair in estimates]
    return found, values


def products_to_get_there(values: list[float], truth: float) -> int | None:
    """Return the number of products after which estimates are, and stay, within 1 % of the truth, if they ever do."""
    outside = [index for index, value in enumerate(values) if not abs(value - truth) <= ACCURACY * abs(truth)]
    first = outside[-1] + 1 if outside else 0
    return first + 1 if first < len(values) else None


def with_pyhessian(model: nn.Module, seed: int) -> Found:
    """Call PyHessian with its own settings."""
    return power_iteration(model, seed)[0]


def with_curvlinops(tolerance: float) -> Callable[[nn.Module, int], Found]:
    """Prepare a call of SciPy's eigsh on curvlinops' Hessian."""

    def run(model: nn.Module, seed: int) -> Found:
        start = np.random.default_rng(seed).standard_normal(sum(p.numel() for p in model.parameters()))
        counted = [0]

        def task() -> tuple[float, float | None, Callable[[], int]]:
            parameters = list(model.parameters())
            operator = HessianLinearOperator(model, LOSS, parameters, [(INPUTS, TARGETS)], check_deterministic=False)
            scipy_operator = operator.to_scipy()

            def multiply(vector: np.ndarray) -> np.ndarray:
                counted[0] += 1
                return scipy_operator.matvec(vector)

            counting = LinearOperator(scipy_operator.shape, matvec=multiply, dtype=scipy_operator.dtype)
            (value,) = eigsh(counting, k=1, which="LA", tol=tolerance, v0=start, return_eigenvectors=False)
            return float(value), None, lambda: counted[0]

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return timed(task)

    return run


CONTENDERS: dict[str, Callable[[nn.Module, int], Found]] = {
    LRSCOUT: with_lrscout,
    VERB: with_the_verb,
    POWER: with_pyhessian,
    **{name: with_curvlinops(tolerance) for name, tolerance in LANCZOS.items()},
}


def case_of(name: str, *, is_trained: bool, rounds: int) -> dict[str, Any]:
    """Return the truth about a network, and what each contender found in every round."""
    model = network(name, is_trained=is_trained)
    eigenvalues = true_eigenvalues(model)
    truth = float(eigenvalues[-1])
    for run in CONTENDERS.values():
        run(model, 0)  # What a library loads at its first call is no cost of the eigenvalue.
    order = random.Random(0)
    measured = [
        {contender: CONTENDERS[contender](model, seed) for contender in order.sample(list(CONTENDERS), len(CONTENDERS))}
        for seed in range(1, rounds + 1)
    ]
    longest = {"maxIter": LONGEST_POWER_ITERATION, "tol": 0.0}
    courses = [power_iteration(model, seed, **longest)[1] for seed in range(1, rounds + 1)]
    there = [products_to_get_there(values, truth) for values in courses]
    return {
        "network": name,
        "trained": is_trained,
        "parameters": len(eigenvalues),
        "truth": truth,
        "next eigenvalues": eigenvalues[-2:-5:-1].round(6).tolist(),
        "smallest eigenvalue": float(eigenvalues[0]),
        "contenders": {name: figures_of([found[name] for found in measured], truth) for name in CONTENDERS},
        "products of power iteration to 1 %": None if None in there else float(np.median(there)),
    }


def figures_of(found: list[Found], truth: float) -> dict[str, Any]:
    """Return a contender's figures over the rounds."""
    errors = [abs(one.value - truth) / abs(truth) for one in found]
    told = [one.told for one in found if one.told is not None]
    return {
        "products": float(np.median([one.products for one in found])),
        "most products": max(one.products for one in found),
        "error": max(errors),
        "error told": max(told) if told else None,
        "milliseconds": round(1000 * float(np.median([one.seconds for one in found])), 3),
        "runs beyond the error told": sum(error > told for error, told in zip(errors, told, strict=False)),
    }


def table_of(cases: list[dict[str, Any]]) -> Table:
    """Return all cases as one table."""
    table = Table(
        "",
        "truth",
        "next",
        *CONTENDERS,
        "PyHessian to 1 %",
        show_lines=True,
        title="products, largest error (and the error told), milliseconds",
    )
    for case in cases:
        cells = []
        for figures in case["contenders"].values():
            told = "" if figures["error told"] is None else f" ({100 * figures['error told']:.1g})"
            cells.append(
                f"{figures['products']:g}\n{100 * figures['error']:.1g}{told} %\n{figures['milliseconds']:.0f} ms"
            )
        there = case["products of power iteration to 1 %"]
        table.add_row(
            f"{case['network']}{', trained' if case['trained'] else ''}",
            f"{case['truth']:.4g}",
            f"{case['next eigenvalues'][0]:.4g}",
            *cells,
            "never" if there is None else f"{there:g}",
        )
    return table


def verdicts(cases: list[dict[str, Any]]) -> list[str]:
    """Return a line for each aim: whether it is met."""
    there = [case["products of power iteration to 1 %"] for case in cases]
    products = {name: sum(case["contenders"][name]["products"] for case in cases) for name in CONTENDERS}
    seconds = {name: sum(case["contenders"][name]["milliseconds"] for case in cases) / 1000 for name in CONTENDERS}
    worst = max(case["contenders"][LRSCOUT]["error"] for case in cases)
    beyond_told = sum(case["contenders"][LRSCOUT]["runs beyond the error told"] for case in cases)
    power = sum(number or LONGEST_POWER_ITERATION for number in there)
    lines = [
        f"The largest error of lrscout is {100 * worst:.2g} %; the aim of 1 % is {met(worst <= ACCURACY)}.",
        f"In {beyond_told} runs it is larger than the error told.",
        f"lrscout took {products[LRSCOUT]:g} products in total, PyHessian {power:g} to come to 1 % (and "
        f"{products[POWER]:g} to its own stop); the aim of half of them is {met(products[LRSCOUT] <= power / 2)}.",
    ]
    for name in LANCZOS:
        is_met = met(seconds[LRSCOUT] <= seconds[name])
        lines.append(
            f"lrscout took {seconds[LRSCOUT]:.3f} s in total (the verb {seconds[VERB]:.3f} s), {name} "
            f"{seconds[name]:.3f} s and {products[name]:g} products; the aim of no more time is {is_met}."
        )
    return lines


def met(is_met: bool) -> str:
    """Return a verdict in words."""
    return "met" if is_met else "not met"


def circumstances() -> dict[str, Any]:
    """Return what the figures depend on besides the code."""
    versions = {name: version(name) for name in ("torch", "PyHessian", "curvlinops-for-pytorch", "scipy", "numpy")}
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": models[0] if models else platform.processor(),
        "load": round(os.getloadavg()[0], 1),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "lrscout": lrscout.__version__, **versions},
    }


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="rounds measured (7)")
    options = parser.parse_args()
    cases = [
        case_of(name, is_trained=is_trained, rounds=options.rounds) for name in NETWORKS for is_trained in (False, True)
    ]
    Console(width=WIDTH).print(table_of(cases))
    lines = verdicts(cases)
    print(*lines, sep="\n")
    record = {**circumstances(), "rounds": options.rounds, "examples": len(INPUTS), "cases": cases, "aims": lines}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
