"""Columns of values as COPY's text format (PostgreSQL manual, "COPY", File Formats), for a whole batch at once.

Escaping value by value in Python costs more than everything else in a first load. So the rows are joined with control
characters that stand for "next column", "next row" and "null", and the escapes are made over the octets of the whole
batch. Mapped values hold no control character but newline and tab; `plain` makes other text so. A batch whose stand-ins
do not add up is refused, so that a slip elsewhere can never shift a value into another column.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import chain

COLUMN, ROW, NULL = "\x1f", "\x1e", "\x1d"
_STAND_INS = str.maketrans({COLUMN: " ", ROW: " ", NULL: " ", "\x00": None})
_HARMFUL = re.compile("[\x00\x1d-\x1f]")
_QUOTED = re.compile(r'["\\]')
_COLUMN, _ROW, _NULL = COLUMN.encode(), ROW.encode(), NULL.encode()
_SEPARATORS = bytes.maketrans(_COLUMN + _ROW, b"\t\n")
_ESCAPES = ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\t", b"\\t"), (b"\r", b"\\r"))


def texts(values: Iterable[str | None]) -> list[str]:
    """Text values; blank ones become null."""
    return [value or NULL for value in values]


def text_arrays(values: Sequence[Sequence[str]]) -> list[str]:
    """One-dimensional text arrays, every element quoted."""
    # Nearly every column is like this; to look for quotes value by value takes longer than all the rest.
    if max(map(len, values), default=0) <= 1 and not _QUOTED.search("".join(chain.from_iterable(values))):
        return [f'{{"{value[0]}"}}' if value else "{}" for value in values]
    return [_text_array(value) if value else "{}" for value in values]


def octets(values: Iterable[bytes | None]) -> list[str]:
    """Values of bytea in hex form, or null."""
    return [NULL if value is None else f"\\x{value.hex()}" for value in values]


def json_objects(values: Iterable[dict[str, str | None]]) -> list[str]:
    """Values of jsonb, each an object; keys without a value are left out."""
    return [json.dumps({name: entry for name, entry in value.items() if entry}, ensure_ascii=False) for value in values]


def plain(values: Sequence[str]) -> list[str]:
    """Text that did not go through a mapping, such as DNs, without the stand-ins and NUL, which PostgreSQL refuses."""
    if not _HARMFUL.search("".join(values)):
        return list(values)
    return [value.translate(_STAND_INS) for value in values]


def copy_block(columns: Sequence[Sequence[str]]) -> bytes:
    """The COPY input for columns of values that went through the functions above; empty for no rows."""
    rows = len(columns[0])
    if not rows:
        return b""
    block = ROW.join(map(COLUMN.join, zip(*columns, strict=True))).encode()
    if block.count(_COLUMN) != rows * (len(columns) - 1) or block.count(_ROW) != rows - 1:
        message = "a value to be copied holds a control character"
        raise ValueError(message)
    for character, escape in _ESCAPES:
        block = block.replace(character, escape)
    return block.translate(_SEPARATORS).replace(_NULL, b"\\N") + b"\n"


def _text_array(values: Sequence[str]) -> str:
    joined = '","'.join(values)
    if "\\" in joined or joined.count('"') != 2 * (len(values) - 1):
        joined = '","'.join(value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return f'{{"{joined}"}}'
