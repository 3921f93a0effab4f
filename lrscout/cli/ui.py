"""`lrscout ui`."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated

import typer

from lrscout.cli.output import fail, one_sentence
from lrscout.core.imports import require
from lrscout.store.default import DEFAULT_STORE


def ui(
    store: Annotated[
        str | None,
        typer.Option(
            help="The store of the studies: a file, which may be made later, or "
            f"postgresql+psycopg://user@host/database. By default {DEFAULT_STORE}.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Where to listen. Others than this machine's own 127.0.0.1 demand a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 for any that is free.", min=0, max=65535)] = 8050,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the page in a browser.")] = False,
    token_file: Annotated[
        Path | None, typer.Option(help="A file that only you can read, with the token to demand.", show_default=False)
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A further name under which the page may be asked for; may be repeated.", show_default=False),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the address as one JSON object and nothing else.")
    ] = False,
) -> None:
    """Open the page: the lesson to play with, the studies as they run, and the diagnosis of a log."""
    with one_sentence():
        require("starlette", extra="app")
        require("uvicorn", extra="app")
        from lrscout.app.serve import address_of, listen, open_soon, serve, token_for
        from lrscout.app.server import make_app
        from lrscout.app.static_files import are_built, not_built

        if not are_built():
            fail(not_built())
        token = token_for(host, token_file)
        app = make_app(store or DEFAULT_STORE, token=token, host=host, allowed_hosts=allow_host or ())
        with listen(host, port) as listening:
            address = address_of(listening, host, token)
            _tell(address, json=json)
            if not no_browser:
                open_soon(address)
            try:
                serve(app, listening)
            except KeyboardInterrupt:
                typer.echo("lrscout: Stopped.", err=True)


def _tell(address: str, *, json: bool) -> None:
    told = json_format.dumps({"address": address}) if json else f"The page is at {address}  (Ctrl-C stops it.)"
    # Whoever reads it through a pipe shall not wait for it.
    print(told, flush=True)
