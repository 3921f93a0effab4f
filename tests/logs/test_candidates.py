"""What a caller can choose among: the columns that losses could be from, and what a log is called."""

from __future__ import annotations

import json
from io import BytesIO

import pytest

from lrscout.core.errors import LogError
from lrscout.logs.read import columns_of, read_log

CSV = b"seed,epoch,step,lr,loss,val_loss,reward\n0,0,1,0.1,3,4,1\n0,0,2,0.1,2,3,2\n1,0,1,0.2,5,6,3\n"


def test_columns_that_are_plainly_something_else_are_not_offered() -> None:
    assert columns_of(BytesIO(CSV)) == ["loss", "val_loss", "reward"]
    assert columns_of(BytesIO(json.dumps({"step": [1, 2], "a": [1.0, 2.0]}).encode())) == ["a"]


def test_a_log_tells_where_its_losses_are_from() -> None:
    for column in ("loss", "val_loss", "reward"):
        logs = read_log(BytesIO(CSV), loss=column)
        assert [log.name for log in logs] == ["seed=0", "seed=1"]
        assert {(log.column, log.columns) for log in logs} == {(column, ("loss", "val_loss", "reward"))}
    assert read_log(BytesIO(CSV))[0].column == "loss"


def test_columns_are_offered_where_no_run_can_be_made_of_them() -> None:
    with pytest.raises(LogError, match="No column could be the training loss"):
        read_log(BytesIO(b"step,apples,pears\n1,2,3\n"))
    assert columns_of(BytesIO(b"step,apples,pears\n1,2,3\n")) == ["apples", "pears"]
    with pytest.raises(LogError, match="gzip"):
        columns_of(BytesIO(b"\x1f\x8b\x08"))


def test_a_stream_is_called_what_the_caller_says() -> None:
    (log,) = read_log(BytesIO(b"loss\n3\n2\n"), name="metrics.csv")
    assert log.name == "metrics.csv"
    assert read_log(BytesIO(b"loss\n3\n2\n"))[0].name == "standard input"
    with pytest.raises(LogError, match=r"^metrics\.csv: It is empty\.$"):
        read_log(BytesIO(b""), name="metrics.csv")
