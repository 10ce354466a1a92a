"""The database of a fleet: few rights, missing tables, restarts."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import psycopg

from contactsync.fleet.schema import prepare_queue
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
