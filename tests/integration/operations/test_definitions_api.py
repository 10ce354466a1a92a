"""The API of definitions over a real database; no daemon is needed for it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import psycopg
import pytest

from contactsync.api.app import create_app
from contactsync.api.context import ApiContext
from contactsync.api.events import EventHub
from contactsync.bootstrap import build_runner
from contactsync.log.recent import RecentRecords
from contactsync.settings.loader import load_settings
from contactsync.settings.schema import Guard
from contactsync.store.pool import Pool
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder, dismiss

SECRET = "swordfish-4711"
NEW = {"query": "ldaps://dc1.example.com", "user": "cn=reader,dc=example", "password": SECRET, "schedule": "manual"}

Call = Callable[..., httpx.Response]


@pytest.fixture
def request_async(pool: Pool, tmp_path: Path) -> Callable[..., Coroutine[Any, Any, httpx.Response]]:
    """Call the API as the user anna, in an event loop."""
    settings = load_settings(None, {"CONTACTSYNC_STATE__DIRECTORY": str(tmp_path)})
    runner = build_runner(settings, pool)
    idle = SimpleNamespace(running=frozenset(), states={}, followed=())
    context = ApiContext(
        pool=pool,
        runner=runner,
        dispatcher=cast("Any", idle),
        schedule=cast("Any", idle),
        requests=cast("Any", idle),
        hub=EventHub(),
        recent=RecentRecords(),
        live=cast("Any", idle),
        settings=lambda: settings,
        started_at=datetime.now(UTC),
        problems=list,
        reload=cast("Any", None),
        metrics=bytes,
    )
    app = create_app(context)

    async def as_anna(scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = {"actor": SimpleNamespace(kind="unix", uid=1000, pid=1, name="anna")}
        await app(scope, receive, send)

    async def request(method: str, path: str, **options: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(as_anna), base_url="http://daemon") as client:
            return await client.request(method, f"/v1{path}", **options)

    return request


@pytest.fixture
def call(request_async: Callable[..., Coroutine[Any, Any, httpx.Response]]) -> Call:
    """Call the API as the user anna."""
    return lambda method, path, **options: asyncio.run(request_async(method, path, **options))


def add(call: Call, folder: str, **fields: Any) -> int:
    """Add a definition; returns its id."""
    response = call("POST", "/definitions", json={"folder": folder, **NEW, **fields})
    assert response.status_code == 201, response.text
    return int(response.json()["definition_id"])


def errors(response: httpx.Response) -> dict[str, str]:
    """The details of a problem by the pointer to the field."""
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return {error["pointer"]: error["detail"] for error in response.json()["errors"]}


def test_a_definition_is_added_read_edited_and_removed_and_never_shows_its_password(
    call: Call, shared_database: str
) -> None:
    """The three fields of a dialog are enough."""
    response = call("POST", "/definitions", json={"folder": "Dialog", "owner": "anna", **NEW})
    added = response.json()
    path = f"/definitions/{added['definition_id']}"
    assert (added["label"], added["password_stored"], added["user"]) == ("anna/Dialog", True, "cn=reader,dc=example")
    edited = call("PATCH", path, json={"filter": "(mail=*)", "enabled": False})
    assert (edited.json()["filter"], edited.json()["state"]) == ("(mail=*)", "paused")
    assert call("GET", path).json() == edited.json()
    assert call("PATCH", path, json={"filter": None}).json()["filter"] is None
    with psycopg.connect(shared_database) as connection:
        (audit,) = connection.execute("SELECT string_agg(a::text, ' ') FROM contactsync.audit AS a").fetchone() or ("",)
    edits = call("GET", f"{path}/edits")
    actions = [(deed["action"], deed["actor"], deed["via"]) for deed in edits.json()["deeds"]]
    assert actions[1] == ("definition.paused", "anna", "api")
    assert actions[-2:] == [("password.set", "anna", "api"), ("definition.added", "anna", "api")]
    for text in (response.text, edited.text, edits.text, audit):
        assert SECRET not in text
    assert call("DELETE", path).json()["label"] == "anna/Dialog"
    assert call("GET", path).status_code == 404


def test_every_wrong_field_is_named_at_once(call: Call) -> None:
    """A form can mark each of them; nothing is stored."""
    fields = {"folder": "a/b", "query": "http://x", "filter": "(mail", "schedule": "sometimes", "time_zone": "Mars"}
    problem = errors(call("POST", "/definitions", json={**NEW, **fields, "mapping": {"fields": {"nonsense": ["x"]}}}))
    assert problem.keys() == {"/folder", "/query", "/filter", "/schedule", "/time_zone", "/mapping/fields/nonsense"}
    wrong_types = errors(call("POST", "/definitions", json={"folder": "Types", **NEW, "scope": "all", "page_size": -1}))
    assert wrong_types.keys() == {"/scope", "/page_size"}
    for authorities in ("no certificate", "kein Zertifikat für"):
        assert errors(
            call("POST", "/definitions", json={"folder": "Types", **NEW, "tls_ca_pem": authorities})
        ).keys() == {"/tls_ca_pem"}
    contradiction = {"folder": "Types", **NEW, "tls": "none"}
    assert errors(call("POST", "/definitions", json=contradiction)).keys() == {"/tls"}
    assert errors(call("POST", "/definitions", json={**NEW, "folder": "T", "user": None})).keys() == {"/password"}
    assert errors(call("POST", "/definitions", json={**NEW, "folder": "T", "password": None})).keys() == {"/password"}
    assert call("GET", "/definitions?text=Types").json()["definitions"] == []


@pytest.mark.parametrize(
    "changes",
    [{"query": "ldaps://evil.example.com"}, {"user": "cn=other"}, {"tls_verify": False}, {"tls_minimum": "1.3"}],
)
def test_a_stored_password_does_not_go_elsewhere(call: Call, changes: dict[str, Any]) -> None:
    """Other servers, another user and other TLS settings need the password in the same request."""
    path = f"/definitions/{add(call, f'Elsewhere {json.dumps(list(changes))[2:-2]}')}"
    assert errors(call("PATCH", path, json=changes)).keys() == {"/password"}
    assert call("PATCH", path, json={**changes, "password": SECRET}).json()["password_stored"]


def test_a_password_is_set_and_cleared(call: Call) -> None:
    """Only whether there is one can be read."""
    path = f"/definitions/{add(call, 'Password')}"
    assert call("DELETE", f"{path}/password").status_code == 200
    assert call("GET", path).json()["password_stored"] is False
    assert call("PUT", f"{path}/password", json={"password": SECRET}).status_code == 200
    assert call("GET", path).json()["password_stored"] is True
    assert errors(call("PUT", f"{path}/password", json={"password": ""})).keys() == {"/password"}


def test_a_folder_and_a_definition_are_renamed(call: Call) -> None:
    """Contacts and ids stay; a name that is taken is refused."""
    add(call, "Taken")
    path = f"/definitions/{add(call, 'Old name')}"
    assert "already" in errors(call("PATCH", path, json={"folder": "Taken"}))["/folder"]
    renamed = call("PATCH", path, json={"folder": "New name", "owner": "bo", "definition": "branch"})
    assert renamed.json()["label"] == "bo/New name:branch"
    assert call("PATCH", path, json={"owner": None}).json()["label"] == "New name:branch"


def test_lists_are_paged_and_filtered(call: Call) -> None:
    """The next page begins after the last id; filters can be combined."""
    ids = [add(call, f"Page {number}", owner="Paula", enabled=number != 1) for number in range(3)]
    first = call("GET", "/definitions?owner=Paula&limit=2").json()
    assert [each["definition_id"] for each in first["definitions"]] == ids[:2]
    rest = call("GET", f"/definitions?owner=Paula&limit=2&after={first['next_after']}").json()
    assert ([each["definition_id"] for each in rest["definitions"]], rest["next_after"]) == (ids[2:], None)
    paused = call("GET", "/definitions?owner=Paula&state=paused&text=page").json()["definitions"]
    assert [each["definition_id"] for each in paused] == [ids[1]]
    named = call("GET", "/definitions", params={"name": "Paula/Page 2"}).json()["definitions"]
    assert [each["definition_id"] for each in named] == [ids[2]]


def fields_of(directory: PrivateSlapd) -> dict[str, Any]:
    """The three fields of a dialog, for a directory without TLS."""
    return {
        "query": f"{directory.url}/{directory.suffix}",
        "user": directory.reader_dn,
        "password": directory.reader_password,
        "tls": "none",
    }


def test_settings_that_are_not_stored_are_checked_and_previewed(call: Call, directory: PrivateSlapd) -> None:
    """A dialog tests what was typed, and shows the people who would come, before anything is stored."""
    fields = fields_of(directory)
    checked = call("POST", "/check", json=fields).json()
    assert (checked["ok"], checked["label"]) == (True, None)
    wrong = call("POST", "/check", json={**fields, "password": "wrong"}).json()
    assert [step["name"] for step in wrong["steps"] if step["status"] == "failed"] == ["bind"]
    preview = call("POST", "/preview?limit=3", json=fields).json()
    assert (preview["inserted"], len(preview["changes"]), preview["changes_left_out"]) == (60, 3, 57)
    browsed = call("POST", "/browse", json=fields).json()
    assert browsed["levels"][0]["base"] == directory.suffix
    assert errors(call("POST", "/preview", json={**fields, "filter": "(x"})).keys() == {"/filter"}
    for text in (json.dumps(checked), json.dumps(preview), json.dumps(browsed)):
        assert directory.reader_password not in text


def test_changes_of_a_stored_definition_are_previewed_and_its_password_goes_nowhere_else(
    call: Call, folder: SyncedFolder
) -> None:
    """The plan has the changes of the settings in the request; another server needs the password."""
    path = f"/definitions/{folder.definition_id}"
    assert call("PUT", f"{path}/password", json={"password": folder.slapd.reader_password}).status_code == 200
    draft = {"definition_id": folder.definition_id, "filter": "(uid=nobody)"}
    preview = call("POST", "/preview", json=draft).json()
    assert (preview["deleted"], preview["outcome"]) == (60, "held")
    assert call("GET", path).json()["filter"] is None
    elsewhere = {"definition_id": folder.definition_id, "query": "ldap://127.0.0.1:1"}
    for route in ("/check", "/preview", "/browse"):
        assert errors(call("POST", route, json=elsewhere)).keys() == {"/password"}


def test_a_held_plan_is_read_page_by_page_and_approved_by_its_digest(call: Call, team_folder: SyncedFolder) -> None:
    """An approval names the deletions that were shown; a plan of others is refused."""
    dismiss(team_folder.slapd, 3)
    run_id = team_folder.run(guard=Guard(delete_count=1)).run_id
    first = call("GET", f"/runs/{run_id}/plan?action=delete&limit=2").json()
    assert (first["state"], first["deleted"], len(first["changes"])) == ("waiting", 3, 2)
    rest = call("GET", f"/runs/{run_id}/plan?action=delete&after={first['next_after']}").json()
    assert (len(rest["changes"]), rest["next_after"]) == (1, None)
    refused = call("POST", f"/runs/{run_id}/approve?digest={'0' * 32}")
    assert (refused.status_code, "other contacts" in refused.json()["detail"]) == (409, True)
    assert call("GET", f"/runs/{run_id}/rejected").json() == {"entries": [], "next_after": None}
    assert call("POST", f"/runs/{run_id}/reject").json()["decision"] == "rejected"
    assert call("GET", f"/runs/{run_id}/plan").json()["decided_by"] == "anna"


def test_what_an_undo_would_do_is_read_before(call: Call, folder: SyncedFolder) -> None:
    """The answer says whether it is possible, or why it is not."""
    run_id = folder.run().run_id
    plan = call("GET", f"/runs/{run_id}/undo").json()
    run = call("GET", f"/runs/{run_id}").json()
    assert plan["possible"]
    assert (plan["removed"], plan["set_back"], plan["restored"]) == (run["inserted"], run["updated"], run["deleted"])
    assert call("POST", f"/runs/{run_id}/undo").json()["paused"]
    again = call("GET", f"/runs/{run_id}/undo").json()
    assert (again["possible"], "undone already" in again["reason"]) == (False, True)


def test_contacts_are_listed_searched_and_explained(call: Call, folder: SyncedFolder, shared_database: str) -> None:
    """A page follows the names; a search ignores accents and case; a contact has its history by its id."""
    path = f"/folders/{call('GET', f'/definitions/{folder.definition_id}').json()['folder_id']}/contacts"
    with psycopg.connect(shared_database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO contactsync.contacts (folder_id, display_name, emails) VALUES (%s, %s, %s)",
            [int(path.split("/")[2]), "Zoë Grünwald-Ørsted", ["zoe@example.com"]],
        )
    pages, after = [], ""
    while after is not None:
        page = call("GET", path, params={"limit": 25, "after": after}).json()
        pages += page["contacts"]
        after = page["next_after"]
    assert len({contact["contact_id"] for contact in pages}) == len(pages)
    (counted,) = (
        each
        for each in call("GET", "/folders", params={"limit": 1000}).json()["folders"]
        if each["folder_id"] == int(path.split("/")[2])
    )
    assert len(pages) == counted["contacts"]
    for text in ("zoe grun", "ORSTED ZOË", "grünwald", "ZOE@example"):
        found = call("GET", path, params={"text": text}).json()["contacts"]
        assert [contact["display_name"] for contact in found] == ["Zoë Grünwald-Ørsted"]
    assert call("GET", path, params={"text": "zoe.*(["}).json()["contacts"] == []
    (of_directory, *_) = (contact for contact in pages if contact["definition_id"])
    one = call("GET", f"{path}/{of_directory['contact_id']}").json()
    assert one["fields"]["display_name"] == of_directory["display_name"]
    (event,) = call("GET", f"{path}/{of_directory['contact_id']}/history").json()
    assert (event["action"], event["fields"]["display_name"]["after"]) == ("insert", of_directory["display_name"])
    who = {"who": str(of_directory["contact_id"])}
    assert call("GET", f"/definitions/{folder.definition_id}/explain", params=who).json()["verdict"] == "in the folder"
    for missing in (f"{path}/999999999", f"{path}/999999999/history", f"{path}/999999999/photo"):
        assert call("GET", missing).status_code == 404


def test_a_contact_is_found_in_any_folder_by_mail_dn_and_telephone_number(
    call: Call, folder: SyncedFolder, shared_database: str
) -> None:
    """A number is the same with and without spaces, country code and zeros; another number is not."""
    folder_id = call("GET", f"/definitions/{folder.definition_id}").json()["folder_id"]
    with psycopg.connect(shared_database, autocommit=True) as connection:
        rows = connection.execute(
            "INSERT INTO contactsync.contacts (folder_id, display_name, emails, work_phones, mobile_phones) VALUES"
            " (%(folder_id)s, 'One', '{One@Lookup.example}', '{+49 (0)30 7654-321}', '{}'),"
            " (%(folder_id)s, 'Two', '{two@lookup.example}', '{030 7654322}', '{4711}') RETURNING contact_id",
            {"folder_id": folder_id},
        ).fetchall()
        synced = connection.execute(
            "SELECT contact_id, source_dn FROM contactsync.contacts WHERE folder_id = %s AND source_dn IS NOT NULL"
            " ORDER BY 1 LIMIT 1",
            [folder_id],
        ).fetchone()
    assert synced
    one, two = (row[0] for row in rows)

    def found(**query: str) -> list[int]:
        return [each["contact_id"] for each in call("GET", "/contacts", params=query).json()["contacts"]]

    assert found(mail="one@lookup.EXAMPLE") == [one]
    for number in ("+49307654321", "0049 30 7654321", "030/7654321", "+49(0)30 7654321"):
        assert found(telephone=number) == [one]
    assert found(telephone="+49 30 765 43 22") == [two]
    assert found(telephone="4711") == [two]
    assert found(telephone="7654329") == found(mail="one@lookup.example", telephone="4711") == []
    assert synced[0] in found(dn=synced[1].upper())
    (contact,) = call("GET", "/contacts", params={"mail": "two@lookup.example"}).json()["contacts"]
    assert (contact["folder_id"], contact["display_name"]) == (folder_id, "Two")
    for nothing in ({}, {"telephone": "call me"}):
        assert call("GET", "/contacts", params=nothing).status_code == 409


def test_silent_directories_do_not_take_all_of_the_api(
    call: Call, request_async: Callable[..., Coroutine[Any, Any, httpx.Response]]
) -> None:
    """Two requests may wait for a directory; a third one is refused, and others are answered."""

    async def ask() -> tuple[httpx.Response, httpx.Response]:
        path = f"/definitions/{definition_id}/explain"
        waiting = [asyncio.ensure_future(request_async("GET", path, params={"who": "Nobody"})) for _ in range(2)]
        connections = [(await asyncio.to_thread(server.accept))[0] for _ in waiting]
        answers = await request_async("GET", path, params={"who": "Nobody"}), await request_async("GET", "/folders")
        for connection in connections:
            connection.close()
        server.close()
        await asyncio.wait(waiting)
        return answers

    with socket.create_server(("127.0.0.1", 0)) as server:
        query = f"ldap://127.0.0.1:{server.getsockname()[1]}/dc=example"
        definition_id = add(call, "Silent", query=query, user=None, password=None, tls="none")
        refused, answered = asyncio.run(ask())
    assert (refused.status_code, refused.json()["code"]) == (503, "too_many")
    assert answered.status_code == 200


def test_definitions_are_exported_planned_and_applied(call: Call, shared_database: str) -> None:
    """A plan is carried out as it was looked at, or not at all; an export of the result changes nothing."""
    add(call, "Declared", filter="(mail=*)", mapping={"fields": {"title": None}})
    exported = call("GET", "/definitions/export", params={"name": "Declared"}).json()
    expected = {"folder": "Declared", "query": NEW["query"], "user": NEW["user"], "schedule": "manual"}
    fields = {"filter": "(mail=*)", "mapping": {"fields": {"title": None}}, "password_stored": True}
    assert exported == {"definitions": [{**expected, **fields}]}
    assert call("POST", "/definitions/plan", json=exported).json()["changes"] == []
    new = {"folder": "Declared", "definition": "new", "query": "dc2", "user": "cn=x", "enabled": False}
    declared: dict[str, Any] = {"definitions": [{**expected, "query": "ldaps://dc2.example.com"}, new]}
    plan = call("POST", "/definitions/plan", json=declared).json()
    edited, added = plan["changes"]
    assert (edited["action"], edited["needs_password"]) == ("edit", True)
    assert edited["fields"]["filter"] == {"before": "(mail=*)", "after": None}
    assert (added["action"], added["label"], added["needs_password"]) == ("add", "Declared:new", True)
    problem = errors(call("POST", "/definitions/apply", json=declared))
    assert problem.keys() == {"/definitions/0/password", "/definitions/1/password"}
    for each in declared["definitions"]:
        each["password"] = SECRET
    outdated = call("POST", "/definitions/apply", json={**declared, "digest": "other"})
    assert (outdated.status_code, outdated.json()["code"]) == (409, "definition.plan_outdated")
    applied = call("POST", "/definitions/apply", json={**declared, "digest": plan["digest"]})
    assert (applied.status_code, len(applied.json()["changes"]), SECRET in applied.text) == (200, 2, False)
    again = call("GET", "/definitions/export", params={"name": "Declared"}).json()
    assert call("POST", "/definitions/plan", json=again).json()["unchanged"] == 2
    with psycopg.connect(shared_database) as connection:
        deeds = "SELECT action FROM contactsync.audit WHERE label = 'Declared:new' AND actor = 'anna' ORDER BY audit_id"
        assert connection.execute(deeds).fetchall() == [("definition.added",), ("password.set",)]
    nameless = {"folder": "a/b", "query": ""}
    wrong = {"definitions": [{**new, "tls_ca_file": "/a", "tls_ca_pem": "b"}, nameless]}
    assert errors(call("POST", "/definitions/plan", json=wrong)).keys() == {"/definitions/1/query"}
    nameless["query"] = "http://x"
    found = {"/definitions/0/tls_ca_file", "/definitions/1/folder", "/definitions/1/query"}
    assert errors(call("POST", "/definitions/plan", json=wrong)).keys() == found


def test_folders_and_definitions_are_renamed_by_name(call: Call) -> None:
    """The owner stays unless another one is named, and a name that is taken is refused."""
    add(call, "Ann", definition="branch", owner="renamer")
    add(call, "Bob")

    def renamed(name: str, new_name: str) -> str:
        response = call("POST", "/definitions/rename", json={"name": name, "new_name": new_name})
        return str(response.json().get("after") or response.json()["detail"])

    assert renamed("Ann", "Office") == "renamer/Office:branch"
    assert renamed("renamer/Office:branch", ":main") == "renamer/Office:main"
    assert renamed("renamer/Office", "ben/Office") == "ben/Office:main"
    assert renamed("ben/Office", "/Bob") == 'There is a folder "Bob" already.'
    assert "cannot move to another folder" in renamed("ben/Office:main", "Bob:main")
    assert "is the name of a folder" in renamed("ben/Office:main", "Other")
    assert "cannot be the name of a folder" in renamed("Bob", " x ")
    assert "There is no folder or definition named" in renamed("Nobody", "Other")
    assert renamed("ben/Office", "/Office") == "Office:main"
