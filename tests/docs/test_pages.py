"""The documents' code runs, and their numbers are the ones that come out."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import keras
import pytest

import lrscout
from lrscout.lesson.engines import make_engine
from lrscout.lesson.lr_map import lesson_map
from lrscout.lesson.problem import sample_problem
from lrscout.lesson.story import STEPS, tell
from tests.docs.reading import ROOT, blocks_of, read, run


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


def test_the_three_forms_of_a_step_in_pytorch() -> None:
    names: dict = {}
    exec(blocks_of("docs/frameworks/torch.md")[1], names)
    assert [loop.step(1e-3) > 0 for loop in names["loops"]] == [True] * 3


@pytest.mark.parametrize("page", ["tensorflow", "keras"])
def test_the_answers_of_tensorflow_and_keras(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    keras.utils.set_random_seed(1)  # Where the page's small models begin is left to chance.
    exec(blocks_of(f"docs/frameworks/{page}.md")[1], {})
    assert capsys.readouterr().out.startswith("Use a learning rate of ")


def test_functions_come_home_as_their_page_tries() -> None:
    names: dict = {"__name__": "page"}
    for code in blocks_of("docs/frameworks/functions.md"):
        exec(code, names)
    assert len(set(names["first"])) == 5


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "frameworks").glob("*.md")), ids=lambda path: path.stem)
def test_a_whole_example_is_the_script_in_examples(page: Path) -> None:
    """What the script says when it runs is compared with the page in `tests/examples/test_scripts.py`."""
    script = ROOT / "examples" / f"{page.stem}_digits.py"
    assert blocks_of(f"docs/frameworks/{page.name}")[0] == script.read_text(encoding="utf-8")


def test_every_framework_has_a_page() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "frameworks").glob("*.md")}
    called = {name.removeprefix("from_") for name in lrscout.__all__ if name.startswith("from_")}
    assert pages == called - {"trainer"} | {"transformers"}
    overview = read("docs/frameworks.md")
    assert all(f"(frameworks/{page}.md" in overview for page in pages)


def test_blocks_that_are_only_read_are_python() -> None:
    """Blocks that are set in, since they need what only the reader has."""
    compiled = 0
    for page in sorted((ROOT / "docs").rglob("*.md")):
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.MULTILINE):
            code = textwrap.dedent(block).strip()
            if re.search(r"^from |^lrscout\.|=", code) and "..." not in code:
                compile(code, str(page), "exec")
                compiled += 1
    assert compiled >= 5


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


@pytest.mark.parametrize(
    "document", [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], ids=lambda path: str(path.relative_to(ROOT))
)
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        assert link.startswith("https://") or (document.parent / link).exists(), link


def test_the_science_quotes_the_benchmark() -> None:
    """In round numbers, which stay when the benchmark is run again, from the first table of its page."""
    lines = [line.split("|") for line in read("docs/benchmark.md").splitlines() if line.count("|") > 8]
    rows = {cells[1].strip(): cells for cells in reversed(lines)}
    told = " ".join(read("docs/science.md").partition("## What the benchmark showed")[2].split())
    assert "comes to three and a half times the floor" in told
    assert float(rows["lrscout 0.5"][3]) == pytest.approx(3.5, abs=0.25)
    assert "at eleven times the floor" in told
    assert round(float(rows["fastai minimum"][3])) == 11
    assert "off by fifteen octaves at the median" in told
    assert rows["Lightning"][6].strip()[1:].startswith("15")


def test_make_has_every_target_that_the_documents_name() -> None:
    written = "".join(path.read_text(encoding="utf-8") for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    named = set(re.findall(r"`make (\w+)`|^make (\w+)", written, re.MULTILINE))
    targets = set(re.findall(r"^(\w+):", read("Makefile"), re.MULTILINE))
    assert {name for pair in named for name in pair if name} <= targets
