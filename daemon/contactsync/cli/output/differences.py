"""How changes of contacts look: a line for the contact, a line for each field with its value before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.text import Text

from contactsync.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from contactsync.model import Change

Fields = Mapping[str, tuple[Any, Any]]

BLANK = "(blank)"
_MARKS = {"insert": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red")}
_INDENT = "    "


def show_changes(console: Console, changes: Sequence[Change], *, left_out: int) -> None:
    """Contact by contact; says how many more there are."""
    for change in changes:
        mark, style = _MARKS[change.action]
        name = printable(change.display_name or "(no name)")
        line = Text(f"{mark} {name}", style=f"bold {style}")
        console.print(line, soft_wrap=not console.is_terminal)
        show_fields(console, change.fields, action=change.action)
    if left_out > 0:
        console.print(Text(f"... and {left_out:,} more; --limit 0 shows all."), soft_wrap=not console.is_terminal)


def show_fields(console: Console, fields: Fields, *, action: str) -> None:
    """The value that an insert brought or a delete took; before and after for anything else.

    Two values that do not fit on one line of a terminal stand on two.
    """
    rows = [(printable(name), _shown(before), _shown(after)) for name, before, after in flat(fields)]
    width = max((len(name) for name, _, _ in rows), default=0)
    for name, before, after in rows:
        head = f"{_INDENT}{name:<{width}}  "
        if action in {"insert", "delete"}:
            _line(console, head, after if action == "insert" else before)
            continue
        both = f"{before} -> {after}"
        if not console.is_terminal or cell_len(head + both) <= console.width:
            _line(console, head, both)
        else:
            _line(console, head, before)
            _line(console, f"{'->':>{len(head) - 1}} ", after)


def flat(fields: Fields) -> Iterator[tuple[str, Any, Any]]:
    """Field, before and after, with the keys of `extra` one by one and a photo in words."""
    for name, (before, after) in sorted(fields.items()):
        if name == "extra":
            for key in sorted({*(before or {}), *(after or {})}):
                one, other = (before or {}).get(key), (after or {}).get(key)
                if one != other:
                    yield f"extra.{key}", one, other
        elif name == "photo_digest":
            yield "photo", "a photo" if before else None, ("another photo" if before else "a photo") if after else None
        else:
            yield name, before, after


def _line(console: Console, head: str, value: str) -> None:
    """One line, with its value wrapped in a column of its own in a terminal."""
    if not console.is_terminal:
        console.out(f"{head}{value}", highlight=False)
        return
    lines = Text(value).wrap(console, max(console.width - len(head), 20))
    for number, line in enumerate(lines):
        console.print(Text(head if number == 0 else " " * len(head)) + line, soft_wrap=True)


def _shown(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return BLANK
    if isinstance(value, list):
        return printable(", ".join(map(str, value)))
    return printable(" / ".join(str(value).splitlines()))
