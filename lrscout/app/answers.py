"""What the server answers: JSON without NaN, and refusals in one sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from lrscout.core.result import jsonable

MALFORMED = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What may be raised by reading what a store holds under a name: whoever may write to it may write anything."""


NOT_AMISS = 200
"""The status of a refusal that a reader of the page meets without doing anything wrong, such as a log that holds no
losses. A browser writes every other one down as an error of the page."""


class RefusedError(Exception):
    """A request that is not granted.

    Args:
        status: the HTTP status; `NOT_AMISS` where the request was as it should be.
        sentence: why, for the one who asked.
        more: what else to tell them.
    """

    def __init__(self, status: int, sentence: str, **more: Any) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.more = more


def answer(data: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return data as JSON; a number that is not finite is null.

    Args:
        data: lists, numbers, strings, NumPy's arrays.
        status: the HTTP status.
        headers: further headers.
    """
    # Escaped to ASCII and with no "<", it is harmless even to a reader who takes it for something else.
    text = json.dumps(jsonable(data), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return Response(text, status, headers, media_type="application/json")


def refused(request: Request, error: Exception) -> Response:
    """Return the answer to a request that is not granted."""
    assert isinstance(error, RefusedError)
    return answer({"error": error.sentence, **error.more}, error.status)
