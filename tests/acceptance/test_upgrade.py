"""An upgrade of one daemon from the last release: its database, its sealed passwords and its backups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.definitions import PEOPLE
from tests.support.older import older_package
from tests.support.processes import CommandLine, DaemonProcess
from tests.support.resources import database_of, short_directory

CONTACTS = "SELECT to_jsonb(c) FROM contactsync.contacts AS c ORDER BY contact_id"


class Installation:
    """A folder that the older program has synced, with a sealed password, and a backup that it has made."""

    def __init__(self, package: Path, database: str, place: Path, directory: PrivateSlapd) -> None:
        self.place, self.database = place, database
        self.backup = place / "backup.dump"
        older = CommandLine(database, place)
        older.environ["PYTHONPATH"] = str(package)
        older.prefix = ["env"]  # else a copy of this process, which is the newer program, would run the command
        older.ok("migrate")
        user = ("--user", directory.reader_dn, "--tls", "none", "--password-stdin")
        older.ok("folders", "add", "Staff", "--query", directory.url, *user, typed=directory.reader_password)
        older.ok("sync", "Staff")
        older.ok("dump", str(self.backup))
        self.contacts = contacts(database)


def contacts(database: str) -> list[tuple[Any, ...]]:
    """All contacts with their ids."""
    with psycopg.connect(database) as person:
        return person.execute(CONTACTS).fetchall()


@pytest.fixture(scope="module")
def installation(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Install the older program once."""
    package = older_package(tmp_path_factory.mktemp("older"))
    with (
        short_directory() as place,
        database_of(postgres_server) as database,
        PrivateSlapd(place / "slapd", ldif=people_ldif(PEOPLE, seed=7)) as directory,
    ):
        yield Installation(package, database, place, directory)


def test_a_backup_of_it_is_restored(installation: Installation, postgres_server: str) -> None:
    """Into an empty database; the passwords open with the same key, and the next run changes nothing."""
    with database_of(postgres_server) as database:
        newer = CommandLine(database, installation.place)
        restored = newer("restore", str(installation.backup), "--yes")
        assert restored.returncode == 0, restored.stderr
        assert "migrate" not in newer.ok("status")
        assert f"nothing changed in {PEOPLE} entries" in newer.ok("sync", "Staff")
        assert contacts(database) == installation.contacts


def test_contacts_passwords_and_history_stay(installation: Installation) -> None:
    """The first start of the newer daemon updates the schema; then the folder syncs, and nothing in it changes."""
    daemon = DaemonProcess(installation.database, installation.place)
    try:
        daemon.start()
        [migrated] = daemon.events("database.migrated")
        assert migrated["migrations"]
        cli = CommandLine(installation.database, installation.place)
        assert f"nothing changed in {PEOPLE} entries" in cli.ok("sync", "Staff")
        assert contacts(installation.database) == installation.contacts
        assert {run["outcome"] for run in cli.json("runs", "Staff")} == {"unchanged", "changed"}
        assert daemon.stop() == 0
    finally:
        daemon.end()
