"""`lrscout find`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import lrscout
from lrscout.cli.output import Target, answer, interrupted, make_folder, one_sentence
from lrscout.cli.sweep import RunnerName, ScheduleName
from lrscout.measure.keeping import new_study_name
from lrscout.measure.recommendation import Recommendation

_FLEET = RunnerName("fleet")


def find(
    target: Target,
    steps: Annotated[int | None, typer.Option(help="How many steps you will train for.")] = None,
    schedule: Annotated[
        ScheduleName | None, typer.Option(help="How the rate goes over the run; linear, with --target-loss constant.")
    ] = None,
    budget: Annotated[float, typer.Option(help="The most to spend, as a share of the run.")] = 0.5,
    target_loss: Annotated[
        float | None, typer.Option(help="The loss to reach, within --steps if they are given.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds.")] = 1,
    runner: Annotated[RunnerName, typer.Option(help="All rates at once, one after another, or on a cluster.")] = _FLEET,
    store: Annotated[str | None, typer.Option(help="A file or database URL to keep every run in.")] = None,
    study: Annotated[str | None, typer.Option(help="The name to keep them under, and to continue by.")] = None,
    out: Annotated[Path | None, typer.Option(help="A folder for the picture and the figures.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Find the learning rate for a number of steps, or for a loss to reach, and say what to expect of it."""
    if store is not None and study is None:
        study = new_study_name("find")
    with one_sentence(interrupted=interrupted(study)):
        if out is not None:
            make_folder(out)
        with redirect_stdout(sys.stderr):  # What the user's code prints is not our answer.
            recommendation = lrscout.find(
                target,
                steps=steps,
                target_loss=target_loss,
                schedule=None if schedule is None else str(schedule),
                budget=budget,
                seeds=seeds,
                runner=str(runner),
                store=store,
                study=study,
            )
        answer(recommendation, _print, out, "recommendation", found=recommendation.lr is not None, json=json)


def _print(recommendation: Recommendation) -> None:
    console = Console(highlight=False)
    if recommendation.frontier:
        table = Table("steps", "best lr", "loss", "gain", box=None, padding=(0, 2, 0, 0), header_style="bold")
        for line in recommendation.frontier:
            loss = "-" if line.loss is None else f"{line.loss:.4g}"
            gain = "-" if line.gain is None else f"{100 * line.gain:.2g} %"
            table.add_row(str(line.steps), f"{line.lr:.2g}", loss, gain)
        console.print(table)
        console.print()
    console.print(str(recommendation), soft_wrap=True, markup=False)
