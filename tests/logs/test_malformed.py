"""A malformed file ends in one sentence and exit code 1, in bounded memory and time; what can be mended is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lrscout.cli.app import main
from lrscout.core.errors import LogError
from lrscout.logs import table, text
from lrscout.logs.read import read_log
from tests.logs.malformed import GOOD, NAMES, array_of_rows, events, flipped
from tests.logs.written import pairs, read_one, write

PROGRAM = """
import json, resource, sys
from pathlib import Path
from typer.testing import CliRunner
from lrscout.cli.app import main
from tests.logs.malformed import NAMES, written

resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
resource.setrlimit(resource.RLIMIT_AS, (3 << 29, 3 << 29))
for number, name in enumerate(NAMES):
    folder = Path(sys.argv[1], str(number))
    folder.mkdir()
    path, part = written(name, folder)
    result = CliRunner().invoke(main, ["diagnose", str(path)])
    print(json.dumps([name, part, result.exit_code, result.stdout, result.stderr]))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list]:
    """What the command says of each malformed file, in a process with 1.5 GiB of memory and a minute of its own."""
    folder = tmp_path_factory.mktemp("malformed")
    arguments = [sys.executable, "-c", PROGRAM, str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return {name: answer for name, *answer in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", NAMES)
def test_a_malformed_file_ends_in_one_sentence(name: str, answers: dict[str, list]) -> None:
    part, code, stdout, stderr = answers[name]
    assert (code, stdout) == (1, ""), stderr
    assert part in stderr
    assert stderr.startswith("lrscout: ")
    assert stderr.count("\n") == 1
    assert len(stderr) < 6000 if "too long" in part else len(stderr) < 700
    assert "Traceback" not in stderr


def test_there_are_more_than_thirty() -> None:
    assert len(NAMES) > 30


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    path.chmod(0)
    code = f"from lrscout.logs.read import read_log; read_log({str(path)!r})"
    if os.geteuid():
        with pytest.raises(LogError, match="Permission denied"):
            read_log(path)
    else:  # The administrator may read everything, and gives that up.
        code = f"import os; import lrscout.logs.read; os.setuid(65534); {code}"
        tmp_path.chmod(0o755)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "LogError" in done.stderr
        assert "Permission denied" in done.stderr


@pytest.mark.parametrize(
    ("content", "losses"),
    [
        (
            table_ := "step,loss\n0,1\n1,nan\n2,inf\n3,-Infinity\n4,1e400\n5,NaN\n",
            [1, np.nan, np.inf, -np.inf, np.inf, np.nan],
        ),
        (table_.encode("utf-16-le"), [1, np.nan, np.inf, -np.inf, np.inf, np.nan]),
        (table_.encode("utf-16-be"), [1, np.nan, np.inf, -np.inf, np.inf, np.nan]),
        (table_.encode("utf-16"), [1, np.nan, np.inf, -np.inf, np.inf, np.nan]),
        (table_.encode("utf-32"), [1, np.nan, np.inf, -np.inf, np.inf, np.nan]),
        (table_.encode("utf-8-sig"), [1, np.nan, np.inf, -np.inf, np.inf, np.nan]),
        (table_.replace("\n", "\r\n"), [1, np.nan, np.inf, -np.inf, np.inf, np.nan]),
        (table_.replace("\n", "\r"), [1, np.nan, np.inf, -np.inf, np.inf, np.nan]),
        ("température,loss\n20,1\n21,2\n".encode("latin-1"), [1, 2]),
        ("epoch,loss\n0,1\n1,\n2,3\n3,NA\n4,5", [1, 3, 5]),
        ("step, loss \n0, 1\n1, 2\n", [1, 2]),
        ("step,loss,\n0,1,\n1,2,\n", [1, 2]),
        ("| step | loss |\n|---|---|\n| 0 | 1 |\n| 1 | 2 |\n", [1, 2]),
        ("# step loss\n0 1\n1 2\n", [1, 2]),
        ("# by hand\nstep;loss\n0;1,5\n1;,5\n", [1.5, 0.5]),
        ("3\n2\n1", [3, 2, 1]),
        ('{"loss": 1e999}\n{"loss": -Infinity}\n{"loss": "NaN"}\n', [np.inf, -np.inf, np.nan]),
        ('{"loss": ' + "1" * 10_000 + '}\n{"loss": 2}', [np.inf, 2]),
        ('{"train": {"loss": 1}}\n\n{"train": {"loss": 2}}\n', [1, 2]),
        ('{"train": {"loss": [1, null, 2]}, "params": {"epochs": 3}}', [1, 2]),
        ('{\n  "loss": [\n    1,\n    2\n  ]\n}\n', [1, 2]),
        ('[\n  {"loss": 1},\n  {"loss": 2}\n]', [1, 2]),
    ],
)
def test_what_is_only_unusual_is_read(tmp_path: Path, content: str | bytes, losses: list[float]) -> None:
    log = read_one(write(tmp_path, content))
    np.testing.assert_array_equal(log.losses, losses)
    assert log.notes == ()


@pytest.mark.parametrize(
    ("content", "kept", "note"),
    [
        ("step,loss\n0,1\n1,x\n2,3\n", [(0, 1), (2, 3)], "1 cell is no number and was left out: 'x' in row 2"),
        ("step,loss\n0,1\n1\n2,3\n", [(0, 1), (2, 3)], "the first row 2 with 1"),
        ("step,loss\n0,1\n1,2,3\n2,3\n", [(0, 1), (2, 3)], "the first row 2 with 3"),
        ('step,loss\n0,"1\n1,2\n2,3\n3,4\n', [(0, 1), (1, 2), (2, 3), (3, 4)], None),
        ('{"step": 0, "loss": 1}\n{"step": 1, "loss": 2}\n{"step": 2, "lo', [(0, 1), (1, 2)], "the first line 3"),
        ("step,loss\n0,1\n,2\n2,3\n", [(0, 1), (2, 3)], "1 of 3 losses have no step"),
        ("epoch,loss\n0,1\n0,2\n0,3\n1,4\n", [(0, 1), (1, 2), (2, 3), (3, 4)], "stays the same over many rows"),
        ("loss,avg_loss\n1,1\n2,1.5\n", [(0, 1), (1, 2)], "there is avg_loss too"),
    ],
)
def test_a_few_bad_rows_are_left_out(tmp_path: Path, content: str, kept: list, note: str | None) -> None:
    log = read_one(write(tmp_path, content))
    assert pairs(log) == kept
    assert [note in one for one in log.notes] == [True] if note else log.notes == ()


@pytest.mark.parametrize("cut", [-1, -5, -30])
def test_events_up_to_where_a_file_is_cut_off(tmp_path: Path, cut: int) -> None:
    log = read_one(write(tmp_path, events(20)[:cut], "events.out.tfevents.1"))
    np.testing.assert_array_equal(log.losses, 0.5 ** np.arange(19))
    assert "ends in the middle of record 21" in log.notes[0]


@pytest.mark.parametrize("size", [1000, 5000, 65_000, 66_000, 1_048_000, 5_000_000])
def test_events_around_a_picture(tmp_path: Path, size: int) -> None:
    content = events(20, picture_at=7, size=size)
    assert pairs(read_one(write(tmp_path, content, "events.out.tfevents.1"))) == [(n, 0.5**n) for n in range(20)]
    cut = content[: len(events(7)) + 500]
    log = read_one(write(tmp_path, cut, "events.out.tfevents.1"))
    assert pairs(log) == [(n, 0.5**n) for n in range(7)]
    assert "ends in the middle of record 9" in log.notes[0]


@pytest.mark.parametrize("place", [0, 2, 9, 14, 20], ids=["length", "far length", "its checksum", "data", "a number"])
def test_events_up_to_where_a_bit_is_wrong(tmp_path: Path, place: int) -> None:
    whole = events(20)
    for steps in (1, 7, 18):
        log = read_one(write(tmp_path, flipped(whole, len(events(steps)) + place), "events.out.tfevents.1"))
        assert pairs(log) == [(step, 0.5**step) for step in range(steps)]
        assert f"corrupted after {steps + 1} records" in log.notes[0]


def test_event_files_need_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, events(), "events.out.tfevents.1")
    monkeypatch.setattr("lrscout.core.imports.find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["diagnose", str(path)])
    assert result.exit_code == 1
    assert "pip install 'lrscout[tensorboard]'" in result.stderr


def test_standard_input_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MOST_BYTES", 300_000)
    result = CliRunner().invoke(main, ["diagnose", "-"], input=GOOD * 2000)
    assert result.exit_code == 1
    assert "standard input: It is larger than" in result.stderr


@pytest.mark.parametrize("content", ["step,loss\n" + "1,2\n" * 9000, '{"loss": 1}\n' * 9000, array_of_rows(9000)])
def test_the_numbers_that_are_kept_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.setattr(table, "MOST_NUMBERS", 4000)
    with pytest.raises(LogError, match="more than 4,000 rows"):
        read_log(write(tmp_path, content))


def test_columns_that_are_named_leave_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MOST_NUMBERS", 4000)
    names = [f"loss_{index}" for index in range(10)]
    path = write(tmp_path, ",".join(names) + "\n" + (",".join("1" * 10) + "\n") * 1000)
    with pytest.raises(LogError, match="say which columns to read"):
        read_log(path)
    assert len(read_one(path, loss="loss_3").losses) == 1000
