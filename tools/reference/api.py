"""The page of the API's paths and documents, from its OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

from contactsync.api.access.needs import NEEDS, Need, Target
from contactsync.api.app import create_app
from tools.reference.markdown import code, prose, table

_HEAD = """# Paths and documents of the API

From the OpenAPI document, which the daemon serves at `/v1/openapi.json`; `make man` writes this page.
[The API](api.md) explains how to use it. Every error is a document of the type [Problem](#problem), with
[a code](errors.md).

"""
_TITLES = {
    "read": "State",
    "runs": "Runs",
    "contacts": "Contacts",
    "audit": "Who did what",
    "follow": "Events and metrics",
    "fleet": "The fleet",
    "definitions": "Definitions",
    "drafts": "Settings that are not stored",
    "requests": "Requests",
    "control": "Cancel and reload",
    "decide": "Decide about runs",
    "tokens": "Tokens",
    "console": "The web console",
}
_WITHOUT_TOKEN = {
    Target.SOCKET: "Only at the control socket.",
    Target.CONSOLE: "Only for the process of the web console.",
}
_METHODS = ("get", "post", "put", "patch", "delete")


def page() -> str:
    """The text of the page."""
    document = create_app(cast("Any", SimpleNamespace(pool=None))).openapi()
    return _HEAD + "\n".join([*_paths(document), *_documents(document)]).rstrip() + "\n"


def _paths(document: dict[str, Any]) -> Iterator[str]:
    operations = [
        (operation["tags"][0], method.upper(), path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in _METHODS
    ]
    for tag, title in _TITLES.items():
        yield from (f"## {title}", "")
        for of, method, path, operation in operations:
            if of == tag:
                yield from _operation(method, path, operation)


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield from (f"### {method} {path}", "")
    for paragraph in operation["description"].split("\n\n"):
        yield from (prose(paragraph), "")
    facts = [_need(NEEDS.get(operation["operationId"], Need(None, Target.SOCKET)))]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body:
        facts.append(f"Body: {_type(body)}.")
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            kinds = [
                _type(media.get("schema") or {}) or code(kind) for kind, media in response.get("content", {}).items()
            ]
            facts.append(f"Answer {status}: {', '.join(kinds)}." if kinds else f"Answer {status} without a document.")
    yield from (" ".join(facts), "")
    rows = [
        [code(each["name"]), each["in"], _type(each["schema"]), prose(each.get("description", ""))]
        for each in operation.get("parameters", [])
    ]
    if rows:
        yield from table(["parameter", "in", "type", "meaning"], rows)


def _need(need: Need) -> str:
    if need.target in _WITHOUT_TOKEN:
        return _WITHOUT_TOKEN[need.target]
    return f"Right of a token: {code(need.right.value)}." if need.right else "Any token will do."


def _documents(document: dict[str, Any]) -> Iterator[str]:
    yield from ("## Documents", "")
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield from (f"### {name}", "")
        if schema.get("description"):
            yield from (prose(schema["description"]), "")
        if "enum" in schema:
            yield from (", ".join(code(str(value)) for value in schema["enum"]), "")
        rows = [
            [code(key), _type(value), prose(value.get("description", ""))]
            for key, value in schema.get("properties", {}).items()
        ]
        if rows:
            yield from table(["field", "type", "meaning"], rows)


def _type(schema: dict[str, Any]) -> str:
    """The type of a value, with a link to the document of an object."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_type, schema["anyOf"])))
    if "enum" in schema:
        return ", ".join(code(str(value)) for value in schema["enum"])
    if "const" in schema:
        return code(str(schema["const"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    return str(schema.get("format") or schema.get("type") or "")
