"""`contactsync secrets key export` and `contactsync secrets key import`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contactsync.cli.output.text import show_json, show_text
from contactsync.credentials.key_file import copy_key, key_text, parse_key, read_key
from contactsync.errors import DatabaseError, UsageError
from contactsync.operations.secrets.keys import ImportedKey, import_key, key_in_use
from contactsync.text import counted

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.cli.context import Invocation

_LONGEST_KEY = 1000


def export_key(invocation: Invocation, file: str, *, show: bool, as_json: bool) -> None:
    """Write the key, and its id to standard error. Raises UsageError, OutputError, SecretError."""
    if file == "-" and as_json:
        raise UsageError("A JSON document never has the key.", hint="Name a file; the document then has the key's id.")
    if file == "-" and sys.stdout.isatty() and not show:
        raise UsageError(
            "The key would be readable on this terminal.",
            hint="Name a file, or redirect it; --show prints it all the same.",
        )
    in_use, key = key_in_use(invocation.settings.secrets.key_file)
    if file == "-":
        sys.stdout.buffer.write(key_text(key))
        sys.stdout.buffer.flush()
    else:
        copy_key(Path(file), key)
    if as_json:
        show_json(invocation.out, {**in_use.model_dump(), "copy": file})
    else:
        show_text(
            invocation.err,
            f"The key has the id {in_use.key_id}. It opens all stored passwords: remove each copy after use.",
        )


def import_key_file(invocation: Invocation, file: str, *, as_json: bool) -> None:
    """Install a key and say what it opens. Raises UsageError, SecretError."""
    key = parse_key(sys.stdin.buffer.read(_LONGEST_KEY), "Standard input") if file == "-" else _key_of(Path(file))
    with ExitStack() as stack:
        connection: Connection[Any] | None = None
        problem = None
        try:
            connection = stack.enter_context(invocation.connection())
        except DatabaseError as error:
            problem = str(error)
        imported = import_key(invocation.settings.secrets.key_file, key, connection, problem)
    if as_json:
        show_json(invocation.out, imported.model_dump())
        return
    for text in _sentences(imported):
        show_text(invocation.out, text)
    if problem:
        show_text(invocation.err, f"The key was not compared with the database: {problem}", style="yellow")


def _key_of(path: Path) -> bytes:
    try:
        return read_key(path)
    except FileNotFoundError:
        raise UsageError(f"There is no file {path}.", hint="Give the file that the export has written.") from None


def _sentences(imported: ImportedKey) -> list[str]:
    deeds = {"present": "has this key already", "installed": "was written", "replaced": "was replaced"}
    sentences = [f"{imported.file} {deeds[imported.state]} (id {imported.key_id})."]
    if imported.passwords:
        passwords = counted(imported.passwords, "stored password")
        sentences.append(f"It opens {imported.passwords_fitting} of {passwords}.")
    if imported.state != "present":
        sentences.append("A daemon that is running uses it after a restart.")
    return sentences
