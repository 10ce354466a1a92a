"""Input other than options: passwords, confirmations and mappings, from the terminal, standard input or a file.

A password is never an argument: the command line of a process is visible to every user of the machine.
"""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from contactsync.errors import ContactsyncError, MappingError, UsageError
from contactsync.text import printable

if TYPE_CHECKING:
    from contactsync.cli.options import DefinitionOptions

_PASSWORD_SOURCES = "Use --password-stdin, --password-ref env:NAME, file:PATH or credential:NAME, or a terminal."  # noqa: S105


def check_input(options: DefinitionOptions) -> None:
    """Raise UsageError if the password has several sources, or if standard input would have to hold two things."""
    sources = [options.password_stdin, options.password_prompt, options.password_ref is not None]
    if sum(sources) > 1:
        raise UsageError("The password can come from one place only.", hint=_PASSWORD_SOURCES)
    if options.password_stdin and options.mapping == "-":
        raise UsageError(
            "Standard input cannot hold both the password and the mapping.", hint="Put the mapping into a file."
        )


def read_password(options: DefinitionOptions, *, needed: bool) -> str | None:
    """The password from standard input or the terminal; None if the options name a reference or none is `needed`.

    Raises UsageError if a password is needed and there is no terminal.
    """
    if options.password_stdin:
        password = _line_of_stdin()
    elif options.password_ref is not None or not (needed or options.password_prompt):
        return None
    elif sys.stdin.isatty():
        password = getpass.getpass("Password of the directory's user (not shown): ", stream=sys.stderr)
    else:
        raise UsageError("The user needs a password, and there is no terminal to ask for it.", hint=_PASSWORD_SOURCES)
    if not password:
        raise UsageError("The password is empty.", hint="For anonymous access, leave out --user.")
    return password


def _line_of_stdin() -> str:
    try:
        return sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:  # the exception holds the password
        raise UsageError("The password is not text in UTF-8.", hint="LDAP takes passwords in UTF-8.") from None


def confirm(question: str) -> None:
    """Ask the user. Raises UsageError without a terminal, ContactsyncError if the answer is no."""
    if not sys.stdin.isatty():
        raise UsageError(f"{question} There is no terminal to ask in.", hint="Add --yes if that is what you want.")
    if not typer.confirm(printable(question), err=True):
        raise ContactsyncError("Nothing was changed.")


def read_mapping(text: str) -> dict[str, Any]:
    """The mapping in a file, on standard input (`-`), or in the text itself. Raises UsageError, MappingError."""
    if text.lstrip().startswith("{"):
        return _parsed(text, "The mapping")
    source = "The mapping on standard input" if text == "-" else f"The mapping in {text}"
    try:
        return _parsed(sys.stdin.read() if text == "-" else Path(text).read_text(encoding="utf-8"), source)
    except OSError as error:
        raise UsageError(
            f"The mapping {text} cannot be read: {error.strerror}.",
            hint="Give a JSON file, - for standard input, or the JSON itself.",
        ) from None
    except UnicodeDecodeError:
        raise MappingError(f"{source} is not text in UTF-8.") from None


def _parsed(text: str, source: str) -> dict[str, Any]:
    try:
        mapping = json.loads(text)
    except json.JSONDecodeError as error:
        raise MappingError(f"{source} is not JSON: {error.msg} in line {error.lineno}, column {error.colno}.") from None
    if not isinstance(mapping, dict):
        raise MappingError(f"{source} is not a JSON object.", hint='It looks like {"fields": {"title": ["title"]}}.')
    return mapping
