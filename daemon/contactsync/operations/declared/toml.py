"""Declared definitions as TOML, and the text of such a file back as values, with the line of each field."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

TABLE = "definitions"
_FIRST = ("folder", "owner", "definition", "query", "user", "password_stored", "password_ref")
_HEADER = """\
# Definitions of contact folders, for `contactsync folders apply`. A field that is not here has its default.
"""
_PASSWORD_STORED = "# A password is stored. It is not in this file, and stays as long as server and user do."  # noqa: S105
_LAST_OF_FOUR_DIGITS = 0xFFFF
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_START = re.compile(r"\s*\[\[\s*[\"']?" + TABLE + r"[\"']?\s*\]\]")
_SUBTABLE = re.compile(r"\s*\[\s*[\"']?" + TABLE + r"[\"']?\s*\.\s*[\"']?(\w+)")
_KEY = re.compile(r"\s*[\"']?(\w+)[\"']?\s*[.=]")
_QUOTES = re.compile("\"\"\"|'''")


def to_toml(definitions: Sequence[Mapping[str, Any]]) -> str:
    """The file; each definition has only the fields that are to be in it."""
    return _HEADER + "".join(_definition(each) for each in definitions)


def lines_of_fields(text: str) -> dict[tuple[int, str], int]:
    """The line (from 1) of each field, by the number of its definition (from 0); the field "" is the table."""
    lines: dict[tuple[int, str], int] = {}
    index, quotes, in_subtable = -1, "", False
    for number, line in enumerate(text.splitlines(), start=1):
        if not quotes:
            if _START.match(line):
                index, in_subtable = index + 1, False
                lines[index, ""] = number
            elif match := _SUBTABLE.match(line):
                in_subtable = True
                lines.setdefault((index, match[1]), number)
            elif not in_subtable and (match := _KEY.match(line)):
                lines.setdefault((index, match[1]), number)
        for mark in _QUOTES.findall(line):
            quotes = "" if quotes == mark else quotes or mark
    return lines


def _definition(fields: Mapping[str, Any]) -> str:
    lines = ["", f"[[{TABLE}]]"]
    for name in sorted(fields, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST)):
        value = fields[name]
        if name == "password_stored":
            lines.append(_PASSWORD_STORED)
        elif name != "mapping":
            lines.append(f"{name} = {_value(value)}")
    return "\n".join([*lines, *_mapping(fields.get("mapping")), ""])


def _mapping(mapping: Mapping[str, Any] | None) -> list[str]:
    """A table, or a text in JSON if it has a null, which TOML lacks."""
    if mapping is None:
        return []
    if _has_null(mapping):
        return [f"mapping = {_text(json.dumps(mapping, ensure_ascii=False, indent=2))}"]
    plain = {name: value for name, value in mapping.items() if not isinstance(value, dict)}
    lines = [f"[{TABLE}.mapping]"] if plain or not mapping else []
    lines += [f"{_name(name)} = {_value(value)}" for name, value in plain.items()]
    for name, value in mapping.items():
        if isinstance(value, dict):
            lines.append(f"[{TABLE}.mapping.{_name(name)}]")
            lines += [f"{_name(key)} = {_value(inner)}" for key, inner in value.items()]
    return lines


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_name(name)} = {_value(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return _text(value) if isinstance(value, str) else repr(value)


def _text(text: str) -> str:
    return f'"{_escaped(text)}"' if "\n" not in text else '"""\n' + "\n".join(map(_escaped, text.split("\n"))) + '"""'


def _name(name: str) -> str:
    return name if _BARE.fullmatch(name) else f'"{_escaped(name)}"'


def _escaped(text: str) -> str:
    """The text in a basic string of TOML; what could steer a terminal is escaped."""
    return "".join(map(_escaped_character, text))


def _escaped_character(char: str) -> str:
    if char in '\\"':
        return f"\\{char}"
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) <= _LAST_OF_FOUR_DIGITS else f"\\U{ord(char):08x}"


def _has_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_null, value.values()))
    return any(map(_has_null, value)) if isinstance(value, list) else value is None
