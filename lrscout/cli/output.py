"""What every command does with answers, pictures and failures."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Annotated, TypeVar

import typer

from lrscout.core.errors import InvalidValueError, LrscoutError, TargetError
from lrscout.core.result import Result

FAILED, MISUSED = 1, 2

AnAnswer = TypeVar("AnAnswer", bound=Result)

Target = Annotated[
    str,
    typer.Argument(
        metavar="TARGET", help="The function that returns your loop: file.py:function or package.module:function."
    ),
]
"""The argument of every command that takes a loop."""


@contextmanager
def one_sentence(interrupted: str | None = None) -> Generator[None]:
    """Turn whatever goes wrong in the block into one sentence on stderr and an exit code.

    Args:
        interrupted: what to say after Ctrl-C.
    """
    try:
        yield
    except typer.Exit:
        raise
    except (InvalidValueError, TargetError) as error:
        fail(str(error), code=MISUSED)
    except LrscoutError as error:
        fail(_with_notes(error, str(error)))
    except KeyboardInterrupt:
        fail(interrupted or "Interrupted. Nothing was changed.")
    except SystemExit as error:
        fail(f"The code of TARGET ended the program: sys.exit({error.code!r}).")
    except OSError as error:
        fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.")
    except Exception as error:
        fail(_with_notes(error, f"{type(error).__name__}: {_in_one_line(error)} ({_where(error)})."))


def interrupted(study: str | None) -> str:
    """Return what to say after Ctrl-C of work that a study keeps, or that none does."""
    if study is None:
        return "Interrupted. Nothing was changed, and nothing is kept; with --study NAME what is finished would be."
    return f"Interrupted. What was finished is kept: the same command with --study {quote(study)} goes on from there."


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


def answer(
    result: AnAnswer,
    show: Callable[[AnAnswer], object],
    folder: Path | None,
    name: str,
    *,
    found: bool,
    json: bool,
) -> None:
    """Print a result, save it, and fail if it found no learning rate.

    Args:
        result: the result.
        show: prints it for people.
        folder: where its picture and figures go, or None.
        name: the name of those files, without the suffix.
        found: whether there is a learning rate.
        json: whether to print one JSON object and nothing else.

    Raises:
        OSError: a file could not be written.
    """
    if json:
        typer.echo(result.to_json())
    elif found:
        show(result)
    if folder is not None:
        save_result(result, folder, name, silent=json)
    if not found:
        fail(str(result))


def save_result(result: Result, folder: Path, name: str, *, silent: bool) -> None:
    """Save a result's picture and figures, and say where they are.

    Args:
        result: the result.
        folder: where the files go.
        name: their name, without the suffix.
        silent: whether to say nothing.

    Raises:
        OSError: a file could not be written.
    """
    from lrscout.pictures import save  # Matplotlib loads only when a picture is asked for.

    picture, figures = folder / f"{name}.png", folder / f"{name}.json"
    save(result, picture)
    figures.write_text(result.to_json() + "\n", encoding="utf-8")
    if not silent:
        typer.echo(f"The picture is {picture}, the figures are {figures}.")


def _with_notes(error: BaseException, sentence: str) -> str:
    # A runner's note says at which step it was; other libraries add notes of many lines.
    notes = [note for note in getattr(error, "__notes__", []) if note.startswith("The loop raised this")]
    return " ".join([sentence, *notes])


def _in_one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return "no message"
    # TensorFlow tells the way through the user's code first and the error last.
    return lines[-1] if lines[0] == "in user code:" else lines[0]


def _where(error: BaseException) -> str:
    """Return the file and the line that raised an error."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}, line {frame.lineno}"
