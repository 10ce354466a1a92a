"""`contactsync files` and `contactsync files copy`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contactsync.cli.output.tables import show_table
from contactsync.cli.output.text import show_json
from contactsync.files.catalogue import copy_files, included_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from contactsync.cli.context import Invocation


def list_files(invocation: Invocation, *, as_json: bool) -> None:
    """Print the names and purposes of all files."""
    listed = included_files()
    if as_json:
        rows = [{"name": file.name, "purpose": file.purpose, "bytes": len(file.content)} for file in listed]
        show_json(invocation.out, {"files": rows})
        return
    show_table(invocation.out, ("File", "What it is"), [[file.name, file.purpose] for file in listed])


def copy_out(invocation: Invocation, names: Sequence[str], directory: Path, *, force: bool, as_json: bool) -> None:
    """Copy files to a directory and print where they are. Raises UsageError, OutputError."""
    paths = copy_files(names, directory, force=force)
    if as_json:
        show_json(invocation.out, {"copied": [str(path) for path in paths]})
        return
    for path in paths:
        invocation.out.out(str(path), highlight=False)
