"""The server as a process: where it listens, what opens it, and how long it lives."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import stat
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Any

from lrscout.app.safety import is_loopback
from lrscout.core.errors import InvalidValueError
from lrscout.core.imports import require

_FEWEST_CHARACTERS = 16
_MOST_BYTES = 4096
_MOMENT = 0.3
"""Seconds after which the server answers; the browser would wait a little too."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, before anything is said about where.

    Args:
        host: an address or a name of this machine.
        port: the port; 0 for any that is free.

    Raises:
        InvalidValueError: the host is none of this machine, or the port is taken.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server((str(address[0]), port), family=family)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InvalidValueError(
            f"The server cannot listen on port {port} of {host}: {reason}. Choose another with --port, or 0 for any "
            "that is free, and a --host of this machine."
        ) from error


def token_for(host: str, file: Path | None) -> str | None:
    """Return the token that a request must bring, or None where only this machine reaches the server.

    Args:
        host: where the server listens.
        file: where the token is kept; by default one is made where it is needed.

    Raises:
        InvalidValueError: the file cannot be used.
    """
    if file is not None:
        return _read_token(file)
    return None if is_loopback(host) else secrets.token_urlsafe(24)


def address_of(listening: socket.socket, host: str, token: str | None) -> str:
    """Return the address to open, with its token.

    Args:
        listening: the socket, which knows its port.
        host: where it listens; for all of a machine's addresses, the machine's name is told.
        token: the token, if there is one.
    """
    name = socket.gethostname() if host in ("", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{listening.getsockname()[1]}/{'' if token is None else f'?token={token}'}"


def serve(app: Any, listening: socket.socket) -> None:
    """Answer until Ctrl-C.

    Args:
        app: the app.
        listening: the socket.

    Raises:
        KeyboardInterrupt: Ctrl-C, once what was under way is answered.
    """
    uvicorn = require("uvicorn", extra="app")
    logging.getLogger("lrscout.app").addHandler(logging.StreamHandler())
    config = uvicorn.Config(
        app,
        # h11 bounds what comes before a body, and is there wherever uvicorn is.
        http="h11",
        ws="none",
        lifespan="off",
        log_level="error",
        # The first address holds the token, so addresses are not written down.
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    uvicorn.Server(config).run(sockets=[listening])


def open_soon(address: str) -> None:
    """Open the page in a browser, where there is a screen that it could open on.

    Args:
        address: the page's address.
    """
    screen = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if screen and sys.stdout.isatty():
        timer = threading.Timer(_MOMENT, webbrowser.open, (address,))
        timer.daemon = True
        timer.start()


def _read_token(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            status, content = os.fstat(opened.fileno()), opened.read(_MOST_BYTES)
    except OSError as error:
        raise InvalidValueError(f"--token-file {file} cannot be read: {error.strerror or error}.") from error
    if sys.platform != "win32" and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InvalidValueError(f"--token-file {file} may be read by others. Keep it to yourself: chmod 600 {file}")
    token = content.decode("ascii", "replace").strip()
    if len(token) < _FEWEST_CHARACTERS or not all(letter.isalnum() or letter in "-_" for letter in token):
        raise InvalidValueError(
            f"--token-file {file} must hold at least {_FEWEST_CHARACTERS} letters, digits, - or _, and nothing else. "
            'One is made by: python -c "import secrets; print(secrets.token_urlsafe())"'
        )
    return token
