"""Who may ask: the right host, no other site, the token; and what every answer tells the browser to forbid."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lrscout.app.answers import RefusedError, refused

LONGEST_QUERY = 16_384
"""Bytes of a query."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Safety:
    """The gate before an app.

    Args:
        app: the app behind it.
        token: what a request must bring, or None where everybody on this machine may ask.
        host: where the server listens.
        allowed: further names under which it may be asked.
    """

    def __init__(self, app: ASGIApp, token: str | None, host: str, allowed: Iterable[str]) -> None:
        self._app = app
        self._token = None if token is None else token.encode()
        self._local = is_loopback(host)
        self._names = _LOOPBACK | {name.lower() for name in (host, *allowed)}
        if not self._local:
            self._names |= {socket.gethostname().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                if message["status"] >= 400:
                    # What is refused may have a body that has no end, and this one has nobody who reads it.
                    headers["Connection"] = "close"
            await send(message)

        request = Request(scope)
        try:
            early = self._checked(request)
        except RefusedError as refusal:
            early = refused(request, refusal)
        await (early or self._app)(scope, receive, send_safely)

    def _checked(self, request: Request) -> Response | None:
        """Return an answer that comes before any other, or None if the request may pass."""
        if len(request.scope["query_string"]) > LONGEST_QUERY:
            raise RefusedError(400, f"The query is longer than {LONGEST_QUERY:,} bytes.")
        self._check_host(request.headers)
        _check_site(request)
        return None if self._token is None else self._admitted(request, self._token)

    def _check_host(self, headers: Headers) -> None:
        """Refuse names that are not this server's: another site's name may be made to lead here."""
        hosts = headers.getlist("host")
        name = _name_of(hosts[0]) if len(hosts) == 1 else None
        if name is None or not (name in self._names or (not self._local and _is_address(name))):
            raise RefusedError(
                403,
                "This server is not known by that name. Use the address that lrscout ui printed, or start it with "
                "--allow-host NAME.",
            )

    def _admitted(self, request: Request, token: bytes) -> Response | None:
        if _is_same(_bearer_of(request.headers), token) or _is_same(self._cookie_of(request.headers), token):
            return None
        query = parse_qsl(request.scope["query_string"].decode("latin-1"))
        given = [value.encode() for name, value in query if name == "token"]
        if request.method == "GET" and _asks_for_page(request) and len(given) == 1 and _is_same(given[0], token):
            response = Response(status_code=303, headers={"Location": "./"})
            response.set_cookie(self._cookie, token.decode(), path="/", httponly=True, samesite="strict")
            return response
        raise RefusedError(
            401, "This page asks for a token. Open the address that lrscout ui printed, with its ?token=..."
        )

    @property
    def _cookie(self) -> str:
        """The cookie's name: a browser shares cookies between the ports of a machine, so each server has its own."""
        return f"lrscout-{hashlib.sha256(self._token or b'').hexdigest()[:12]}"

    def _cookie_of(self, headers: Headers) -> bytes | None:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return None
        return None if found is None else found.value.encode()


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _check_site(request: Request) -> None:
    """Refuse what another site's page has the browser ask, except to follow a link to the page."""
    origins, site = request.headers.getlist("origin"), request.headers.get("sec-fetch-site", "none")
    from_here = all(_same_place(origin, request.headers["host"]) for origin in origins)
    mode = request.headers.get("sec-fetch-mode")
    follows_link = request.method == "GET" and _asks_for_page(request) and mode == "navigate"
    if not from_here or (site not in ("same-origin", "none") and not follows_link):
        raise RefusedError(403, "Another site may not ask this server.")


def _asks_for_page(request: Request) -> bool:
    """Return whether a request is for the page itself, which may be mounted below a path of another app."""
    return request.scope["path"].removeprefix(request.scope.get("root_path", "")) == "/"


def _same_place(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def _name_of(host: str) -> str | None:
    """Return the name in a Host header, without its port; None if it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return None if parts.netloc != host or "@" in host or parts.hostname is None else parts.hostname


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _bearer_of(headers: Headers) -> bytes | None:
    kind, _, value = headers.get("authorization", "").partition(" ")
    return value.encode() if kind.lower() == "bearer" else None


def _is_same(given: bytes | None, token: bytes) -> bool:
    return given is not None and hmac.compare_digest(given, token)
