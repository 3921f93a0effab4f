"""The bytes of a file, and its text, without ever holding much of either."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

from lrscout.core.errors import LogError
from lrscout.logs.limits import MOST_BYTES, MOST_CHARACTERS
from lrscout.logs.names import shown

_CHUNK = 1 << 18
"""Bytes of a piece; as text, where each may become four characters, it is no longer than a line may be."""

_FIRST = 1 << 16

_BEGINNINGS = {
    b"\x1f\x8b": "compressed with gzip",
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "a zip archive",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ\x00": "compressed with xz",
    b"(\xb5/\xfd": "compressed with zstd",
    b"\x04\x22\x4d\x18": "compressed with lz4",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"%PDF": "a PDF document",
    b"\x89HDF": "an HDF5 file",
    b"PAR1": "a Parquet file",
    b"\x93NUMPY": "a NumPy array",
    b"SQLite format 3": "an SQLite database",
    b"\x80\x02}": "a pickle",
    b"\x80\x04\x95": "a pickle",
    b"\x80\x05\x95": "a pickle",
    b"\x7fELF": "a program",
}
"""How files begin that people may take for logs, and what they are."""

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # Before UTF-16, whose mark it begins with.
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1a\x1b"))
"""Bytes that no text has. An escape may stand in what a terminal was shown, and old editors end a file with 0x1A."""


class Bytes:
    """A stream of bytes that counts what is read and knows how it begins.

    Args:
        stream: the stream; read once, from where it stands to its end.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.beginning = self._unread = self._read(_FIRST)
        self._count = len(self.beginning)

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer only at the end.

        Raises:
            LogError: there are too many.
        """
        taken, self._unread = self._unread[:size], self._unread[size:]
        if len(taken) < size:
            more = self._read(size - len(taken))
            self._count += len(more)
            taken += more
        if self._count > MOST_BYTES:
            raise LogError(too_large())
        return taken

    def _read(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size and (part := self._stream.read(size)):  # A pipe may give less than it is asked for.
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def too_large() -> str:
    """Return what is wrong with a file above the limit."""
    return f"It is larger than {MOST_BYTES >> 30} GiB, which is the most that is read. Keep every tenth row."


def text_of(source: Bytes) -> Iterator[str]:
    """Yield the text of a file in pieces, with line feeds at the ends of lines.

    Args:
        source: the file; UTF-8, or UTF-16 or UTF-32 that can be told by a mark or by its zeros. Bytes that are no
            UTF-8, as in a comment in another encoding, are kept as ``\\xe9``.

    Raises:
        LogError: it is no text, or too long.
    """
    encoding = _encoding_of(source.beginning)
    # What cannot be decoded in UTF-16 has lost its step, and the rest would be gibberish.
    errors = "backslashreplace" if encoding.startswith("utf-8") else "strict"
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(errors), translate=True)
    place = 0
    while chunk := source.read(_CHUNK):
        try:
            text = decoder.decode(chunk)
        except UnicodeError:
            raise LogError(f"It begins as {encoding.upper()} and holds bytes that are not, after {place:,}.") from None
        if "\0" in text:
            raise LogError(
                f"It holds zero bytes after byte {place:,}, so it is no text, or was not written to its end."
            )
        place += len(chunk)
        yield text
    try:
        yield decoder.decode(b"", final=True)
    except UnicodeError:
        raise LogError(f"It ends in the middle of a character of {encoding.upper()}.") from None


def lines_of(pieces: Iterator[str]) -> Iterator[list[str]]:
    """Yield the lines of a text, many at a time, without their line feeds.

    Raises:
        LogError: a line is too long.
    """
    rest = ""
    for piece in pieces:
        lines = (rest + piece).split("\n")
        # A piece is hardly longer than the longest line, so what matters is the line that goes on from piece to piece.
        _check_line(lines[0])
        rest = lines.pop()
        _check_line(rest)
        yield lines
    yield [rest]


def _check_line(line: str) -> None:
    if len(line) > MOST_CHARACTERS:
        raise LogError(
            f"A line, which begins with {shown(line[:20])!r}, is longer than {MOST_CHARACTERS:,} characters, which is "
            "the most that is read."
        )


def _encoding_of(beginning: bytes) -> str:
    """Return the encoding of a text, told by its first bytes."""
    for start, kind in _BEGINNINGS.items():
        if beginning.startswith(start):
            raise LogError(_not_text(kind))
    for mark, encoding in _MARKS.items():
        if beginning.startswith(mark):
            return encoding
    even, odd = beginning[::2].count(0), beginning[1::2].count(0)
    # Text of Western letters in UTF-16 has a zero beside every letter, always on the same side.
    if len(beginning) >= 4 and max(even, odd) > 0.4 * len(beginning) / 2 and min(even, odd) < 0.01 * len(beginning):
        return "utf-16-be" if even > odd else "utf-16-le"
    control = next((byte for byte in beginning if byte in _CONTROLS), None)
    if control is not None:
        raise LogError(
            f"It is binary, not text: byte {beginning.index(control):,} is 0x{control:02X}. "
            "Give a CSV, JSON or TensorBoard event file."
        )
    return "utf-8"


def _not_text(kind: str) -> str:
    if "compressed" in kind or "archive" in kind:
        return (
            f"It is {kind}. Compressed files are not opened, since what comes out of them has no bound: unpack it "
            "first, or pipe it to lrscout diagnose -."
        )
    return f"It is {kind}, not a log. Give a CSV, JSON or TensorBoard event file."
