"""Requests by SQL: their tickets, what answers them, and who sees them."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterator
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest

from contactsync.dispatch.dispatcher import Dispatcher, RunRequest
from contactsync.dispatch.scheduler import Schedule
from contactsync.model import Actor, Mode, NamedDefinition, Outcome, RunReport, Trigger
from contactsync.operations.requests.queue import Requests
from contactsync.store.definitions import read_definitions
from contactsync.store.pool import open_pool
from contactsync.store.record.requests import open_requests, withdraw_requests
from contactsync.store.record.runs import begin_run, finish_run, forget_old
from tests.support.roles import carry_out, connected, role_with
from tests.support.waiting import wait_until

Connection = psycopg.Connection[Any]


@pytest.fixture
def definition_id(connection: Connection) -> int:
    """Make the folder Staff with one definition."""
    row = connection.execute(
        "WITH f AS (INSERT INTO contactsync.folders (name) VALUES ('Staff') RETURNING folder_id)"
        " INSERT INTO contactsync.sync_definitions (folder_id, query) SELECT folder_id, 'dc1' FROM f"
        " RETURNING definition_id"
    ).fetchone()
    assert row
    return int(row[0])


@pytest.fixture
def listener(database: str) -> Iterator[Connection]:
    """Listen for answers in a session of its own."""
    with connected(database) as connection:
        connection.execute("LISTEN contactsync_runs")
        yield connection


def request(connection: Connection) -> int:
    """Request a run of Staff and give the ticket."""
    row = connection.execute("SELECT contactsync.request_sync('Staff')").fetchone()
    assert row
    return int(row[0])


def states(connection: Connection) -> dict[int, tuple[str, str | None, str | None]]:
    """Give state, outcome and reason by ticket."""
    rows = connection.execute("SELECT request_id, state, outcome, reason FROM contactsync.sync_requests")
    return {ticket: (state, outcome, reason) for ticket, state, outcome, reason in rows}


def answers(listener: Connection) -> list[dict[str, Any]]:
    """Give the notifications before one that this sends."""
    listener.execute("NOTIFY contactsync_runs, 'end'")
    payloads = (notification.payload for notification in listener.notifies(timeout=60))
    return [json.loads(payload) for payload in iter(payloads.__next__, "end")]


def test_one_run_answers_all_requests_before_its_start(
    database: str, connection: Connection, definition_id: int, listener: Connection
) -> None:
    """A request after the start stays queued: the run may have read the directory before."""
    early = [request(connection) for _ in range(2)]
    (definition,) = read_definitions(connection, [definition_id])
    with connected(database) as session:
        report = begin_run(session, definition.definition_id, Trigger.SCHEDULE).report
        late = request(connection)
        assert [states(connection)[ticket][0] for ticket in (*early, late)] == ["running", "running", "queued"]
        assert list(open_requests(connection)) == [definition_id]
        report.outcome, report.error, report.error_code = Outcome.FAILED, "No such server.", "directory.unreachable"
        finish_run(session, report)
    assert states(connection)[early[1]] == ("done", "failed", "No such server.")
    assert states(connection)[late] == ("queued", None, None)
    (answer,) = answers(listener)
    assert answer.pop("request_ids") == early
    assert answer == {
        "definition_id": definition_id,
        "run_id": report.run_id,
        "outcome": "failed",
        "error_code": "directory.unreachable",
        **dict.fromkeys(("inserted", "updated", "deleted", "unchanged", "rejected"), 0),
    }


def test_a_request_that_an_idle_run_has_taken_is_answered(
    database: str, connection: Connection, definition_id: int
) -> None:
    """The record of such a run is removed, unless a request has come just before its start."""
    (definition,) = read_definitions(connection, [definition_id])

    def run(trigger: Trigger) -> int:
        with connected(database) as session:
            report = begin_run(session, definition.definition_id, trigger).report
            report.outcome, report.mode, report.server = Outcome.UNCHANGED, Mode.INCREMENTAL, "dc1"
            finish_run(session, report)
        return report.run_id

    run(Trigger.SCHEDULE)
    idle = run(Trigger.LIVE)
    ticket = request(connection)
    taken = run(Trigger.LIVE)
    assert states(connection)[ticket] == ("done", "unchanged", None)
    kept = {row[0] for row in connection.execute("SELECT run_id FROM contactsync.sync_runs")}
    assert taken in kept
    assert idle not in kept


def test_a_thousand_tickets_are_answered_in_several_notifications(
    connection: Connection, definition_id: int, listener: Connection
) -> None:
    """A payload is limited to 8,000 bytes."""
    connection.execute("SELECT setval('contactsync.request_ids', 9000000000000000000)")
    connection.execute("SELECT contactsync.request_sync('Staff') FROM generate_series(1, 1000)")
    (definition,) = read_definitions(connection, [definition_id])
    report = begin_run(connection, definition.definition_id, Trigger.REQUEST).report
    finish_run(connection, report)
    tickets = [ticket for answer in answers(listener) for ticket in answer["request_ids"]]
    assert tickets == sorted(states(connection))
    assert len(tickets) == 1000


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE contactsync.sync_definitions SET enabled = false", "The definition was paused."),
        ("DELETE FROM contactsync.sync_definitions", "The definition was deleted."),
        ("DELETE FROM contactsync.folders", "The definition was deleted."),
    ],
)
def test_a_request_that_no_run_will_answer_is_withdrawn(
    connection: Connection, definition_id: int, listener: Connection, statement: str, reason: str
) -> None:
    """With the reason, and a notification."""
    ticket = request(connection)
    connection.execute(statement.encode())
    assert states(connection) == {ticket: ("withdrawn", None, reason)}
    (answer,) = answers(listener)
    assert (answer["request_ids"], answer["outcome"], answer["run_id"]) == ([ticket], "withdrawn", None)
    assert answer["definition_id"] == definition_id
    assert open_requests(connection) == {}


def test_answered_requests_are_kept_for_a_week(connection: Connection, definition_id: int) -> None:
    """Open ones are kept."""
    tickets = [request(connection) for _ in range(2)]
    withdraw_requests(connection, definition_id, "Not valid.")
    connection.execute(
        "UPDATE contactsync.sync_requests SET finished_at = now() - interval '8 days' WHERE request_id = %s",
        tickets[:1],
    )
    open_one = request(connection)
    forget_old(connection, keep_days=0, departed_keep_days=0)
    assert sorted(states(connection)) == [tickets[1], open_one]


def test_a_role_sees_its_own_requests(database: str, definition_id: int) -> None:
    """It can neither forge another requester nor answer a request; the daemon sees all."""
    carry_out(database, "roles.sql")
    tickets = {}
    for name in ("trial_first", "trial_second"):
        with connected(role_with(database, name, "contactsync_application")) as application:
            tickets[name] = request(application)
            assert list(states(application)) == [tickets[name]]
            for forged in (
                "INSERT INTO contactsync.sync_requests (folder_id, definition_id, requested_by) VALUES (1, 1, 'x')",
                "UPDATE contactsync.sync_requests SET outcome = 'changed'",
                "DELETE FROM contactsync.sync_requests",
                "SELECT contactsync.withdraw_requests(1, 'x')",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    application.execute(forged.encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
                application.execute("INSERT INTO contactsync.sync_requests (folder_id, definition_id) VALUES (0, 0)")
    with connected(role_with(database, "trial_daemon", "contactsync_daemon")) as daemon:
        assert sorted(states(daemon)) == sorted(tickets.values())
        assert list(open_requests(daemon)) == [definition_id]


def test_a_request_that_is_read_twice_before_its_run_begins_is_one_run(
    database: str, connection: Connection, definition_id: int
) -> None:
    """A later request gets a run of its own; one whose run did not begin is dispatched again."""
    started: list[int] = []
    go_on = threading.Semaphore(0)

    def work(run: RunRequest) -> RunReport:
        started.append(run.definition_id)
        go_on.acquire()
        return cast("RunReport", None)

    dispatcher = Dispatcher(work, lambda _: "dc1", workers=1, per_server=1)
    dispatcher.start()
    schedule = cast("Schedule", SimpleNamespace(followed=[], enabled=lambda: [definition_id]))
    with open_pool(database, max_size=1, timeout=30) as pool:
        requests = Requests(pool, schedule, dispatcher)
        request(connection)
        requests.catch_up()
        wait_until(lambda: len(started) == 1, "the first run")
        requests.catch_up()
        assert dispatcher.waiting == 0
        request(connection)
        requests.catch_up()
        assert dispatcher.waiting == 1
        go_on.release(2)
        wait_until(lambda: not dispatcher.is_pending(definition_id), "the end of both runs")
        requests.catch_up()
        wait_until(lambda: len(started) == 3, "the run of requests that no run has taken")
        go_on.release()
    dispatcher.stop()
    assert dispatcher.join(60)


def test_a_request_is_not_refused_before_it_is_dispatched(database: str, definition_id: int) -> None:
    """A run for all folders does not begin, since the definition is locked, while a user requests one for it alone."""
    refusals: list[threading.Thread] = []

    class Slow(Dispatcher):
        def pending(self, definition_ids: Collection[int]) -> set[int]:
            refusals.append(threading.Thread(target=requests.refuse, args=[definition_id, "It is locked."]))
            refusals[0].start()
            refusals[0].join(0.5)
            return super().pending(definition_ids)

    dispatcher = Slow(lambda _: cast("RunReport", None), lambda _: "dc1", workers=1, per_server=1)
    schedule = cast("Schedule", SimpleNamespace(runnable=list))
    with open_pool(database, max_size=2, timeout=30) as pool:
        requests = Requests(pool, schedule, dispatcher)
        definition = NamedDefinition(folder_id=1, definition_id=definition_id, folder="Staff")
        submitted = requests.submit(Actor("unix", "anna", "cli"), [definition])
        refusals[0].join()
        assert requests.ticket(submitted.request_id).state == "queued"
