"""`lrscout range-test`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lrscout.analyse.suggest import RULES
from lrscout.cli.output import Target, answer, interrupted, make_folder, one_sentence
from lrscout.measure.keeping import new_study_name
from lrscout.measure.range_test import RangeTest
from lrscout.measure.range_test import range_test as run_range_test

Rule = StrEnum("Rule", list(RULES))
Ladder = StrEnum("Ladder", ["exponential", "linear"])
Loss = StrEnum("Loss", ["training", "evaluation"])
_MINIMUM = Rule("minimum")


def range_test(
    target: Target,
    min_lr: Annotated[float, typer.Option(help="The learning rate of the first step.")] = 1e-7,
    max_lr: Annotated[float, typer.Option(help="The learning rate of the last step.")] = 10.0,
    steps: Annotated[int, typer.Option(help="The number of steps, at least 5.")] = 100,
    ladder: Annotated[Ladder, typer.Option(help="Even ratios or even differences between rates.")] = Ladder.exponential,
    repeats: Annotated[int, typer.Option(help="Tests, each with another order of the data.")] = 1,
    loss: Annotated[Loss, typer.Option(help="The loss to watch.")] = Loss.training,
    rule: Annotated[Rule, typer.Option(help="The rule of the suggestion.")] = _MINIMUM,
    seed: Annotated[int, typer.Option(help="The seed of the first test's data order.")] = 0,
    store: Annotated[str | None, typer.Option(help="A file or database URL to keep every repeat in.")] = None,
    study: Annotated[str | None, typer.Option(help="The name to keep them under, and to continue by.")] = None,
    out: Annotated[Path | None, typer.Option(help="A folder for the picture and the figures.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Raise the learning rate at every step of your loop, and read off which one to train with."""
    if store is not None and study is None:
        study = new_study_name("range-test")
    with one_sentence(interrupted=interrupted(study)):
        if out is not None:
            make_folder(out)
        with redirect_stdout(sys.stderr):  # What the user's code prints is not our answer.
            test = run_range_test(
                target,
                min_lr=min_lr,
                max_lr=max_lr,
                steps=steps,
                ladder=ladder,
                repeats=repeats,
                loss=loss,
                rule=rule,
                seed=seed,
                store=store,
                study=study,
            )
        answer(test, _print, out, "range_test", found=test.lr is not None, json=json)


def _print(test: RangeTest) -> None:
    console = Console(highlight=False)
    table = Table("rule", "lr", "from", "to", "why", box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name, suggestion in test.suggestions.items():
        rates = (suggestion.lr, suggestion.low, suggestion.high)
        table.add_row(name, *("-" if rate is None else f"{rate:.2g}" for rate in rates), suggestion.reason)
    console.print(table)
    console.print(f"\n{test}", soft_wrap=True)
