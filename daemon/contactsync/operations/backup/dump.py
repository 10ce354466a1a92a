"""Writes a dump of the schema to a file, in PostgreSQL's custom format."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from contactsync.errors import DatabaseError, OutputError, UsageError
from contactsync.operations.backup.programs import failure, find_programs
from contactsync.store.errors import translated
from contactsync.store.session import connect

if TYPE_CHECKING:
    from contactsync.store.database import Database

SCHEMA = "contactsync"
_VERSION_UNIT = 10_000


def dump(database: Database, path: Path | None, *, role: str | None = None) -> int:
    """Dump the schema, its data and its rights as they are at one moment; returns the number of bytes.

    The file is new, only its owner may read it, and it appears when it is complete. None is standard output. `role`:
    the role that reads, of which the user is a member. Raises UsageError, OutputError, DatabaseError.
    """
    if path is not None and path.exists():
        raise UsageError(f"{path} exists already.", hint="Give another name, or move the file away.")
    with database.existing() as conninfo:
        version = _server_version(conninfo)
        if path is None:
            _dump(conninfo, version, sys.stdout.buffer, role)
            return 0
        unfinished = path.with_name(f".{path.name}.unfinished")
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with open(descriptor, "wb") as file:  # noqa: PTH123 -- of a descriptor
                _dump(conninfo, version, file, role)
                file.flush()
                os.fsync(descriptor)
                size = os.fstat(descriptor).st_size
            unfinished.replace(path)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}.", hint="Choose another place.") from None
        finally:
            with suppress(OSError):
                unfinished.unlink()
        return size


def _server_version(conninfo: str) -> int:
    """The major version of the server. Raises DatabaseError if there is no schema to dump."""
    with translated(), connect(conninfo, application_name="contactsync-dump") as connection:
        row = connection.execute("SELECT to_regnamespace(%s) IS NOT NULL", [SCHEMA]).fetchone()
        if row != (True,):
            raise DatabaseError(
                f"There is nothing of contactsync in the database {connection.info.dbname} yet.",
                hint="Name the right database in [database] url, or another settings.toml with --settings.",
            )
        return connection.info.server_version // _VERSION_UNIT


def _dump(conninfo: str, version: int, target: BinaryIO, role: str | None) -> None:
    arguments = [
        "--format=custom",
        "--lock-wait-timeout=10s",
        f"--schema={SCHEMA}",
        *([f"--role={role}"] if role else []),
    ]
    with tempfile.TemporaryFile() as errors:
        programs = find_programs(version)
        target.flush()
        process = programs.start("pg_dump", *arguments, conninfo=conninfo, errors=errors, stdout=target)
        try:
            code = process.wait()
        finally:
            process.kill()
        if code:
            raise failure("pg_dump", errors)
