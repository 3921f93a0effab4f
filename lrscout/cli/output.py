"""What every command does with answers, pictures and failures."""

from __future__ import annotations

import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import typer

from lrscout.core.errors import InvalidValueError, LrscoutError, TargetError

FAILED, MISUSED = 1, 2


@contextmanager
def one_sentence() -> Generator[None]:
    """Turn whatever goes wrong in the block into one sentence on stderr and an exit code."""
    try:
        yield
    except typer.Exit:
        raise
    except (InvalidValueError, TargetError) as error:
        fail(str(error), code=MISUSED)
    except LrscoutError as error:
        fail(_with_notes(error, str(error)))
    except KeyboardInterrupt:
        fail("Interrupted. The loop is back where it was.")
    except OSError as error:
        fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.")
    except Exception as error:
        fail(_with_notes(error, f"{type(error).__name__}: {error} ({_where(error)})."))


def fail(sentence: str, code: int = FAILED) -> None:
    """Print a sentence on stderr and exit."""
    typer.echo(f"lrscout: {sentence}", err=True)
    raise typer.Exit(code)


def make_folder(folder: Path) -> None:
    """Make a folder for pictures and find out at once, not after the work, whether it can be written to.

    Raises:
        OSError: it cannot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trial = folder / ".lrscout-trial"
    trial.touch()
    trial.unlink()


def _with_notes(error: BaseException, sentence: str) -> str:
    return " ".join([sentence, *getattr(error, "__notes__", [])])


def _where(error: BaseException) -> str:
    """Return the file and the line that raised an error."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}, line {frame.lineno}"
