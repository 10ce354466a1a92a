"""Rows as COPY's text format (PostgreSQL manual, "COPY", File Formats), for a whole batch at once.

Escaping value by value in Python costs more than everything else in a first load. So the rows are joined with control
characters that stand for "next column", "next row" and "null", and the five escapes are made by `str.replace` over the
whole batch. Mapped values hold no control character but newline and tab; `plain` makes other text so. A batch whose
stand-ins do not add up is refused, so that a slip elsewhere can never shift a value into another column.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

COLUMN, ROW, NULL = "\x1f", "\x1e", "\x1d"
_STAND_INS = str.maketrans({COLUMN: " ", ROW: " ", NULL: " ", "\x00": None})

Writer = Callable[[Any], str]


def text(value: str | None) -> str:
    """A text value or null."""
    return NULL if value is None else value


def text_array(values: Sequence[str]) -> str:
    """A one-dimensional text array, every element quoted."""
    if not values:
        return "{}"
    joined = '","'.join(values)
    if "\\" in joined or joined.count('"') != 2 * (len(values) - 1):
        joined = '","'.join(value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return f'{{"{joined}"}}'


def octets(value: bytes | None) -> str:
    """A bytea in hex form, or null."""
    return NULL if value is None else "\\x" + value.hex()


def json_object(value: dict[str, str | None]) -> str:
    """A jsonb object; keys without a value are left out."""
    return json.dumps({name: entry for name, entry in value.items() if entry is not None}, ensure_ascii=False)


def copy_block(rows: Iterable[Sequence[str]]) -> bytes:
    """The COPY input for rows of values that went through the writers above; empty for no rows."""
    lines = [COLUMN.join(row) for row in rows]
    if not lines:
        return b""
    block = ROW.join(lines)
    if block.count(COLUMN) % len(lines) or block.count(ROW) != len(lines) - 1:
        message = "a value to be copied holds a control character"
        raise ValueError(message)
    return (
        block.replace("\\", "\\\\")
        .replace("\n", "\\n")
        .replace("\t", "\\t")
        .replace("\r", "\\r")
        .replace(COLUMN, "\t")
        .replace(NULL, "\\N")
        .replace(ROW, "\n")
        + "\n"
    ).encode()


def plain(value: str) -> str:
    """Text that did not go through a mapping, such as a DN, without the stand-ins and NUL, which PostgreSQL refuses."""
    return value.translate(_STAND_INS)
