"""Text and tables in Markdown that forges and the site show alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

_CODE = re.compile(r"(`[^`]*`)")
_SPECIAL = re.compile(r"([*<\[\]|])")


def prose(text: str) -> str:
    """One line of text; code between backticks stays as it is."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(part if part.startswith("`") else _SPECIAL.sub(r"\\\1", part) for part in parts)


def cell(text: str) -> str:
    """A line of Markdown as the cell of a table."""
    return re.sub(r"(?<!\\)\|", r"\\|", text)


def code(text: str) -> str:
    """Text between backticks; nothing if it is empty."""
    return f"`{text}`" if text else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table, with an empty line after it."""
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(map(cell, row))} |".replace("|  |", "| |")
    yield ""


def blocks(paragraphs: Iterable[str]) -> Iterator[str]:
    r"""Paragraphs of a help text; one that begins with \b is shown unchanged."""
    for paragraph in paragraphs:
        if paragraph.startswith("\b"):
            yield from (f"    {line}".rstrip() for line in paragraph.lstrip("\b\n").splitlines())
        else:
            yield prose(paragraph)
        yield ""
