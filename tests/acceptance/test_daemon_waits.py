"""PostgreSQL keeps contactsync waiting: the daemon says so, with the folder and the reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg

from contactsync.testing.slapd import PrivateSlapd
from tests.support.daemon_client import running_daemon
from tests.support.folder import change
from tests.support.waiting import wait_until


@contextmanager
def standby_away(database: str) -> Iterator[None]:
    """No commit is confirmed within the block."""

    def execute(statement: LiteralString) -> None:
        with psycopg.connect(database, user="postgres", autocommit=True) as connection:
            connection.execute(statement)
            connection.execute("SELECT pg_reload_conf()")

    execute("ALTER SYSTEM SET synchronous_standby_names = 'away'")
    try:
        yield
    finally:
        execute("ALTER SYSTEM RESET synchronous_standby_names")


def test_a_commit_that_no_standby_confirms(database: str, short_path: Path, directory: PrivateSlapd) -> None:
    """It is logged and makes the daemon unready; a second run names the session that waits. Later all goes on."""
    with running_daemon(database, directory, short_path) as client:
        with standby_away(database):
            change(directory)
            client.post(f"/v1/definitions/{client.staff}/sync", 202)
            wait_until(lambda: client.daemon.events("database.waiting", folder="Staff"), "the warning")
            reason = client.daemon.events("database.waiting", folder="Staff")[0]["reason"]
            assert reason == "waits for a synchronous standby to confirm a commit"
            sentence = f"Contactsync {reason} (Staff)."
            problem = client.problem("GET", "/v1/health/ready", 503)
            assert sentence in problem["detail"]
            assert client.get("/v1/status")["problems"] == [sentence]
            assert "contactsync_database_waiting 1.0" in client.http.get("/v1/metrics").text
            busy = client.problem("POST", f"/v1/definitions/{client.staff}/preview", 409)
            assert "PostgreSQL's process" in busy["detail"]
            assert "(contactsync), since 2" in busy["detail"]
            assert busy["detail"].endswith(f"which {reason}.")
        wait_until(lambda: client.http.get("/v1/health/ready").status_code == 200, "the end of the wait")
        wait_until(lambda: client.daemon.events("database.waiting_ended"), "the line about it")
        wait_until(lambda: client.outcomes(client.staff) == ["changed", "changed"], "the run to end")
