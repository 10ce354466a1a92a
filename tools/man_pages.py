"""Writes what is made from the code in deploy/: man pages, completion scripts, JSON Schemas (make man)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from typer._completion_shared import get_completion_script

from contactsync import __version__
from contactsync.cli.app import app
from contactsync.cli.errors import EXIT_CODES
from contactsync.mapping.json_schema import mapping_schema
from contactsync.operations.declared.file import file_schema

DEPLOY = Path(__file__).parents[1] / "deploy"
FOLDERS = ("completion", "man", "schemas")
PROGRAM = "contactsync"
COMPLETION = {"bash": "contactsync.bash", "fish": "contactsync.fish", "zsh": "_contactsync"}

_FILES = (
    ("/etc/contactsync/settings.toml", "The settings; `contactsync settings` prints the documented file."),
    ("/var/lib/contactsync", "The embedded database and the key, if the daemon is a service."),
    ("~/.local/state/contactsync", "The same, if a user runs the commands."),
)


def pages() -> dict[Path, str]:
    """The text of each file below deploy/."""
    root = typer.main.get_command(app)
    commands = list(_commands(root, PROGRAM))
    names = [name for name, _ in commands]
    man = {DEPLOY / "man" / f"{name.replace(' ', '-')}.1": _page(name, command, names) for name, command in commands}
    words = {"prog_name": PROGRAM, "complete_var": f"_{PROGRAM.upper()}_COMPLETE"}
    scripts = {
        DEPLOY / "completion" / file: get_completion_script(**words, shell=shell) + "\n"
        for shell, file in COMPLETION.items()
    }
    schemas = {
        DEPLOY / "schemas" / f"{name}.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in (("definitions", file_schema()), ("mapping", mapping_schema()))
    }
    return man | scripts | schemas


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for key, child in getattr(command, "commands", {}).items():
        yield from _commands(child, f"{name} {key}")


def _page(name: str, command: Any, names: list[str]) -> str:
    context = command.context_class(command, info_name=name)
    usage = " ".join(command.collect_usage_pieces(context))
    paragraphs = (command.help or "").split("\n\n")
    parts = [
        f'.TH {name.upper().replace(" ", "-")} 1 "" "contactsync {__version__}" "contactsync"',
        ".SH NAME",
        f"{_text(name.replace(' ', '-'))} \\- {_text((command.short_help or paragraphs[0]).rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {_text(name)}",
        _text(usage),
        ".SH DESCRIPTION",
        *_description(paragraphs),
        *_records("ARGUMENTS", _rows(command, context, argument=True)),
        *_records("OPTIONS", _rows(command, context, argument=False)),
        *_records("COMMANDS", [(f"{name} {key}", child.short_help) for key, child in _children(command)]),
    ]
    if name == PROGRAM:
        parts += [".SH EXIT STATUS", _text(EXIT_CODES.removeprefix("Exit codes: ").capitalize())]
        parts += _records("FILES", list(_FILES))
    related = [_text(other.replace(" ", "-")) for other in _related(name, names)]
    parts += [".SH SEE ALSO", " ,\n".join(f".BR {other} (1)" for other in related)]
    return "\n".join(parts) + "\n"


def _children(command: Any) -> list[tuple[str, Any]]:
    return list(getattr(command, "commands", {}).items())


def _rows(command: Any, context: Any, *, argument: bool) -> list[tuple[str, str]]:
    records = [
        parameter.get_help_record(context)
        for parameter in command.get_params(context)
        if (parameter.param_type_name == "argument") is argument
    ]
    return [(head.partition(" <")[0] if argument else head, text) for head, text in filter(None, records)]


def _related(name: str, names: list[str]) -> list[str]:
    """The group of a command, and the other commands of the group."""
    group = name.rpartition(" ")[0] or PROGRAM
    if name == PROGRAM:
        return [other for other in names if other.count(" ") == 1]
    return [group, *(other for other in names if other.rpartition(" ")[0] in (group, name) and other != name)][:12]


def _description(paragraphs: list[str]) -> Iterator[str]:
    for paragraph in paragraphs:
        literal = paragraph.startswith("\b")
        lines = paragraph.lstrip("\b\n").splitlines()
        if literal:
            yield from (".PP", ".nf", ".RS 4", *map(_text, lines), ".RE", ".fi")
        else:
            yield from (".PP", *map(_text, lines))


def _records(title: str, rows: list[tuple[str, str]]) -> Iterator[str]:
    if rows:
        yield f".SH {title}"
    for head, text in rows:
        yield from (".TP", f".B {_text(head)}", _text(" ".join(text.split())))


def _text(text: str) -> str:
    """The text with what roff reads as commands escaped."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti").replace("^", "\\(ha")
    escaped = escaped.replace("`", "\\(ga").replace("'", "\\(aq").replace('"', "\\(dq")
    return re.sub(r"^([.])", r"\\&\1", escaped)


def main() -> None:
    """Write all pages, and remove those of commands that no longer exist."""
    written = pages()
    for path in {path for folder in FOLDERS for path in (DEPLOY / folder).glob("*")} - written.keys():
        path.unlink()
    for path, text in written.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
