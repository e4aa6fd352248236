"""The OpenAPI 3.1 document, and a page to read it by, made from the table of routes and the structs that validate."""

import re
from collections.abc import Sequence
from html import escape
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec

from gateway.calls import Access, Family, Route
from gateway.middleware.idempotency import HEADER
from gateway.wire.errors import ErrorBody

Json = dict[str, Any]

_PARAMETER = re.compile(r"\{(\w+)\}")
_REF = "#/components/schemas/{name}"
_NUMBER: Json = {"type": "string", "pattern": "^[1-9][0-9]{0,3}$"}
_PATH_SCHEMAS: dict[str, Json] = {"shardId": _NUMBER, "part": _NUMBER}
_ANY_ID: Json = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
_KEY: Json = {
    "name": HEADER,
    "in": "header",
    "description": "The same key makes the same request sent again harmless",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}
_FILES: Json = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}},
            "required": ["files"],
        }
    },
    "application/xml": {"schema": {"type": "string"}},
    "application/json": {"schema": {"type": "object"}},
    "application/octet-stream": {"schema": {}},
}
_ANY_FILE: Json = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_SCHEMES: Json = {
    Access.API_TOKEN: {"type": "http", "scheme": "bearer", "description": "An API token"},
    Access.WEBHOOK_TOKEN: {"type": "http", "scheme": "bearer", "description": "The webhookToken of the execution"},
    Access.SIGNED_URL: {"type": "apiKey", "in": "query", "name": "signature", "description": "As URLs given out have"},
}


def document(routes: Sequence[Route]) -> Json:
    """The document of these routes."""
    schemas = _Schemas(routes)
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Test execution API",
            "version": version("tms-orchestrator"),
            "description": "Executions run in shards, every result kept, all of it live.",
        },
        "tags": [{"name": family.value} for family in Family],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": _SCHEMES},
    }


def refusals(route: Route) -> list[HTTPStatus]:
    """Every status of an error that a route can answer."""
    always = (HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE)
    found = {*route.refusals, *always}
    if route.access is not Access.OPEN:
        found.add(HTTPStatus.UNAUTHORIZED)
    if route.is_limited:
        found.add(HTTPStatus.TOO_MANY_REQUESTS)
    if route.permission is not None:
        found.add(HTTPStatus.FORBIDDEN)
    if "{" in route.path:
        found.add(HTTPStatus.NOT_FOUND)
    if route.query is not None or route.method == "POST":
        found.add(HTTPStatus.UNPROCESSABLE_ENTITY)
    if route.body is not None or route.takes_files or route.streams_body:
        found |= {
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
        }
    return sorted(found)


def security(route: Route) -> list[Json]:
    """What a caller of a route proves itself with; one of these is enough."""
    match route.access:
        case Access.OPEN:
            return []
        case Access.SIGNED_URL:
            return [{Access.API_TOKEN.value: []}, {Access.SIGNED_URL.value: []}]
        case _:
            return [{route.access.value: []}]


class _Schemas:
    """The schemas of all types of the table, shared ones under `components`."""

    def __init__(self, routes: Sequence[Route]) -> None:
        types: list[Any] = [ErrorBody]
        for route in routes:
            types += [route.query] if route.query is not None else []
            types += [route.body] if route.body is not None else []
            types += route.answers.values()
        schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
        self.components = dict(components)
        self._by_type = dict(zip(map(str, types), schemas, strict=True))

    def of(self, kind: Any) -> Json:  # noqa: ANN401 - any type, unions too
        """The schema of a type, usually a reference."""
        return self._by_type[str(kind)]

    def properties(self, struct: type[msgspec.Struct]) -> tuple[Json, frozenset[str]]:
        """The schemas of a struct's fields, and which are required."""
        schema = self.components[self.of(struct)["$ref"].rpartition("/")[2]]
        return schema["properties"], frozenset(schema.get("required", ()))


def _operation(route: Route, schemas: _Schemas) -> Json:
    operation: Json = {
        "operationId": _name(route),
        "summary": route.summary,
        "tags": [route.family.value],
        "security": security(route),
        "parameters": _parameters(route, schemas),
        "responses": _responses(route, schemas),
    }
    if route.permission is not None:
        operation["description"] = f"Needs the permission `{route.permission}`."
    if route.body is not None:
        content = {"application/json": {"schema": schemas.of(route.body)}}
        operation["requestBody"] = {"required": not route.body_may_lack, "content": content}
    if route.takes_files:
        operation["requestBody"] = {"required": True, "content": _FILES}
    if route.streams_body:
        operation["requestBody"] = {"required": True, "content": _ANY_FILE}
    return operation


def _name(route: Route) -> str:
    module = str(route.handler.__module__).rpartition(".")[2]
    return f"{module}_{route.handler.__name__}"


def _parameters(route: Route, schemas: _Schemas) -> list[Json]:
    parameters: list[Json] = [
        {"name": name, "in": "path", "required": True, "schema": _PATH_SCHEMAS.get(name, _ANY_ID)}
        for name in _PARAMETER.findall(route.path)
    ]
    if route.query is not None:
        properties, required = schemas.properties(route.query)
        parameters += [
            {"name": name, "in": "query", "required": name in required, "schema": _without_null(schema)}
            for name, schema in properties.items()
        ]
    if route.method == "POST" and not route.is_repeatable:
        parameters.append(_KEY)
    return parameters


def _without_null(schema: Json) -> Json:
    """A query has no null: what is not given is left out."""
    if "anyOf" not in schema:
        return schema
    choices = [choice for choice in schema["anyOf"] if choice != {"type": "null"}]
    return choices[0] if len(choices) == 1 else {"anyOf": choices}


def _responses(route: Route, schemas: _Schemas) -> Json:
    media = "text/event-stream" if route.stream else route.media.partition(";")[0]
    others: Json = {other: {"schema": {}} for other in route.other_media}
    responses: Json = {
        str(int(status)): {"description": status.phrase, "content": {media: {"schema": schemas.of(kind)}} | others}
        for status, kind in route.answers.items()
    }
    if route.stream:
        responses["101"] = {"description": "A websocket, where the request asks for one"}
    error = {"application/json": {"schema": schemas.of(ErrorBody)}}
    for status in refusals(route):
        responses.setdefault(str(int(status)), {"description": status.phrase, "content": error})
    return responses


def page(described: Json) -> bytes:
    """The document as a page that needs nothing else."""
    rows = "".join(
        f"<tr><td><code>{method.upper()}</code></td><td><code>{escape(path)}</code></td>"
        f"<td>{escape(operation['summary'])}</td><td>{escape(_needs(operation))}</td>"
        f"<td>{escape(', '.join(operation['responses']))}</td></tr>"
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
    )
    info = described["info"]
    return _PAGE.format(title=escape(info["title"]), version=escape(info["version"]), rows=rows).encode()


def _needs(operation: Json) -> str:
    schemes = [name for scheme in operation["security"] for name in scheme]
    return " ".join([*schemes, operation.get("description", "")]).strip()


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #1c1e21 }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .4rem .6rem; border-bottom: 1px solid #d8dbe0; vertical-align: top }}
code {{ font: 14px/1.5 ui-monospace, monospace }}
</style>
</head>
<body>
<h1>{title} <small>{version}</small></h1>
<p>Send <code>Authorization: Bearer</code> and an API token with every request that needs one.
The full description with all fields is <a href="/api/openapi.json">openapi.json</a>, for
code generators and API clients.</p>
<table>
<thead><tr><th>Method</th><th>Path</th><th>What it does</th><th>Needs</th><th>Statuses</th></tr></thead>
<tbody>{rows}</tbody>
</table>
</body>
</html>
"""
