"""The site builds without a warning, asks nothing of the network, and has every public name in its reference."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import lrscout
from tests.docs.reading import ROOT, read

pytest.importorskip("mkdocs")
pytest.importorskip("mkdocstrings")

LOADING = {"src", "srcset", "data", "poster", "action"}
"""Attributes that make a browser fetch something."""


class Page(HTMLParser):
    """What a page loads, where it leads, and the names of its places."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.places: set[str] = set()
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.places.add(value)
            elif name == "href" and tag == "a":
                self.leads.append(value or "")
            elif name in LOADING or name == "href":
                self.loads.append(value or "")
        if tag in ("script", "style") and "src" not in dict(attrs):
            self.inline.append(tag)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("site")
    building = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", site],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    said = building.stdout + building.stderr
    assert building.returncode == 0, said
    assert "WARNING" not in said, said
    return site


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def test_every_document_is_a_page(pages: dict[Path, Page], site: Path) -> None:
    documents = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert documents <= {path.relative_to(site) for path in pages}
    listed = set(re.findall(r"[\w/]+\.md", read("mkdocs.yml")))
    written = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert listed == written | {"notebook.md"}


def test_nothing_is_asked_of_the_network(pages: dict[Path, Page], site: Path) -> None:
    for path, page in pages.items():
        for address in page.loads:
            assert not re.match(r"(\w+:)?//", address), f"{path.name} loads {address}"
            assert (path.parent / address.partition("#")[0]).exists(), (
                f"{path.name} loads {address}, which is not there"
            )
    for path in [*site.rglob("*.css"), *site.rglob("*.js")]:
        if "search" not in path.parts:
            assert not re.search(r"@import|url\(\s*['\"]?(\w+:)?//|fetch\(", path.read_text(encoding="utf-8")), (
                path.name
            )


def test_links_on_the_site_lead_somewhere(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        for address in page.leads:
            if re.match(r"https?://", address) or path.name == "404.html":
                continue
            file, _, place = address.partition("#")
            target = (path.parent / file).resolve() if file else path
            assert target.exists(), f"{path.name} leads to {address}"
            if place and target in pages:
                assert place in pages[target].places, f"{path.name} leads to {address}"


def test_the_pages_own_parts_are_for_everyone(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        assert not page.inline, f"{path.name} has a script or a style in it"
        text = path.read_text(encoding="utf-8")
        assert '<html lang="en"' in text
        assert text.count("<h1") == 1, path.name
        assert not re.search(r"<img(?![^>]*\balt=)", text), path.name


def test_pictures_are_all_shown(site: Path) -> None:
    written = "".join(path.read_text(encoding="utf-8") for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    for picture in (ROOT / "docs" / "images").rglob("*.png"):
        assert str(picture.relative_to(ROOT / "docs" / "images")) in written, picture.name


@pytest.fixture(scope="module")
def reference(pages: dict[Path, Page], site: Path) -> set[str]:
    return pages[site / "reference.html"].places


@pytest.mark.parametrize("name", lrscout.__all__)
def test_a_public_name_is_in_the_reference(name: str, reference: set[str]) -> None:
    home = lrscout._HOMES[name]
    assert f"lrscout.{home}.{name}" in reference


def imported() -> list[tuple[str, str]]:
    """Return the names that the documents import from within the package."""
    text = "".join(path.read_text(encoding="utf-8") for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    found = re.findall(r"^\s*from (lrscout\.[\w.]+) import ([\w, ]+)", text, re.MULTILINE)
    return sorted({(module, name.strip()) for module, names in found for name in names.split(",")})


@pytest.mark.parametrize(("module", "name"), imported(), ids=" ".join)
def test_a_name_that_the_documents_import_is_in_the_reference(module: str, name: str, reference: set[str]) -> None:
    home = getattr(getattr(importlib.import_module(module), name), "__module__", module)
    assert {f"{module}.{name}", f"{home}.{name}"} & reference


def test_the_reference_shows_examples_as_code(site: Path) -> None:
    text = (site / "reference.html").read_text(encoding="utf-8")
    assert "&gt;&gt;&gt;" in text
    assert "<blockquote>" not in text
