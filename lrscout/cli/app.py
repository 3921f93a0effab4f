"""The program `lrscout` and its commands."""

from __future__ import annotations

from typing import Annotated

import typer

import lrscout
from lrscout.cli.curvature import curvature
from lrscout.cli.diagnose import diagnose
from lrscout.cli.find import find
from lrscout.cli.lesson import lesson
from lrscout.cli.range_test import range_test
from lrscout.cli.studies import studies
from lrscout.cli.surface import surface
from lrscout.cli.sweep import sweep
from lrscout.cli.ui import ui

main = typer.Typer(
    help="Find the learning rate for a training run, and see why.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
main.command("curvature")(curvature)
main.command("diagnose")(diagnose)
main.command("find")(find)
main.command("lesson")(lesson)
main.command("range-test")(range_test)
main.command("surface")(surface)
main.command("sweep")(sweep)
main.command("ui")(ui)
main.add_typer(studies)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(lrscout.__version__)
        raise typer.Exit


@main.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Find the learning rate for a training run, and see why."""
