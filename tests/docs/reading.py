"""What stands in the documents: their code, their commands, their answers, and the numbers in them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks_of(document: str, language: str = "python") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", read(document), re.DOTALL | re.MULTILINE)


def commands_of(text: str) -> list[list[str]]:
    """Return the commands of a console block, each as its words."""
    lines = [shlex.split(line, comments=True) for line in text.splitlines()]
    return [words for words in lines if words]


def run(codes: list[str], names: dict, *, steps: int | None = None) -> None:
    """Run code as one program, with a sweep of 1000 steps cut down to fewer."""
    for code in codes:
        exec(code if steps is None else re.sub(r"\b1000\b", str(steps), code), names)


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(rf"{_NUMBER}|\bnan\b|-?\binf\b", text)]


def assert_agrees(written: str, said: str) -> None:
    """Hold the first sentence of a written answer to what was said: its words exactly, its numbers roughly.

    Numbers differ between processors, which round in another order; what follows from them may be another sentence.
    """
    first = re.split(r"\. (?=[A-Z])|: |\.$", " ".join(written.split()))[0]
    pattern = f"({_NUMBER})".join(re.escape(words) for words in re.split(_NUMBER, first))
    found = re.search(pattern, " ".join(said.split()))
    assert found, f"{first!r} is not what was said: {said}"
    for expected, number in zip(numbers(first), found.groups(), strict=True):
        assert float(number) == pytest.approx(expected, rel=0.5), first


def assert_installs(command: list[str]) -> None:
    """Run a command as it stands, but without a network: it stops before it would download or change anything."""
    offline = ["--dry-run", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    done = subprocess.run(
        [sys.executable, "-m", *command, *offline], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "does not provide" not in done.stderr
    assert "Would install lrscout" in done.stdout
