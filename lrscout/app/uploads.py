"""The body of a request: one file, counted while it comes in."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from lrscout.app.answers import RefusedError

MOST_BYTES = 8 << 20
"""Bytes of a file."""

_MOST_DISCARDED = 64 << 20
"""Bytes that are taken in and not kept: a browser reads no answer before it has sent its whole file."""

_KIND = "application/octet-stream"
_TOO_LARGE = (
    f"The file is larger than {MOST_BYTES >> 20} MiB. Give it to the command lrscout diagnose, which reads more."
)


async def body_of(request: Request) -> bytes:
    """Return the body of a request.

    Args:
        request: the request.

    Raises:
        RefusedError: it is of another kind, too large, or does not come to its end.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # A form of another site may be sent as a few kinds without asking; this is none of them.
    if kind != _KIND:
        raise RefusedError(415, f"Send the file itself, as {_KIND}.")
    _check_length(request.headers.get("content-length", "0"))
    received, count = bytearray(), 0
    try:
        async for piece in request.stream():
            count += len(piece)
            if count <= MOST_BYTES:
                received += piece
            elif count > _MOST_DISCARDED:
                break
    except ClientDisconnect:
        raise RefusedError(400, "The file did not come to its end.") from None
    if count > MOST_BYTES:
        raise RefusedError(413, _TOO_LARGE)
    return bytes(received)


def _check_length(told: str) -> None:
    if not (told.isascii() and told.isdigit()):
        raise RefusedError(400, "Content-Length must be a number of bytes.")
    # Compared by its digits first, since numbers of thousands of them are work.
    if len(told.lstrip("0")) > len(str(_MOST_DISCARDED)) or int(told) > _MOST_DISCARDED:
        raise RefusedError(413, _TOO_LARGE)
