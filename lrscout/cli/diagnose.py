"""`lrscout diagnose`."""

from __future__ import annotations

import json as json_format
import math
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lrscout.analyse.diagnose import Diagnosis
from lrscout.analyse.diagnose import diagnose as diagnose_losses
from lrscout.cli.output import make_folder, one_sentence, save_result
from lrscout.core.checks import check_count, check_lr
from lrscout.core.errors import EmptyDataError, InvalidValueError, LogError
from lrscout.logs.log import Log
from lrscout.logs.read import FORMATS, read_log

Format = StrEnum("Format", list(FORMATS))


def diagnose(
    log: Annotated[
        str,
        typer.Argument(
            metavar="LOG",
            help="The log: CSV, JSON lines, Keras's History as JSON, trainer_state.json, an event file or a folder of "
            "them; - for standard input.",
        ),
    ],
    loss: Annotated[str | None, typer.Option(help="The column of the training loss; by default, by its name.")] = None,
    lr: Annotated[str | None, typer.Option(help="The column of the learning rate, or the rate itself.")] = None,
    step: Annotated[str | None, typer.Option(help="The column of the step's number.")] = None,
    evaluation: Annotated[str | None, typer.Option(help="The column of the evaluation loss.")] = None,
    run: Annotated[
        str | None, typer.Option(help="The column that tells runs apart, or the run to judge, such as seed=3.")
    ] = None,
    target_loss: Annotated[float | None, typer.Option(help="The loss to reach.")] = None,
    max_stable_lr: Annotated[float | None, typer.Option(help="The limit, as lrscout curvature tells it.")] = None,
    budget: Annotated[int | None, typer.Option(help="The number of steps that you can afford.")] = None,
    format: Annotated[
        Format | None, typer.Option(help="By default what the content shows.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A folder for the picture and the figures.")] = None,
    json: Annotated[
        bool,
        typer.Option(
            "--json",
            help='Print one JSON object and nothing else; of several runs {"runs": [{"run": NAME, ...}, ...]}.',
        ),
    ] = False,
) -> None:
    """Say from its log how a training run went, why, and what would mend it."""
    with one_sentence():
        _check_options(target_loss, max_stable_lr, budget)
        if out is not None:
            make_folder(out)
        logs = read_log(
            sys.stdin.buffer if log == "-" else log,
            loss=loss,
            lr=lr,
            step=step,
            evaluation=evaluation,
            run=run,
            format=format,
        )
        for note in {note: None for one in logs for note in one.notes}:
            typer.echo(f"lrscout: {note}", err=True)
        found = list(_diagnoses(logs, target_loss, max_stable_lr, budget))
        _print(found, json=json)
        if out is not None:
            for number, (_, diagnosis) in enumerate(found):
                name = "diagnosis" if len(found) == 1 else f"diagnosis_{number}"
                save_result(diagnosis, out, name, silent=json)


def _check_options(target_loss: float | None, max_stable_lr: float | None, budget: int | None) -> None:
    if target_loss is not None and not math.isfinite(target_loss):
        raise InvalidValueError(f"--target-loss must be a finite number, but it is {target_loss:g}.")
    if max_stable_lr is not None:
        check_lr("--max-stable-lr", max_stable_lr)
    if budget is not None:
        check_count("--budget", budget, at_least=1)


def _diagnoses(
    logs: list[Log], target_loss: float | None, max_stable_lr: float | None, budget: int | None
) -> Iterator[tuple[str, Diagnosis]]:
    """Yield each run's name and diagnosis; of several runs, one that cannot be judged is told and passed over."""
    judged = 0
    for number, log in enumerate(logs, start=1):
        try:
            yield log.name, _diagnosis(log, target_loss, max_stable_lr, budget)
            judged += 1
        except LogError as error:
            if number == len(logs) and not judged:
                raise
            typer.echo(f"lrscout: {error}", err=True)


def _diagnosis(log: Log, target_loss: float | None, max_stable_lr: float | None, budget: int | None) -> Diagnosis:
    try:
        return diagnose_losses(**log.observed, target_loss=target_loss, max_stable_lr=max_stable_lr, budget=budget)
    except (InvalidValueError, EmptyDataError) as error:
        # The options are checked, so what cannot be judged is in the file.
        raise LogError(f"{log.name}: {error}") from error


def _print(found: list[tuple[str, Diagnosis]], *, json: bool) -> None:
    if len(found) == 1:
        (_, diagnosis), *_ = found
        typer.echo(diagnosis.to_json() if json else str(diagnosis))
    elif json:
        runs = [{"run": name, **diagnosis.to_dict()} for name, diagnosis in found]
        typer.echo(json_format.dumps({"runs": runs}, allow_nan=False))
    else:
        for name, diagnosis in found:
            typer.echo(f"{name}: {diagnosis}")
