"""Stores with studies for the tests of the page's server, and a client of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from starlette.testclient import TestClient

from lrscout.app.server import make_app
from lrscout.core.curve import Curve, Stop
from lrscout.store.store import Store, open_store

LRS = [0.01, 0.07, 0.7, 7.0]


def client_of(store: str | Path | None, **options: Any) -> TestClient:
    """A client on this machine that hides no error of the server behind a status."""
    return TestClient(make_app(store, **options), base_url="http://127.0.0.1:8050")


def asked(client: TestClient, address: str, **query: Any) -> Any:
    """What the server answers, which must be no refusal."""
    found = client.get(address, params=query)
    assert found.status_code == 200, found.text
    return found.json()


def sweep_inputs(lrs: list[float], *, steps: int, seeds: int = 1, lanes: int = 1, **more: Any) -> dict[str, Any]:
    """What a sweep writes down when it begins."""
    inputs = {"steps": steps, "lrs": lrs, "checkpoints": [1, 2, 5, steps], "seeds": list(range(seeds))}
    rest = {"schedule": "constant", "loss": "evaluation", "early_stopping": True, "lanes": lanes}
    return inputs | rest | more


def curve(lr: float, steps: int, seed: int = 0, checkpoints: tuple[int, ...] = (1, 2, 5)) -> Curve:
    """A run on a bowl of curvature 2: stable below a rate of 1, the faster the nearer to 0.5."""
    factors = np.abs(1 - 2 * lr) ** (2 * np.arange(steps + 1))
    levels = 3.0 + seed / 10 + factors
    at = np.array([0, *checkpoints, steps])
    if lr < 1:
        return Curve(np.full(steps, lr), levels[:-1], seed=seed, evaluated_at=at, evaluations=levels[at])
    lost = min(steps, 4)
    kept = at[at < lost]
    losses = np.append(levels[: lost - 1], np.inf)
    return Curve(np.full(lost, lr), losses, Stop.NON_FINITE, seed, kept, levels[kept])


def begun(path: Path, name: str = "open") -> Store:
    """A store with a sweep of four rates and two seeds, of which three runs are kept."""
    store = open_store(path)
    with store.begin(
        name, kind="sweep", inputs=sweep_inputs(LRS, steps=20, seeds=2), target="/home/me/a.py:f"
    ) as study:
        for block, lr in enumerate(LRS[:3]):
            study.keep(block, [curve(lr, 20)])
    return store
