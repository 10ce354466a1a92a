"""The page of the commands, from their help."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main

from contactsync.cli.app import app
from contactsync.cli.errors import EXIT_CODES
from tools.reference.markdown import blocks, code, prose, table

PROGRAM = "contactsync"

_HEAD = """# Commands

The help of each command; `make man` writes this page. `man contactsync-folders-add` and
`contactsync folders add --help` show the same.

"""


def page() -> str:
    """The text of the page."""
    return _HEAD + "\n".join(_lines(typer.main.get_command(app), PROGRAM)).rstrip() + "\n"


def _lines(command: Any, name: str) -> Iterator[str]:
    context = command.context_class(command, info_name=name)
    usage = " ".join(command.collect_usage_pieces(context))
    yield from (f"## {name}", "", code(f"{name} {usage}".strip()), "")
    yield from blocks((command.help or "").split("\n\n"))
    for kind, argument in (("argument", True), ("option", False)):
        rows = list(_parameters(command, context, argument=argument))
        if rows:
            yield from table([kind, "meaning"], rows)
    children = getattr(command, "commands", {})
    if children:
        rows = [
            [f"[{name} {key}](#{_anchor(f'{name} {key}')})", prose(child.short_help)] for key, child in children.items()
        ]
        yield from table(["command", "what it does"], rows)
    if name == PROGRAM:
        yield from (prose(EXIT_CODES), "")
    for key, child in children.items():
        yield from _lines(child, f"{name} {key}")


def _parameters(command: Any, context: Any, *, argument: bool) -> Iterator[list[str]]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record and (parameter.param_type_name == "argument") is argument:
            head, text = record
            yield [code(head.partition(" <")[0] if argument else head), prose(text)]


def _anchor(heading: str) -> str:
    return heading.replace(" ", "-")
