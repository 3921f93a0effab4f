"""What the tests of the loops share."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator

import pytest


@pytest.fixture
def forkserver() -> Iterator[None]:
    """Start workers from a server of their own: a process in which JAX has threads must not be forked."""
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("forkserver", force=True)
    multiprocessing.set_forkserver_preload(["tests.loops.cases_transformers"])  # The slow imports, once.
    yield
    multiprocessing.set_start_method(before, force=True)
