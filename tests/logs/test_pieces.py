"""Where a file falls into pieces changes nothing of what is read."""

from __future__ import annotations

import json
from io import BytesIO

from hypothesis import given, settings
from hypothesis import strategies as st

from lrscout.logs.json_text import JsonText
from lrscout.logs.text import Bytes, lines_of, text_of

numbers = st.floats(allow_nan=False) | st.integers(-(2**53), 2**53) | st.sampled_from([1e-05, 1.5e300, -2e-8])
values = st.recursive(
    numbers | st.none() | st.booleans() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
sizes = st.integers(1, 9)


def pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


@settings(max_examples=150, deadline=None)
@given(
    expected=st.lists(values, max_size=8) | st.lists(numbers, max_size=30), size=sizes, indent=st.none() | st.just(1)
)
def test_an_array(expected: list, size: int, indent: int | None) -> None:
    text = JsonText(iter(pieces(json.dumps(expected, indent=indent), size)))
    assert list(text.elements()) == expected
    text.end()


@settings(max_examples=100, deadline=None)
@given(expected=st.dictionaries(st.text(max_size=5), st.lists(numbers, max_size=9) | values, max_size=5), size=sizes)
def test_an_object(expected: dict, size: int) -> None:
    text = JsonText(iter(pieces(json.dumps(expected), size)))
    found = {key: list(text.elements()) if text.peek() == "[" else text.value() for key in text.members()}
    text.end()
    assert found == expected


@settings(max_examples=100, deadline=None)
@given(lines=st.lists(st.text("ab é,0", max_size=9), min_size=1, max_size=9), size=sizes)
def test_lines(lines: list[str], size: int) -> None:
    found = [line for part in lines_of(iter(pieces("\n".join(lines), size))) for line in part]
    assert found == lines


class Trickle(BytesIO):
    """A pipe that gives a few bytes at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(3 if size is None or size < 0 else min(size, 3))


@settings(max_examples=100, deadline=None)
@given(
    text=st.text(
        st.characters(exclude_characters="\0", exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t"), min_size=1
    ),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
)
def test_text_in_any_encoding_from_a_pipe(text: str, encoding: str) -> None:
    assert "".join(text_of(Bytes(Trickle(text.encode(encoding))))) == text.removeprefix("\ufeff")
