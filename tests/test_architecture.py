"""The plan of the house, held."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lrscout

PACKAGE = Path(lrscout.__file__).parent
FLOORS = {
    "core": 1,
    "analyse": 2,
    "logs": 2,
    "loops": 2,
    "runners": 3,
    "store": 3,
    "measure": 4,
    "callbacks": 5,
    "lesson": 5,
    "examples": 5,
    "pictures": 5,
    "app": 6,
    "cli": 7,
}
NEIGHBOURS = {("pictures", "lesson"), ("examples", "lesson")}
"""Rooms of one floor that may look at each other: the pictures draw the lesson, and its loop is an example."""

FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)


def imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_from_floors_below_it(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0]
    for name in imports(path):
        if name.startswith("lrscout."):
            other = name.split(".")[1]
            allowed = other == room or FLOORS[other] < FLOORS[room] or (room, other) in NEIGHBOURS
            assert allowed, f"{room} (floor {FLOORS[room]}) imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_fits_in_one_head(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


FRONTEND = Path(__file__).parents[1] / "frontend" / "src"
FRONTEND_FLOORS = {"kit": 1, "pictures": 2, "lesson": 3, "studies": 3, "diagnose": 3, "styles": 3}
"""The rooms of the page, as frontend/README.md has them; what lies beside them are the homes of the module."""

HOMES = 4
FRONTEND_FILES = sorted(path for path in FRONTEND.rglob("*") if path.suffix in (".ts", ".css", ".html"))
IMPORT = re.compile(r"""(?:\bfrom|\bimport|@import)\s*\(?\s*["'](\.[^"']*)["']""")


def room_of(path: Path) -> str:
    """Return the room that a file of the page lies in, or the file's own name where it is one of the homes."""
    return path.relative_to(FRONTEND).parts[0]


@pytest.mark.parametrize("path", FRONTEND_FILES, ids=lambda path: str(path.relative_to(FRONTEND)))
def test_a_room_of_the_page_imports_only_from_the_rooms_above_it(path: Path) -> None:
    room = room_of(path)
    for name in IMPORT.findall(path.read_text(encoding="utf-8")):
        other = room_of((path.parent / name).resolve())
        # The page is also the widget, so of the two homes it may look at the other.
        here, there = (FRONTEND_FLOORS.get(one, HOMES) for one in (room, other))
        allowed = other == room or there < here or (room, other) == ("page.ts", "widget")
        assert allowed, f"{room} imports {name}"


@pytest.mark.parametrize("path", FRONTEND_FILES, ids=lambda path: str(path.relative_to(FRONTEND)))
def test_a_file_of_the_page_fits_in_one_head(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_the_imports_of_the_page_are_seen() -> None:
    text = (FRONTEND / "page.ts").read_text(encoding="utf-8")
    assert {"./styles/page.css", "./lesson/lesson", "./kit/element"} <= set(IMPORT.findall(text))
    assert "./tokens.css" in IMPORT.findall((FRONTEND / "styles" / "page.css").read_text(encoding="utf-8"))


def modules_after(code: str) -> set[str]:
    printed = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(printed.stdout.split())


HEAVY = {
    "torch",
    "jax",
    "tensorflow",
    "keras",
    "sklearn",
    "matplotlib",
    "rich",
    "typer",
    "optax",
    "jaxtyping",
    "ray",
    "sqlalchemy",
}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not HEAVY & modules_after("import lrscout")


def test_measuring_a_loop_of_functions_loads_nothing_heavy() -> None:
    code = "import lrscout; lrscout.range_test; lrscout.sweep; lrscout.from_functions; lrscout.suggest"
    assert not HEAVY & modules_after(code)


def test_an_adapter_loads_its_own_framework_only() -> None:
    assert not {"jax", "tensorflow", "keras", "matplotlib"} & modules_after("import lrscout; lrscout.from_torch")
    assert not {"torch", "tensorflow", "keras", "matplotlib"} & modules_after("import lrscout; lrscout.from_jax")


def test_every_public_name_leads_somewhere() -> None:
    for name in lrscout.__all__:
        assert getattr(lrscout, name).__doc__
    assert set(lrscout.__all__) <= set(dir(lrscout))
    with pytest.raises(AttributeError, match="no attribute 'fastest'"):
        _ = lrscout.fastest
