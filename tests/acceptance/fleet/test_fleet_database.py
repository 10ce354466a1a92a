"""The database of a fleet: few rights, missing tables, restarts."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import psycopg

from contactsync.fleet.jobs.schema import prepare_queue
from contactsync.testing.slapd import PrivateSlapd
from tests.support.definitions import define
from tests.support.fleet import running_fleet
from tests.support.postgres import FragilePostgres
from tests.support.processes import CONTACTSYNC
from tests.support.resources import short_directory
from tests.support.roles import carry_out, role_with
from tests.support.waiting import wait_until


def test_a_node_needs_few_rights(database: str, directory: PrivateSlapd, short_path: Path) -> None:
    """Those of roles.sql; without the queue's tables it says what to do."""
    carry_out(database, "roles.sql")
    rights = role_with(database, "trial_daemon", "contactsync_daemon")
    with psycopg.connect(database, autocommit=True) as owner:
        assert owner.execute("SELECT FROM pg_namespace WHERE nspname = 'contactsync_queue'").fetchone() is None
    environ = {
        "PATH": "/usr/bin:/bin",
        "CONTACTSYNC_DATABASE__URL": rights,
        "CONTACTSYNC_STATE__DIRECTORY": str(short_path / "refused"),
        "CONTACTSYNC_SETTINGS": "/dev/null",
        "CONTACTSYNC_FLEET__ENABLED": "true",
    }
    done = subprocess.run([CONTACTSYNC, "daemon"], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 69, done.stderr
    assert "has no tables for the queue of a fleet. Run `contactsync migrate`" in " ".join(done.stderr.split())
    prepare_queue(database)
    carry_out(database, "roles.sql")
    with psycopg.connect(database, autocommit=True) as person:
        definition = define(person, directory, schedule="manual")
    with running_fleet(rights, directory, short_path, 1) as fleet:
        assert fleet[0].run(definition)["outcome"] == "changed"
        assert not [line for line in fleet[0].lines() if line["level"] in {"warning", "error"}]


def test_the_leader_forgets_what_is_old(database: str, directory: PrivateSlapd, short_path: Path) -> None:
    """Nodes after a week, messages after a day, refused passwords after a month; also with few rights."""
    prepare_queue(database)
    carry_out(database, "roles.sql")
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute(
            """
            INSERT INTO contactsync.fleet_nodes (name, token, version, key_id, settled, ended_at)
            SELECT name, '', '', '', true, now() - age
            FROM (VALUES ('old', interval '8 days'), ('late', '6 days')) AS n (name, age)
            """
        )
        owner.execute(
            """
            INSERT INTO contactsync.fleet_messages (from_node, to_node, kind, sent_at)
            VALUES (0, 0, 'old', now() - interval '2 days'), (0, 0, 'late', now())
            """
        )
        owner.execute(
            """
            INSERT INTO contactsync.refused_logons (digest, reason, refused_at)
            VALUES ('old', '', now() - interval '31 days'), ('late', '', now() - interval '29 days')
            """
        )
    rights = role_with(database, "trial_daemon", "contactsync_daemon")
    with running_fleet(rights, directory, short_path, 1), psycopg.connect(database, autocommit=True) as owner:
        wait_until(lambda: kept(owner) == {"node-1", "late"}, lambda: f"the old rows to go: {kept(owner)}")


def kept(owner: psycopg.Connection[Any]) -> set[str]:
    """The nodes, the messages and the refused passwords that are stored."""
    statement = """
        SELECT name FROM contactsync.fleet_nodes UNION ALL SELECT kind FROM contactsync.fleet_messages
        UNION ALL SELECT convert_from(digest, 'UTF8') FROM contactsync.refused_logons
    """
    return {name for (name,) in owner.execute(statement)}


def test_all_nodes_survive_a_restart_of_postgresql(directory: PrivateSlapd, short_path: Path) -> None:
    """They connect again, and none takes the others for dead."""
    with short_directory() as state, FragilePostgres(state) as postgres:
        database = postgres.new_database()
        with running_fleet(database, directory, short_path, 2) as fleet:
            definition = fleet.define("Staff")
            assert fleet[0].run(definition)["outcome"] == "changed"
            fleet.person.close()
            postgres.crash(signal.SIGINT)
            postgres.start()
            fleet.person = psycopg.connect(database, autocommit=True)
            for node in fleet.nodes:
                wait_until(node.is_ready, "the node to be ready")
                assert node.run(definition)["outcome"] == "unchanged"
            fleet.wait_for_leader()
            assert fleet.rows("SELECT name FROM contactsync.fleet_nodes WHERE died") == []
            assert not [node for node in fleet.nodes if node.events("fleet.crashed")]
