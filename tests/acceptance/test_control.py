"""The control socket of the real daemon: what clients can read and do, and what they cannot break."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from contactsync import COMMAND_LINE, __version__
from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.daemon_client import DaemonClient, running_daemon
from tests.support.definitions import PEOPLE
from tests.support.peers import silent_server
from tests.support.processes import CONTACTSYNC
from tests.support.resources import database_of, short_directory
from tests.support.waiting import PATIENCE, wait_until


@pytest.fixture(scope="module")
def client(postgres_server: str, migrated_template: str) -> Iterator[DaemonClient]:
    """Run one daemon for the tests of this file, with a directory and a database of its own."""
    with (
        short_directory() as place,
        database_of(postgres_server, template=migrated_template) as database,
        PrivateSlapd(place / "slapd", ldif=people_ldif(PEOPLE, seed=7)) as directory,
        running_daemon(database, directory, place) as client,
    ):
        yield client


@pytest.fixture(scope="module", autouse=True)
def unfinished_requests(client: DaemonClient) -> Iterator[list[socket.socket]]:
    """Connect before all other tests, and send nothing or half a request."""
    with client.raw() as silent, client.raw() as slow:
        slow.sendall(b"GET /v1/status HT")
        yield [silent, slow]


def test_curl_gets_the_status(client: DaemonClient) -> None:
    """Curl is enough to read the status."""
    done = subprocess.run(
        ["curl", "--silent", "--fail", "--unix-socket", client.path, "http://localhost/v1/status"],
        capture_output=True,
        check=True,
    )
    status = json.loads(done.stdout)
    assert (status["pid"], status["ready"], status["problems"]) == (client.daemon.pid, True, [])
    assert status["definitions"] == 1


def test_a_definition_is_found_by_its_id_and_by_its_name_and_shows_no_password(client: DaemonClient) -> None:
    """The list has no reference to a password, and no answer has a password."""
    client.define("Private/With slash")
    (staff,) = [definition for definition in client.definitions() if definition["label"] == "Staff"]
    assert staff["contacts"] == PEOPLE
    by_id, by_name = client.http.get(f"/v1/definitions/{client.staff}"), client.http.get("/v1/definitions?name=Staff")
    assert by_name.json() == {"definitions": [staff], "next_after": None}
    assert staff.items() <= by_id.json().items()
    assert (by_id.json()["password_stored"], by_id.json()["password_ref"]) == (False, "env:READER")
    for response in (by_id, by_name):
        assert client.directory.reader_password not in response.text
    assert "env:READER" not in by_name.text
    assert {name for name in staff if name.startswith("password")} == {"password_stored"}
    assert client.definitions(name="Private/With slash")[0]["label"] == "Private/With slash"


def test_an_id_is_never_taken_for_a_name(client: DaemonClient) -> None:
    """A folder that is named like the id of another definition changes nothing about that one."""
    first = client.define("Cost centre")
    second = client.define(str(first))
    assert client.post(f"/v1/definitions/{first}/pause") == {"definition_id": first, "label": "Cost centre"}
    assert client.get(f"/v1/definitions/{first}")["state"] == "paused"
    assert client.post(f"/v1/definitions/{first}/resume")["label"] == "Cost centre"
    assert [found["definition_id"] for found in client.definitions(name=str(first))] == [second]
    assert [found["definition_id"] for found in client.definitions(name=f"id:{first}")] == [first]
    (run,) = client.post("/v1/sync", name=str(first), wait=True)["runs"]
    assert run["definition_id"] == second


def test_two_folders_with_one_label_are_told_apart_by_their_ids(client: DaemonClient) -> None:
    """`anna/Private` may be the folder of a person, or the name of a shared folder that was added by SQL."""
    shared, personal = client.define("anna/Private"), client.define("Private")
    client.person.execute("UPDATE contactsync.folders SET owner = 'anna' WHERE name = 'Private'")
    assert [found["label"] for found in client.definitions() if found["definition_id"] in {shared, personal}] == [
        "anna/Private"
    ] * 2
    problem = client.problem("POST", "/v1/sync", 409, name="anna/Private")
    assert problem["hint"] == f"Give one of: id:{shared}, id:{personal}."
    (run,) = client.post("/v1/sync", name=f"id:{personal}", wait=True)["runs"]
    assert run["definition_id"] == personal


def test_a_locked_definition_is_shown_and_others_run(client: DaemonClient) -> None:
    """A refused password of one definition does not stop requests about the others."""
    refused_id = client.define("Refused", bind_user=client.directory.limited_dn)
    assert client.run(refused_id)["error_code"] == "directory.credentials"
    refused = client.get(f"/v1/definitions/{refused_id}")
    assert refused["state"] == "locked"
    assert client.directory.limited_dn in refused["reason"]
    assert client.run(client.staff)["outcome"] == "unchanged"


def test_folders_are_listed_with_their_definitions(client: DaemonClient) -> None:
    """The number of contacts includes people's own ones."""
    (staff,) = client.get("/v1/folders", text="STAFF")["folders"]
    assert (staff["definitions"], staff["contacts"], staff["owner"]) == ([client.staff], PEOPLE, None)


def test_waiting_for_a_run_gives_its_report(client: DaemonClient) -> None:
    """The answer comes after the end of the run, with its result."""
    run = client.run(client.staff)
    assert (run["label"], run["outcome"], run["trigger"]) == ("Staff", "unchanged", "manual")
    assert run["entries"] == run["unchanged"] == PEOPLE


def test_a_run_has_one_document(client: DaemonClient) -> None:
    """The answer to a request, the list, the event and the log have the same fields with the same values."""
    results: list[dict[str, Any]] = []
    events = events_during(client, lambda: results.append(client.run(client.staff)))
    (result,) = results
    run_id = result["run_id"]
    (listed,) = client.get("/v1/runs", limit=1)["runs"]
    assert listed.items() <= client.get(f"/v1/runs/{run_id}").items()
    empty: dict[str, Any] = {"deleted_names": [], "recognised": {}, "rejected_sample": [], "trimmed_sample": []}
    assert result == listed | empty
    assert events[-1] == ("run.finished", listed)
    assert {**listed, "stage": "", "further_attempt": None}.keys() == events[1][1].keys()
    (logged,) = client.daemon.wait_for_event("run.finished", run=run_id)
    about_the_record = {"timestamp", "level", "event", "logger", "folder", "definition", "run"}
    assert logged.keys() - about_the_record <= listed.keys()
    assert {name: listed[name] for name in logged.keys() & listed.keys()}.items() <= logged.items()
    assert (logged["folder"], logged["definition"]) == (listed["label"], listed["definition_id"])


def test_not_waiting_for_a_run_is_answered_at_once(client: DaemonClient) -> None:
    """The status is 202, and the run follows."""
    before = client.outcomes(client.staff)
    (requested,) = client.post(f"/v1/definitions/{client.staff}/sync", 202)["requested"]
    assert (requested["definition_id"], requested["label"]) == (client.staff, "Staff")
    wait_until(lambda: len(client.outcomes(client.staff)) == len(before) + 1, "the run")


def test_runs_and_their_changes_come_in_pages(client: DaemonClient) -> None:
    """Following the pages shows every run and every change once."""
    client.run(client.staff)
    runs, before = [], None
    while True:
        page = client.get("/v1/runs", definition_id=client.staff, limit=1, **({"before": before} if before else {}))
        runs += page["runs"]
        before = page["next_before"]
        if before is None:
            break
    ids = [run["run_id"] for run in runs]
    assert ids == sorted(set(ids), reverse=True)
    assert len(ids) == len(client.outcomes(client.staff)) >= 2
    changes, after = [], 0
    while after is not None:
        page = client.get(f"/v1/runs/{ids[-1]}", limit=15, after=after)
        changes += page["changes"]
        after = page["next_after"]
    assert len({change["contact_id"] for change in changes}) == len(changes) == PEOPLE
    assert {change["action"] for change in changes} == {"insert"}


def test_runs_are_filtered(client: DaemonClient) -> None:
    """Each filter alone, and two that exclude each other."""
    other = client.define("Runs of berta")
    client.person.execute("UPDATE contactsync.folders SET owner = 'berta' WHERE name = 'Runs of berta'")
    client.run(other)
    run = client.run(other)
    first, second = [each["run_id"] for each in reversed(client.get("/v1/runs", definition_id=other)["runs"])]

    def listed(**query: Any) -> list[int]:
        return [each["run_id"] for each in client.get("/v1/runs", **query)["runs"]]

    for chosen in ({"folder_id": run["folder_id"]}, {"owner": "berta"}, {"name": "berta/Runs of berta"}):
        assert listed(**chosen) == [second, first]
    assert first not in listed(owner="", limit=1000)
    assert listed(owner="berta", outcome="changed") == listed(owner="berta", changed=True) == [first]
    assert listed(owner="berta", outcome="unchanged") == [second]
    assert listed(owner="berta", outcome="unchanged", changed=True) == listed(running=True, owner="berta") == []
    assert listed(owner="berta", trigger="manual") == [second, first]
    assert listed(owner="berta", trigger="undo") == []
    assert listed(owner="berta", since=run["started_at"]) == [second]
    assert listed(owner="berta", until=run["started_at"]) == [first]
    assert "since" in client.problem("GET", "/v1/runs", 422, since="yesterday")["detail"]
    assert {each["action"] for each in client.get(f"/v1/runs/{first}", action="insert")["changes"]} == {"insert"}
    assert client.get(f"/v1/runs/{first}", action="delete")["changes"] == []


def test_what_a_run_left_out_comes_in_pages(client: DaemonClient) -> None:
    """Rejected entries and trimmed values, each once, with any letter in the DN."""
    run = client.run(client.staff)
    key = {"folder_id": run["folder_id"], "run_id": run["run_id"]}
    rejected = [(f"cn={number},o={name}", "No name.") for name in ("a", "ä\nb", "B") for number in range(3)]
    with client.person.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO contactsync.rejected_entries (folder_id, run_id, dn, reason)"
            " VALUES (%(folder_id)s, %(run_id)s, %(dn)s, %(reason)s)",
            [{**key, "dn": dn, "reason": reason} for dn, reason in rejected],
        )
        cursor.executemany(
            "INSERT INTO contactsync.trimmed_values (folder_id, run_id, dn, source_key, fingerprint, field, reason)"
            " VALUES (%(folder_id)s, %(run_id)s, %(dn)s, 'x', '', %(field)s, 'Too long.')",
            [{**key, "dn": dn, "field": field} for dn, _ in rejected for field in ("notes", "title")],
        )

    def pages(path: str, name: str) -> list[tuple[str, ...]]:
        items: list[tuple[str, ...]] = []
        after: str | None = ""
        while after is not None:
            page = client.get(f"/v1/runs/{run['run_id']}/{path}", limit=4, after=after)
            items += [tuple(item.values()) for item in page[name]]
            after = page["next_after"]
        return items

    assert sorted(pages("rejected", "entries")) == sorted(rejected)
    assert sorted(pages("trimmed", "values")) == sorted(
        (dn, field, "Too long.") for dn, _ in rejected for field in ("notes", "title")
    )


def test_waiting_during_a_run_is_answered_by_the_run_after_it(client: DaemonClient) -> None:
    """The current run has read the directory before the request, so it is no answer; a cancelled one is."""
    with silent_server() as port:
        slow = client.define("Slow", query=f"127.0.0.1:{port}", base="dc=x")
        wait_until(lambda: client.post(f"/v1/definitions/{slow}/sync", 202), "the first request")
        first = client.running(slow)
        answers: list[Any] = []
        threads = [
            threading.Thread(target=lambda: answers.append(client.post(f"/v1/definitions/{slow}/sync", wait=True)))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        requests = "SELECT count(*) FROM contactsync.sync_requests WHERE definition_id = %s"
        wait_until(lambda: client.person.execute(requests, [slow]).fetchone() == (4,), "all requests to arrive")
        assert client.post(f"/v1/runs/{first}/cancel")["cancelled"] == [first]
        wait_until(lambda: client.running(slow) != first, "the second run")
        second = client.running(slow)
        assert client.post(f"/v1/runs/{second}/cancel")["cancelled"] == [second]
        for thread in threads:
            thread.join()
    assert [answer["runs"][0]["run_id"] for answer in answers] == [second] * 3
    assert answers[0]["runs"][0]["outcome"] == "cancelled"
    assert client.outcomes(slow) == ["cancelled", "cancelled"]
    client.person.execute("DELETE FROM contactsync.sync_definitions WHERE definition_id = %s", [slow])


def test_only_current_runs_can_be_cancelled(client: DaemonClient) -> None:
    """The answer is 404."""
    assert "not running" in client.problem("POST", f"/v1/definitions/{client.staff}/cancel", 404)["detail"]
    client.problem("POST", "/v1/runs/999999/cancel", 404)


def test_a_paused_definition_is_left_out_of_all_and_runs_when_it_is_named(client: DaemonClient) -> None:
    """A pause stops automatic runs only."""
    rests = client.define("Rests")
    client.post(f"/v1/definitions/{rests}/pause")
    wait_until(lambda: client.get("/v1/status")["paused"] == 1, "the daemon to follow")
    assert not client.get(f"/v1/definitions/{rests}")["enabled"]
    labels = {run["label"] for run in client.post("/v1/sync", wait=True)["runs"]}
    assert "Staff" in labels
    assert "Rests" not in labels
    (run,) = client.post("/v1/sync", name="Rests", wait=True)["runs"]
    assert run["outcome"] == "changed"
    client.post(f"/v1/definitions/{rests}/resume")
    assert client.get(f"/v1/definitions/{rests}")["enabled"]


def test_a_held_run_is_previewed_approved_and_undone(client: DaemonClient) -> None:
    """From the preview of an intended deletion to its approval, and to the undo."""
    held = client.define("Held")
    client.run(held)
    client.person.execute(
        "UPDATE contactsync.sync_definitions SET filter = '(sn=Nobody)' WHERE definition_id = %s", [held]
    )
    preview = wait_until(
        lambda: (found := client.post(f"/v1/definitions/{held}/preview", limit=3))["deleted"] and found, "the edit"
    )
    assert (preview["outcome"], preview["deleted"], len(preview["changes"])) == ("held", PEOPLE, 3)
    assert preview["changes_left_out"] == PEOPLE - 3
    run = client.run(held)
    assert run["outcome"] == "held"
    decided = client.post(f"/v1/runs/{run['run_id']}/approve")
    assert decided["decision"] == "approved"
    wait_until(lambda: client.outcomes(held)[-1] == "changed", "the approved run")
    (applied,) = client.get("/v1/runs", definition_id=held, limit=1)["runs"]
    assert applied["deleted"] == PEOPLE
    undone = client.post(f"/v1/runs/{applied['run_id']}/undo")
    assert undone["run"]["inserted"] == PEOPLE
    found = client.get(f"/v1/definitions/{held}")
    assert (found["contacts"], found["enabled"]) == (PEOPLE, False)


def test_an_undo_that_is_refused_is_a_conflict(client: DaemonClient) -> None:
    """The contact that a user has changed is named."""
    run_id = client.run(client.define("Edited"))["run_id"]
    client.person.execute(
        "UPDATE contactsync.contacts SET notes = 'mine' WHERE contact_id ="
        " (SELECT max(contact_id) FROM contactsync.contact_changes WHERE run_id = %s)",
        [run_id],
    )
    problem = client.problem("POST", f"/v1/runs/{run_id}/undo", 409)
    assert problem["code"] == "undo.refused"
    assert "a user changed" in problem["detail"]


def test_a_rejected_run_cannot_be_approved_any_more(client: DaemonClient) -> None:
    """The answer is 409 with the reason."""
    held = client.define("Rejected")
    client.run(held)
    client.person.execute(
        "UPDATE contactsync.sync_definitions SET filter = '(sn=Nobody)' WHERE definition_id = %s", [held]
    )
    run = client.run(held)
    assert client.post(f"/v1/runs/{run['run_id']}/reject")["decision"] == "rejected"
    problem = client.problem("POST", f"/v1/runs/{run['run_id']}/approve", 409)
    assert "rejected" in problem["detail"]
    assert problem["hint"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/runs/987654", 404, "not_found"),
        ("POST", "/v1/definitions/987654/sync", 404, "not_found"),
        ("POST", "/v1/definitions/Staff/sync", 422, "malformed_request"),
        ("DELETE", "/v1/status", 405, "method_not_allowed"),
        ("GET", "/v1/runs?limit=0", 422, "malformed_request"),
        ("GET", "/v1/runs/eleven", 422, "malformed_request"),
    ],
)
def test_what_cannot_be_answered_is_a_problem_document(
    client: DaemonClient, method: str, path: str, status: int, code: str
) -> None:
    """RFC 9457, with a code that scripts can match."""
    response = client.http.request(method, path)
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, problem["status"], problem["code"]) == (status, status, code)


def test_a_wrong_name_is_answered_with_similar_names(client: DaemonClient) -> None:
    """The hint has them."""
    problem = client.problem("POST", "/v1/sync", 404, name="Stuff")
    assert problem["hint"] == "Did you mean Staff?"


def test_a_hint_names_routes_to_programs_and_commands_to_the_command_line(client: DaemonClient) -> None:
    """Both ask for a run that does not exist."""
    assert "GET /v1/runs" in client.problem("GET", "/v1/runs/987654", 404)["hint"]
    command = {"user-agent": f"{COMMAND_LINE}/{__version__}"}
    assert "`contactsync runs`" in client.http.get("/v1/runs/987654", headers=command).json()["hint"]


def test_a_malformed_request_names_what_is_wrong(client: DaemonClient) -> None:
    """It names every parameter."""
    problem = client.problem("GET", "/v1/runs", 422, limit=0, before="x")
    assert {item["parameter"] for item in problem["errors"]} == {"limit", "before"}


def test_what_is_not_http_is_answered_with_a_problem(client: DaemonClient) -> None:
    """The answer of the HTTP library would be plain text."""
    with client.raw() as connection:
        connection.sendall(b"HELO daemon\r\n\r\n")
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"bad_request"' in answer


def test_a_body_that_is_too_long_is_refused(client: DaemonClient) -> None:
    """It is refused before it fills the memory."""
    with client.raw() as connection, connection.makefile("rb") as answer:
        connection.sendall(b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
        connection.sendall(bytes(32 * 1024))
        assert answer.readline().split()[1] in {b"200", b"413"}
    assert client.get("/v1/health/live") == {"status": "ok"}


def test_it_is_alive_and_ready(client: DaemonClient) -> None:
    """A watchdog and a load balancer can ask for both."""
    assert client.get("/v1/health/live") == client.get("/v1/health/ready") == {"status": "ok"}


def test_every_changing_call_is_logged_with_who_made_it(client: DaemonClient) -> None:
    """The kernel identifies the user; a request that only reads is not logged."""
    client.run(client.staff)
    client.problem("POST", "/v1/definitions/987654/pause", 404)
    who = {"uid": os.getuid(), "pid": os.getpid(), "method": "POST"}
    wait_until(
        lambda: client.daemon.events(
            "control.call", path=f"/v1/definitions/{client.staff}/sync", outcome="done", **who
        ),
        "a line",
    )
    wait_until(
        lambda: client.daemon.events("control.call", path="/v1/definitions/987654/pause", outcome="refused", **who),
        "another",
    )
    assert not client.daemon.events("control.call", method="GET")


def test_events_report_a_run_from_its_start_to_its_end(client: DaemonClient) -> None:
    """In order, as server-sent events."""
    events = events_during(client, lambda: client.post(f"/v1/definitions/{client.staff}/sync", 202))
    kinds = [(kind, data["definition_id"]) for kind, data in events]
    assert kinds[0] == ("run.started", client.staff)
    assert kinds[-1] == ("run.finished", client.staff)
    assert ("run.progress", client.staff) in kinds


def test_an_undo_is_an_event_and_is_in_the_metrics(client: DaemonClient) -> None:
    """An undo is reported as any other run."""
    definition_id = client.define("Undone")
    run_id = client.run(definition_id)["run_id"]
    _, data = events_during(client, lambda: client.post(f"/v1/runs/{run_id}/undo"))[-1]
    assert (data["definition_id"], data["deleted"]) == (definition_id, PEOPLE)
    metrics = client.http.get("/v1/metrics").text
    assert 'contactsync_contacts{definition="directory",folder="Undone"} 0.0' in metrics


def events_during(client: DaemonClient, action: Callable[[], Any]) -> list[tuple[str, dict[str, Any]]]:
    """Kind and data of each event from an action to the end of the run that it makes."""
    events: list[tuple[str, dict[str, Any]]] = []
    with client.http.stream("GET", "/v1/events") as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith(":")
        action()
        kind = ""
        for line in lines:
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                events.append((kind, json.loads(line.removeprefix("data: "))))
            if kind == "run.finished" and not line:
                break
    return events


def test_a_client_that_reconnects_gets_the_events_that_it_missed(client: DaemonClient) -> None:
    """Those after the last one that it has; an id of another start of the daemon is answered with a reset."""
    missed = [client.run(client.staff)["run_id"] for _ in range(2)]
    with client.http.stream("GET", "/v1/events") as stream:
        position = first_fields(stream, 1)[0]["id"]
    run_ids = [client.run(client.staff)["run_id"] for _ in range(2)]
    with client.http.stream("GET", "/v1/events", headers={"Last-Event-ID": position}) as stream:
        events = first_fields(stream, 4)
    assert [event["event"] for event in events] == ["run.started", "run.finished"] * 2
    assert [json.loads(event["data"])["run_id"] for event in events] == [each for each in run_ids for _ in range(2)]
    assert not set(missed) & set(run_ids)
    with client.http.stream("GET", "/v1/events", headers={"Last-Event-ID": events[2]["id"]}) as stream:
        (again,) = first_fields(stream, 1)
    assert again == events[3]
    with client.http.stream("GET", "/v1/events", headers={"Last-Event-ID": "0123abcd-5"}) as stream:
        (reset,) = first_fields(stream, 1)
    assert (reset["event"], reset["id"]) == ("stream.reset", events[3]["id"])
    assert json.loads(reset["data"])["hint"]


def first_fields(stream: httpx.Response, number: int) -> list[dict[str, str]]:
    """The fields of the first blocks of a stream, without comments."""
    blocks: list[dict[str, str]] = [{}]
    for line in stream.iter_lines():
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            blocks[-1][name] = value
        elif not line and blocks[-1]:
            if len(blocks) == number:
                return blocks
            blocks.append({})
    raise AssertionError(blocks)


def test_a_listener_that_does_not_read_is_dropped(client: DaemonClient) -> None:
    """It costs no memory, and the last thing that it can read says so."""
    client.person.execute(
        """
        WITH f AS (INSERT INTO contactsync.folders (name)
                   SELECT 'Crowd ' || n FROM generate_series(1, 1500) AS n RETURNING folder_id)
        INSERT INTO contactsync.sync_definitions (folder_id, query, schedule, enabled)
        SELECT folder_id, 'localhost', 'manual', false FROM f
        """
    )
    wait_until(lambda: client.get("/v1/status")["definitions"] > 1500, "the crowd")
    with client.raw() as lazy:
        lazy.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        lazy.recv(16)

        def dropped() -> bool:
            client.person.execute(
                "UPDATE contactsync.sync_definitions SET jitter_seconds = jitter_seconds + 1 WHERE query = 'localhost'"
            )
            return bool(client.daemon.events("control.listener_dropped", pid=os.getpid()))

        wait_until(dropped, "the listener to be dropped")
        assert b"event: stream.dropped" in lazy.makefile("rb").read()
    client.person.execute("DELETE FROM contactsync.folders WHERE name LIKE 'Crowd %'")
    wait_until(lambda: client.get("/v1/status")["definitions"] < 1500, "the crowd to be removed")


def test_a_request_has_to_be_complete_in_time(unfinished_requests: list[socket.socket]) -> None:
    """The daemon closes the connections of clients that do not send a request in time."""
    for connection in unfinished_requests:
        assert connection.recv(1) == b""


def test_a_thousand_silent_clients_disturb_nothing(client: DaemonClient) -> None:
    """A run ends, another client is served, and the daemon keeps file descriptors for its work."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    try:
        with ExitStack() as stack:
            requested = client.post(f"/v1/definitions/{client.staff}/sync", 202)["requested"]
            assert requested
            for number in range(1000):
                connection = stack.enter_context(client.raw())
                if number % 2:
                    connection.sendall(b"POST /v1/sync HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n..")
            with client.raw() as last:
                # Behind all of them. A client with a time limit, as those below, would find no room before.
                last.sendall(b"GET /v1/health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
                assert last.recv(64).startswith(b"HTTP/1.1 200")
            run = client.run(client.staff)
            assert run["outcome"] == "unchanged"
            assert len(list(Path(f"/proc/{client.daemon.pid}/fd").iterdir())) < 250
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert client.get("/v1/health/ready") == {"status": "ok"}


def test_the_command_line_connects_again_while_the_backlog_is_full(client: DaemonClient) -> None:
    """A daemon that accepts connections slowly is still there."""
    client.daemon.send(signal.SIGSTOP)
    with ExitStack() as stack:
        stack.callback(client.daemon.send, signal.SIGCONT)
        fill_backlog(client, stack)
        command = [str(CONTACTSYNC), "status"]
        asking = subprocess.Popen(
            command, env=client.daemon.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        stack.callback(asking.communicate)
        stack.callback(asking.kill)
        with suppress(subprocess.TimeoutExpired):  # who gives up has ended by then
            asking.wait(2)
        client.daemon.send(signal.SIGCONT)
        said, _ = asking.communicate(timeout=PATIENCE)
    assert "gave no answer" not in said
    assert asking.returncode == 0, said


def fill_backlog(client: DaemonClient, stack: ExitStack) -> None:
    """Connect until the backlog is full, while the daemon accepts no connection."""
    while True:
        connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        connection.settimeout(0)
        try:
            connection.connect(str(client.path))
        except BlockingIOError:
            return


def test_the_openapi_document_describes_every_answer(client: DaemonClient) -> None:
    """Each operation has a name of its own, and problems for its errors; a program gives a token."""
    document = client.get("/v1/openapi.json")
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names)) > 20
    assert all({"4XX", "5XX"} <= operation["responses"].keys() for operation in operations)
    assert "Problem" in document["components"]["schemas"]
    assert {(each["type"], each["scheme"]) for each in document["components"]["securitySchemes"].values()} == {
        ("http", "bearer")
    }
    assert [list(each) for each in document["security"]] == [["token"], []]


def test_the_settings_in_force_are_read(client: DaemonClient) -> None:
    """With where they come from, and without the database's password."""
    settings = {setting["name"]: setting for setting in client.get("/v1/settings")}
    assert (settings["database.url"]["value"], settings["database.url"]["source"]) == ("set", "environment")
    assert settings["guard.delete_count"] == {
        "name": "guard.delete_count", "value": 500, "source": "default", "where": None, "default": 500
    }  # fmt: skip


def test_the_last_records_of_the_log_are_read(client: DaemonClient) -> None:
    """Filtered by level, folder and time, in pages; they are those of the log file."""
    run = client.run(client.staff)
    records = client.get("/v1/log", folder="Staff", limit=1000)["records"]
    (finished,) = [
        each for each in records if each["event"] == "run.finished" and each["fields"]["run"] == run["run_id"]
    ]
    (logged,) = client.daemon.events("run.finished", run=run["run_id"])
    assert (finished["folder"], finished["definition_id"], finished["level"]) == ("Staff", client.staff, "info")
    assert finished["fields"].items() <= logged.items()
    assert datetime.fromisoformat(finished["at"]) == datetime.fromisoformat(logged["timestamp"])
    assert {each["folder"] for each in records} == {"Staff"}

    first = client.get("/v1/log", limit=2)
    second = client.get("/v1/log", limit=2, before=first["next_before"])
    numbers = [each["number"] for each in first["records"] + second["records"]]
    assert numbers == sorted(set(numbers), reverse=True)
    assert {each["level"] for each in client.get("/v1/log", level="warning")["records"]} <= {"warning", "error"}
    assert client.get("/v1/log", since="2999-01-01T00:00:00Z")["records"] == []


def test_the_examples_of_bodies_are_accepted(client: DaemonClient) -> None:
    """Each body has one; with the names and the server of this test, every route carries it out."""
    document = client.get("/v1/openapi.json")
    schemas = document["components"]["schemas"]
    server = f"{client.directory.url}/{client.directory.suffix}"
    accepted = []
    staff = client.get(f"/v1/definitions/{client.staff}")
    paths = sorted(document["paths"].items(), key=lambda item: "explain" in item[0])  # of what others add
    for path, methods in paths:
        for method, operation in methods.items():
            if "requestBody" not in operation:
                continue
            name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            example = json.dumps(schemas[name]["examples"][0]).replace("Staff", "Example").replace("Team", "Renamed")
            example = example.replace("anna@example.com", "Nobody Atall")
            found = client.definitions(name="Example") if "{definition_id}" in path else [staff]
            answer = client.http.request(
                method,
                path.format(**found[0]),
                content=example.replace("ldaps://dc1.example.com", server),
                headers={"content-type": "application/json"},
            )
            # The directory refuses the example's password, and no link has the example's code.
            assert answer.is_success or answer.json()["code"].startswith(("directory.", "web.code")), (
                path,
                answer.text,
            )
            accepted.append((method, path))
    assert len(accepted) == 15
    client.http.put(f"/v1/folders/{staff['folder_id']}/rights", json={"rights": []}).raise_for_status()
    client.http.delete("/v1/tokens", params={"name": "helpdesk"}).raise_for_status()
    for name in ("Example", "Renamed"):
        (definition,) = client.definitions(name=name)
        client.http.delete(f"/v1/definitions/{definition['definition_id']}").raise_for_status()


def test_the_examples_of_the_openapi_document_can_be_read(client: DaemonClient) -> None:
    """Each path and each parameter that is required has one; every route for reading answers it."""
    document = client.get("/v1/openapi.json")
    statuses: dict[int, int] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"]
            assert operation["description"].startswith(operation["summary"])
            required = [each for each in operation.get("parameters", ()) if each["required"]]
            values = {each["name"]: (each.get("examples") or each["schema"].get("examples"))[0] for each in required}
            if method != "get" or path == "/v1/events":
                continue
            query = {each["name"]: values[each["name"]] for each in required if each["in"] == "query"}
            answer = client.http.get(path.format(**values), params=query)
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            assert answer.status_code in {200, 404, 409}, (path, answer.text)
    assert statuses[200] > 20
