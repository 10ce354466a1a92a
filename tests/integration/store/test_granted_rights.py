"""The rights of each group as PostgreSQL lists them, so that a right that is granted by mistake is seen."""

from __future__ import annotations

from collections import defaultdict

import psycopg

from tests.support.roles import carry_out

_TABLES = """
SELECT substr(grantee, 13), table_name, privilege_type FROM information_schema.table_privileges
WHERE table_schema = 'contactsync' AND grantee LIKE 'contactsync\\_%'
"""
_COLUMNS = """
SELECT substr(grantee, 13), table_name, privilege_type, array_agg(column_name::text ORDER BY column_name)
FROM information_schema.column_privileges
WHERE table_schema = 'contactsync' AND grantee LIKE 'contactsync\\_%'
GROUP BY grantee, table_name, privilege_type
"""
_ALL_COLUMNS = """
SELECT table_name, array_agg(column_name::text ORDER BY column_name) FROM information_schema.columns
WHERE table_schema = 'contactsync' GROUP BY table_name
"""


_OF_RUNS = "-contact_id -created_at -definition_id -fingerprint"
_SECRET = "-password_by -password_new -password_sealed"
_REQUEST = "INSERT(+definition_id +folder_id +request_id) SELECT"
_CERTIFICATE = "-tls_client_cert -tls_client_key -updated_at"
_WRITERS = {
    "contact_changes": "SELECT",
    "contact_photos": "DELETE INSERT SELECT UPDATE",
    "contacts": f"DELETE INSERT({_OF_RUNS} -source_dn -source_key -updated_at) SELECT"
    f" UPDATE({_OF_RUNS} -folder_id -source_dn -source_key -updated_at)",
    "definition_overview": "SELECT",
    "folders": "DELETE INSERT(+name +owner) SELECT UPDATE(+name +owner)",
    "public_key": "SELECT",
    "sync_definitions": "DELETE INSERT(-auth -created_at -definition_id -password_by -password_new -password_ref"
    f" -password_sealed -password_stored -revision {_CERTIFICATE}) SELECT({_SECRET})"
    " UPDATE(-auth -created_at -definition_id -folder_id -password_by -password_ref -password_sealed -password_stored"
    f" -revision {_CERTIFICATE})",
    "sync_requests": _REQUEST,
    "sync_runs": "SELECT",
    "sync_status": "SELECT",
}
RIGHTS = {
    "application": _WRITERS,
    "person": _WRITERS,
    "daemon": {
        "audit": "DELETE INSERT SELECT",
        "contact_changes": "INSERT SELECT",
        "contact_photos": "DELETE INSERT SELECT UPDATE",
        "contacts": "DELETE INSERT SELECT UPDATE",
        "definition_overview": "SELECT",
        "departed_contacts": "DELETE SELECT",
        "fleet_listeners": "DELETE INSERT SELECT UPDATE",
        "fleet_live": "DELETE INSERT SELECT UPDATE",
        "fleet_messages": "DELETE INSERT SELECT UPDATE",
        "fleet_nodes": "DELETE INSERT SELECT UPDATE",
        "fleet_unable": "DELETE INSERT SELECT UPDATE",
        "folder_rights": "DELETE INSERT SELECT",
        "folders": "SELECT",
        "held_changes": "DELETE INSERT SELECT",
        "held_plans": "INSERT SELECT UPDATE",
        "public_key": "DELETE INSERT SELECT UPDATE",
        "refused_logons": "DELETE INSERT SELECT UPDATE",
        "rejected_entries": "INSERT SELECT",
        "schema_migrations": "SELECT",
        "sync_cursors": "DELETE INSERT SELECT UPDATE",
        "sync_definitions": "SELECT UPDATE(+enabled)",
        "sync_requests": "DELETE INSERT SELECT UPDATE",
        "sync_runs": "DELETE INSERT SELECT UPDATE",
        "sync_status": "INSERT SELECT UPDATE",
        "tokens": "INSERT SELECT UPDATE(+last_used_at +revoked_at +revoked_by)",
        "trimmed_values": "INSERT SELECT",
    },
    "editor": {"folders": "DELETE INSERT UPDATE", "sync_definitions": "DELETE INSERT UPDATE"},
    "operator": {
        "contact_changes": "SELECT",
        "contacts": "SELECT",
        "definition_overview": "SELECT",
        "folders": "SELECT",
        "held_changes": "SELECT",
        "held_plans": "SELECT UPDATE(+decided_at +decided_by +decision +settled_by)",
        "rejected_entries": "SELECT",
        "schema_migrations": "SELECT",
        "sync_definitions": f"SELECT({_SECRET}) UPDATE(+enabled)",
        "sync_requests": _REQUEST,
        "sync_runs": "SELECT",
        "sync_status": "SELECT",
    },
    "reader": {"contact_photos": "SELECT", "contacts": "SELECT", "folders": "SELECT"},
}
"""Of each group: a `-` precedes columns without a privilege, a `+` the only ones with it."""


def rights(database: str) -> dict[str, dict[str, str]]:
    """The privileges of each group on each table, in the form of RIGHTS."""
    with psycopg.connect(database) as connection:
        whole = {(group, table, privilege) for group, table, privilege in connection.execute(_TABLES)}
        columns: dict[str, list[str]] = dict(connection.execute(_ALL_COLUMNS).fetchall())
        found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for group, table, privilege in whole:
            found[group][table].append(privilege)
        for group, table, privilege, granted in connection.execute(_COLUMNS):
            if (group, table, privilege) not in whole:
                missing = [name for name in columns[table] if name not in granted]
                shown = f"-{' -'.join(missing)}" if len(missing) < len(granted) else f"+{' +'.join(granted)}"
                found[group][table].append(f"{privilege}({shown})")
    return {group: {table: " ".join(sorted(found[group][table])) for table in found[group]} for group in found}


def test_each_group_has_these_rights_and_no_other(database: str) -> None:
    """By roles.sql, carried out twice. A new table or column changes this list on purpose."""
    for _ in range(2):
        carry_out(database, "roles.sql")
    assert rights(database) == RIGHTS
