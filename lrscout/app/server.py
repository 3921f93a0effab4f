"""The page's server: what it answers at which address."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lrscout.app.answers import RefusedError, answer
from lrscout.app.curves import MOST_RATES, show_curves
from lrscout.app.diagnosis import Question, diagnosis_of
from lrscout.app.exports import FORMATS, download
from lrscout.app.lesson import lesson_points
from lrscout.app.maps import Maps
from lrscout.app.openapi import DESCRIPTION
from lrscout.app.outcomes import Outcomes
from lrscout.app.queries import Query
from lrscout.app.range_tests import RangeTests
from lrscout.app.safety import Safety
from lrscout.app.shelf import Shelf
from lrscout.app.static_files import asset_response
from lrscout.app.studies import list_studies, show_map, show_range_test, show_study
from lrscout.app.uploads import body_of

_log = logging.getLogger("lrscout.app")

_POINTS = {"low": 20, "high": 5000, "default": 600}
_AT_ONCE = 2
"""Uploads and exports that are worked on at once; further ones wait."""

_Endpoint = Callable[[Request], Awaitable[Response]]


def make_app(
    store: str | Path | None,
    *,
    token: str | None = None,
    host: str = "127.0.0.1",
    allowed_hosts: Iterable[str] = (),
) -> Starlette:
    """Make the app that serves the page.

    Args:
        store: where the studies are: a file, which may have yet to be made, or the URL of a database; None for a page
            without studies.
        token: what a request must bring; None where everybody on this machine may ask.
        host: where the app will be served, which tells the names under which it may be asked.
        allowed_hosts: further such names.

    Returns:
        The app.

    Raises:
        StoreError: the store cannot be opened.
        MissingDependencyError: a PostgreSQL store needs psycopg (the extra ``postgres``).
    """
    studies = _Studies(Shelf(store))
    routes = [
        _get("/", lambda request: asset_response("index.html")),
        _get("/static/{name}", lambda request: asset_response(request.path_params["name"])),
        _get("/api/lesson", lambda request: answer(lesson_points())),
        _get("/api/openapi.json", lambda request: answer(DESCRIPTION)),
        _get("/api/studies", studies.list),
        _get("/api/study", studies.show),
        _get("/api/study/map", studies.map),
        _get("/api/study/range-test", studies.range_test),
        _get("/api/study/curves", studies.curves),
        Route("/api/study/export", _answered(studies.export), methods=["GET"]),
        Route("/api/diagnose", _answered(_Diagnoses().diagnose), methods=["POST"]),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Safety, token=token, host=host, allowed=tuple(allowed_hosts))],
        exception_handlers={HTTPException: _nothing_here},
    )
    # A redirect to an address without its last slash would go by what the request says is the server's name.
    app.router.redirect_slashes = False
    return app


class _Studies:
    """The answers about studies."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._maps = Maps()
        self._outcomes = Outcomes(self._maps)
        self._range_tests = RangeTests()
        self._limit = CapacityLimiter(_AT_ONCE)

    def list(self, request: Request) -> Response:
        return answer(list_studies(self._shelf))

    def show(self, request: Request) -> Response:
        name = Query(request).required("name")
        return answer(show_study(self._shelf, self._maps, self._outcomes, self._range_tests, name))

    def map(self, request: Request) -> Response:
        found = show_map(self._shelf, self._maps, Query(request).required("name"))
        if found is None:
            raise RefusedError(404, "The study has no finished runs yet.")
        return answer(found)

    def range_test(self, request: Request) -> Response:
        found = show_range_test(self._shelf, self._range_tests, Query(request).required("name"))
        if found is None:
            raise RefusedError(404, "The range test has no finished repeats yet.")
        return answer(found)

    def curves(self, request: Request) -> Response:
        query = Query(request)
        name, rates = query.required("name"), query.rates("lr", most=MOST_RATES)
        return answer(show_curves(self._shelf, self._outcomes, name, rates, query.count("points", **_POINTS)))

    async def export(self, request: Request) -> Response:
        query = Query(request)
        name, format = query.required("name"), query.choice("format", FORMATS)
        return await to_thread.run_sync(partial(download, self._shelf, name, format), limiter=self._limit)


class _Diagnoses:
    """The answers about logs that were sent in."""

    def __init__(self) -> None:
        self._limit = CapacityLimiter(_AT_ONCE)

    async def diagnose(self, request: Request) -> Response:
        query = Query(request)
        question = Question(query.text("name") or "the log", query.text("run"), query.text("loss"), query.text("lr"))
        content = await body_of(request)
        return answer(await to_thread.run_sync(partial(diagnosis_of, content, question), limiter=self._limit))


def _get(path: str, work: Callable[[Request], Response]) -> Route:
    """Return the route of an answer that takes a while, and so is made beside the event loop."""

    async def endpoint(request: Request) -> Response:
        return await to_thread.run_sync(work, request)

    return Route(path, _answered(endpoint), methods=["GET"])


def _answered(endpoint: _Endpoint) -> _Endpoint:
    """Return an endpoint that answers in a sentence, whatever happens."""

    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except RefusedError as refusal:
            return answer({"error": refusal.sentence, **refusal.more}, refusal.status)
        except Exception:
            _log.exception("A request could not be answered.")
            sentence = "This is a fault of lrscout; what happened is in the terminal in which lrscout ui runs."
            return answer({"error": sentence}, 500)

    return answered


async def _nothing_here(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentences = {404: "There is nothing at this address.", 405: "This address is not asked in that way."}
    return answer({"error": sentences.get(error.status_code, "No.")}, error.status_code, error.headers)
