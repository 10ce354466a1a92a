"""The roles at the web console: each route of the API, and what each row of the matrix of rights says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from contactsync.api.access.needs import Target
from contactsync.operations.access.person import Role
from tests.support.api_routes import Route, routes
from tests.support.company import Company
from tests.support.resources import database_of, short_directory
from tests.support.waiting import wait_until
from tests.support.web_door import actor_header, web_door

ROUTES = sorted(routes())
IN_PATH = {Target.DEFINITION, Target.FOLDER, Target.RUN, Target.REQUEST}
ROLES = {route: route.need.role for route in ROUTES if route.need.role is not None}
BY_PATH = {route: role for route, role in ROLES.items() if "{" in route.path}
WITHOUT_PATH = {route: role for route, role in ROLES.items() if "{" not in route.path}
FOR_VIEWERS = [route for route, role in BY_PATH.items() if role <= Role.VIEWER]
ABOVE_VIEWER = [route for route, role in BY_PATH.items() if role > Role.VIEWER]
ABOVE_EDITOR = [route for route, role in BY_PATH.items() if role > Role.EDITOR]
CLOSED = [route for route in ROUTES if route.need.role is None]
ABSENT = 987_654


def code_of(response: httpx.Response) -> str:
    """The code of a problem; "" for a success."""
    return "" if response.is_success else str(response.json()["code"])


def call(people: Company, user: str, route: Route, ids: dict[str, int]) -> httpx.Response:
    """Call a route for a person."""
    return route.request(people.http, ids, headers=actor_header(user, admin=user == "root"))


@pytest.mark.parametrize("route", BY_PATH, ids=lambda route: route.name)
def test_what_may_not_be_seen_does_not_exist(people: Company, route: Route) -> None:
    """The answer is that of what exists nowhere, also where only an administrator may do it."""
    for definition_id in (people.board, people.private):
        ids = people.ids(definition_id)
        foreign, absent = (call(people, "bob", route, each) for each in (ids, dict.fromkeys(ids, ABSENT)))
        if route.need.role is Role.ADMINISTRATOR:
            assert (foreign.status_code, code_of(foreign)) == (403, "web.role")
        else:
            assert (foreign.status_code, code_of(foreign)) == (404, "not_found"), foreign.text
        problems = [
            response.json() | {"instance": "", "detail": re.sub(r"\d+", "N", response.json()["detail"])}
            for response in (foreign, absent)
        ]
        assert problems[0] == problems[1]


@pytest.mark.parametrize("route", ABOVE_VIEWER, ids=lambda route: route.name)
def test_a_viewer_may_see_but_not_do(people: Company, route: Route) -> None:
    """The answer is 403 with a sentence, in a folder that is for all and in one that names the viewer."""
    for user, definition_id in (("bob", people.staff), ("vi", people.board)):
        response = call(people, user, route, people.ids(definition_id))
        assert (response.status_code, code_of(response)) == (403, "web.role"), response.text
        assert re.fullmatch("Only .+ may do this.", response.json()["detail"])


@pytest.mark.parametrize("route", FOR_VIEWERS, ids=lambda route: route.name)
def test_a_viewer_may_see(people: Company, route: Route) -> None:
    """Everything that needs no more than a viewer."""
    response = call(people, "bob", route, people.ids(people.staff))
    assert response.is_success or (route.name == "photo" and "no photo" in response.text), response.text


@pytest.mark.parametrize("route", ABOVE_EDITOR, ids=lambda route: route.name)
def test_an_editor_is_no_owner_and_no_administrator(people: Company, route: Route) -> None:
    """Of a shared folder, by name and by group."""
    for user in ("ed", "ED"):
        response = call(people, user, route, people.ids(people.staff))
        assert (response.status_code, code_of(response)) == (403, "web.role"), response.text


@pytest.mark.parametrize("route", WITHOUT_PATH, ids=lambda route: route.name)
def test_what_concerns_all_is_for_administrators(people: Company, route: Route) -> None:
    """Also for the owner of a folder; lists are for all."""
    refused = [code_of(call(people, user, route, {})) == "web.role" for user in ("bob", "anna", "ed")]
    if route.name not in {"events", "add_definition"} and route.need.target is not Target.BODY:
        assert refused == [route.need.role is Role.ADMINISTRATOR] * 3


@pytest.mark.parametrize("route", CLOSED, ids=lambda route: route.name)
def test_what_the_console_does_not_have_is_refused_to_administrators(people: Company, route: Route) -> None:
    """Tokens, drains of nodes, and definitions as a whole are for users of the control socket."""
    response = call(people, "root", route, people.ids(people.staff))
    assert (response.status_code, code_of(response)) == (403, "token.socket_only")


def labels(people: Company, user: str, **options: Any) -> set[str]:
    """The labels of the folders that a person sees."""
    response = people.ask(user, "GET", "/v1/folders", **options)
    assert response.status_code == 200, response.text
    return {folder["label"] for folder in response.json()["folders"]} & {"Staff", "Board", "anna/Private"}


def test_folders_are_seen_by_role_name_and_group(people: Company) -> None:
    """In any case of the letters. A shared folder with a right `view` is for those in its rights only."""
    assert labels(people, "root") == {"Staff", "Board", "anna/Private"}
    assert labels(people, "bob") == {"Staff"}
    assert labels(people, "VI") == {"Staff", "Board"}
    assert labels(people, "Anna") == {"Staff", "anna/Private"}
    board = people.ids(people.board)["folder_id"]
    response = people.ask("carol", "GET", f"/v1/folders/{board}/contacts", groups=("managers",))
    assert response.status_code == 404
    rights: list[dict[str, Any]] = [
        {"who": "vi", "right": "view"},
        {"who": "MANAGERS", "is_group": True, "right": "edit"},
    ]
    assert people.give(people.board, *rights).status_code == 200
    assert labels(people, "carol", groups=("Managers",)) == {"Staff", "Board"}
    assert labels(people, "managers") == {"Staff"}, "the name of a group is no person's"
    spelled: dict[str, Any] = {
        "who": "CN=Board\\2c Members, OU=Groups,DC=example,DC=com",
        "is_group": True,
        "right": "view",
    }
    assert people.give(people.board, {"who": "vi", "right": "view"}, spelled).status_code == 200
    for group, sees in (
        ("cn=board\\, members,ou=Groups,dc=example,dc=com", True),
        ("cn=board,ou=Groups,dc=example", False),
    ):
        assert ("Board" in labels(people, "carol", groups=(group,))) is sees, group
    twice = {**spelled, "who": spelled["who"].lower()}
    assert people.give(people.board, spelled, twice).status_code == 409
    people.give(people.board, {"who": "vi", "right": "view"})


def test_lists_have_only_what_may_be_seen(people: Company) -> None:
    """Runs, contacts anywhere, definitions; the same words as if there were nothing else."""
    seen = {run["label"] for run in people.get("bob", "/v1/runs", limit=1000)["runs"]}
    assert "Staff" in seen
    assert not seen & {"Board", "anna/Private"}
    assert people.get("bob", "/v1/runs", definition_id=people.board)["runs"] == []
    for user, sees in (("bob", False), ("ed", True)):
        (staff,) = people.get(user, "/v1/definitions", name="Staff")["definitions"]
        details = people.get(user, f"/v1/definitions/{people.staff}")
        assert bool(staff["query"] and staff["bind_user"] and details["query"] and details["user"]) is sees
        assert (details["in_effect"] is not None) is sees
        assert sees or "dc=example" not in json.dumps([staff, details])
    mail = people.local.get(f"/v1/folders/{people.ids(people.board)['folder_id']}/contacts")["contacts"][0]["emails"][0]
    folders = {contact["folder"] for contact in people.get("bob", "/v1/contacts", mail=mail)["contacts"]}
    assert "Staff" in folders
    assert not folders & {"Board", "anna/Private"}


def test_a_viewer_sees_no_names_of_entries(people: Company) -> None:
    """Neither in a contact, nor in its history, nor in a run, nor in the changes of a folder; an editor does."""
    ids = people.ids(people.staff)
    contact, run = "/v1/folders/{folder_id}/contacts/{contact_id}".format(**ids), f"/v1/runs/{ids['run_id']}"
    changes = f"/v1/definitions/{people.staff}/changes"
    moved = """UPDATE contactsync.contact_changes SET changes = '{"source_dn": ["cn=a,dc=example", "cn=b,dc=example"]}'
               WHERE folder_id = %(folder_id)s AND run_id = %(run_id)s AND contact_id = %(contact_id)s"""
    people.local.person.execute(moved, ids)
    for path in (contact, f"{contact}/history", run, f"{run}/details", changes):
        if path.startswith((contact, changes)):
            assert "source_dn" in people.ask("ed", "GET", path).text, path
        shown = people.ask("bob", "GET", path).text
        assert "source_dn" not in shown, path
        assert "dc=example" not in shown, path


def test_a_viewer_sees_no_servers_of_runs_and_does_not_find_them(people: Company) -> None:
    """Neither why a run failed, nor which server it used, nor a folder by a part of its query; an editor does."""
    broken = people.local.define("Broken", base="ou=Nowhere,dc=example,dc=com")
    people.give(broken, {"who": "ed", "right": "edit"})
    run = people.local.run(broken)
    assert run["outcome"] == "failed"
    server = people.local.directory.url
    for user, sees in (("bob", False), ("ed", True)):
        (listed,) = people.get(user, "/v1/runs", definition_id=broken)["runs"]
        one, details = (people.get(user, f"/v1/runs/{run['run_id']}{more}") for more in ("", "/details"))
        for document in (listed, one, details):
            assert document["error_code"] == run["error_code"]
            assert (bool(document["error"]), "nowhere" in json.dumps(document).lower()) == (sees, sees)
            assert (document["server"] is not None) is sees
        for part in ("contacts", "changes"):
            head = people.get(user, f"/v1/definitions/{broken}/{part}")["definition"]
            assert (head["state"], head["reason"] is not None) == ("failing", sees)
        found = people.get(user, "/v1/definitions", text=server)["definitions"]
        assert (broken in [each["definition_id"] for each in found]) is sees
        assert people.get(user, "/v1/definitions", text="broken")["definitions"]


def edit(people: Company, who: str, definition_id: int, **changes: Any) -> httpx.Response:
    """Edit a definition for a person."""
    return people.ask(who, "PATCH", f"/v1/definitions/{definition_id}", json=changes)


@pytest.fixture
def own(people: Company) -> Iterator[int]:
    """Add a personal folder of anna, with a password that anna typed, and remove it at the end."""
    directory = people.local.directory
    body = {
        "folder": "Own",
        "owner": "anna",
        "query": f"{directory.url}/{directory.suffix}",
        "user": directory.reader_dn,
        "password": directory.reader_password,
        "schedule": "manual",
    }
    added = people.ask("anna", "POST", "/v1/definitions", json=body)
    assert added.status_code == 201, added.text
    own = int(added.json()["definition_id"])
    yield own
    people.local.http.delete(f"/v1/definitions/{own}")


EDITABLE = {"base": "ou=People,dc=example,dc=com", "filter": "(sn=*)", "scope": "sub", "schedule": "every 10m"}
FOR_ADMINISTRATORS: dict[str, Any] = {
    "password_ref": "env:READER",
    "auth": "kerberos",
    "tls_client_cert": "/etc/client.pem",
    "tls_ca_file": "/etc/ca.pem",
    "tls": "starttls",
    "tls_verify": False,
    "tls_minimum": "1.3",
    "max_delete_count": 9000,
    "max_delete_share": 1,
    "allow_empty": True,
    "deadline_seconds": 9,
    "page_size": 7,
    "mode": "live",
    "jitter_seconds": 5,
    "filter_only": True,
    "mapping": {"fields": {}},
    "folder": "Other",
    "owner": "bob",
    "definition": "other",
}


def test_an_editor_edits_what_is_searched_and_when(people: Company) -> None:
    """And pauses and resumes; the person is in the audit."""
    edited = people.local.define("Edits")
    assert edit(people, "root", edited, filter="(sn=A*)").status_code == 200
    people.give(edited, {"who": "ed", "right": "edit"})
    base = people.local.directory.suffix
    assert edit(people, "ed", edited, **EDITABLE | {"base": base}).status_code == 200
    for action in ("pause", "resume"):
        assert people.ask("ed", "POST", f"/v1/definitions/{edited}/{action}").status_code == 200
    deeds = people.get("ed", f"/v1/definitions/{edited}/edits")["deeds"]
    assert [(deed["action"], deed["actor"]) for deed in deeds[:3]] == [
        ("definition.resumed", "ed"), ("definition.paused", "ed"), ("definition.edited", "ed"),
    ]  # fmt: skip


@pytest.mark.parametrize("field", FOR_ADMINISTRATORS)
def test_other_fields_are_for_administrators(people: Company, field: str) -> None:
    """403 with the field, for an editor and for an owner, saved or not."""
    body = {field: FOR_ADMINISTRATORS[field]}
    for user, definition_id in (("ed", people.staff), ("anna", people.private)):
        if user == "ed" and field == "password_ref":
            body = {field: "env:OTHER"}
        saved = edit(people, user, definition_id, **body)
        drafts = [
            people.ask(user, "POST", f"/v1/{path}", json={"definition_id": definition_id, **body})
            for path in ("check", "preview", "browse")
        ]
        for response in (saved, *drafts):
            assert (response.status_code, code_of(response)) == (403, "web.field"), response.text
            assert [error["pointer"] for error in response.json()["errors"]] == [f"/{field}"]


def test_a_schedule_of_editors_is_not_too_short(people: Company) -> None:
    """`least_minutes`, also as five fields of cron; an administrator may set any."""
    for schedule in ("every 4m", "every 299s", "*/4 * * * *", "0,58 * * * *", "59,0 23,0 * * *"):
        response = edit(people, "ed", people.staff, schedule=schedule)
        assert (response.status_code, code_of(response)) == (403, "web.field"), schedule
        assert response.json()["errors"][0]["pointer"] == "/schedule"
    for schedule in ("every 5m", "*/5 * * * *", "0 0 * * *", "manual"):
        assert edit(people, "ed", people.staff, schedule=schedule).status_code == 200, schedule
    assert edit(people, "root", people.staff, schedule="every 1m").status_code == 200
    assert edit(people, "ed", people.staff, filter="(sn=*)").status_code == 200, "what an administrator set may stay"
    assert edit(people, "root", people.staff, schedule="manual", filter=None).status_code == 200


ELSEWHERE = (
    "ldaps://dc.example.org", "ldap://dc.example.net", "ldaps://dc.example.net:3269", "dc.example.net", "127.0.0.1:1",
    "dc=example,dc=org", "ldaps://dc.example.net,dc.example.org", "LDAP://DC=example,DC=net",
)  # fmt: skip


@pytest.mark.parametrize("query", ELSEWHERE)
def test_people_reach_only_the_directories_of_the_settings(people: Company, query: str) -> None:
    """Refused before any name is looked up, for edits and for what is not saved."""
    body = {"query": query, "user": "reader", "password": "a long password"}
    draft = {"definition_id": people.private, **body}
    answers = [edit(people, "anna", people.private, **body)]
    answers += [people.ask("anna", "POST", f"/v1/{path}", json=draft) for path in ("check", "preview", "browse")]
    answers += [people.ask("anna", "POST", f"/v1/{path}", json=body) for path in ("check", "preview", "browse")]
    answers += [people.ask("anna", "POST", "/v1/definitions", json={"folder": "New", "owner": "anna", **body})]
    for response in answers:
        assert (response.status_code, code_of(response)) == (403, "web.field"), response.text
        assert response.json()["errors"][0]["pointer"] == "/query"
        assert response.elapsed.total_seconds() < 2


def test_a_stored_password_is_never_led_to_another_place(people: Company, own: int) -> None:
    """Other servers, another user or other TLS settings: it must be typed again, also by an administrator."""
    elsewhere = {"query": "ldaps://dc.example.net", "tls": "auto"}
    for user, changes in (("anna", {"user": "cn=other"}), ("root", {"user": "cn=other"}), ("root", elsewhere)):
        answers = [edit(people, user, own, **changes)]
        answers += [
            people.ask(user, "POST", f"/v1/{path}", json={"definition_id": own, **changes})
            for path in ("check", "preview", "browse")
        ]
        for response in answers:
            assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/password"), response.text


def test_a_referenced_password_stays_where_an_administrator_sent_it(people: Company) -> None:
    """An editor may not lead it elsewhere."""
    response = edit(people, "ed", people.staff, query="ldaps://dc.example.net")
    assert (response.status_code, code_of(response)) == (403, "web.field"), response.text
    response = edit(people, "ed", people.staff, user="cn=other")
    assert response.status_code in {403, 422}, response.text


def test_an_administrator_types_the_password_in_place_of_a_reference(people: Company) -> None:
    """For another server: a stolen session does not learn the password that is on the daemon's machine."""
    moved = people.local.define("Moved")
    elsewhere = {"query": "ldap://127.0.0.1:9"}
    answers = [edit(people, "root", moved, **elsewhere)]
    answers += [
        people.ask("root", "POST", f"/v1/{path}", json={"definition_id": moved, **elsewhere})
        for path in ("check", "preview", "browse")
    ]
    for response in answers:
        assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/password"), response.text
        assert "env:READER" in response.json()["detail"]
    assert edit(people, "root", moved, filter="(sn=*)").status_code == 200
    assert edit(people, "root", moved, **elsewhere, password="a long password").status_code == 200
    assert people.local.get(f"/v1/definitions/{moved}")["password_ref"] is None


def test_browse_and_explain_need_a_password_of_this_person(people: Company, own: int) -> None:
    """One that the person gave, or types now: what they show may be outside of the folder."""
    searches: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/v1/browse", {"json": {"definition_id": own}}),
        ("GET", f"/v1/definitions/{own}/explain", {"params": {"who": "Nobody Atall"}}),
    ]
    for method, path, options in searches:
        assert people.ask("ANNA", method, path, **options).status_code == 200, path
    assert people.give(own, {"who": "ed", "right": "edit"}).status_code == 200
    for method, path, options in searches:
        response = people.ask("ed", method, path, **options)
        assert (response.status_code, code_of(response)) == (403, "web.password"), response.text
        assert response.json()["errors"][0]["pointer"] == "/password"
        assert people.ask("root", method, path, **options).status_code == 200
    typed = {"password": people.local.directory.reader_password}
    assert people.ask("ed", "POST", "/v1/browse", json={"definition_id": own, **typed}).status_code == 200
    question = {"who": "Nobody Atall", **typed}
    assert people.ask("ed", "POST", f"/v1/definitions/{own}/explain", json=question).status_code == 200
    # Another user's password takes its place.
    given = people.ask("root", "PUT", f"/v1/definitions/{own}/password", json=typed)
    assert given.status_code == 200
    assert code_of(people.ask("anna", *searches[0][:2], **searches[0][2])) == "web.password"


@pytest.mark.parametrize(
    "columns", [{"auth": "kerberos", "bind_user": None}, {"bind_user": None, "tls_client_cert": "/etc/client.pem"}]
)
def test_any_password_does_not_open_what_the_machine_may_see(people: Company, columns: dict[str, Any]) -> None:
    """Where a ticket or a certificate of the daemon's machine is used, a typed password would make no difference."""
    machine = people.local.define(f"Machine {len(columns)} {columns.get('auth')}", password_ref=None, **columns)
    people.give(machine, {"who": "ed", "right": "edit"})
    answers = [
        people.ask("ed", "POST", "/v1/browse", json={"definition_id": machine, "password": "any"}),
        people.ask("ed", "POST", f"/v1/definitions/{machine}/explain", json={"who": "Anna", "password": "any"}),
    ]
    for response in answers:
        assert (response.status_code, code_of(response)) == (403, "web.role"), response.text
        assert "only an administrator may search" in response.json()["detail"]


def test_editors_test_and_preview(people: Company) -> None:
    """With the password that is stored."""
    for path in ("check", "preview"):
        assert people.ask("ed", "POST", f"/v1/{path}", json={"definition_id": people.staff}).status_code == 200
        response = people.ask("bob", "POST", f"/v1/{path}", json={"definition_id": people.staff})
        assert (response.status_code, code_of(response)) == (403, "web.role")
        response = people.ask("bob", "POST", f"/v1/{path}", json={"definition_id": people.board})
        assert (response.status_code, code_of(response)) == (404, "not_found")


def test_editors_see_a_sample_of_what_the_settings_select(people: Company) -> None:
    """Five people with all fields; with a mapping that is not stored only if editors may edit it."""
    unit = f"ou=Sales,ou=people,{people.local.directory.suffix}"
    draft = {"definition_id": people.staff, "base": unit}
    for user in ("ed", "root"):
        response = people.ask(user, "POST", "/v1/sample", json=draft)
        assert response.status_code == 200, response.text
        found = response.json()
        assert len(found["entries"]) == 5
        assert found["more"]
        assert all(entry["dn"].endswith(unit) and entry["fields"]["display_name"] for entry in found["entries"])
    mapped = {**draft, "mapping": {"fields": {"notes": "{uid} of {sn}"}}}
    response = people.ask("ed", "POST", "/v1/sample", json=mapped)
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (403, "/mapping"), response.text
    entries = people.ask("root", "POST", "/v1/sample", json=mapped).json()["entries"]
    assert all(" of " in entry["fields"]["notes"] for entry in entries)
    assert [people.get(user, "/v1/access")["mappings"] for user in ("ed", "root")] == [False, True]
    for user, status, code in (("bob", 403, "web.role"), ("vi", 403, "web.role")):
        response = people.ask(user, "POST", "/v1/sample", json=draft)
        assert (response.status_code, code_of(response)) == (status, code), response.text


def test_editors_edit_mappings_where_the_settings_say_so(postgres_server: str, migrated_template: str) -> None:
    """`editors_map`: for a sample and a save; a viewer may not, all the same."""
    with (
        short_directory() as place,
        database_of(postgres_server, template=migrated_template) as database,
        web_door(database, place, EDITORS_MAP="true") as door,
    ):
        staff, mapping = door.local.staff, {"fields": {"notes": "{uid} of {sn}"}}
        door.give(staff, {"who": "ed", "right": "edit"})
        requests: list[tuple[str, str, dict[str, Any]]] = [
            ("POST", "/v1/sample", {"definition_id": staff, "mapping": mapping}),
            ("POST", "/v1/preview", {"definition_id": staff, "mapping": mapping}),
            ("PATCH", f"/v1/definitions/{staff}", {"mapping": mapping}),
        ]
        for method, path, body in requests:
            assert code_of(door.ask("bob", method, path, json=body)) == "web.role"
            answer = door.ask("ed", method, path, json=body)
            assert answer.status_code == 200, answer.text
        assert door.get("ed", "/v1/access")["mappings"]
        assert door.get("ed", f"/v1/definitions/{staff}")["mapping"] == mapping


def test_an_editor_requests_one_run_a_minute(people: Company) -> None:
    """Of each folder; an administrator as many as needed. The editor may cancel it."""
    often = people.local.define("Often")
    people.give(often, {"who": "ed", "right": "edit"})
    path = f"/v1/definitions/{often}/sync"
    assert people.ask("ed", "POST", path, params={"wait": True}).status_code == 200
    response = people.ask("Ed", "POST", path)
    assert (response.status_code, code_of(response)) == (429, "web.rate")
    assert 0 < int(response.headers["retry-after"]) <= 60
    for _ in range(2):
        assert people.ask("root", "POST", path, params={"wait": True}).status_code == 200
    assert code_of(people.ask("ed", "POST", f"/v1/definitions/{often}/cancel")) == "not_found", "it may, but none runs"


def held(people: Company, definition_id: int, *, keep: int) -> dict[str, Any]:
    """The plan of a run that waits for a decision, which would keep so many contacts."""
    folder_id = people.folder(definition_id)
    contacts = people.local.get(f"/v1/folders/{folder_id}/contacts", limit=keep)["contacts"] if keep else []
    kept = "".join(f"(mail={mail})" for contact in contacts for mail in contact["emails"][:1])
    people.local.person.execute(
        "UPDATE contactsync.sync_definitions SET filter = %s WHERE definition_id = %s",
        [f"(|(sn=Nobody){kept})", definition_id],
    )
    run = people.local.run(definition_id)
    assert run["outcome"] == "held", run
    return dict(people.get("root", f"/v1/runs/{run['run_id']}/plan"))


def test_an_owner_decides_about_the_own_folder_up_to_a_limit(people: Company, own: int) -> None:
    """With the digest of the plan that was shown. An editor, whether of this folder or not, does not."""
    people.local.run(own)
    people.give(own, {"who": "ed", "right": "edit"})
    plan = held(people, own, keep=25)
    run = f"/v1/runs/{plan['run_id']}"
    for decision in ("approve", "reject"):
        response = people.ask("ed", "POST", f"{run}/{decision}", params={"digest": plan["digest"]})
        assert (response.status_code, code_of(response)) == (403, "web.role")
    for user in ("anna", "root"):
        assert people.ask(user, "POST", f"{run}/approve").status_code == 409, "no digest"
        assert people.ask(user, "POST", f"{run}/approve", params={"digest": "00"}).status_code == 409, "another plan"
    response = people.ask("anna", "POST", f"{run}/approve", params={"digest": plan["digest"]})
    assert response.status_code == 200, response.text
    newest = {"definition_id": own, "outcome": "changed", "limit": 1}
    wait_until(lambda: people.get("anna", "/v1/runs", **newest)["runs"][0]["deleted"], "the approved run")
    (last,) = people.get("anna", "/v1/runs", **newest)["runs"]
    assert code_of(people.ask("ed", "POST", f"/v1/runs/{last['run_id']}/undo")) == "web.role"
    assert people.get("anna", f"/v1/runs/{last['run_id']}/undo")["possible"]
    undo = f"/v1/runs/{last['run_id']}/undo"
    wait_until(lambda: people.ask("anna", "POST", undo).status_code == 200, "the end of the run, and its undo")


def test_an_owner_does_not_decide_about_many_deletions(people: Company, own: int) -> None:
    """Above `owners_approve`, which is 30 here."""
    people.local.run(own)
    plan = held(people, own, keep=5)
    assert plan["deleted"] > 30
    for decision in ("approve", "reject"):
        path, digest = f"/v1/runs/{plan['run_id']}/{decision}", {"digest": plan["digest"]}
        response = people.ask("anna", "POST", path, params=digest)
        assert (response.status_code, code_of(response)) == (403, "web.role")
        assert response.json()["detail"].startswith("You may decide about 30 deletions at most")
    rejected = people.ask("root", "POST", f"/v1/runs/{plan['run_id']}/reject", params={"digest": plan["digest"]})
    assert rejected.status_code == 200


def test_an_owner_does_not_decide_about_many_cleared_fields(people: Company, own: int) -> None:
    """The same limit counts the contacts that would lose a field."""
    people.local.run(own)
    people.local.person.execute(
        "UPDATE contactsync.sync_definitions SET mapping = %s WHERE definition_id = %s",
        ['{"fields": {"city": "carLicense"}}', own],
    )
    plan = people.get("root", f"/v1/runs/{people.local.run(own)['run_id']}/plan")
    assert (plan["deleted"], plan["cleared"]["city"] > 30) == (0, True)
    path, digest = f"/v1/runs/{plan['run_id']}/approve", {"digest": plan["digest"]}
    response = people.ask("anna", "POST", path, params=digest)
    assert (response.status_code, code_of(response)) == (403, "web.role")
    assert response.json()["detail"].startswith("You may decide about 30 deletions or cleared contacts at most")
    rejected = people.ask("root", "POST", f"/v1/runs/{plan['run_id']}/reject", params=digest)
    assert rejected.status_code == 200


def test_people_add_and_remove_personal_folders_only(people: Company) -> None:
    """Their own, in any case of the name."""
    query = {"query": "ldaps://dc.example.net", "schedule": "manual", "enabled": False}
    for owner in ({}, {"owner": "bob"}):
        response = people.ask("anna", "POST", "/v1/definitions", json={"folder": "Mine", **query, **owner})
        assert (response.status_code, code_of(response)) == (403, "token.scope"), response.text
    response = people.ask("anna", "POST", "/v1/definitions", json={"folder": "Mine", **query, "owner": "ANNA"})
    assert response.status_code == 201, response.text
    added = response.json()
    assert people.ask("bob", "DELETE", f"/v1/definitions/{added['definition_id']}").status_code == 404
    assert people.ask("ed", "DELETE", f"/v1/definitions/{people.staff}").status_code == 403
    assert people.ask("anna", "DELETE", f"/v1/definitions/{added['definition_id']}").status_code == 200
    shared = people.ask("root", "POST", "/v1/definitions", json={"folder": "Any", **query})
    assert shared.status_code == 201
    assert people.ask("root", "DELETE", f"/v1/definitions/{shared.json()['definition_id']}").status_code == 200


def test_what_a_person_may_see_is_listed(people: Company) -> None:
    """For the console, which sorts events by it."""
    folders = {name: people.ids(getattr(people, name))["folder_id"] for name in ("staff", "board", "private")}
    own = people.get("anna", "/v1/access")
    assert (own["everything"], own["personal_folders"], own["editor"]) == (False, True, [])
    assert folders["private"] in own["owner"]
    assert folders["staff"] in own["viewer"]
    assert folders["board"] not in own["viewer"]
    assert folders["staff"] in people.get("ed", "/v1/access")["editor"]
    assert people.get("root", "/v1/access")["everything"]


def test_rights_are_set_by_administrators_and_audited(people: Company) -> None:
    """The whole list at once; a name twice is refused."""
    folder = people.ids(people.board)["folder_id"]
    rights = people.get("root", f"/v1/folders/{folder}/rights")
    assert (rights["label"], rights["everybody"]) == ("Board", False)
    assert rights["rights"] == [{"who": "vi", "is_group": False, "right": "view"}]
    for user in ("bob", "vi", "anna"):
        assert people.ask(user, "PUT", f"/v1/folders/{folder}/rights", json={"rights": []}).status_code == 403
    twice = [{"who": "Vi", "right": "edit"}, {"who": "vi", "right": "view"}]
    assert people.give(people.board, *twice).status_code == 409
    assert people.give(people.board, {"who": "vi\n", "right": "view"}).status_code == 409
    assert people.ask("root", "PUT", f"/v1/folders/{ABSENT}/rights", json={"rights": []}).status_code == 404
    assert people.give(people.board).json()["everybody"]
    assert "Board" in labels(people, "bob")
    people.give(people.board, {"who": "vi", "right": "view"})
    deeds = [deed for deed in people.get("root", "/v1/audit")["deeds"] if deed["action"] == "rights.set"]
    assert (deeds[0]["actor"], deeds[0]["label"]) == ("root", "Board")
    assert deeds[0]["after"] == {"before": [], "after": ["vi: view"]}


def test_numbers_are_of_what_a_person_may_see(people: Company) -> None:
    """Thirty days up to today with the runs of each, and the definitions by state."""
    days = people.get("root", f"/v1/definitions/{people.board}/statistics")["days"]
    assert len(days) == 30
    assert [day["day"] for day in days] == sorted(day["day"] for day in days)
    assert days[0] | {"day": ""} == dict.fromkeys(days[0], 0) | {"day": ""}
    assert (days[-1]["runs"], days[-1]["inserted"], days[-1]["failed"]) >= (1, 40, 0)
    assert days[-1]["seconds"] > 0
    assert len(people.get("bob", f"/v1/definitions/{people.staff}/statistics", days=1)["days"]) == 1
    everywhere, visible = (sum(people.get(user, "/v1/states")["states"].values()) for user in ("root", "bob"))
    assert 1 <= visible < everywhere
