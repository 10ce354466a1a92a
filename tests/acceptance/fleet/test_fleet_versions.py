"""Nodes of two releases on one schema. A migration that no release has makes the running program the older one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest

from contactsync.store.migration import migration_names, schema_level
from tests.support.fleet import Fleet
from tests.support.processes import CONTACTSYNC
from tests.support.waiting import wait_until

LATER = "9999.later"


@pytest.fixture
def newer_schema(fleet: Fleet) -> Iterator[Callable[[str | None], None]]:
    """Let the schema be that of a newer release, which works with programs that know the given migration."""

    def note(serves: str | None) -> None:
        statement = "INSERT INTO contactsync.schema_migrations (name, serves) VALUES (%s, %s)"
        fleet.person.execute(statement, [LATER, serves])

    yield note
    fleet.person.execute("DELETE FROM contactsync.schema_migrations WHERE name = %s", [LATER])


def start(fleet: Fleet, name: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Start a program of another node, which must end."""
    environ = fleet[0].environ | {
        "CONTACTSYNC_CONTROL__SOCKET": f"{fleet[0].state}/{name}.sock",
        "CONTACTSYNC_FLEET__NAME": name,
    }
    return subprocess.run([CONTACTSYNC, *command], env=environ, capture_output=True, text=True, check=False)


def test_an_older_node_works_with_a_schema_that_serves_it(
    fleet: Fleet, newer_schema: Callable[[str | None], None]
) -> None:
    """It starts, it goes on after a lost connection, and its commands work."""
    newer_schema(schema_level())
    definition = fleet.define("Older")
    assert fleet[2].stop() == 0
    fleet[2].start()
    assert fleet[2].events("database.newer_schema", migrations=[LATER])
    fleet.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'contactsync %%'")
    for node in fleet.nodes:
        wait_until(node.is_ready, "the node to be ready")
        assert node.run(definition)["outcome"] in {"changed", "unchanged"}
    assert start(fleet, "another", "fleet").returncode == 0


def test_an_older_node_does_not_start_with_any_other_schema(
    fleet: Fleet, newer_schema: Callable[[str | None], None]
) -> None:
    """The sentence names what it does not know."""
    newer_schema(None)
    done = start(fleet, "older", "daemon")
    assert done.returncode == 69, done.stderr
    assert f"The schema is that of a newer release: it has {LATER}, which this release does not know." in done.stderr


def test_a_newer_release_changes_no_schema_below_older_nodes(fleet: Fleet) -> None:
    """Neither by its command nor by the start of a node."""
    newest = migration_names()[-1]
    forget = "DELETE FROM contactsync.schema_migrations WHERE name = %s RETURNING *"
    note = "INSERT INTO contactsync.schema_migrations VALUES (%s, %s, %s)"
    age = "UPDATE contactsync.fleet_nodes SET schema_level = %s, version = %s WHERE name = 'node-2'"
    ((version,),) = fleet.rows("SELECT DISTINCT version FROM contactsync.fleet_nodes WHERE ended_at IS NULL")
    with fleet.person.transaction():
        (forgotten,) = fleet.person.execute(forget, [newest])
        fleet.person.execute(age, ["0001", "0.0.1"])
    try:
        refused = [start(fleet, "newer", command) for command in ("migrate", "daemon")]
    finally:
        fleet.person.execute(note, forgotten)
        fleet.person.execute(age, [schema_level(), version])
    for done in refused:
        assert done.returncode == 69, done.stderr
        text = " ".join(done.stderr.split())
        assert f"that cannot work with this schema ({newest}): node-2 (0.0.1)." in text


def test_a_migration_says_which_programs_still_work(fleet: Fleet) -> None:
    """By a line in its file. Without one, only programs that know it do."""
    serves = dict(fleet.rows("SELECT name, serves FROM contactsync.schema_migrations"))
    assert (serves["0033.fleet-listeners"], serves["0035.schema-level"]) == (None, "0034")
