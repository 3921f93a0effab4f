"""The picture of a result inside a page: one element, with everything in it."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from io import BytesIO

from lrscout.pictures import figure_of

_DPI = 72
"""Enough to read it at the width of a notebook, in some tens of kilobytes, or twice a hundred for a surface."""


def image_of(result: object) -> str:
    """Return the picture of a result as an ``<img>`` that needs no other file.

    Args:
        result: the result.

    Raises:
        InvalidValueError: there is no picture of such a result.
    """
    content = BytesIO()
    # Without its software's name and version, equal pictures are equal bytes.
    figure_of(result).savefig(content, format="png", dpi=_DPI, metadata={"Software": None})  # pyright: ignore[reportUnknownMemberType]
    kind = escape(type(result).__name__)
    data = b64encode(content.getvalue()).decode("ascii")
    return f'<img alt="The picture of the {kind}; its sentences follow." src="data:image/png;base64,{data}">'
