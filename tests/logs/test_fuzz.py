"""No bytes bring a reader down: what cannot be read is a `LogError`, and what is read is a run."""

from __future__ import annotations

import json
from io import BytesIO

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lrscout.core.errors import LogError
from lrscout.logs.read import FORMATS, read_log
from tests.logs.malformed import GOOD, events

ROWS = [{"step": step, "loss": 0.5**step, "lr": 0.1, "val_loss": None, "seed": step % 2} for step in range(6)]
COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}
SEEDS = [
    GOOD.encode(),
    GOOD.replace(",", ";").replace(".", ",").encode("utf-16"),
    b"epoch,step,seed,train_loss_step,val_loss,lr-SGD\n0,0,1,0.5,,\n0,0,1,,0.25,\n,1,2,,,0.1\n1,1,2,nan,,\n",
    "".join(json.dumps(row) + "\n" for row in ROWS).encode(),
    json.dumps(ROWS, indent=1).encode(),
    json.dumps(COLUMNS).encode(),
    json.dumps({"epoch": 1.0, "log_history": ROWS, "best": None}).encode(),
    events(6),
]
PIECES = [
    b"",
    b'"',
    b",",
    b";",
    b"\n",
    b"\t",
    b"[",
    b"]",
    b"{",
    b"}",
    b":",
    b"\0",
    b"\xff",
    b"-",
    b"1e999",
    b"NaN",
    b"null",
]
PIECES += [
    b"loss",
    b"step",
    b"seed",
    b"epoch",
    b"0.5",
    b"1_0",
    b"#",
    b"9" * 30,
    b'{"loss":',
    b'"log_history":[',
    b"\\ud800",
]
PIECES += ["\u0661".encode(), b"\xef\xbb\xbf", b"\xff\xfe", b" ", b"\r", b"true", b"\x1f\x8b", b"brain.Event:"]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A file of some format with pieces put in, taken out, repeated and changed."""
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        piece = draw(st.sampled_from(PIECES) | st.binary(max_size=6) | st.just(data[start:end] * 2))
        data = data[:start] + piece + data[end:]
    return data


def check(data: bytes, format: str | None) -> None:
    try:
        logs = read_log(BytesIO(data), format=format)
    except LogError as error:
        sentence = str(error)
        assert sentence.startswith("standard input: ")
        assert sentence.isprintable()
        assert len(sentence) < 2000
        return
    assert logs
    for log in logs:
        assert log.name.isprintable()
        assert len(log.steps) == len(log.losses) > 0
        assert len(log.evaluated_at) == len(log.evaluations)
        assert log.lrs is None or (len(log.lrs) == len(log.steps) and np.isfinite(log.lrs).all())
        for steps in (log.steps, log.evaluated_at):
            assert np.isfinite(steps).all()
            assert (np.diff(steps) > 0).all()
        assert all(note.isprintable() for note in log.notes)


formats = st.none() | st.sampled_from(FORMATS)


@settings(max_examples=500, deadline=None)
@given(data=mutated(), format=st.none())
def test_files_that_were_good_once(data: bytes, format: str | None) -> None:
    check(data, format)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=300) | mutated(), format=formats)
@example(data=b"\xff\xfe", format="csv")
@example(data=b"\xef\xbb\xbf", format=None)
@example(data=b'{"loss":"\\ud800"}', format="jsonl")
def test_any_bytes_in_any_format(data: bytes, format: str | None) -> None:
    check(data, format)


lines = st.lists(st.text("loss,;\t|\"'01.e-+ #\n{}[]:einfa_", max_size=30), max_size=12)


@settings(max_examples=300, deadline=None)
@given(
    header=st.sampled_from(["step,loss", "loss;lr", '{"loss": 1}', "[", "# step loss", "seed\tloss\tstep", ""]),
    rest=lines,
)
def test_any_text_behind_any_header(header: str, rest: list[str]) -> None:
    check("\n".join([header, *rest]).encode(), None)


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["loss", "step", "a/b", ""]), inner),
    max_leaves=5,
)
names = st.sampled_from(["loss", "step", "lr", "epoch", "seed", "val_loss", "log_history", "", "x"])


@settings(max_examples=120, deadline=None)
@given(rows=st.lists(st.dictionaries(names, values), max_size=4), form=st.sampled_from(["lines", "array", "object"]))
def test_any_json(rows: list[dict], form: str) -> None:
    contents = {
        "lines": "\n".join(map(json.dumps, rows)),
        "array": json.dumps(rows),
        "object": json.dumps({**(rows[0] if rows else {}), "log_history": rows}),
    }
    check(contents[form].encode(), None)
