"""The assets of the page: a fixed table of them, so that no name of a request is ever a path."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import Response

from lrscout.app.answers import RefusedError
from lrscout.core.errors import MissingDependencyError

BUILD = "node frontend/build.mjs"
"""The command that makes the assets, from the root of the repository."""

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    "index.html": "text/html",
    "lrscout.js": "text/javascript",
    "lrscout.css": "text/css",
}


def asset(name: str) -> str:
    """Return the text of an asset.

    Args:
        name: its name in the table.

    Raises:
        KeyError: there is none of this name.
        MissingDependencyError: the assets are not built.
    """
    if name not in _TYPES:
        raise KeyError(name)
    try:
        return (_FOLDER / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MissingDependencyError(not_built()) from None


def asset_response(name: str) -> Response:
    """Return an asset as an answer.

    Args:
        name: its name in the table.

    Raises:
        RefusedError: there is none of this name, or the assets are not built.
    """
    try:
        return Response(asset(name), media_type=_TYPES[name])
    except KeyError:
        raise RefusedError(404, "There is no such asset.") from None
    except MissingDependencyError as error:
        raise RefusedError(404, str(error)) from error


def are_built() -> bool:
    """Return whether every asset is there."""
    return all((_FOLDER / name).is_file() for name in _TYPES)


def not_built() -> str:
    """Return what to do where an asset is missing, which never happens to an installed wheel."""
    return f"The front end is not built. Build it in a clone of the repository with: {BUILD}"
