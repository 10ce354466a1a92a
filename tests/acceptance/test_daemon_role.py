"""The daemon with the rights of deploy/postgresql/roles.sql, and an application."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from contactsync.testing.slapd import PrivateSlapd
from tests.support.definitions import Person, count, define, outcomes
from tests.support.processes import CommandLine
from tests.support.roles import carry_out, connected, role_with
from tests.support.waiting import wait_until


def test_a_daemon_with_few_rights_does_its_work(
    database: str,
    person: Person,
    cli: CommandLine,
    directory: PrivateSlapd,
    make_daemon: Callable[..., Any],
) -> None:
    """It starts, notices an edit and runs a request by SQL; the command line works with the same rights."""
    carry_out(database, "roles.sql")
    rights = role_with(database, "trial_daemon", "contactsync_daemon")
    daemon = make_daemon(rights, READER=directory.reader_password)
    daemon.start()
    definition = define(person, directory)
    wait_until(lambda: count(person) == 40, "the first load")
    with connected(role_with(database, "trial_application", "contactsync_application")) as application:
        application.execute("SELECT contactsync.request_sync('Staff')")
    wait_until(lambda: outcomes(person, definition) == ["changed", "unchanged"], "the run that was asked for")
    for command in (
        ("status",),
        ("folders", "list"),
        ("folders", "show", "Staff"),
        ("runs", "Staff"),
        ("sync", "Staff"),
    ):
        done = cli(*command, CONTACTSYNC_DATABASE__URL=rights, READER=directory.reader_password)
        assert done.returncode == 0, done.stderr
    paused = cli("folders", "pause", "Staff", CONTACTSYNC_DATABASE__URL=rights)
    assert paused.returncode == 0, paused.stderr
    refused = cli("folders", "edit", "Staff", "--schedule", "@daily", CONTACTSYNC_DATABASE__URL=rights)
    assert (refused.returncode, refused.stderr.count("permission denied for table sync_definitions")) == (69, 1)
    transport = httpx.HTTPTransport(uds=f"{daemon.state}/control.sock")
    with httpx.Client(transport=transport, base_url="http://daemon") as http:
        answer = http.patch(f"/v1/definitions/{definition}", json={"schedule": "@daily"})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (403, "database.forbidden")
    assert "contactsync_editor" in problem["hint"]
    assert not [line for line in daemon.lines() if line["level"] in {"warning", "error"}]
