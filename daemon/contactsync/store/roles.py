"""Sets a database up: the schema, the groups of roles.sql, and a login role that reads contacts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

from contactsync.errors import DatabaseError, UsageError
from contactsync.store.errors import translated
from contactsync.store.migration import migrate, missing_migrations
from contactsync.store.session import connect

if TYPE_CHECKING:
    from psycopg import Connection

_GROUPS = re.compile(r"FOREACH name IN ARRAY ARRAY\[(.*?)\]", re.DOTALL)
READERS = "contactsync_reader"
OLDEST_SERVER = 140000


@dataclass(frozen=True, slots=True)
class SetupPlan:
    """What a setup would do to a database: an empty list or None is already there."""

    database: str
    role: str
    migrations: list[str]
    groups: list[str]
    reader: str | None


def plan_setup(conninfo: str, reader: str | None) -> SetupPlan:
    """Compare a database with what a setup makes; changes nothing.

    Raises DatabaseError if the setup is not possible, UsageError for a reader's name that is taken by a superuser.
    """
    with translated(), connect(conninfo, application_name="contactsync-setup") as connection:
        if connection.info.server_version < OLDEST_SERVER:
            raise DatabaseError(
                f"This is PostgreSQL {connection.info.parameter_status('server_version')}.",
                hint="contactsync needs version 14 or later.",
            )
        database, role = connection.info.dbname, _require_owner(connection)
        groups = [group for group in _groups() if not _role(connection, group)]
        plan = SetupPlan(database, role, missing_migrations(connection), groups, _new_reader(connection, reader))
        _require_rights(connection, plan)
        return plan


def carry_out_setup(conninfo: str, plan: SetupPlan) -> None:
    """Apply the migrations, execute roles.sql and create the reader; may be repeated. Raises DatabaseError."""
    migrate(conninfo)
    # Package data is as trusted as the code.
    script: LiteralString = files("contactsync.store").joinpath("roles.sql").read_text(encoding="utf-8")
    with translated(), connect(conninfo, application_name="contactsync-setup") as connection:
        connection.execute(script)
        if plan.reader:
            create = sql.SQL("CREATE ROLE {} LOGIN IN ROLE {}")
            connection.execute(create.format(sql.Identifier(plan.reader), sql.Identifier(READERS)))


def _groups() -> list[str]:
    script = files("contactsync.store").joinpath("roles.sql").read_text(encoding="utf-8")
    [created] = _GROUPS.findall(script)
    return re.findall(r"\w+", created)


def _role(connection: Connection[Any], name: str) -> tuple[bool, bool] | None:
    """Whether it is a superuser, and a member of the readers; None if there is no such role."""
    return connection.execute(
        """
        SELECT r.rolsuper, EXISTS (SELECT FROM pg_auth_members AS m JOIN pg_roles AS g ON g.oid = m.roleid
                                   WHERE m.member = r.oid AND g.rolname = %s)
        FROM pg_roles AS r WHERE r.rolname = %s
        """,
        [READERS, name],
    ).fetchone()


def _new_reader(connection: Connection[Any], reader: str | None) -> str | None:
    """The reader to create; None if none is requested, or if it is a member of the group already."""
    found = _role(connection, reader) if reader else None
    if found is None:
        return reader
    superuser, member = found
    if superuser or not member:
        raise UsageError(
            f"The role {reader} exists already, and is not a reader of contactsync.",
            hint=f'Choose another name, or grant it the group later: GRANT {READERS} TO "{reader}".',
        )
    return None


def _require_owner(connection: Connection[Any]) -> str:
    """The current role, which owns the schema if there is one. Raises DatabaseError."""
    role, owns = connection.execute(
        """
        SELECT current_user, coalesce((SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace
                                       WHERE nspname = 'contactsync'), true)
        """
    ).fetchone() or ("", False)
    if not owns:
        raise DatabaseError(
            f"The schema contactsync in {connection.info.dbname} belongs to another role than {role}.",
            hint="Use the URL of its owner.",
        )
    return str(role)


def _require_rights(connection: Connection[Any], plan: SetupPlan) -> None:
    makes_roles, makes_schemas = connection.execute(
        """
        SELECT rolsuper OR rolcreaterole, has_database_privilege(current_database(), 'CREATE')
        FROM pg_roles WHERE rolname = current_user
        """
    ).fetchone() or (False, False)
    new_roles = [*plan.groups, *([plan.reader] if plan.reader else [])]
    if not makes_schemas and plan.migrations:
        raise DatabaseError(
            f"The role {plan.role} may not create a schema in {plan.database}.",
            hint=f'As a superuser: ALTER DATABASE "{plan.database}" OWNER TO "{plan.role}".',
        )
    if new_roles and not makes_roles:
        raise DatabaseError(
            f"The role {plan.role} may not create the roles {', '.join(new_roles)}.",
            hint=f'As a superuser: ALTER ROLE "{plan.role}" CREATEROLE. Take it back afterwards with NOCREATEROLE.',
        )
