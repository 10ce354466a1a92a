"""What tests borrow and give back: databases, and directories with a short path."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

_numbers = count(1)


@contextmanager
def database_of(server: str, *, template: str = "template1") -> Iterator[str]:
    """Make a database and give its conninfo; it is dropped afterwards, whoever is still in it."""
    name = f"test_{next(_numbers)}"
    _execute(server, "CREATE DATABASE {} TEMPLATE {} OWNER contactsync", name, template)
    try:
        yield make_conninfo(server, dbname=name)
    finally:
        _execute(server, "DROP DATABASE {} WITH (FORCE)", name)


@contextmanager
def short_directory() -> Iterator[Path]:
    """Make an empty directory that leaves room for the name of a socket, whose path may have 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="contactsync-test-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def _execute(server: str, statement: LiteralString, *names: str) -> None:
    # As the superuser, who may end what PostgreSQL does in a database by itself, such as a vacuum.
    with psycopg.connect(server, user="postgres", autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
