"""What the server answers, as OpenAPI tells it: for tools that ask everything, and for whoever writes another page."""

from __future__ import annotations

from typing import Any

from lrscout.app.curves import MOST_RATES
from lrscout.app.exports import FORMATS

_ERROR: dict[str, Any] = {
    "description": "Refused, with the reason in a sentence.",
    "content": {
        "application/json": {
            "schema": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
        }
    },
}
_NAME_OF_STUDY = {"name": "name", "in": "query", "required": True, "schema": {"type": "string", "maxLength": 200}}


def _text(name: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": "string", "minLength": 1, "maxLength": 200}}


def _operation(
    summary: str, refusals: tuple[int, ...], parameters: tuple[dict[str, Any], ...] = (), kind: str = "application/json"
) -> dict[str, Any]:
    granted: dict[str, Any] = {"description": summary, "content": {kind: {"schema": {}}}}
    responses: dict[str, Any] = {"200": granted} | {str(status): _ERROR for status in (400, 401, 403, *refusals)}
    return {"summary": summary, "parameters": list(parameters), "responses": responses}


_LR = {
    "name": "lr",
    "in": "query",
    "schema": {"type": "array", "maxItems": MOST_RATES, "items": {"type": "number", "exclusiveMinimum": 0}},
}
_POINTS = {"name": "points", "in": "query", "schema": {"type": "integer", "minimum": 20, "maximum": 5000}}
_FORMAT = {"name": "format", "in": "query", "required": True, "schema": {"type": "string", "enum": list(FORMATS)}}
_ASSET = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_FILE = {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}

DESCRIPTION: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "lrscout ui", "version": "1"},
    "paths": {
        "/": {"get": _operation("The page.", (404,), kind="text/html")},
        "/static/{name}": {"get": _operation("An asset of the page.", (404,), (_ASSET,), kind="*/*")},
        "/api/openapi.json": {"get": _operation("This description.", ())},
        "/api/lesson": {"get": _operation("The points of the lesson.", ())},
        "/api/studies": {"get": _operation("Every study in a line, the newest first.", (422,))},
        "/api/study": {
            "get": _operation("A study in sentences and numbers, or why there is none.", (422,), (_NAME_OF_STUDY,))
        },
        "/api/study/map": {
            "get": _operation("The learning-rate x steps map of a sweep.", (404, 422), (_NAME_OF_STUDY,))
        },
        "/api/study/range-test": {
            "get": _operation("The lines and the suggestions of a range test.", (404, 422), (_NAME_OF_STUDY,))
        },
        "/api/study/curves": {
            "get": _operation("Curves, thinned for a picture.", (404, 422), (_NAME_OF_STUDY, _LR, _POINTS))
        },
        "/api/study/export": {
            "get": _operation("Every curve as a file.", (404, 422), (_NAME_OF_STUDY, _FORMAT), kind="*/*")
        },
        "/api/diagnose": {
            "post": _operation(
                "How a run went, by its log, or the error that keeps it from being read.",
                (413, 415),
                (_text("name"), _text("run"), _text("loss"), _text("lr")),
            )
            | {"requestBody": _FILE}
        },
    },
}
