"""The documents' code runs, and their numbers are the ones that come out."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib
import pytest

from lrscout.lesson.engines import make_engine
from lrscout.lesson.problem import sample_problem
from lrscout.lesson.story import STEPS, tell

ROOT = Path(__file__).parent.parent


def blocks_of(document: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("code", blocks_of("README.md"), ids=["torch", "jax"])
def test_the_readmes_code_runs(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    matplotlib.use("agg")
    exec(code, {})
    matplotlib.pyplot.close("all")
    assert capsys.readouterr().out.startswith("Use a learning rate of ")


def test_the_three_forms_of_a_step_on_the_frameworks_page() -> None:
    names: dict = {}
    exec(blocks_of("docs/frameworks.md")[0], names)
    assert [loop.step(1e-3) > 0 for loop in names["loops"]] == [True] * 3


@pytest.mark.parametrize("code", blocks_of("docs/frameworks.md")[1:], ids=["tensorflow", "keras"])
def test_the_answers_on_the_frameworks_page(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(code, {})
    assert capsys.readouterr().out.startswith("Use a learning rate of ")


def test_the_lessons_table_is_the_one_that_comes_out() -> None:
    story = tell(sample_problem(), make_engine("jax", sample_problem()))
    written = (ROOT / "docs" / "lesson.md").read_text(encoding="utf-8")
    for lr, words in story.table:
        assert f"| {lr:g} | {' | '.join(words)} |\n" in written
    assert len(STEPS) == 6


@pytest.mark.parametrize("document", [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")], ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        assert link.startswith("https://") or (document.parent / link).exists(), link
