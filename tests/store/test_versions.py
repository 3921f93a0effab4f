"""What was at work is told, and nothing is loaded for it."""

from __future__ import annotations

import platform
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest

import lrscout
from lrscout.store.versions import versions


def test_the_versions_of_what_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    sklearn = pytest.importorskip("sklearn")
    monkeypatch.delitem(sys.modules, "optax", raising=False)
    found = versions()
    assert found["sklearn"] == sklearn.__version__
    assert found["numpy"] == np.__version__
    assert found["python"] == platform.python_version()
    assert found["lrscout"] == lrscout.__version__
    assert "optax" not in found


def test_a_framework_that_is_installed_by_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("ray")
    module.__version__ = "2.0+ours"
    monkeypatch.setitem(sys.modules, "ray", module)
    monkeypatch.setattr("lrscout.store.versions._DISTRIBUTIONS", {"ray": "ray-by-another-name"})
    assert versions()["ray"] == "2.0+ours"


@pytest.mark.parametrize("code", ["import lrscout; lrscout.range_test", "import lrscout.cli.studies"])
def test_the_database_loads_when_a_store_is_opened(code: str) -> None:
    command = [sys.executable, "-c", f"{code}; import sys; print('sqlalchemy' in sys.modules)"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_sqlite_store_loads_no_other_driver_and_no_framework() -> None:
    heavy = {"psycopg", "torch", "jax", "tensorflow", "pandas", "pyarrow", "tensorboard", "matplotlib"}
    command = [sys.executable, "-c", "import lrscout.store.store, lrscout.store.export, sys; print(*sys.modules)"]
    assert not heavy & set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
