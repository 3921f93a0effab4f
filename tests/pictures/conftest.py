"""Draw without a display, let nothing be shown, and leave no figure open."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure


@pytest.fixture(autouse=True)
def quiet_pyplot(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def show(*args, **options):
        raise AssertionError("A picture was shown.")

    pyplot.switch_backend("agg")
    monkeypatch.setattr(pyplot, "show", show)
    monkeypatch.setattr(Figure, "show", show)
    yield
    pyplot.close("all")
