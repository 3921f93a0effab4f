"""`lrscout curvature`."""

from __future__ import annotations

import json as json_format
import sys
from contextlib import redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lrscout.cli.output import Target, make_folder, one_sentence, save_result
from lrscout.core.checks import check_count
from lrscout.core.result import jsonable
from lrscout.core.target import load_loop
from lrscout.measure.curvature import OF
from lrscout.measure.curvature import curvature as measure_curvature

Of = StrEnum("Of", list(OF))
_OPTIMIZER = Of("optimizer")


def curvature(
    target: Target,
    of: Annotated[Of, typer.Option(help="The curvature that the optimizer sees, or that of the Hessian.")] = _OPTIMIZER,
    lr: Annotated[float | None, typer.Option(help="The learning rate to speak of; by default the loop's own.")] = None,
    batches: Annotated[int, typer.Option(help="Training batches, at most a pass over the data.")] = 8,
    accuracy: Annotated[float, typer.Option(help="The relative error at which to stop.")] = 0.01,
    track: Annotated[int, typer.Option(help="Take so many steps and note the sharpness along the way.")] = 0,
    spectrum: Annotated[int, typer.Option(help="Show so many of the largest and of the smallest eigenvalues.")] = 0,
    seed: Annotated[int, typer.Option(help="The seed of the search for the eigenvalue.")] = 0,
    out: Annotated[Path | None, typer.Option(help="A folder for the picture and the figures.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Measure how sharply the loss curves, and which learning rates that allows."""
    with one_sentence():
        if out is not None:
            make_folder(out)
        check_count("--spectrum", spectrum, at_least=0)
        with redirect_stdout(sys.stderr):  # What the user's code prints is not our answer.
            loop = load_loop(target)
            found = measure_curvature(loop, of=of, lr=lr, batches=batches, accuracy=accuracy, track=track, seed=seed)
            ends = found.spectrum(spectrum, accuracy=accuracy) if spectrum else None
        values = None if ends is None else [[one.value for one in end] for end in ends]
        if json:
            shown: dict[str, Any] = found.to_dict()
            if values is not None:
                shown["spectrum"] = jsonable(dict(zip(("largest", "smallest"), values, strict=True)))
            typer.echo(json_format.dumps(shown, allow_nan=False))
        else:
            typer.echo(str(found))
            for name, end in zip(("Largest", "Smallest"), ends or [], strict=False):
                told = ", ".join(f"{one.value:.4g} (± {one.error:.1g})" for one in end)
                typer.echo(f"{name} eigenvalues: {told}.")
        if out is not None:
            save_result(found, out, "curvature", silent=json)
