"""Roles with the rights of deploy/postgresql, on servers with peer authentication."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from contactsync.store.embedded.cluster import ROLE, SUPERUSER

SCRIPTS = Path(__file__).parents[2] / "deploy" / "postgresql"


def carry_out(conninfo: str, script: str) -> list[str | None]:
    """Execute a script of deploy/postgresql in a database, and give the notices."""
    notices: list[str | None] = []
    with psycopg.connect(conninfo, user=SUPERUSER, autocommit=True) as connection:
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        connection.execute((SCRIPTS / script).read_bytes())
    return notices


def role_with(conninfo: str, name: str, *groups: str) -> str:
    """Make a role if it is new, grant it the groups, and give the conninfo that sets it."""
    with psycopg.connect(conninfo, user=SUPERUSER, autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone() is None:
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
        for group in groups:
            connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(name)))
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(name), sql.Identifier(ROLE)))
    return make_conninfo(conninfo, options=f"-c role={name}")


def connected(conninfo: str) -> psycopg.Connection[Any]:
    """Connect in autocommit mode."""
    return psycopg.connect(conninfo, autocommit=True)
