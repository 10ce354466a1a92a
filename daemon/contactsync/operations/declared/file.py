"""A file of declared definitions: read with all mistakes at once, each with its line, table and field."""

from __future__ import annotations

import difflib
import json
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from contactsync.errors import DeclarationError
from contactsync.mapping.json_schema import mapping_schema
from contactsync.operations.declared.fields import Declarations, DeclaredDefinition
from contactsync.operations.declared.toml import TABLE, lines_of_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic_core import ErrorDetails

_PASSWORD = "a password is never in this file; use password_ref, or give it when you are asked."  # noqa: S105
_HINT = "`contactsync folders export` prints a file in this form."


@dataclass(frozen=True, slots=True)
class DefinitionsFile:
    """The definitions in a file, and where they are."""

    name: str
    definitions: list[DeclaredDefinition]
    labels: list[str]
    lines: Mapping[tuple[int, str], int]

    def documents(self) -> list[dict[str, Any]]:
        """The definitions as in a request of the API."""
        return [each.model_dump(mode="json", exclude_unset=True) for each in self.definitions]

    def error(self, problems: Iterable[tuple[int, str, str]], hint: str = "") -> DeclarationError:
        """One error for all problems, each with the definition's place, the field and a sentence."""
        return _error(self.name, self.sentences(problems), hint)

    def sentences(self, problems: Iterable[tuple[int, str, str]]) -> list[str]:
        """The problems with their places, in the order of the lines."""
        by_line = sorted(problems, key=lambda problem: (problem[0], self._line(*problem[:2])))
        return [self._sentence(*problem) for problem in by_line]

    def _line(self, index: int, field: str) -> int:
        return self.lines.get((index, field)) or self.lines.get((index, "")) or 0

    def _sentence(self, index: int, field: str, message: str) -> str:
        line = self._line(index, field)
        place = f"line {line}, " if line else ""
        field = f", {field}" if field else ""
        return f"{place}[[{TABLE}]] {self.labels[index]}{field}: {message}"


def parse_file(text: str, name: str) -> DefinitionsFile:
    """The definitions in TOML, or in JSON if the text begins with {. Raises DeclarationError with all problems."""
    values, lines = _parsed(text, name)
    tables = values.get(TABLE, [])
    sentences = [f'there is no table "{key}"; definitions are in [[{TABLE}]].' for key in values if key != TABLE]
    if not isinstance(tables, list):
        raise _error(name, [f"definitions are in tables that start with a line [[{TABLE}]]."])
    labels = [_label(number, table) for number, table in enumerate(tables, start=1)]
    file = DefinitionsFile(name, [], labels, lines)
    found: list[tuple[int, str, str]] = []
    for index, table in enumerate(tables):
        if isinstance(table, dict) and "password" in table:
            found.append((index, "password", _PASSWORD))
            table = {key: value for key, value in table.items() if key != "password"}  # noqa: PLW2901
        try:
            file.definitions.append(DeclaredDefinition.model_validate(table))
        except ValidationError as invalid:
            found += [(index, *_problem(detail)) for detail in invalid.errors(include_url=False)]
    if sentences or found:
        raise _error(name, sentences + file.sentences(found))
    return file


def file_schema() -> dict[str, Any]:
    """The JSON Schema of a file, for editors that complete and check."""
    schema = Declarations.model_json_schema()
    del schema["properties"]["remove_others"]
    fields = schema["$defs"]["DeclaredDefinition"]["properties"]
    del fields["password"]
    mapping = mapping_schema()
    schema["$defs"] |= mapping.pop("$defs")
    del mapping["$schema"]
    # TOML has no null, so that an export may write a mapping as JSON in a text.
    fields["mapping"] = {"anyOf": [mapping, {"type": "string"}], "default": None, "title": "Mapping"}
    return schema | {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Definitions of contactsync"}


def _parsed(text: str, name: str) -> tuple[dict[str, Any], dict[tuple[int, str], int]]:
    if text.lstrip().startswith("{"):
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise _error(name, [f"it is not valid JSON: {error.msg} (at line {error.lineno})."]) from None
        return values if isinstance(values, dict) else {}, {}
    try:
        return tomllib.loads(text), lines_of_fields(text)
    except tomllib.TOMLDecodeError as error:
        raise _error(name, [f"it is not valid TOML: {error}."]) from None


def _label(number: int, table: Any) -> str:
    """How messages name a definition: its label if it has one, else its number."""
    if not isinstance(table, dict) or not isinstance(table.get("folder"), str):
        return f"number {number}"
    owner, definition = table.get("owner"), table.get("definition")
    return "".join([f"{owner}/" if owner else "", table["folder"], f":{definition}" if definition else ""])


def _problem(detail: ErrorDetails) -> tuple[str, str]:
    """The field and a sentence; the value is not shown, because it may be a password in the wrong place."""
    field = str(detail["loc"][0]) if detail["loc"] else ""
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(field, DeclaredDefinition.model_fields, n=1)
        return field, "there is no such field" + (f"; did you mean {near[0]}?" if near else ".")
    if detail["type"] == "missing":
        return field, "it is missing."
    return field, f"{detail['msg'].removeprefix('Value error, ').replace('Input should', 'it should')}."


def _error(name: str, sentences: list[str], hint: str = "") -> DeclarationError:
    if len(sentences) == 1:
        return DeclarationError(f"{name}: {sentences[0]}", hint=hint or _HINT)
    lines = "".join(f"\n- {sentence}" for sentence in sentences)
    return DeclarationError(f"{name} has {len(sentences)} problems:{lines}", hint=hint or _HINT)
