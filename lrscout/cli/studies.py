"""`lrscout studies`: what is kept, and what to do with it."""

from __future__ import annotations

import json as json_text
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from lrscout.cli.output import MISUSED, fail, one_sentence
from lrscout.core.result import jsonable
from lrscout.store.default import DEFAULT_STORE

if TYPE_CHECKING:
    from lrscout.store.records import CurveSummary, StudySummary
    from lrscout.store.store import Store

Format = StrEnum("Format", ["csv", "parquet", "tensorboard"])

studies = typer.Typer(name="studies", help="See, export and delete the studies in a store.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the study.")]
Url = Annotated[str, typer.Option("--store", help="The store: a file, or postgresql+psycopg://user@host/database.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@studies.command("list")
def list_studies(store: Url = DEFAULT_STORE, json: Json = False) -> None:
    """List the studies, the oldest first."""
    with one_sentence():
        opened = _open(store)
        found = opened.studies()
        if json:
            _print_json({"studies": [_as_dict(study) for study in found]})
        elif found:
            _print_studies(found)
        else:
            typer.echo(f"There are no studies in {opened.place}.")


@studies.command()
def show(name: Name, store: Url = DEFAULT_STORE, json: Json = False) -> None:
    """Show a study: its inputs, what it was made with, and its curves."""
    with one_sentence():
        opened = _open(store)
        record, curves = opened.load(name), opened.curves(name)
        if json:
            told = {"inputs": record.inputs, "versions": record.versions, "result": record.result}
            _print_json(_as_dict(record.summary) | told | {"curve_summaries": [_as_dict(curve) for curve in curves]})
            return
        _print_studies([record.summary])
        typer.echo(f"\ninputs: {_listed(record.inputs)}")
        typer.echo(f"made with: {', '.join(f'{name} {version}' for name, version in record.versions.items())}\n")
        _print_curves(curves)


@studies.command()
def export(
    name: Name,
    out: Annotated[Path, typer.Option(help="The file to write; for TensorBoard, the folder.")],
    format: Annotated[Format | None, typer.Option(help="By default what --out ends with.", show_default=False)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    store: Url = DEFAULT_STORE,
    json: Json = False,
) -> None:
    """Write a study's curves as CSV, as Parquet or for TensorBoard."""
    with one_sentence():
        from lrscout.store.export import export as write
        from lrscout.store.export import format_of

        opened = _open(store)
        write(opened, name, out, format=format, overwrite=overwrite)
        told = {"study": name, "path": str(out), "format": str(format or format_of(out))}
        if json:
            _print_json(told)
        else:
            typer.echo(f"The curves of {name} are in {out}.")


@studies.command()
def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    store: Url = DEFAULT_STORE,
    json: Json = False,
) -> None:
    """Delete a study with all its curves."""
    with one_sentence():
        opened = _open(store)
        curves = opened.load(name).summary.curves
        if not yes:
            if json or not _somebody_is_there():
                fail(f"Say --yes to delete {name!r} and its {curves} curves.", code=MISUSED)
            if not _confirmed(f"Delete {name!r} and its {curves} curves?"):
                typer.echo("Nothing was deleted.")
                return
        opened.delete(name)
        if json:
            _print_json({"deleted": name, "curves": curves})
        else:
            typer.echo(f"Deleted {name!r} and its {curves} curves.")


def _open(url: str) -> Store:
    from lrscout.store.store import open_store

    return open_store(url, create=False)


def _somebody_is_there() -> bool:
    return sys.stdin.isatty()


def _confirmed(question: str) -> bool:
    try:
        return typer.confirm(question)
    except typer.Abort:
        return False


def _as_dict(summary: StudySummary | CurveSummary) -> dict[str, Any]:
    values = asdict(summary)
    if "created" in values:
        values["created"] = values["created"].isoformat()
    return values


def _print_json(answer: dict[str, Any]) -> None:
    typer.echo(json_text.dumps(jsonable(answer), allow_nan=False))


def _print_studies(found: list[StudySummary]) -> None:
    name = Column(
        "study", overflow="fold", no_wrap=False, min_width=max((len(study.name) for study in found), default=0)
    )
    table = Table(name, "of", "target", "begun", "blocks", "curves", "", **_LOOK)
    for study in found:
        created = study.created.strftime("%Y-%m-%d %H:%M UTC")
        state = "finished" if study.finished else "unfinished"
        counts = (str(study.blocks), str(study.curves))
        table.add_row(escape(study.name), study.kind, escape(study.target or "-"), created, *counts, state)
    Console(highlight=False).print(table)


def _print_curves(curves: list[CurveSummary]) -> None:
    table = Table("block", "seed", "peak lr", "steps", "last loss", "last evaluation", "ended", **_LOOK)
    for curve in curves:
        evaluation = f"{curve.last_evaluation:.4g}" if curve.evaluations else "-"
        losses = (f"{curve.last_loss:.4g}", evaluation)
        table.add_row(
            str(curve.block), str(curve.seed), f"{curve.peak_lr:.3g}", str(curve.steps), *losses, str(curve.stopped)
        )
    Console(highlight=False).print(table)


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={json_text.dumps(value)}" for name, value in values.items())


_LOOK: dict[str, Any] = {"box": None, "padding": (0, 2, 0, 0), "header_style": "bold"}
