"""The notebook runs from start to end, and says the lesson's numbers: as it lies in the repository, and run anew."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.docs.reading import ROOT, numbers

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

NOTEBOOK = ROOT / "docs" / "lesson.ipynb"

LEAST_SQUARES = [0.0876, 0.4803]
LIMIT = 0.775
JUMPS = {1: (1.448, 1.747), 2: (-0.593, -1.814), 3: (1.991, 2.956)}
"""What the lesson showed: weight and bias after so many steps at 0.9."""


@pytest.fixture(scope="module")
def run_anew(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("notebook") / "lesson.ipynb"
    # A process of its own: a kernel's warnings are its own as well.
    making = subprocess.run(
        [sys.executable, ROOT / "docs" / "making" / "notebook.py", "--out", path], capture_output=True, text=True
    )
    assert making.returncode == 0, making.stderr
    return path


@pytest.fixture(scope="module", params=["as it lies", "run anew"])
def cells(request: pytest.FixtureRequest) -> dict[str, dict]:
    path = NOTEBOOK if request.param == "as it lies" else request.getfixturevalue("run_anew")
    return {cell["id"]: cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]}


def printed(cell: dict) -> str:
    return "".join("".join(output["text"]) for output in cell["outputs"] if output["output_type"] == "stream")


def test_the_jumps_at_0_9_are_the_lessons(cells: dict[str, dict]) -> None:
    lines = printed(cells["large"]).splitlines()
    for line, (step, place) in zip(lines, JUMPS.items(), strict=False):
        assert numbers(line) == pytest.approx([0.9, step, *place], abs=1e-3)


def test_after_200_steps_it_has_left_for_good(cells: dict[str, dict]) -> None:
    at_0_9, at_1, at_10 = printed(cells["large"]).splitlines()[3:]
    lr, steps, w, b = numbers(at_0_9)
    assert (lr, steps) == (0.9, 200)
    for value, expected in ((w, -1.1e24), (b, -2.0e24)):
        assert value < 0
        assert math.log10(value / expected) == pytest.approx(0, abs=1)
    for line, rate in ((at_1, 1), (at_10, 10)):
        assert numbers(line)[:2] == [rate, 200]
        assert np.isnan(numbers(line)[2:]).all()
        assert len(numbers(line)) == 4


def test_too_small_a_rate_ends_far_away(cells: dict[str, dict]) -> None:
    steps, lr, w, b, *_ = numbers(printed(cells["small"]))
    assert (steps, lr) == (200, 0.0001)
    assert w == pytest.approx(0.031, abs=1e-3)
    assert b == pytest.approx(-0.940, abs=1e-3)


def test_the_curvatures_and_the_limit(cells: dict[str, dict]) -> None:
    first, *rest = printed(cells["why"]).splitlines()
    assert numbers(first)[:2] == pytest.approx([2.580, 0.113], abs=1e-3)
    assert numbers(first)[-1] == LIMIT
    losses = {numbers(line)[0]: numbers(line)[-1] for line in rest}
    assert losses[0.5] < losses[0.77] < 2.342 < losses[0.78] < losses[0.9]
    for name in ("keras-curvature", "torch"):
        assert re.search(r"2 / sharpness = 0\.775\b", printed(cells[name])), name


def test_the_range_tests_agree(cells: dict[str, dict]) -> None:
    assert numbers(printed(cells["range"])) == pytest.approx([2.33, 0.23], rel=0.01)
    # Where the explosion begins depends on the last bits of single precision: by a rung of the ladder or two, of 7 %.
    for name, words in (("keras-range", "Use a learning rate of "), ("torch", "range test: ")):
        assert numbers(printed(cells[name]).partition(words)[2])[0] == pytest.approx(0.233, rel=0.2)


def test_the_exact_answer_is_reached(cells: dict[str, dict]) -> None:
    exact, descended = printed(cells["exact"]).splitlines()
    assert numbers(exact) == LEAST_SQUARES
    assert numbers(descended) == pytest.approx([1000, 0.5, *LEAST_SQUARES], abs=2e-4)


def test_the_map_and_the_recommendation_stay_below_the_limit(cells: dict[str, dict]) -> None:
    after_one, _, after_hundred = numbers(printed(cells["keras-map"]))[-3:]
    assert 0.2 < after_one < after_hundred < LIMIT
    lr, low, high = numbers(printed(cells["keras-find"]).splitlines()[0])
    assert low < lr < LIMIT
    assert lr < high
    trained, lowest = numbers(printed(cells["keras-find"]).splitlines()[1])
    assert trained == pytest.approx(lowest, abs=2e-4)


def test_the_losses_at_0_9_give_the_limit_away(cells: dict[str, dict]) -> None:
    for name in ("keras-diagnose", "torch"):
        said = " ".join(printed(cells[name]).split())
        assert "Diverging." in said
        assert "puts the limit at 0.775" in said


def test_the_model_is_home(cells: dict[str, dict]) -> None:
    assert numbers(printed(cells["home-code"])) == [0, -1]


def test_all_nine_points_are_there(cells: dict[str, dict]) -> None:
    text = "\n".join("".join(cell["source"]) for cell in cells.values() if cell["cell_type"] == "markdown")
    assert [int(number) for number in re.findall(r"^## (\d)\. ", text, re.MULTILINE)] == list(range(1, 10))


def test_every_cell_has_run_in_order_and_without_a_word_on_the_side(cells: dict[str, dict]) -> None:
    codes = [cell for cell in cells.values() if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in codes] == list(range(1, len(codes) + 1))
    outputs = [output for cell in codes for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} == {"stream", "display_data"}
    assert {output["name"] for output in outputs if output["output_type"] == "stream"} == {"stdout"}


def test_pictures_are_drawn_where_the_code_draws(cells: dict[str, dict]) -> None:
    for name, cell in cells.items():
        drawn = sum("image/png" in output.get("data", {}) for output in cell.get("outputs", []))
        assert drawn == "".join(cell["source"]).count("plt.show()"), name


def test_it_is_what_its_cells_make(run_anew: Path) -> None:
    """The file in the repository was written by the maker from the cells that are in it."""
    lying, made = (json.loads(path.read_text(encoding="utf-8")) for path in (NOTEBOOK, run_anew))
    assert lying["metadata"] == made["metadata"]
    for before, after in zip(lying["cells"], made["cells"], strict=True):
        assert before["source"] == after["source"]
        assert before["metadata"] == after["metadata"] == {}
        kinds = [[sorted(output) for output in cell.get("outputs", [])] for cell in (before, after)]
        assert kinds[0] == kinds[1]


def test_it_is_valid_and_small_and_tells_nothing_of_a_machine() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    nbformat.validate(nbformat.reads(text, as_version=4))
    assert len(text) < 1_500_000
    said = re.sub(r'"image/png": "[^"]*"', "", text)
    assert not re.search(r"(?<![\w.])/(home|Users|usr|tmp|root|opt|var|work|mnt|private)/", said)
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b|iopub|shell\.execute_reply", said)
    assert "Warning" not in said
