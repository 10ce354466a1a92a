"""The folders of a soak: their definitions, their runs, and their differences from the directory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import ldap3
import psycopg
from psycopg import Connection

from bench.directory import team_base
from tests.faults.world import World
from tests.support.processes import DaemonProcess
from tests.support.waiting import wait_until

_DEFINE = """
WITH f AS (INSERT INTO contactsync.folders (name) VALUES (%(name)s) RETURNING folder_id)
INSERT INTO contactsync.sync_definitions
    (folder_id, query, base, bind_user, password_ref, tls, tls_ca_file, schedule, max_delete_count, max_delete_share,
     allow_empty)
SELECT folder_id, %(query)s, %(base)s, %(user)s, 'env:READER', %(tls)s, %(ca_file)s, %(schedule)s, 1000, 1, true FROM f
"""
_OWN = "INSERT INTO contactsync.contacts (folder_id, display_name) SELECT folder_id, 'Mum' FROM contactsync.folders"
_BEHIND = """
SELECT f.name FROM contactsync.sync_definitions AS d JOIN contactsync.folders AS f USING (folder_id)
LEFT JOIN LATERAL (
    SELECT * FROM contactsync.sync_runs AS r WHERE r.definition_id = d.definition_id ORDER BY r.run_id DESC LIMIT 1
) AS r ON true
WHERE r.started_at IS NULL OR r.started_at < %s OR r.finished_at IS NULL
"""
_CONTACTS = """
SELECT f.name, c.source_dn, c.family_name, c.title
FROM contactsync.folders AS f JOIN contactsync.contacts AS c USING (folder_id)
WHERE c.definition_id IS NOT NULL
"""
_OWN_LOST = """
SELECT f.name FROM contactsync.folders AS f WHERE NOT EXISTS (
    SELECT FROM contactsync.contacts AS c WHERE c.folder_id = f.folder_id AND c.definition_id IS NULL)
"""


class Folders:
    """A folder for each team of the directory, filled over plain LDAP, StartTLS or LDAPS."""

    def __init__(self, servers: World, number: int, *, every: str) -> None:
        self._servers = servers
        self._every = every
        self.number = number
        self._connection: Connection[Any] | None = None

    @property
    def connection(self) -> Connection[Any]:
        """A connection to PostgreSQL itself, opened again after a crash."""
        with suppress(psycopg.OperationalError):
            if self._connection is not None:
                self._connection.execute("SELECT")
                return self._connection
        self._connection = psycopg.connect(self._servers.conninfo, autocommit=True)
        return self._connection

    def define(self) -> None:
        """Add all folders."""
        for team in range(self.number):
            self.add(team)
        self.connection.execute(_OWN)

    def add(self, team: int) -> None:
        """Add the folder of a team."""
        slapd, way = self._servers.slapd, ("plain", "starttls", "ldaps")[team % 3]
        proxy = self._servers.directory(way)
        values = {
            "name": self.name(team),
            "query": f"{'ldaps' if way == 'ldaps' else 'ldap'}://127.0.0.1:{proxy.port}",
            "base": team_base(team, slapd.people_base),
            "user": slapd.reader_dn,
            "tls": "none" if way == "plain" else "auto",
            "ca_file": str(slapd.ca_file),
            "schedule": f"every {self._every}",
        }
        self.connection.execute(_DEFINE, values)

    @staticmethod
    def name(team: int) -> str:
        """The name of a team's folder."""
        return f"Team {team}"

    def runs(self) -> int:
        """The number of runs so far."""
        row = self.connection.execute("SELECT count(*) FROM contactsync.sync_runs").fetchone()
        return int(row[0]) if row else 0

    def wait_for_all(self, daemon: DaemonProcess) -> None:
        """Wait until every definition has begun and ended a run from now on."""
        (since,) = self.connection.execute("SELECT clock_timestamp()").fetchone() or (None,)
        behind: list[Any] = []

        def all_ran() -> bool:
            behind[:] = self.connection.execute(_BEHIND, [since]).fetchall()
            return not behind

        what = lambda: f"runs of {len(behind)} folders, such as {behind[:5]}: {daemon.text()[-3000:]}"  # noqa: E731
        wait_until(all_ran, what, poll=0.2)

    def differences(self) -> Iterator[str]:
        """Folders that differ from the directory, or that lost the contact that no definition brought."""
        wanted, found = self._directory(), self._contacts()
        for team in range(self.number):
            name = self.name(team)
            if wanted[name] != found[name]:
                yield f"The folder {name} has {found[name]}; the directory {wanted[name]}."
        for (name,) in self.connection.execute(_OWN_LOST):
            yield f"The folder {name} has lost a contact that no definition brought."

    def _contacts(self) -> dict[str, set[Any]]:
        found: dict[str, set[Any]] = defaultdict(set)
        for name, *contact in self.connection.execute(_CONTACTS):
            found[name].add(tuple(contact))
        return found

    def _directory(self) -> dict[str, set[Any]]:
        admin = self._servers.slapd.connection()
        wanted: dict[str, set[Any]] = defaultdict(set)
        admin.search(
            self._servers.slapd.people_base, "(objectClass=inetOrgPerson)", ldap3.SUBTREE, attributes=["sn", "title"]
        )
        for entry in admin.response:
            team = int(entry["dn"].split(",")[1].removeprefix("ou=t"))
            values = entry["raw_attributes"]
            wanted[self.name(team)].add((entry["dn"], *(_first(values[name]) for name in ("sn", "title"))))
        admin.unbind()
        return wanted


def _first(values: list[bytes]) -> str | None:
    return min(values).decode() if values else None
