"""What the tests of the documents share."""

from __future__ import annotations

import matplotlib
import pytest
from matplotlib import pyplot


@pytest.fixture(autouse=True)
def nothing_is_shown():
    """Draw on no screen, and leave no picture open."""
    matplotlib.use("agg")
    yield
    pyplot.close("all")
