"""Arrays come back with the bits that went in, are small, and tell when they are damaged."""

from __future__ import annotations

import math
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lrscout.core.errors import InvalidValueError, StoreError
from lrscout.store.arrays import decode, encode

NUMBERS = st.one_of(
    hnp.floating_dtypes(sizes=(16, 32, 64)),
    hnp.integer_dtypes(),
    hnp.unsigned_integer_dtypes(),
    hnp.boolean_dtypes(),
)


def bits(array: np.ndarray) -> tuple:
    return array.dtype.newbyteorder("="), array.shape, array.astype(array.dtype.newbyteorder("=")).tobytes()


@given(hnp.arrays(NUMBERS, hnp.array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=20)))
def test_the_bits_that_went_in_come_out(array: np.ndarray) -> None:
    assert bits(decode(encode(array))) == bits(array)


@given(hnp.arrays(np.float64, st.integers(0, 50), elements=st.floats(width=32)))
def test_losses_of_float32_come_out_as_the_float64_that_they_were(losses: np.ndarray) -> None:
    assert bits(decode(encode(losses))) == bits(losses)


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_any_float64_at_all(patterns: list[int]) -> None:
    array = np.array(patterns, np.uint64).view(np.float64)  # Every NaN with its payload, -0.0, subnormal numbers.
    assert bits(decode(encode(array))) == bits(array)


def test_every_view_of_an_array() -> None:
    array = np.arange(60, dtype=float).reshape(6, 10)
    for view in (array.T, array[::-2, 1::3], np.asfortranarray(array), array[:0], array[2, 3]):
        assert np.array_equal(decode(encode(np.asarray(view))), view)


def test_what_comes_out_can_be_written_to() -> None:
    for array in (np.zeros(3), np.arange(3.0), np.random.default_rng(0).normal(size=3)):
        decode(encode(array))[0] = 7


STEPS = np.arange(1000)
NOISE = np.random.default_rng(0).normal(size=1000)


@pytest.mark.parametrize(
    ("array", "at_most"),
    [
        (np.full(1000, 0.1), 40),
        (np.zeros(1000, bool), 40),
        (0.1 * (1 - STEPS / 1000), 600),
        (0.05 * (1 + np.cos(math.pi * STEPS / 1000)), 2500),
        (np.unique(np.geomspace(1, 1000, 24).astype(int)), 100),
        ((2 + 0.1 * NOISE).astype(np.float32).astype(float), 4000),  # float32 would take 4000 alone.
        (2 + 0.1 * NOISE, 8000),
        (np.random.default_rng(0).integers(0, 2**63, 1000), 8050),  # Nothing can make chance smaller.
    ],
)
def test_blobs_are_small(array: np.ndarray, at_most: int) -> None:
    assert len(encode(array)) <= at_most


@given(st.data())
def test_damage_is_noticed(data: st.DataObject) -> None:
    blob = bytearray(encode(NOISE[:20]))
    place = data.draw(st.integers(0, len(blob) - 1))
    blob[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(StoreError, match="damaged"):
        decode(bytes(blob))


@pytest.mark.parametrize("length", [0, 3, 4, 12, 20, -1])
def test_a_blob_that_was_cut_off(length: int) -> None:
    with pytest.raises(StoreError, match="damaged"):
        decode(encode(NOISE)[:length])


@pytest.mark.parametrize(
    "array", [np.array(["a"]), np.array([None]), np.array([1j]), np.zeros(2, "M8[s]"), np.zeros(2, "g")]
)
def test_what_is_no_plain_number_is_refused(array: np.ndarray) -> None:
    with pytest.raises(InvalidValueError, match="arrays of plain numbers, but this one is of"):
        encode(array)


def test_a_blob_of_a_form_to_come() -> None:
    body = b"LRA9" + encode(NOISE)[4:-4]
    with pytest.raises(StoreError, match="begins with b'LRA9' instead of b'LRA1'"):
        decode(body + struct.pack("<I", zlib.crc32(body)))
