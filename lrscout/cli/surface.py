"""`lrscout surface`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lrscout.cli.output import Target, make_folder, one_sentence, save_result
from lrscout.core.errors import InvalidValueError
from lrscout.core.target import load_loop
from lrscout.measure.surface import CHOICES
from lrscout.measure.surface import surface as show_surface

Directions = StrEnum("Directions", list(CHOICES))
_AUTO = Directions("auto")


def surface(
    target: Target,
    directions: Annotated[
        Directions, typer.Option(help="Over the parameters, where the runs go, or at random.")
    ] = _AUTO,
    lr: Annotated[
        str | None, typer.Option(help="Learning rates of the runs to show, 0.1,0.5; by default the loop's own.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="The steps of each run, by default 100; 0 for no run.")] = None,
    batches: Annotated[int, typer.Option(help="Training batches, at most a pass over the data.")] = 8,
    resolution: Annotated[int, typer.Option(help="Points along each direction, at least 5.")] = 41,
    span: Annotated[float | None, typer.Option(help="How far to look; by default as far as the runs are seen.")] = None,
    max_stable_lr: Annotated[float | None, typer.Option(help="The limit of stability to tell.")] = None,
    seed: Annotated[int, typer.Option(help="The seed of random directions and of the runs' data order.")] = 0,
    out: Annotated[Path | None, typer.Option(help="A folder for the picture and the figures.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Show the loss around your loop as a surface, and the path that your optimizer takes on it."""
    with one_sentence():
        if out is not None:
            make_folder(out)
        with redirect_stdout(sys.stderr):  # What the user's code prints is not our answer.
            shown = show_surface(
                load_loop(target),
                directions=str(directions),
                lr=None if lr is None else parse_rates(lr),
                steps=steps,
                batches=batches,
                resolution=resolution,
                span=span,
                max_stable_lr=max_stable_lr,
                seed=seed,
            )
        typer.echo(shown.to_json() if json else str(shown))
        if out is not None:
            save_result(shown, out, "surface", silent=json)


def parse_rates(text: str) -> list[float]:
    """Return the learning rates of a list with commas.

    Raises:
        InvalidValueError: the text is none.

    >>> parse_rates("0.1,0.5")
    [0.1, 0.5]
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InvalidValueError(f"--lr must be a rate or a list such as 0.1,0.5, but it is {text!r}.") from None
