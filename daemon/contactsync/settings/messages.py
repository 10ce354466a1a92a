"""Errors in the settings as sentences: the place, the key, its value, and what is allowed."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from contactsync.settings.file import DELIMITER, PREFIX
from contactsync.settings.schema import Settings
from contactsync.settings.types import Section

_MAX_VALUE = 60
_TABLE = re.compile(r"\s*\[+\s*([\w.\-\"' ]+?)\s*\]+")
_KEY = re.compile(r"\s*([\w.\-\"' ]+?)\s*=")


class Describer:
    """Describes pydantic's errors in a file (`text` of `file`) and in the environment (`overrides`)."""

    def __init__(self, text: str, file: Path | None, overrides: Mapping[str, Mapping[str, Any]]) -> None:
        self._lines = _lines_of_keys(text)
        self._file = file
        self._overrides = overrides

    def sentence(self, detail: ErrorDetails) -> str:
        """An error as a sentence; it shows the value unless that may be a password."""
        names = [str(part) for part in detail["loc"][:2]]
        where, key = self.where(names), ".".join(names)
        if detail["type"] == "extra_forbidden":
            return f"{where}: {_unknown(names, detail['input'])}"
        if len(names) == 1 and detail["type"] == "value_error":
            return f"{where}: {detail['ctx']['error']}"
        if len(names) == 1:
            return f"{where}: {key} must be a table that starts with a line [{key}]."
        field = _fields(names[0])[names[1]]
        if field.annotation is SecretStr:
            return f"{where}: {key} must be {_allowed(field)}; its value may be a password and is not shown."
        return f"{where}: {key} is {_shown(detail['input'])} but must be {_allowed(field)}."

    def where(self, names: list[str]) -> str:
        """The environment variable that has a setting, or the file with the line."""
        if len(names) > 1 and names[1] in self._overrides.get(names[0], {}):
            return f"Environment variable {PREFIX}{DELIMITER.join(names).upper()}"
        line = self._lines.get(".".join(names))
        return f"{self._file}, line {line}" if line else str(self._file or "Settings")


def unknown_variables(environ: Collection[str], known: Collection[str]) -> list[str]:
    """A sentence for each variable that looks like a setting and is none.

    Other variables with our prefix may contain a password that a definition refers to (`env:CONTACTSYNC_...`).
    """
    plain = {variable.replace("_", ""): variable for variable in known}
    sentences = []
    for name in sorted(name for name in environ if name.startswith(PREFIX) and name not in known):
        is_setting = DELIMITER in name
        near = difflib.get_close_matches(name.replace("_", ""), plain, n=1, cutoff=0.8 if is_setting else 0.9)
        if near or is_setting:
            advice = _advice([plain[match] for match in near], "{}")
            sentences.append(f"Environment variable {name}: there is no such setting{advice}")
    return sentences


def _unknown(names: list[str], value: object) -> str:
    sections = Settings.model_fields
    every_key = [f"{section}.{key}" for section in sections for key in _fields(section)]
    if len(names) == 1 and isinstance(value, dict):
        return f"there is no section [{names[0]}]{_advice(difflib.get_close_matches(names[0], sections), '[{}]')}"
    # The same key in another section, else a similar one in this section, else a similar one in any section.
    near = [
        *(name for name in every_key if name.partition(".")[2] == names[-1]),
        *difflib.get_close_matches(".".join(names), every_key, cutoff=0.7),
        *(name for name in every_key if difflib.get_close_matches(names[-1], [name.partition(".")[2]], cutoff=0.7)),
    ]
    return f"there is no setting {'.'.join(names)}{_advice(near, '{}')}"


def _advice(near: list[str], form: str) -> str:
    return f"; did you mean {form.format(near[0])}?" if near else "."


def _fields(section: str) -> dict[str, FieldInfo]:
    annotation = Settings.model_fields[section].annotation
    if not (isinstance(annotation, type) and issubclass(annotation, Section)):
        raise TypeError(section)
    return annotation.model_fields


def _allowed(field: FieldInfo) -> str:
    if field.description:
        return field.description
    if get_origin(field.annotation) is Literal:
        return "one of " + ", ".join(_shown(choice) for choice in get_args(field.annotation))
    bounds = {type(item): item for item in field.metadata}
    low, high = bounds.get(Ge), bounds.get(Le)
    span = f" from {low.ge} to {high.le}" if isinstance(low, Ge) and isinstance(high, Le) else ""
    words: dict[object, str] = {
        bool: "true or false",
        int: f"a whole number{span}",
        float: f"a number{span}",
        Path: "an absolute path in quotes",
        SecretStr: "a PostgreSQL URL (postgresql://...) or connection string (host=... dbname=...)",
    }
    return words[field.annotation]


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str | bool):
        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) <= _MAX_VALUE else text[:_MAX_VALUE] + '..."'
    return str(value)


def _lines_of_keys(text: str) -> dict[str, int]:
    """The line (from 1) of each table and key. No setting has a multi-line value."""
    lines: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _TABLE.match(line):
            table = _bare(header[1])
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault(f"{table}.{_bare(key[1])}".lstrip("."), number)
    return lines


def _bare(name: str) -> str:
    return re.sub(r"[\"' ]", "", name)
