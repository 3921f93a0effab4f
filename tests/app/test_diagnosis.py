"""What the server says of a log that it cannot read: in the page's words, with what the page can offer."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.app.kept import client_of


@pytest.fixture(scope="module")
def client() -> TestClient:
    return client_of(None)


def refused(client: TestClient, content: bytes, **query: str) -> dict[str, Any]:
    headers = {"Content-Type": "application/octet-stream"}
    found = client.post("/api/diagnose", params={"name": "a.csv", **query}, content=content, headers=headers)
    # Anything else would be an error in the console of a browser, and nothing has gone wrong.
    assert found.status_code == 200
    told = found.json()
    assert "--loss" not in told["error"]
    assert "--lr" not in told["error"]
    return told


def test_a_loss_that_has_another_name_is_to_be_chosen(client: TestClient) -> None:
    told = refused(client, b"step,apples,pears\n1,2,3\n2,3,4\n")
    assert told["error"].endswith("Its columns are step, apples and pears. Choose it below.")
    assert told["losses"] == ["apples", "pears"]


def test_one_of_two_losses_is_to_be_chosen(client: TestClient) -> None:
    told = refused(client, b"train_loss,loss_train\n1,2\n2,3\n")
    assert told["error"].endswith("Choose it below.")
    assert told["losses"] == ["train_loss", "loss_train"]


@pytest.mark.parametrize("rate", ["fast", "-1", "nan", "0"])
def test_a_rate_that_is_none_is_the_trouble_and_no_column(client: TestClient, rate: str) -> None:
    told = refused(client, b"loss\n3\n2\n1\n", lr=rate)
    assert told["error"].startswith("The learning rate must be a number above zero")
    assert repr(rate) in told["error"]
    assert told["losses"] == []


@pytest.mark.parametrize("content", [b"step,loss\n", b"3, 2, nan, abc", b"", b"\x00\xff\x17"])
def test_what_no_column_would_mend_offers_none(client: TestClient, content: bytes) -> None:
    assert refused(client, content)["losses"] == []


def test_what_the_page_cannot_be_told_is_for_the_command(client: TestClient) -> None:
    told = refused(client, b"global_step,trainer/global_step,loss\n1,1,3\n2,2,2\n3,3,1\n")
    assert told["error"].endswith("In a terminal lrscout diagnose can be told which, with --step.")
    assert told["losses"] == []
