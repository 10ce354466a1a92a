"""What every command has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main

from contactsync.cli.app import app

WITHOUT_DOCUMENT = {"daemon", "demo", "folders schema"}
"""The first two run for long and print a log or a story; a schema is always JSON."""


def commands(command: Any, *path: str) -> Iterator[tuple[str, Any]]:
    """The commands of the tree by their names, without the groups."""
    subcommands = getattr(command, "commands", None)
    if subcommands is None:
        yield " ".join(path), command
    for name, subcommand in (subcommands or {}).items():
        yield from commands(subcommand, *path, name)


def test_every_command_that_prints_something_has_json() -> None:
    """Scripts need no other form."""
    options = {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in commands(typer.main.get_command(app))
    }
    assert {name for name, own in options.items() if "--json" not in own} == WITHOUT_DOCUMENT
    assert "folders list" in options
