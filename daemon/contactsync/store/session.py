"""The state of a PostgreSQL session: set and checked, whatever the role, the database or the environment brings.

Runs keep temporary tables, advisory locks and LISTEN in their session, and write COPY in UTF-8. A pooler that shares
sessions between clients would mix the runs of several folders, and another encoding would change every letter.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import psycopg
from psycopg import Connection

from contactsync.errors import DatabaseError, DatabaseUnavailable
from contactsync.store.statements import statement

ENCODING = "UTF8"
_PROBES = 3


def connect(conninfo: str, *, application_name: str, timeout: float = 10) -> Connection[Any]:
    """An autocommit connection with a checked session of its own.

    Raises DatabaseError for a database that contactsync cannot work with, DatabaseUnavailable for one that is read-only
    at the moment, psycopg.Error.
    """
    connection: Connection[Any] = psycopg.connect(
        conninfo,
        autocommit=True,
        client_encoding=ENCODING,
        application_name=application_name,
        connect_timeout=max(2, round(timeout)),  # libpq takes no less
    )
    try:
        prepare(connection)
        if connection.info.backend_pid != require_usable(connection):
            _require_unshared(connection, conninfo)
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(connection: Connection[Any]) -> None:
    """Set what contactsync depends on, and refuse what cannot be set. Raises DatabaseError, psycopg.Error."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != ENCODING:
        raise DatabaseError(
            f"The database {connection.info.dbname} stores text in {encoding}, and contactsync needs UTF-8.",
            hint="Make one: CREATE DATABASE contactsync ENCODING 'UTF8' TEMPLATE template0.",
        )
    row = connection.execute(statement("prepare_session")).fetchone()
    if row and row[0] != "origin":
        raise DatabaseError(
            f"session_replication_role is {row[0]} for this role, so that triggers of the schema do not run.",
            hint="Reset it: ALTER ROLE ... RESET session_replication_role.",
        )


class SessionState(NamedTuple):
    """Whether the server is a standby, whether the session can only read, and the process that serves it."""

    recovering: bool
    read_only: bool
    pid: int


def session_state(connection: Connection[Any]) -> SessionState:
    """The state at the moment. Raises psycopg.Error."""
    row = connection.execute(statement("session_state")).fetchone()
    return SessionState(*row) if row else SessionState(recovering=True, read_only=True, pid=0)


def require_usable(connection: Connection[Any], pid: int | None = None) -> int:
    """The server process of this connection, which must be `pid` if that is given.

    Raises DatabaseUnavailable while the connection can only read, DatabaseError for another session, psycopg.Error.
    """
    state = session_state(connection)
    if state.recovering:
        raise DatabaseUnavailable(
            "PostgreSQL is a standby, which can only be read.",
            hint="contactsync works again when it is promoted, or when [database] url names the primary.",
        )
    if state.read_only:
        raise DatabaseUnavailable(
            "PostgreSQL accepts no writes at the moment (default_transaction_read_only is on).",
            hint="contactsync works again when the setting is reset.",
        )
    if pid not in {None, state.pid}:
        raise _shared_session()
    return state.pid


def _shared_session() -> DatabaseError:
    return DatabaseError(
        "PostgreSQL is behind a pooler (such as PgBouncer) that shares sessions between clients.",
        hint="Name PostgreSQL's own address in [database] url, or set pool_mode = session for this database.",
    )


def _require_unshared(connection: Connection[Any], conninfo: str) -> None:
    """A pooler is between here and the server: raise DatabaseError when it pools transactions or statements.

    Clients with sessions of their own have different server processes, and each keeps its process. To be sure that
    another one takes over this client's server, it is asked in a transaction that stays open.
    """
    pid = require_usable(connection)
    others: list[Connection[Any]] = []
    try:
        for _ in range(_PROBES):
            other: Connection[Any] = psycopg.connect(conninfo, client_encoding=ENCODING)
            others.append(other)
            if require_usable(other) == pid or require_usable(connection) != pid:
                raise _shared_session()
    finally:
        for other in others:
            other.close()
