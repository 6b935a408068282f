"""The document of the admin API, made of its routes: OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1.html).

``python -m ampproxy.dashboard.openapi FILE`` writes it; ``docs/admin-api.json`` is it, and a test holds both
together.
"""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from ampproxy import __version__
from ampproxy.dashboard.api import BASE, ROUTES, ApiRoute, Parameter

_ABOUT = (
    "What ampproxy reports of itself to its owner, and what it can be asked to do. Programs send a client key"
    " whose entry in api-keys opens the route class admin: from the gateway's own machine, or from elsewhere"
    " over TLS, if the entry has a name. The page at / uses the same API. Times are seconds since the epoch;"
    " days are UTC; amounts are US dollars, and what Amp bills is an estimate."
)


class Error(msgspec.Struct, frozen=True):
    """Why a request was refused: a sentence, a code, and the id that the log's lines about it have."""

    error: str
    code: str
    request_id: str


_ERRORS = {
    "400": "The query is wrong.",
    "401": "No client key, or none that counts.",
    "403": "The key does not open this, or not from there; or a web page asks that may not.",
    "503": "The ledger or the prices cannot be read.",
}


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """The document."""
    types = [one for route in ROUTES for one in (route.result, route.body) if one is not None]
    schemas, components = msgspec.json.schema_components(
        [*types, Error], ref_template="#/components/schemas/{name}"
    )
    found = dict(zip(map(repr, [*types, Error]), schemas, strict=True))
    return {
        "openapi": "3.1.1",
        "info": {"title": "ampproxy admin API", "version": __version__, "description": _ABOUT},
        "servers": [{"url": BASE}],
        "security": [{"bearer": []}, {"key": []}],
        "paths": {
            f"/{route.path}": {route.method.decode().lower(): _operation(route, found)} for route in ROUTES
        },
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            },
        },
    }


def _operation(route: ApiRoute, schemas: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "string"} if route.result is None else schemas[repr(route.result)]
    answers: dict[str, Any] = {
        "200": {"description": route.summary, "content": {route.content_type: {"schema": schema}}}
    }
    if route.path == "reload":
        answers["409"] = {**answers["200"], "description": "The file is wrong; the old one stays in force."}
    error = {"application/json": {"schema": schemas[repr(Error)]}}
    answers |= {status: {"description": text, "content": error} for status, text in _ERRORS.items()}
    sent: dict[str, Any] = {}
    if route.body is not None:
        content = {"application/json": {"schema": schemas[repr(route.body)]}}
        sent["requestBody"] = {"required": True, "content": content}
    return {
        **sent,
        "operationId": route.path.replace("/", "_").replace(".", "_"),
        "summary": route.summary[0].upper() + route.summary[1:],
        "parameters": [_parameter(one) for one in route.parameters],
        "responses": answers,
    }


def _parameter(one: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": one.type}
    if one.type == "integer":
        schema["minimum"] = 1
    if one.choices:
        schema["enum"] = list(one.choices)
    return {
        "name": one.name,
        "in": "query",
        "required": one.required,
        "description": one.doc,
        "schema": schema,
    }


def text() -> str:
    """The document as it is shipped."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")
