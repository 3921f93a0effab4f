"""`lrscout sweep`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lrscout.cli.output import Target, answer, interrupted, make_folder, one_sentence
from lrscout.core.checks import check_lr
from lrscout.core.errors import InvalidValueError
from lrscout.core.schedules import NAMED
from lrscout.measure.keeping import new_study_name
from lrscout.measure.lr_map import LRMap
from lrscout.measure.sweep import sweep as run_sweep
from lrscout.runners.choose import RUNNERS
from lrscout.runners.plan import Runner

ScheduleName = StrEnum("ScheduleName", list(NAMED))
RunnerName = StrEnum("RunnerName", list(RUNNERS))
Watched = StrEnum("Watched", ["training", "evaluation"])
_CONSTANT = ScheduleName("constant")
_FLEET = RunnerName("fleet")


def sweep(
    target: Target,
    lrs: Annotated[
        str, typer.Option(help="Learning rates: LOWEST:HIGHEST:NUMBER, evenly in ratio, or a list 0.1,0.3.")
    ],
    steps: Annotated[int, typer.Option(help="The longest budget.")],
    seeds: Annotated[int, typer.Option(help="How many seeds.")] = 1,
    schedule: Annotated[ScheduleName, typer.Option(help="How the rate goes over a run.")] = _CONSTANT,
    loss: Annotated[Watched | None, typer.Option(help="What the map shows; evaluation where there is one.")] = None,
    early_stopping: Annotated[bool, typer.Option(help="End a run that has diverged beyond return.")] = True,
    runner: Annotated[RunnerName, typer.Option(help="All rates at once, one after another, or on a cluster.")] = _FLEET,
    ray_address: Annotated[
        str | None, typer.Option(help="The Ray cluster: auto, host:port or ray://host:port.")
    ] = None,
    lanes_per_task: Annotated[int | None, typer.Option(help="Runs in a Ray task.")] = None,
    store: Annotated[str | None, typer.Option(help="A file or database URL to keep every run in.")] = None,
    study: Annotated[str | None, typer.Option(help="The name to keep them under, and to continue by.")] = None,
    out: Annotated[Path | None, typer.Option(help="A folder for the picture and the figures.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Train at every learning rate for every budget of steps, and map what comes of it."""
    if store is not None and study is None:
        study = new_study_name("sweep")
    with one_sentence(interrupted=interrupted(study)):
        if out is not None:
            make_folder(out)
        with redirect_stdout(sys.stderr):  # What the user's code prints is not our answer.
            lr_map = run_sweep(
                target,
                parse_lrs(lrs),
                steps,
                seeds=seeds,
                schedule=schedule,
                loss=loss,
                early_stopping=early_stopping,
                runner=_chosen(runner, ray_address, lanes_per_task),
                store=store,
                study=study,
            )
        answer(lr_map, _print, out, "map", found=lr_map.lr is not None, json=json)


def parse_lrs(text: str) -> list[float]:
    """Return the learning rates that an option names: ``LOWEST:HIGHEST:NUMBER`` or a list with commas.

    Raises:
        InvalidValueError: the text is neither.

    >>> parse_lrs("0.01:1:3")
    [0.01, 0.1, 1.0]
    """
    try:
        if ":" not in text:
            return [float(part) for part in text.split(",")]
        lowest, highest, number = text.split(":")
        low, high, count = float(lowest), float(highest), int(number)
    except ValueError:
        raise InvalidValueError(
            f"--lrs must be LOWEST:HIGHEST:NUMBER or a list such as 0.1,0.3, but it is {text!r}."
        ) from None
    check_lr("The lowest of --lrs", low)
    check_lr("The highest of --lrs", high)
    if count < 1 or (low != high and count < 2) or low > high:
        raise InvalidValueError(f"--lrs must name at least two rates from a lower to a higher one, but it is {text!r}.")
    rates = np.geomspace(low, high, count)
    rates[0], rates[-1] = low, high
    return [float(f"{rate:.12g}") for rate in rates]


def _chosen(runner: RunnerName, ray_address: str | None, lanes_per_task: int | None) -> str | Runner:
    if runner != RunnerName("ray"):
        if ray_address is not None or lanes_per_task is not None:
            raise InvalidValueError("--ray-address and --lanes-per-task are for --runner ray.")
        return str(runner)
    from lrscout.runners import Ray

    return Ray(ray_address, lanes_per_task=lanes_per_task)


def _print(lr_map: LRMap) -> None:
    console = Console(highlight=False)
    table = Table("steps", "best lr", "from", "to", "loss", box=None, padding=(0, 2, 0, 0), header_style="bold")
    for best in lr_map.frontier():
        numbers = (f"{value:.2g}" if value is not None else "-" for value in (best.lr, best.low, best.high))
        table.add_row(str(best.steps), *numbers, "-" if best.loss is None else f"{best.loss:.4g}")
    console.print(table)
    console.print(f"\n{lr_map}", soft_wrap=True)
