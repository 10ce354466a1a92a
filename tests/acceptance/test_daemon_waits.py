"""PostgreSQL keeps contactsync waiting: the daemon says so, with the folder and the reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import LiteralString

import psycopg

from contactsync.testing.slapd import PrivateSlapd
from tests.support.daemon_client import running_daemon
from tests.support.folder import change
from tests.support.processes import CommandLine
from tests.support.waiting import PATIENCE, wait_until


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


@contextmanager
def closing_commands(*lines: CommandLine) -> Iterator[None]:
    """End what the command lines have started."""
    with ExitStack() as stack:
        for line in lines:
            stack.callback(line.end)
        yield


def test_a_commit_that_no_standby_confirms(database: str, short_path: Path, directory: PrivateSlapd) -> None:
    """It is logged and makes the daemon unready; a second run names the session that waits. Later all goes on.

    Commands say what they wait for: one by the daemon, and one that finds none.
    """
    by_daemon, alone = CommandLine(database, short_path), CommandLine(database, short_path)
    alone.environ["CONTACTSYNC_CONTROL__SOCKET"] = str(short_path / "none.sock")
    with running_daemon(database, directory, short_path) as client, closing_commands(by_daemon, alone):
        client.define("Support")
        with standby_away(database):
            change(directory)
            commands = [
                by_daemon.start("sync", "Staff", stdout=PIPE, stderr=PIPE),
                alone.start("folders", "pause", "Support", stdout=PIPE, stderr=PIPE),
            ]
            reason = client.daemon.wait_for_event("database.waiting", folder="Staff")[0]["reason"]
            assert reason == "waits for a synchronous standby to confirm a commit"
            sentence = f"Contactsync {reason} (Staff)."
            problem = client.problem("GET", "/v1/health/ready", 503)
            assert sentence in problem["detail"]
            assert client.get("/v1/status")["problems"] == [sentence]
            assert by_daemon("status", "--live").returncode == 0
            assert sentence in by_daemon("status", "--ready").stderr
            # Others may wait already too, such as the command without a daemon.
            waiting = re.compile(r"^contactsync_database_waiting [1-9]\d*\.0$", re.MULTILINE)
            wait_until(lambda: waiting.search(client.http.get("/v1/metrics").text), "the metric")
            busy = client.problem("POST", f"/v1/definitions/{client.staff}/preview", 409)
            assert "PostgreSQL's process" in busy["detail"]
            assert "(contactsync), since 2" in busy["detail"]
            assert busy["detail"].endswith(f"which {reason}.")
            for command in commands:
                assert command.stderr
                line = command.stderr.readline()
                assert line.startswith("Still waiting")
                assert reason in line
        wait_until(lambda: client.http.get("/v1/health/ready").status_code == 200, "the end of the wait")
        wait_until(lambda: client.daemon.events("database.waiting_ended"), "the line about it")
        wait_until(lambda: client.outcomes(client.staff) == ["changed", "changed"], "the run to end")
        assert [command.wait(PATIENCE) for command in commands] == [0, 0]
