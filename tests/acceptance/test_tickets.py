"""Tickets with a daemon: docs/reference/sql.md's recipe to wait for a requested run, and the tickets of the API."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from contactsync.testing.slapd import PrivateSlapd
from tests.support.daemon_client import DaemonClient, running_daemon
from tests.support.definitions import Person, define, outcomes, state
from tests.support.peers import silent_server
from tests.support.waiting import wait_until

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "sql.md"


def recipe() -> Callable[[str, str], list[tuple[str, str | None, str | None]]]:
    """Give the function `synchronize` of the page."""
    (block,) = re.findall(r"^```python\n(.*?def synchronize.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102  (a page of this project)
    function: Callable[[str, str], list[tuple[str, str | None, str | None]]] = names["synchronize"]
    return function


def test_an_application_waits_for_the_run_that_it_requested(
    database: str, person: Person, directory: PrivateSlapd, make_daemon: Callable[..., Any]
) -> None:
    """Two sessions at once; before the daemon starts, and after; a definition that is not valid is an answer too."""
    synchronize = recipe()
    staff = define(person, directory, schedule="manual")
    daemon = make_daemon(database, READER=directory.reader_password)
    with ThreadPoolExecutor(2) as sessions:
        early = [sessions.submit(synchronize, database, "Staff") for _ in range(2)]
        wait_until(
            lambda: person.execute("SELECT count(*) FROM contactsync.sync_requests").fetchone() == (2,), "both requests"
        )
        daemon.start()
        assert [session.result(60) for session in early] == [[("done", "changed", None)]] * 2
        assert outcomes(person, staff) == ["changed"]
        assert synchronize(database, "Staff") == [("done", "unchanged", None)]
        person.execute("UPDATE contactsync.sync_definitions SET filter = '(a=b'")
        wait_until(lambda: state(person, staff)[0] == "invalid", "the definition to be invalid")
        ((answer, outcome, reason),) = synchronize(database, "Staff")
    assert (answer, outcome) == ("withdrawn", None)
    assert reason
    assert reason.startswith("Not valid: ")


def waits(client: DaemonClient, definition_id: int) -> dict[str, Any]:
    """Request a run that has to wait, and give its ticket."""
    ticket: dict[str, Any] = client.post(f"/v1/definitions/{definition_id}/sync", 202)
    assert ticket["state"] == "queued"
    return ticket


def test_the_ticket_of_a_request_by_the_api_tells_its_place_its_run_and_its_end(
    database: str, person: Person, directory: PrivateSlapd, tmp_path: Path
) -> None:
    """With the words of sync_requests, and so it is in SQL. A request of SQL can be read too."""
    one_worker = {"CONTACTSYNC_SCHEDULER__WORKERS": "1"}
    with silent_server() as port, running_daemon(database, directory, tmp_path, **one_worker) as client:
        slow = client.define("Slow", query=f"127.0.0.1:{port}", base="dc=x")
        wait_until(lambda: client.get("/v1/status")["definitions"] == 2, "the daemon to see the definition")
        busy = client.http.post(f"/v1/definitions/{slow}/sync")
        run_id = client.running(slow)
        running = client.get(busy.headers["location"])
        assert (running["state"], running["requested"][0]["run_id"]) == ("running", run_id)
        first, second = waits(client, slow), waits(client, client.staff)
        assert [ticket["requested"][0]["place"] for ticket in (first, second)] == [1, 2]

        cancelled = client.post(f"/v1/requests/{first['request_id']}/cancel")
        assert (cancelled["state"], cancelled["requested"][0]["reason"]) == (
            "withdrawn", f"Cancelled by {second['actor']}."
        )  # fmt: skip
        assert client.get(f"/v1/requests/{second['request_id']}")["requested"][0]["place"] == 1
        again = client.problem("POST", f"/v1/requests/{first['request_id']}/cancel", 409)
        assert "withdrawn" in again["detail"]
        client.problem("GET", "/v1/requests/987654", 404)

        by_sql = person.execute("SELECT contactsync.request_sync('Staff')").fetchone()
        assert by_sql
        client.post(f"/v1/runs/{run_id}/cancel")
        for ticket in (second["request_id"], by_sql[0]):
            done = wait_until(lambda: (found := client.get(f"/v1/requests/{ticket}"))["done"] and found, "the end")  # noqa: B023
            (answer,) = done["requested"]
            assert (done["state"], answer["state"], answer["outcome"], answer["place"]) == (
                "done", "done", "unchanged", None
            )  # fmt: skip
        assert client.outcomes(slow) == ["cancelled"]  # the cancelled request made no run
        stored = person.execute(
            "SELECT request_id, state, outcome, actor IS NULL FROM contactsync.sync_requests ORDER BY request_id"
        ).fetchall()
        assert stored[-4:] == [
            (running["request_id"], "done", "cancelled", False),
            (first["request_id"], "withdrawn", None, False),
            (second["request_id"], "done", "unchanged", False),
            (by_sql[0], "done", "unchanged", True),
        ]
        audited = person.execute(
            "SELECT action, after FROM contactsync.audit WHERE action LIKE 'sync.%' ORDER BY audit_id DESC LIMIT 3"
        ).fetchall()
        assert [row[0] for row in audited] == ["sync.requested", "sync.cancelled", "sync.requested"]
        assert audited[1][1] == {"request_id": first["request_id"], "definitions": 1}
        everything = client.post("/v1/sync", 202)
        assert (everything["definitions"], len(everything["requested"])) == (2, 2)
