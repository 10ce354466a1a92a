"""Databases and short-named directories that live as long as a test."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

_numbers = count(1)
_MEMORY, _ROOM = Path("/dev/shm"), 4 << 30  # noqa: S108 -- the directories in it have names that are not guessed


@contextmanager
def database_of(server: str, *, template: str = "template1") -> Iterator[str]:
    """Make a database and give its conninfo; at the end it is dropped, with all its sessions."""
    name = f"test_{next(_numbers)}"
    _execute(server, "CREATE DATABASE {} TEMPLATE {} OWNER contactsync", name, template)
    try:
        yield make_conninfo(server, dbname=name)
    finally:
        _execute(server, "DROP DATABASE {} WITH (FORCE)", name)


@contextmanager
def short_directory() -> Iterator[Path]:
    """Make an empty directory with a short path: the path of a socket may have 107 bytes.

    It is in memory if there is room, because a disk takes ten times as long to create the files of a database.
    """
    path = Path(tempfile.mkdtemp(prefix="contactsync-test-", dir=_MEMORY if _has_room(_MEMORY) else None))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def _has_room(place: Path) -> bool:
    """Whether files of several servers have room in a directory, and programs in it may be started."""
    if not os.access(place, os.W_OK):
        return False
    status = os.statvfs(place)
    return status.f_bavail * status.f_frsize > _ROOM and not status.f_flag & os.ST_NOEXEC


NOBODY = 65534


def as_nobody(action: Callable[[], None], *, uid: int = NOBODY) -> int:
    """Run `action` in a child process as the user nobody or another; give its exit code, 0 for success."""
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        try:
            action()
        except BaseException:  # noqa: BLE001 - this copy of pytest must end here
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _execute(server: str, statement: LiteralString, *names: str) -> None:
    # As superuser, who can end background work of PostgreSQL, such as a vacuum.
    with psycopg.connect(server, user="postgres", autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
