"""Reads what a dump in PostgreSQL's custom format holds, without restoring it."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE

from contactsync.errors import UsageError
from contactsync.operations.backup.programs import Programs, failure

_HEADER = re.compile(r"^; +(Archive created at|dbname:|Dumped from database version:) ?(.*)$", re.MULTILINE)
_COPY = re.compile(r"^COPY contactsync\.(\w+) \((.*)\) FROM stdin;$")
_ROLES = re.compile(r"^(?:GRANT|REVOKE) .* (?:TO|FROM) ([^;]+);$|^CREATE POLICY .*? TO (.+?)(?: USING| WITH CHECK|;)")
_READ = ("schema_migrations", "folders", "sync_definitions", "public_key")
_HEADER_OF_SEALED = 5
"""Version and key id of a sealed password (contactsync.credentials.sealing)."""


@dataclass(frozen=True, slots=True)
class Archive:
    """What a dump holds; `roles` are named in its rights, `keys` seal its passwords (ids as hexadecimal digits)."""

    path: Path
    created_at: str
    database: str
    server_version: str
    migrations: list[str]
    folders: int
    definitions: int
    keys: list[str] = field(default_factory=list)
    """One for each password."""
    roles: list[str] = field(default_factory=list)


def read_archive(programs: Programs, path: Path) -> Archive:
    """Read the dump. Raises UsageError if it is not one of contactsync's."""
    if not path.is_file():
        raise UsageError(f"There is no file {path}.", hint="Give the file that `contactsync dump` has written.")
    listing = _output(programs, path, "--list")
    if " SCHEMA - contactsync " not in listing or " TABLE DATA contactsync schema_migrations " not in listing:
        raise UsageError(
            f"{path} is no whole dump of contactsync.", hint="Give one that `contactsync dump` has written."
        )
    header = {name.rstrip(":"): value for name, value in _HEADER.findall(listing)}
    tables = _tables(_output(programs, path, "--data-only", "--file=-", *(f"--table={name}" for name in _READ)))
    schema = _output(programs, path, "--schema-only", "--file=-")
    return Archive(
        path=path,
        created_at=header.get("Archive created at", ""),
        database=header.get("dbname", ""),
        server_version=header.get("Dumped from database version", ""),
        migrations=sorted(row["name"] for row in tables.get("schema_migrations", [])),
        folders=len(tables.get("folders", [])),
        definitions=len(tables.get("sync_definitions", [])),
        keys=_keys(tables),
        roles=_roles(schema),
    )


def _output(programs: Programs, path: Path, *arguments: str) -> str:
    with tempfile.TemporaryFile() as errors:
        process = programs.start("pg_restore", *arguments, str(path), errors=errors, stdout=PIPE)
        output, _ = process.communicate()
        if process.returncode:
            problem = failure("pg_restore", errors)
            raise UsageError(
                f"{path} cannot be used: {problem.message}",
                hint="Give a dump in the custom format, as `contactsync dump` writes it.",
            )
    return output.decode(errors="replace")


def _tables(script: str) -> dict[str, list[dict[str, str]]]:
    """The rows of each COPY, as texts in its format."""
    tables: dict[str, list[dict[str, str]]] = {}
    rows: list[dict[str, str]] | None = None
    columns: list[str] = []
    for line in script.split("\n"):
        if rows is None:
            if match := _COPY.match(line):
                columns = [name.strip('" ') for name in match[2].split(",")]
                rows = tables.setdefault(match[1], [])
        elif line == "\\.":
            rows = None
        else:
            rows.append(dict(zip(columns, line.split("\t"), strict=False)))
    return tables


def _keys(tables: dict[str, list[dict[str, str]]]) -> list[str]:
    """The id of the key of each password; one that was sealed by SQL is for the published key."""
    public = [row["key_id"].replace("\\\\x", "") for row in tables.get("public_key", [])]
    keys = []
    for row in tables.get("sync_definitions", []):
        sealed, new = row.get("password_sealed", "\\N"), row.get("password_new", "\\N")
        if sealed != "\\N":
            keys.append(sealed.replace("\\\\x", "")[2 : 2 * _HEADER_OF_SEALED])
        elif new != "\\N":
            keys += public[:1]
    return keys


def _roles(schema: str) -> list[str]:
    names = {
        name.strip().strip('"')
        for line in schema.splitlines()
        if (match := _ROLES.match(line))
        for name in (match[1] or match[2]).removesuffix(" WITH GRANT OPTION").split(",")
    }
    return sorted(names - {"PUBLIC"})
