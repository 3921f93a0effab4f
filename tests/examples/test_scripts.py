"""The scripts in `examples/`: each runs as it stands, and each loop of theirs from the command line."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import keras
import pytest
from typer.testing import CliRunner

from lrscout.cli.app import main
from tests.docs.reading import ROOT, assert_agrees, blocks_of

SCRIPTS = sorted(path for path in (ROOT / "examples").glob("*.py") if path.stem != "edge_of_stability")
LOOPS = {"torch_adversarial": ("generator_loop", "critic_loop")}

if keras.backend.backend() != "tensorflow":
    SCRIPTS = [script for script in SCRIPTS if script.stem.startswith("keras")]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_runs_as_it_stands(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(script), run_name="__main__")
    printed = capsys.readouterr()
    assert "Use a learning rate of" in printed.out
    assert not printed.err
    page = f"docs/frameworks/{script.stem.removesuffix('_digits')}.md"
    if (ROOT / page).exists() and keras.backend.backend() == "tensorflow":
        assert_agrees(blocks_of(page, "text")[0], printed.out)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_scripts_loops_run_from_the_command_line(script: Path) -> None:
    for name in LOOPS.get(script.stem, ("loop",)):
        result = CliRunner().invoke(main, ["range-test", f"{script}:{name}", "--json", "--repeats", "3"])
        assert result.exit_code == 0, result.output
        assert 1e-4 < json.loads(result.stdout)["suggested_lr"] < 1
