"""The documents' code runs, and their numbers are the ones that come out."""

from __future__ import annotations

import re
from pathlib import Path

import keras
import matplotlib
import pytest

from lrscout.lesson.engines import make_engine
from lrscout.lesson.lr_map import lesson_map
from lrscout.lesson.problem import sample_problem
from lrscout.lesson.story import STEPS, tell

ROOT = Path(__file__).parent.parent


def blocks_of(document: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)


def run(codes: list[str], names: dict, *, steps: int | None = None) -> None:
    """Run code as one program, with a sweep of 1000 steps cut down to fewer."""
    matplotlib.use("agg")
    for code in codes:
        exec(code if steps is None else re.sub(r"\b1000\b", str(steps), code), names)
    matplotlib.pyplot.close("all")


@pytest.mark.parametrize(
    ("code", "answer"),
    list(zip(blocks_of("README.md"), ["For 400 steps with linear decay use a peak", "Use a"], strict=False)),
    ids=["torch", "jax"],
)
def test_the_readmes_code_runs(code: str, answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    run([code], {})
    assert capsys.readouterr().out.startswith(f"{answer} learning rate of ")


def test_the_readmes_map_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict = {}
    run(blocks_of("README.md")[1:], names, steps=100)
    assert "\nFor 100 steps use a learning rate of " in capsys.readouterr().out
    assert names["lr_map"].runner == "fleet"
    assert names["lr_map"].notes == ()


def test_the_pages_of_the_map_and_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run(blocks_of("docs/map.md"), {}, steps=100)
    out = capsys.readouterr().out
    assert out.startswith("For 100 steps use a learning rate of ")
    assert not list(tmp_path.iterdir())
    run(blocks_of("docs/store.md"), {}, steps=100)
    assert capsys.readouterr().out == "digits True 72\n"


def test_the_page_of_the_recommendation(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict = {}
    run(blocks_of("docs/find.md"), names, steps=200)
    out = capsys.readouterr().out
    assert out.startswith("For 200 steps with linear decay use a peak learning rate of ")
    assert out.endswith("True\n")
    lr, schedule = names["recommendation"].lr, names["recommendation"].schedule
    assert names["recommendation"].steps == names["scheduler"].last_epoch == 80
    assert names["scheduler"].get_last_lr() == pytest.approx([lr * schedule(80)])
    assert f"[{lr}]" in out
    assert len(names["lrs"]) == 200


def test_the_monitors_page_says_what_comes_out(capsys: pytest.CaptureFixture[str]) -> None:
    keras.utils.set_random_seed(0)
    loop, callback = blocks_of("docs/monitor.md")
    exec(loop, {})
    written = (ROOT / "docs" / "monitor.md").read_text(encoding="utf-8").partition("```text\n")[2].partition("```")[0]
    assert capsys.readouterr().out.split() == written.split()
    exec(callback, {})
    assert ": diverging: " in capsys.readouterr().out


def test_the_pages_of_the_curvature_and_of_the_surface(capsys: pytest.CaptureFixture[str]) -> None:
    run(blocks_of("docs/curvature.md"), {})
    out = capsys.readouterr().out
    written = (ROOT / "docs" / "curvature.md").read_text(encoding="utf-8")
    for sentence in ("The sharpness is 5.5", "gradient descent with momentum 0.9 is stable below lr 3.8 / 5.5"):
        assert sentence in out
        assert sentence in written
    run(
        [
            code.replace("steps=100", "steps=20").replace("range(100)", "range(5)")
            for code in blocks_of("docs/surface.md")
        ],
        {},
    )
    assert "The loss over the two principal directions of the path" in capsys.readouterr().out


def test_the_page_of_the_guard(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict = {}
    run(blocks_of("docs/guard.md"), names)
    assert names["run"].curve.steps == 300
    assert names["run"].rollbacks
    assert names["guard"].factor < 1
    assert float(names["loss"].detach()) < 0.1
    assert " and on from there at lr " in capsys.readouterr().out


def test_the_page_of_the_cluster_is_python() -> None:
    for code in blocks_of("docs/cluster.md"):
        compile(code, "docs/cluster.md", "exec")


def test_the_three_forms_of_a_step_on_the_frameworks_page() -> None:
    names: dict = {}
    exec(blocks_of("docs/frameworks.md")[0], names)
    assert [loop.step(1e-3) > 0 for loop in names["loops"]] == [True] * 3


@pytest.mark.parametrize("code", blocks_of("docs/frameworks.md")[1:], ids=["tensorflow", "keras"])
def test_the_answers_on_the_frameworks_page(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    keras.utils.set_random_seed(1)  # Where the page's small models begin is left to chance.
    exec(code, {})
    assert capsys.readouterr().out.startswith("Use a learning rate of ")


def test_the_lessons_table_is_the_one_that_comes_out() -> None:
    story = tell(sample_problem(), make_engine("jax", sample_problem()))
    written = (ROOT / "docs" / "lesson.md").read_text(encoding="utf-8")
    for lr, words in story.table:
        assert f"| {lr:g} | {' | '.join(words)} |\n" in written
    assert len(STEPS) == 6


def test_the_lessons_map_has_the_edge_that_comes_out() -> None:
    problem = sample_problem()
    shown = lesson_map(problem, make_engine("numpy", problem), steps=100)
    written = (ROOT / "docs" / "lesson.md").read_text(encoding="utf-8")
    best = [best.lr for best in shown.lr_map.frontier() if best.steps in (1, 24)]
    numbers = [f"{edge:.3f}" for edge in shown.edge if edge is not None] + [
        f"{lr:.2f}" for lr in best if lr is not None
    ]
    assert len(numbers) == 4
    assert all(number in written.partition("## 10.")[2] for number in numbers)


@pytest.mark.parametrize("document", [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")], ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        assert link.startswith("https://") or (document.parent / link).exists(), link
