"""The records of which TensorBoard's event files are made.

A record is its length in 8 bytes, the checksum of these in 4, the data, and their checksum in 4, all with the lowest
byte first. The checksum is CRC-32C, turned right by 15 bits and added to a constant
(https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from lrscout.core.errors import LogError
from lrscout.logs.limits import MOST_BYTES, MOST_BYTES_OF_RECORD
from lrscout.logs.text import Bytes

if TYPE_CHECKING:
    from jaxtyping import Bool, Int, UInt32

_HEADER, _FOOTER = 12, 4
_PIECE = 1 << 20
_POLYNOMIAL = 0x82F63B78
_CHECKED = 4096
"""Data longer than this are no scalars, and their checksum is left alone, since it is taken a byte at a time."""


def records_of(source: Bytes) -> Iterator[list[bytes]]:
    """Yield the data of an event file's records, many at a time, without those too long to be scalars.

    Args:
        source: the file.

    Raises:
        LogError: the file ends in the middle of a record or a checksum is wrong, once everything before is yielded.
    """
    window, number = b"", 0
    while True:
        starts, end = _whole_records(window)
        data, good = _intact_records(window, starts)
        yield data
        number += len(data)
        if not good:
            raise LogError(_corrupted(number))
        window = window[end:]
        length = _length_at(window, 0)
        if len(window) >= _HEADER and length > MOST_BYTES_OF_RECORD:
            # A wrong length leads anywhere, so it is believed only with its checksum if it leads far.
            if length > MOST_BYTES or not _intact(window, np.zeros(1, int), np.array([_HEADER])).all():
                raise LogError(_corrupted(number))
            window = _after(source, window, _HEADER + length + _FOOTER, number)
            number += 1
        elif piece := source.read(_PIECE):
            window += piece
        elif window:
            raise LogError(_cut_off(number))
        else:
            return


def _whole_records(window: bytes) -> tuple[list[int], int]:
    """Return where the records begin that a window holds as a whole, up to one too long, and where the last ends."""
    starts: list[int] = []
    at = 0
    while at + _HEADER <= len(window):
        length = _length_at(window, at)
        end = at + _HEADER + length + _FOOTER
        if length > MOST_BYTES_OF_RECORD or end > len(window):
            break
        starts.append(at)
        at = end
    return starts, at


def _intact_records(window: bytes, starts: list[int]) -> tuple[list[bytes], bool]:
    """Return the data of the records before the first that is corrupted, and whether there is none."""
    if not starts:
        return [], True
    begins = np.array(starts)
    ends = begins + _HEADER + np.array([_length_at(window, start) for start in starts]) + _FOOTER
    good = _intact(window, begins, begins + _HEADER)
    short = ends - begins <= _CHECKED
    good[short] &= _intact(window, begins[short] + _HEADER, ends[short])
    count = len(starts) if good.all() else int(np.argmin(good))
    places = zip((begins[:count] + _HEADER).tolist(), (ends[:count] - _FOOTER).tolist(), strict=True)
    return [window[begin:end] for begin, end in places], count == len(starts)


def _length_at(window: bytes, at: int) -> int:
    return int.from_bytes(window[at : at + 8], "little")


def _after(source: Bytes, window: bytes, length: int, number: int) -> bytes:
    """Pass a record with which the window begins, and return what follows it in the window."""
    length, window = length - len(window[:length]), window[length:]
    while length:
        part = source.read(min(length, _PIECE))
        if not part:
            raise LogError(_cut_off(number))
        length -= len(part)
    return window


def _intact(
    window: bytes, begins: Int[np.ndarray, " part"], ends: Int[np.ndarray, " part"]
) -> Bool[np.ndarray, " part"]:
    """Return for each part of a window whether its last 4 bytes are the checksum of those before."""
    flat = np.frombuffer(window, np.uint8)
    claimed = flat[ends[:, None] - 4 + np.arange(4)].astype(np.uint8).view("<u4")[:, 0]
    crc = crc32c(window, begins, ends - 4)
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8) == claimed


def crc32c(
    window: bytes, begins: Int[np.ndarray, " part"], ends: Int[np.ndarray, " part"]
) -> UInt32[np.ndarray, " part"]:
    """Return the CRC-32C of many parts of a window, a byte of all of them at a time.

    Args:
        window: the bytes.
        begins: where the parts begin.
        ends: where they end.

    >>> [hex(crc) for crc in crc32c(b"123456789", np.array([0, 4]), np.array([9, 4]))]
    ['0xe3069283', '0x0']
    """
    lengths = ends - begins
    order = np.argsort(-lengths, kind="stable")
    flat = np.frombuffer(window, np.uint8)
    begins = begins[order]
    crc = np.full(len(begins), 0xFFFFFFFF, np.uint32)
    for place, going in enumerate(_going(lengths)):
        crc[:going] = _TABLE[(crc[:going] ^ flat[begins[:going] + place]) & 0xFF] ^ (crc[:going] >> np.uint32(8))
    found = np.empty_like(crc)
    found[order] = ~crc
    return found


def _going(lengths: Int[np.ndarray, " part"]) -> list[int]:
    """Return for each place how many parts are longer than it."""
    return (len(lengths) - np.cumsum(np.bincount(lengths)))[:-1].tolist()


def _table() -> UInt32[np.ndarray, 256]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


_TABLE = _table()


def _corrupted(before: int) -> str:
    return f"It is corrupted after {before:,} records: a checksum does not match."


def _cut_off(before: int) -> str:
    return f"It ends in the middle of record {before + 1:,}, as when a run is killed."
