"""Changes of contacts: one line for the contact, one for each field with its value before and after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.text import Text

from contactsync.cli.output.text import GAP, show_text, show_value
from contactsync.text import printable

if TYPE_CHECKING:
    from rich.console import Console

_MARKS = {"insert": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red")}
_INDENT = "    "
KEY_NAMES = {"dn": "DN", "employee_number": "employee number", "mail": "mail and name"}
"""The keys by which a contact is recognised under a new identity."""


def show_first_changes(console: Console, changes: Iterable[Mapping[str, Any]], *, lines: int, left_out: int) -> None:
    """Print as many changes as fit into some lines, at least one: contacts that come or go in one line each."""
    shown, rest = 0, 0
    for change in changes:
        fields = change["fields"] if change["action"] == "update" else {}
        needed = 1 + len(fields)
        if rest or (shown and shown + needed > lines):
            rest += 1
            continue
        shown += needed
        console.print(_title(change, with_email=not fields), no_wrap=True, overflow="ellipsis")
        show_fields(console, fields, action="update")
    if rest + left_out:
        show_text(console, f"... and {rest + left_out:,} more; --limit 50 shows 50, with all fields.")


def show_changes(console: Console, changes: Iterable[Mapping[str, Any]], *, left_out: int) -> None:
    """Print the document of each change, and how many more there are."""
    for change in changes:
        console.print(_title(change), soft_wrap=not console.is_terminal)
        show_fields(console, change["fields"], action=change["action"])
    if left_out > 0:
        console.print(Text(f"... and {left_out:,} more; --limit 0 shows all."), soft_wrap=not console.is_terminal)


def _title(change: Mapping[str, Any], *, with_email: bool = False) -> Text:
    mark, style = _MARKS[change["action"]]
    line = Text(f"{mark} {printable(change['display_name'] or '(no name)')}", style=f"bold {style}")
    emails = [email for emails in change["fields"].get("emails", {}).values() for email in emails or ()]
    if with_email and emails:
        line.append(f" <{printable(emails[0])}>", style="not bold")
    if change["matched_by"]:
        line.append(f" (recognised by {KEY_NAMES[change['matched_by']]})", style="not bold")
    return line


def show_fields(console: Console, fields: Mapping[str, Mapping[str, Any]], *, action: str) -> None:
    """Print the value that an insert added or a delete removed; before and after for other actions.

    Two values that exceed the width of a terminal take two lines.
    """
    rows = [(printable(name), _shown(before), _shown(after)) for name, before, after in _flat(fields)]
    width = max((len(name) for name, _, _ in rows), default=0)
    for name, before, after in rows:
        head = Text(f"{_INDENT}{name:<{width}}{GAP}")
        both = f"{before} -> {after}"
        if action in {"insert", "delete"}:
            show_value(console, head, after if action == "insert" else before)
        elif not console.is_terminal or head.cell_len + cell_len(both) <= console.width:
            show_value(console, head, both)
        else:
            show_value(console, head, before)
            show_value(console, Text(f"{'->':>{head.cell_len - 1}} "), after)


def _flat(fields: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Any, Any]]:
    """Field, value before and value after; the keys of `extra` one by one, a photo in words."""
    for name, change in sorted(fields.items()):
        before, after = change["before"], change["after"]
        if name == "extra":
            old, new = before or {}, after or {}
            for key in sorted({*old, *new}):
                if old.get(key) != new.get(key):
                    yield f"extra.{key}", old.get(key), new.get(key)
        elif name == "photo_digest":
            yield "photo", "a photo" if before else None, ("another photo" if before else "a photo") if after else None
        else:
            yield name, before, after


def _shown(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "(blank)"
    if isinstance(value, list):
        return printable(", ".join(map(str, value)))
    return printable(" / ".join(str(value).splitlines()))
