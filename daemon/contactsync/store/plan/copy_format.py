"""Writes columns of values in COPY's text format (PostgreSQL manual, "COPY", File Formats), a batch at a time.

To escape each value in Python would take longer than all other steps of a first load. Therefore the rows are joined by
control characters as markers for "next column", "next row" and "null", and the octets of the whole batch are escaped.
Mapped values contain no control characters except newline and tab; `plain` removes the markers from other text. A batch
with a wrong number of markers is refused, so that no defect can shift a value into another column.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import chain

COLUMN, ROW, NULL = "\x1f", "\x1e", "\x1d"
_MARKERS = str.maketrans({COLUMN: " ", ROW: " ", NULL: " ", "\x00": None})
_MARKER = re.compile("[\x00\x1d-\x1f]")
_QUOTED = re.compile(r'["\\]')
_COLUMN, _ROW, _NULL = COLUMN.encode(), ROW.encode(), NULL.encode()
_SEPARATORS = bytes.maketrans(_COLUMN + _ROW, b"\t\n")
_ESCAPES = ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\t", b"\\t"), (b"\r", b"\\r"))


def texts(values: Iterable[str | None]) -> list[str]:
    """Values of text; blank ones become null."""
    return [value or NULL for value in values]


def text_arrays(values: Sequence[Sequence[str]]) -> list[str]:
    """Values of text[], with every element quoted."""
    # Fast path for nearly all columns: to search each value for quotes takes longer than the rest.
    if max(map(len, values), default=0) <= 1 and not _QUOTED.search("".join(chain.from_iterable(values))):
        return [f'{{"{value[0]}"}}' if value else "{}" for value in values]
    return [_text_array(value) if value else "{}" for value in values]


def octets(values: Iterable[bytes | None]) -> list[str]:
    """Values of bytea in hex format, or null."""
    return [NULL if value is None else f"\\x{value.hex()}" for value in values]


def json_objects(values: Iterable[dict[str, str | None]]) -> list[str]:
    """Values of jsonb, each an object; keys without a value are omitted."""
    return [json.dumps({name: entry for name, entry in value.items() if entry}, ensure_ascii=False) for value in values]


def plain(values: Sequence[str]) -> list[str]:
    """Text that no mapping has cleaned, such as DNs, without NUL and with spaces in place of the markers."""
    if not _MARKER.search("".join(values)):
        return list(values)
    return [value.translate(_MARKERS) for value in values]


def copy_block(columns: Sequence[Sequence[str]]) -> bytes:
    """The COPY input of columns from the functions above; empty without rows. Raises ValueError for a stray marker."""
    rows = len(columns[0])
    if not rows:
        return b""
    block = ROW.join(map(COLUMN.join, zip(*columns, strict=True))).encode()
    if block.count(_COLUMN) != rows * (len(columns) - 1) or block.count(_ROW) != rows - 1:
        message = "a value for COPY contains a control character"
        raise ValueError(message)
    for character, escape in _ESCAPES:
        block = block.replace(character, escape)
    return block.translate(_SEPARATORS).replace(_NULL, b"\\N") + b"\n"


def _text_array(values: Sequence[str]) -> str:
    joined = '","'.join(values)
    if "\\" in joined or joined.count('"') != 2 * (len(values) - 1):
        joined = '","'.join(value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return f'{{"{joined}"}}'
