"""What a token may do: each route of the API, with and without its right, inside and outside of its scope."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from contactsync.api.access.needs import NEEDS, Target
from contactsync.operations.access.rights import Right
from tests.support.api_routes import Route, routes
from tests.support.tls_api import OTHERS, TlsApi

ABSENT = 987_654
IN_PATH = {Target.DEFINITION, Target.FOLDER, Target.RUN, Target.REQUEST}
ROUTES = sorted(routes())
BY_PATH = [route for route in ROUTES if route.need.target in IN_PATH]
WITH_RIGHT = [route for route in ROUTES if route.need.right is not None]


def code_of(response: httpx.Response) -> str:
    """The code of a problem."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    return str(response.json()["code"])


SCOPES: dict[str, Any] = {"folder": {"folders": ("Staff",)}, "owner": {"owners": ("anna",)}}
"""Scopes without the board."""


def test_every_route_declares_what_it_needs() -> None:
    """And no other is declared. A route that is not declared would be closed to tokens."""
    assert [route.name for route in ROUTES] == sorted(NEEDS)


@pytest.mark.parametrize("route", WITH_RIGHT, ids=lambda route: route.name)
def test_a_token_without_the_right_is_refused(api: TlsApi, route: Route) -> None:
    """With all other rights, and for everything."""
    others = [right for right in Right if right is not route.need.right]
    response = route.request(api.may(*others), api.ids(api.staff))
    assert (response.status_code, code_of(response)) == (403, "token.right")


@pytest.mark.parametrize("scope", ["folder", "owner"])
@pytest.mark.parametrize("route", BY_PATH, ids=lambda route: route.name)
def test_what_is_of_another_scope_does_not_exist(api: TlsApi, route: Route, scope: str) -> None:
    """The answer is the same as for what exists nowhere, apart from the number."""
    client = api.may(**SCOPES[scope])
    ids = api.ids(api.board) | {"run_id": api.held}
    foreign, absent = route.request(client, ids), route.request(client, dict.fromkeys(ids, ABSENT))
    assert (foreign.status_code, code_of(foreign)) == (404, "not_found")
    assert OTHERS not in foreign.text
    problems = [
        response.json() | {"instance": "", "detail": re.sub(r"\d+", "N", response.json()["detail"])}
        for response in (foreign, absent)
    ]
    assert problems[0] == problems[1]


@pytest.mark.parametrize("target", [Target.ALL, Target.SOCKET])
def test_what_concerns_all_is_refused_to_a_token_for_some(api: TlsApi, target: Target) -> None:
    """And what only users of the socket may do is refused to every token."""
    limited, full = api.may(folders=("Staff",)), api.may()
    expected = {Target.ALL: "token.scope", Target.SOCKET: "token.socket_only"}[target]
    for route in ROUTES:
        if route.need.target is target:
            response = route.request(limited, {"folder_id": 1})
            assert (response.status_code, code_of(response)) == (403, expected), route
            refused = route.request(full, {"folder_id": 1}).status_code == 403
            assert refused is (target is Target.SOCKET), route


@pytest.mark.parametrize("path", ["folders", "definitions", "runs", "audit"])
def test_lists_leave_out_what_is_of_another_scope(api: TlsApi, path: str) -> None:
    """Also with a filter that names it."""
    client, full = api.may(folders=("Staff",)), api.may()
    assert OTHERS in full.get(f"/v1/{path}").text
    listed = client.get(f"/v1/{path}").text
    assert "Staff" in listed
    assert OTHERS not in listed
    assert "Private" not in listed
    rows = client.get(f"/v1/{path}", params={"definition_id": api.board, "text": OTHERS}).json()
    if path != "folders":
        assert not next(iter(rows.values())), rows


def test_a_name_of_another_scope_is_neither_found_nor_suggested(api: TlsApi) -> None:
    """A list by name, and a request for runs."""
    client = api.may(folders=("Staff",))
    calls = [("GET", path) for path in ("definitions", "runs", "audit", "resolve")]
    for name in (OTHERS, "Boart", "anna/Private"):
        answers = [
            client.request(method, f"/v1/{path}", params={"name": name})
            for method, path in [*calls, ("POST", "sync"), ("POST", "cancel")]
        ]
        for answer in answers:
            assert (answer.status_code, code_of(answer)) == (404, "not_found")
            assert OTHERS not in answer.text.replace(name, "")
    assert client.get("/v1/definitions", params={"name": "Stuff"}).json()["hint"] == "Did you mean Staff?"


def test_a_request_for_all_runs_those_in_the_scope(api: TlsApi) -> None:
    """The others are not even named, and the audit has the token."""
    (run,) = api.may("sync", owners=("anna",)).post("/v1/sync", params={"wait": True}).json()["runs"]
    assert run["definition_id"] == api.private
    (deed,) = api.local.get("/v1/audit", definition_id=api.private, limit=1)["deeds"]
    assert (deed["action"], deed["actor_kind"], deed["via"]) == ("sync.requested", "token", "api")
    assert deed["actor"].startswith("token-")


def test_events_of_another_scope_are_not_sent(api: TlsApi) -> None:
    """Only those of the own folder arrive, also of its removal."""
    with api.may("read", owners=("anna",)).stream("GET", "/v1/events") as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith(":")
        mine = api.local.define("Mine")
        for definition_id in (api.staff, api.private):
            api.local.run(definition_id)
        api.local.person.execute("DELETE FROM contactsync.folders WHERE name = 'Mine'")
        edit = "UPDATE contactsync.sync_definitions SET jitter_seconds = 1 - jitter_seconds WHERE definition_id = %s"
        api.local.person.execute(edit, [api.private])
        data = [json.loads(line.removeprefix("data: ")) for line in _until_changed(lines) if line.startswith("data: ")]
    assert {each["definition_id"] for each in data} == {api.private}
    assert mine not in {each["definition_id"] for each in data}


def _until_changed(lines: Iterator[str]) -> Iterator[str]:
    changed = False
    for line in lines:
        changed |= line == "event: definition.changed"
        yield line
        if changed and line.startswith("data: "):
            return


def test_a_folder_is_added_only_inside_of_the_scope(api: TlsApi) -> None:
    """By an owner for that owner, by a name for that name; an empty scope of names may be filled."""
    new = {"query": "ldaps://dc1.example.com", "schedule": "manual"}
    owner = api.may("edit", "read", owners=("bert",))
    named = api.may("edit", "read", folders=("Sales", "bert/Sales"))
    for client, fields, status in (
        (owner, {"folder": "One", "owner": "bert"}, 201),
        (owner, {"folder": "One"}, 403),
        (owner, {"folder": "One", "owner": "anna"}, 403),
        (owner, {"folder": OTHERS, "definition": "second"}, 403),
        (named, {"folder": "Sales"}, 201),
        (named, {"folder": "Sales", "owner": "anna"}, 403),
        (named, {"folder": "Other"}, 403),
    ):
        response = client.post("/v1/definitions", json={**new, **fields})
        assert response.status_code == status, (fields, response.text)
        if status == 403:
            assert code_of(response) == "token.scope"


def test_a_definition_is_not_moved_out_of_the_scope(api: TlsApi) -> None:
    """Neither by a name nor by an owner; within the scope it is renamed."""
    new = {"folder": "Move", "owner": "carl", "query": "ldaps://dc1.example.com", "schedule": "manual"}
    client = api.may("edit", "read", owners=("carl",))
    path = f"/v1/definitions/{client.post('/v1/definitions', json=new).json()['definition_id']}"
    for changes in ({"owner": "anna"}, {"owner": None}, {"owner": "anna", "folder": "X"}):
        assert code_of(client.patch(path, json=changes)) == "token.scope"
    assert client.patch(path, json={"folder": "Moved"}).json()["label"] == "carl/Moved"
    named = api.may("edit", "read", folders=("carl/Moved",))
    assert code_of(named.patch(path, json={"folder": "Again"})) == "token.scope"


def test_no_token_uses_a_password_ticket_or_certificate_of_the_machine(api: TlsApi) -> None:
    """Neither in a new definition, nor in an edit, nor in a check of settings that are not stored."""
    client = api.may()
    new = {"folder": "Machine", "query": "ldap://evil.example", "user": "cn=x", "schedule": "manual"}
    for fields in (
        {"password_ref": "env:OTHER"},
        {"auth": "kerberos"},
        {"tls_client_cert": "/etc/x.crt", "tls_client_key": "/etc/x.key", "auth": "external"},
    ):
        for path in ("/v1/definitions", "/v1/check", "/v1/preview", "/v1/browse"):
            assert code_of(client.post(path, json={**new, **fields})) == "token.field", (path, fields)
        assert code_of(client.patch(f"/v1/definitions/{api.staff}", json=fields)) == "token.field"


def test_a_reference_is_not_sent_to_another_server(api: TlsApi) -> None:
    """Other servers, another user or other TLS settings need a password in the request."""
    client, path = api.may(), f"/v1/definitions/{api.private}"
    for changes in ({"query": "ldap://127.0.0.1:1"}, {"user": "cn=other"}, {"tls": "starttls"}):
        assert code_of(client.patch(path, json=changes)) == "token.field"
        for draft in ("check", "browse", "preview"):
            assert code_of(client.post(f"/v1/{draft}", json={"definition_id": api.private, **changes})) == "token.field"
    assert client.patch(path, json={"schedule": "manual"}).status_code == 200


def test_drafts_of_another_scope_do_not_exist(api: TlsApi) -> None:
    """The id is in the body."""
    client = api.may(folders=("Staff",))
    for draft in ("check", "browse", "preview"):
        response = client.post(f"/v1/{draft}", json={"definition_id": api.board})
        assert (response.status_code, code_of(response)) == (404, "not_found")


def test_the_limits_of_deletions_need_the_right_to_decide(api: TlsApi) -> None:
    """Otherwise an edit would replace an approval."""
    path = f"/v1/definitions/{api.staff}"
    editor = api.may("edit", "read")
    for changes in ({"max_delete_count": 10_000}, {"max_delete_share": 1}, {"allow_empty": True}):
        assert code_of(editor.patch(path, json=changes)) == "token.right"
    both = api.may("edit", "read", "decide")
    assert both.patch(path, json={"max_delete_count": 100}).status_code == 200


def test_a_token_does_what_its_rights_and_scope_allow(api: TlsApi) -> None:
    """Each route of a definition, a folder and a run that only reads."""
    client = api.may("read", folders=("Staff",))
    ids = api.ids(api.staff)
    for route in BY_PATH:
        if route.method == "GET" and route.name not in {"photo", "plan_of_run"}:
            response = route.request(client, ids)
            assert response.status_code == 200, (route, response.text)
