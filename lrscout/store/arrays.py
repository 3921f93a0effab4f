"""Arrays as compact blobs: a header with dtype and shape, the bytes, a checksum. Never a pickle.

What comes back has the bits that went in, NaNs included. A blob is made small in four ways, none of which loses a bit:

- float64 numbers that are all float32 numbers are stored as these, as most losses are;
- an array of one value is stored as that value, as a constant lr is;
- where neighbours are close, as in a schedule, their differences (of differences) as whole numbers are stored;
- the first bytes of all numbers go before their second bytes, which zlib then finds alike.
"""

from __future__ import annotations

import math
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from lrscout.core.errors import InvalidValueError, StoreError

if TYPE_CHECKING:
    from jaxtyping import Shaped, UInt

_MAGIC = b"LRA1"
_HEAD = struct.Struct("<4s3s3sbB")
"""Magic, dtype in memory, dtype in the blob, form, number of dimensions; their lengths and a checksum follow."""

_KINDS = "biuf"
_CONSTANT, _RAW = -1, -2
_ORDERS = (0, 1, 3, 6)
"""The other forms: how often differences are taken. Noise wants none or one, smooth schedules up to six."""


def encode(array: Shaped[np.ndarray, ...]) -> bytes:
    """Return an array as a blob.

    Args:
        array: an array of booleans, whole or real numbers, of any shape.

    Returns:
        The blob.

    Raises:
        InvalidValueError: the array holds something else.

    >>> blob = encode(np.full(1000, 0.1))
    >>> len(blob)
    32
    >>> decode(blob).shape
    (1000,)
    """
    if array.dtype.kind not in _KINDS or array.dtype.itemsize > 8:
        raise InvalidValueError(f"A store keeps arrays of plain numbers, but this one is of {array.dtype}.")
    flat = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1)
    stored = _narrowed(flat)
    form, payload = _smallest(stored)
    head = _HEAD.pack(_MAGIC, flat.dtype.str.encode(), stored.dtype.str.encode(), form, array.ndim)
    body = head + struct.pack(f"<{array.ndim}Q", *array.shape) + payload
    return body + struct.pack("<I", zlib.crc32(body))


def decode(blob: bytes) -> Shaped[np.ndarray, ...]:
    """Return the array of a blob.

    Args:
        blob: what `encode` returned.

    Returns:
        The array, in this machine's byte order.

    Raises:
        StoreError: the blob is damaged.
    """
    body, checksum = blob[:-4], blob[-4:]
    if len(blob) < _HEAD.size + 4 or zlib.crc32(body) != struct.unpack("<I", checksum)[0]:
        raise StoreError(f"An array of {len(blob)} bytes in the store is damaged: its checksum does not fit.")
    magic, dtype, stored, form, dimensions = _HEAD.unpack_from(body)
    if magic != _MAGIC:
        raise StoreError(
            f"An array in the store begins with {magic!r} instead of {_MAGIC!r}, so it is none of lrscout's."
        )
    shape = struct.unpack_from(f"<{dimensions}Q", body, _HEAD.size)
    payload = body[_HEAD.size + 8 * dimensions :]
    flat = _unfolded(payload, form, np.dtype(stored.decode()), math.prod(shape))
    wanted = np.dtype(dtype.decode()).newbyteorder("=")
    return flat.astype(wanted).reshape(shape)


def _narrowed(flat: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    """Return float64 numbers as float32 if that loses no bit."""
    if flat.dtype.str != "<f8":
        return flat
    with np.errstate(all="ignore"):
        narrow = flat.astype("<f4")
        same = np.array_equal(narrow.astype("<f8").view("<u8"), flat.view("<u8"))
    return narrow if same else flat


def _smallest(stored: Shaped[np.ndarray, " n"]) -> tuple[int, bytes]:
    """Return the form of the smallest payload, and the payload."""
    bits = _bits(stored)
    if len(bits) and (bits == bits[0]).all():
        return _CONSTANT, bits[:1].tobytes()
    packed = {order: zlib.compress(_shuffled(_differences(bits, order)), 1) for order in _ORDERS}
    packed[_RAW] = stored.tobytes()
    form = min(packed, key=lambda form: len(packed[form]))
    return form, packed[form]


def _unfolded(payload: bytes, form: int, dtype: np.dtype[Any], count: int) -> Shaped[np.ndarray, " n"]:
    if form == _CONSTANT:
        return np.repeat(np.frombuffer(payload, dtype), count)
    if form == _RAW:
        return np.frombuffer(payload, dtype, count)
    planes = np.frombuffer(zlib.decompress(payload), np.uint8).reshape(dtype.itemsize, count)
    bits = np.ascontiguousarray(planes.T).view(f"<u{dtype.itemsize}").reshape(-1)
    return _sums(bits, form).view(dtype)


def _bits(stored: Shaped[np.ndarray, " n"]) -> UInt[np.ndarray, " n"]:
    return stored.view(f"<u{stored.dtype.itemsize}")


def _shuffled(bits: UInt[np.ndarray, " n"]) -> bytes:
    return bits.view(np.uint8).reshape(-1, bits.dtype.itemsize).T.tobytes()


def _differences(bits: UInt[np.ndarray, " n"], order: int) -> UInt[np.ndarray, " n"]:
    """Return each number less the one before it, `order` times over; small ones of either sign become small ones."""
    if order == 0:
        return bits
    for _ in range(order):
        bits = np.diff(bits, prepend=bits.dtype.type(0))
    signed = bits.view(f"<i{bits.dtype.itemsize}")
    return (bits << 1) ^ (signed >> (8 * bits.dtype.itemsize - 1)).view(bits.dtype)


def _sums(bits: UInt[np.ndarray, " n"], order: int) -> UInt[np.ndarray, " n"]:
    """Undo `_differences`."""
    if order == 0:
        return bits
    bits = (bits >> 1) ^ (0 - (bits & 1))
    for _ in range(order):
        bits = np.cumsum(bits, dtype=bits.dtype)
    return bits
