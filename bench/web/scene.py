"""The console that is measured: a daemon with a folder of many contacts, and many small folders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from bench.directory import ldif
from bench.terminal import say
from contactsync.store.embedded import embedded_server
from contactsync.store.migration import migrate
from tests.support.web import Console, web_console
from tests.support.web_door import web_door

TEAM_SIZE = 20
_BASE = "ou=people,dc=example,dc=test"
_DEFINE = """
WITH added AS (
    INSERT INTO contactsync.folders (name) SELECT 'Team ' || lpad(n::text, 6, '0')
    FROM generate_series(0, %(folders)s - 1) AS n RETURNING folder_id
), defined AS (
    INSERT INTO contactsync.sync_definitions (folder_id, query, base, schedule)
    SELECT folder_id, 'ldap://dc.example.com', %(base)s, 'manual' FROM added RETURNING folder_id, definition_id
), ran AS (
    INSERT INTO contactsync.sync_status (folder_id, definition_id, last_outcome, last_started_at, last_success_at)
    SELECT folder_id, definition_id, 'unchanged', now(), now() FROM defined
)
INSERT INTO contactsync.contacts (folder_id, definition_id, source_key, fingerprint, display_name)
SELECT folder_id, definition_id, n::text, int8send(n) || int8send(n), 'Member ' || n
FROM defined, generate_series(1, %(team)s) AS n
"""
_PEOPLE = """
SELECT contact_id, coalesce(display_name, '') FROM contactsync.contacts WHERE folder_id = %s
ORDER BY md5(contact_id::text) LIMIT %s
"""


@dataclass(frozen=True)
class WebScene:
    """The console, with the large folder and its definition, and some of its people by id and name."""

    console: Console
    folder_id: int
    definition_id: int
    people: list[tuple[int, str]]
    postgresql: str


@contextmanager
def web_scene(contacts: int, folders: int) -> Iterator[WebScene]:
    """Start everything: a directory of so many people, PostgreSQL, the daemon and the console."""
    with TemporaryDirectory(prefix="contactsync-bench-", ignore_cleanup_errors=True) as temporary:
        place = Path(temporary).resolve()
        with embedded_server(place / "database") as conninfo:
            migrate(conninfo)
            say(f"The web console: {folders:,} small folders, and one of {contacts:,} people")
            _define(conninfo, folders)
            people = place / "people.ldif"
            with people.open("w", encoding="utf-8") as stream:
                stream.writelines(ldif(range(contacts), _BASE))
            with web_door(conninfo, place, ldif=people) as door, web_console(door, place / "web") as console:
                _vacuum(conninfo)
                definition = door.local.get(f"/v1/definitions/{door.local.staff}")
                if definition["contacts"] != contacts:
                    raise SystemExit(f"The folder has {definition['contacts']:,} contacts.")
                some = door.local.person.execute(_PEOPLE, [definition["folder_id"], 60]).fetchall()
                version = door.local.person.info.parameter_status("server_version") or "unknown"
                yield WebScene(console, definition["folder_id"], door.local.staff, some, version)


def _define(conninfo: str, folders: int) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(_DEFINE, {"folders": folders, "base": _BASE, "team": TEAM_SIZE})


def _vacuum(conninfo: str) -> None:
    with psycopg.connect(conninfo, user="postgres", autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
